/*
 * The head of an answer.
 */
#ifndef WORKER_STORE_ANSWER_H
#define WORKER_STORE_ANSWER_H

#include "common/config/config.h"
#include "worker/store/object_info.h"

/*
 * Takes one header line into info: name in any case, value trimmed.  Ignores unknown names.  Drops
 * malformed values: for ETag and version, anything but printable ASCII; after a 206 with a
 * senseless Content-Range, range_first is -1.  A header that the new object should get and that
 * cannot be carried becomes an entry INFO_LOST: control characters, a name of metadata that no
 * request can have, a name of metadata for the second time.
 */
void store_take_header(const struct config_store *store, struct object_info *info, const char *name,
    const char *value);

#endif
