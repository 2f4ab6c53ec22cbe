/*
 * What both signatures are made of: a growing text, lists of pairs brought into the form and order that a
 * protocol signs, digests, and the derived key of v4.  Internal to sign*.c.
 */
#ifndef WORKER_SIGN_CANON_H
#define WORKER_SIGN_CANON_H

#include <stdbool.h>
#include <stddef.h>

#include "worker/sign.h"

/* Text that grows. */
struct sign_text {
	char *buf;
	size_t len;
	size_t size;
};

void sign_text_add(struct sign_text *t, const char *s);
void sign_text_add_encoded(struct sign_text *t, const char *s, bool keep_slash);
void sign_text_release(struct sign_text *t);

enum sign_form {
	SIGN_FORM_ENCODED,	 /* name and value percent-encoded: the query of v4 */
	SIGN_FORM_LOWER_TRIMMED, /* name in lower case, value trimmed, runs of blanks one: the headers of v4 */
	SIGN_FORM_ENCODED_LOWER, /* name encoded, then in lower case; value encoded: all of COS */
};

struct sign_list {
	int n;
	struct {
		char *name;
		char *value;
	} pair[SIGN_PAIRS_MAX];
};

/*
 * Brings n pairs into form and sorts them by name, then value.  unique: a name that comes twice is an error, as of headers
 * that would have to be signed as one.  Returns 0, or -1 (too many, twice); release in both cases.
 */
int sign_list_init(struct sign_list *list, const struct sign_pair *pairs, int n, enum sign_form form, bool unique);
void sign_list_release(struct sign_list *list);

/* The names of list, separated by ';'. */
void sign_list_names(const struct sign_list *list, struct sign_text *out);

/* "name=value&name=value". */
void sign_list_query(const struct sign_list *list, struct sign_text *out);

enum sign_digest { SIGN_SHA1, SIGN_SHA256 };
#define SIGN_SHA1_BYTES 20
#define SIGN_SHA256_BYTES 32

/* Of len bytes of text, or HMAC of a string; out has room for what the digest has.  Return 0 or -1. */
int sign_digest(enum sign_digest which, const char *text, size_t len, unsigned char *out);
int sign_mac(enum sign_digest which, const void *key, size_t key_len, const char *text, unsigned char *out);

/* Wipes the keys that sign_mac() was given last. */
void sign_mac_forget(void);

/* A key that was derived of secret and scope (not empty) before, if it is still there.  And: keeps one. */
#define SIGN_KEPT_BYTES 41 /* 40 hex digits and a NUL, or as many bytes as a digest has */
bool sign_kept_find(const char *secret, const char *scope, unsigned char key[SIGN_KEPT_BYTES]);
void sign_kept_add(const char *secret, const char *scope, const unsigned char key[SIGN_KEPT_BYTES]);

/* v4: the key of the day, region and service, 32 bytes; date is that of sign_v4_date().  Returns 0 or -1. */
int sign_v4_key(const struct sign_key *key, const char *date, unsigned char *out);

/* Lower-case hex with a NUL: hex needs 2 * len + 1 bytes. */
void sign_hex(const unsigned char *bytes, size_t len, char *hex);

#endif
