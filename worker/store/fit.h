/*
 * What of headers and metadata a store takes, by one table of limits.  ferry(7), METADATA, has the
 * table in words.
 */
#ifndef WORKER_STORE_FIT_H
#define WORKER_STORE_FIT_H

#include <stddef.h>

#include "common/config/config.h"
#include "worker/store/object_info.h"

/* Replaces all metadata by "name\x1fvalue\x1e…" in UTF-8, and forgets what was lost of the old. */
void store_set_metadata(struct object_info *info, const char *pairs);

/* Replaces the content type, likewise. */
void store_set_content_type(struct object_info *info, const char *type);

/*
 * Brings the headers and the metadata of a new object into the form that the store takes.  What it
 * does not take is left out and becomes an entry INFO_LOST.  COS keeps no '_' and '.' in names of
 * metadata, so they become '-'.
 */
void store_fit(const struct config_store *store, struct object_info *info);

/*
 * Writes the entries INFO_LOST as a list: "x-amz-meta-a (why), ...".  Returns their number; the
 * list ends in "and N more" if it does not hold all of them.
 */
int store_losses(const struct object_info *info, char *text, size_t size);

#endif
