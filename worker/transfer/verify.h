/*
 * Decides whether the object at the destination is what was sent, and what proves it.
 */
#ifndef WORKER_TRANSFER_VERIFY_H
#define WORKER_TRANSFER_VERIFY_H

#include "worker/transfer/transfer.h"

/* How much an answer about the destination proves, the weakest first. */
enum proof {
	PROOF_UNASKED, /* the destination may not be asked: destination_asks() */
	PROOF_ABSENT, /* there is no object */
	/* another size, CRC64 or CRC32C, or another MD5 as ETag: these bytes are not those sent */
	PROOF_DIFFERS,
	PROOF_UNLIKE, /* another ETag than the one expected, which may have other reasons */
	PROOF_SIZE,
	PROOF_MD5, /* of a copy: the same ETag */
	PROOF_CRC64,
	PROOF_CRC32C,
};

/*
 * Compares the CRC64 of all bytes with the row's expect_crc64, and with the checksum that the
 * source has of itself (x-cos-hash-crc64ecma).  Returns 0, or -1: a permanent failure for the
 * former; for the latter a transient one, with the upload rotten, since bytes changed on the way.
 */
int verify_expected(struct transfer *t, uint64_t crc64, struct failure *f);

/* The CRC64 of the object.  Of a copy it is the source's own, 0 if the store does not say it. */
uint64_t verify_crc64(const struct transfer *t);

/*
 * Asks the destination, if destination_asks(), and keeps the ETag of its answer.  Returns 0, or -1
 * with t->failure.  An absent object is an answer.  told describes the object, for a message.
 */
int verify_ask(struct transfer *t, enum proof *proof, char *told, size_t told_size);

/*
 * Asks, and requires the proof that the store's verify wants.  Returns 0 with the outcome's crc64
 * and verified_by, or -1 with t->failure; with outcome.spoiled if what is there was made by this
 * attempt and is proven to be other bytes.
 */
int verify_destination(struct transfer *t);

#endif
