/*
 * What both signatures are made of: texts, lists in canonical form and order, digests, kept keys.
 */
#ifndef WORKER_SIGN_PRIVATE_H
#define WORKER_SIGN_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>

#include "worker/sign/sign.h"

/* A text that grows. */
struct sign_text {
	char *buf;
	size_t len;
	size_t size;
};

void sign_text_add(struct sign_text *t, const char *s);
void sign_text_add_encoded(struct sign_text *t, const char *s, bool keep_slash);
void sign_text_release(struct sign_text *t);

enum sign_form {
	SIGN_FORM_ENCODED, /* name and value percent-encoded: the query of v4 */
	SIGN_FORM_LOWER_TRIMMED, /* name in lower case, value trimmed: the headers of v4 */
	SIGN_FORM_ENCODED_LOWER, /* name encoded, then in lower case; value encoded: COS */
};

struct sign_list {
	int n;
	struct {
		char *name;
		char *value;
	} pair[SIGN_PAIRS_MAX];
};

/*
 * Brings n pairs into form and sorts them by name, then value.  With unique, two pairs of the same
 * name are an error.  Returns 0, or -1 (too many pairs, a name twice).  The caller releases the
 * list in both cases.
 */
int sign_list_init(
    struct sign_list *list, const struct sign_pair *pairs, int n, enum sign_form form, bool unique);
void sign_list_release(struct sign_list *list);

/* Adds the names of list, separated by ';'. */
void sign_list_names(const struct sign_list *list, struct sign_text *out);

/* Adds "name=value&name=value". */
void sign_list_query(const struct sign_list *list, struct sign_text *out);

enum sign_digest { SIGN_SHA1, SIGN_SHA256 };
#define SIGN_SHA1_BYTES 20
#define SIGN_SHA256_BYTES 32

/* Writes the digest of len bytes of text into out.  Returns 0 or -1. */
int sign_digest(enum sign_digest which, const char *text, size_t len, unsigned char *out);

/* Writes the HMAC of a string into out.  Returns 0 or -1. */
int sign_mac(
    enum sign_digest which, const void *key, size_t key_len, const char *text, unsigned char *out);

/* Wipes the keys that the contexts of sign_mac() hold. */
void sign_mac_forget(void);

#define SIGN_KEPT_BYTES 41 /* 40 hex digits and a NUL, or the bytes of a digest */

/* Finds a kept key that was derived from secret and scope. */
bool sign_kept_find(const char *secret, const char *scope, unsigned char key[SIGN_KEPT_BYTES]);

/* Keeps a key that was derived from secret and scope, which must not be empty. */
void sign_kept_add(const char *secret, const char *scope, const unsigned char key[SIGN_KEPT_BYTES]);

/*
 * v4: writes the key of the day, region and service, 32 bytes.  date is in the form of
 * sign_v4_date().  Returns 0 or -1.
 */
int sign_v4_key(const struct sign_key *key, const char *date, unsigned char *out);

#endif
