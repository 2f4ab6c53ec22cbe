/*
 * What an ETag looks like, and which two ETags name the same object.  ETags are without quotes, as
 * struct object_info has them.
 */
#ifndef WORKER_STORE_ETAG_H
#define WORKER_STORE_ETAG_H

#include <stdbool.h>

/* The ETag without the W/ of a weak one. */
const char *store_etag_opaque(const char *etag);

/*
 * True if both are the same but for W/: RFC 9110, 8.8.3.2, weak comparison.  A proxy may weaken the
 * ETag of some answers about an object and not of others.
 */
bool store_etag_is_same(const char *a, const char *b);

/*
 * True if the ETag has the form that S3 gives to an object: 32 hexadecimal digits, the MD5 of its
 * bytes; of an object of parts (nparts > 0) the MD5 of the parts' MD5s, then '-' and their number.
 * An ETag of another form is the store's own invention, and says nothing of the bytes.
 */
bool store_etag_has_form(const char *etag, int nparts);

#endif
