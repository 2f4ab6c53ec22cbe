/*
 * The parts of a transfer: how large they are, which are left, and several pipes kept busy with them.
 */
#ifndef WORKER_PARTS_H
#define WORKER_PARTS_H

#include "worker/transfer.h"

/* Size of a part for an object of that size (-1: not known), before limits of stores. */
int64_t parts_size_wanted(const struct config_worker *conf, int64_t size);

/* The smallest part that any size comes to, but for the last. */
int64_t parts_size_least(const struct config_worker *conf);

/* Decides part size and number of parts for t->size.  Returns 0, or -1 with a failure: too large for the store. */
int parts_plan(struct transfer *t);

/* Lays out the table for t->size and t->part_size (a resumed upload keeps its part size). */
void parts_lay_out(struct transfer *t);

/* Takes part number as finished; bytes and counts follow. */
void parts_take(struct transfer *t, int number, uint64_t crc64, const char *etag);

/* What the destination says of it, and what was sent: the same. */
void parts_take_crc32c(struct transfer *t, int number, uint32_t crc32c);
const char *parts_etag(const struct part *part);

/* Moves all that is left.  Returns 0, or -1 with t->failure, or interrupted. */
int parts_move(struct transfer *t);

/* CRC64 of the whole from that of the parts. */
uint64_t parts_crc64(const struct transfer *t);

/* The same with CRC32C.  False if that of a part is not known. */
bool parts_crc32c(const struct transfer *t, uint32_t *crc32c);

/* Bytes in flight, for progress. */
int64_t parts_in_flight(const struct transfer *t);

void parts_release(struct transfer *t);

/*
 * The ETag that S3 gives to the object that the parts become: the one part's own, or the MD5 of their MD5s.  Returns false if they
 * have none.
 */
bool parts_object_etag(const struct transfer *t, char *out, size_t size);

#endif
