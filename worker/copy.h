/*
 * A copy that the store makes itself, where source and destination are in the same one: no byte passes here, none is counted
 * against a rate, and none is summed.  What such a copy is verified by is what the store says of it: finish.c.
 *
 * Small objects are one CopyObject.  Large ones, and those that must not replace anything, are an upload whose parts are copied: few
 * stores know a condition on CopyObject, and before Complete there is a last look.  Such parts are checkpoints like others.
 * Where a store refuses to copy, the bytes pass here.
 */
#ifndef WORKER_COPY_H
#define WORKER_COPY_H

#include "worker/transfer.h"

/* A checkpoint's name for a source: what was copied has no CRC64, so copied parts and sent ones are never of one upload. */
#define COPY_PIN_SIZE (S3XML_ETAG_MAX + 16)
const char *copy_pin(const struct transfer *t, char pin[COPY_PIN_SIZE]);

/* Before the source is known: both ends are in one store, and its configuration allows it. */
bool copy_is_possible(const struct transfer *t);

/* True if the store may be asked: both ends are in it, its configuration allows it, and what the task asks for can be shown. */
bool copy_applies(const struct transfer *t);

/* Returns 0 for an object that is there and verified (or t->skipped), 1 if the store refuses and nothing is left of it, -1. */
int copy_run(struct transfer *t);

#endif
