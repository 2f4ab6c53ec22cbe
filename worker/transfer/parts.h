/*
 * The table of parts: which parts are done, and what the destination says of each.
 */
#ifndef WORKER_TRANSFER_PARTS_H
#define WORKER_TRANSFER_PARTS_H

#include "worker/transfer/transfer.h"

/*
 * Makes an empty table for t->way, t->size and t->part_size.  For WAY_UNSIZED it has room for as
 * many parts as the store takes, and t->nparts grows from 0.
 */
void parts_lay_out(struct transfer *t);

/* Marks part number as done, and counts its bytes. */
void parts_take(struct transfer *t, int number, uint64_t crc64, const char *etag);

/* Records the CRC32C that was sent with part number and that the destination confirmed. */
void parts_take_crc32c(struct transfer *t, int number, uint32_t crc32c);

/* The part's ETag. */
const char *parts_etag(const struct part *part);

/* The CRC64 of the whole, combined from those of all parts. */
uint64_t parts_crc64(const struct transfer *t);

/* The CRC32C of the whole, combined likewise.  False if a part's CRC32C is not known. */
bool parts_crc32c(const struct transfer *t, uint32_t *crc32c);

/*
 * The ETag that S3 gives to an object of these parts: of a single PUT its own, of an upload the MD5
 * of the parts' MD5s.  False if an ETag is no MD5.
 */
bool parts_object_etag(const struct transfer *t, char *out, size_t size);

/* Frees the table. */
void parts_release(struct transfer *t);

#endif
