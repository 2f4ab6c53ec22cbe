/*
 * OpenSSL's one-shot calls look up the algorithm each time, which takes several times as long as
 * the computation.  So the algorithms are looked up once, and the contexts are kept.
 */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <string.h>

#include "common/base/memory.h"
#include "worker/sign/private.h"

struct digest {
	const char *name;
	size_t bytes;
	EVP_MD *md;
	EVP_MD_CTX *md_ctx;
	EVP_MAC_CTX *mac_ctx;
	/* the key that mac_ctx has; a longer key is given to it each time */
	unsigned char key[64];
	size_t key_len;
};

static struct digest digests[] = {
	[SIGN_SHA1] = { .name = "SHA1", .bytes = SIGN_SHA1_BYTES },
	[SIGN_SHA256] = { .name = "SHA256", .bytes = SIGN_SHA256_BYTES },
};

static EVP_MAC_CTX *
digest_open_mac(const struct digest *d)
{
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *ctx = mac != NULL ? EVP_MAC_CTX_new(mac) : NULL;
	char name[16];
	OSSL_PARAM params[2];

	EVP_MAC_free(mac);
	strlcpy(name, d->name, sizeof(name));
	params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0);
	params[1] = OSSL_PARAM_construct_end();
	if (ctx != NULL && EVP_MAC_CTX_set_params(ctx, params) == 1)
		return ctx;
	EVP_MAC_CTX_free(ctx);
	return NULL;
}

/* Returns NULL if libcrypto does not have the digest. */
static struct digest *
digest_open(enum sign_digest which)
{
	struct digest *d = &digests[which];

	if (d->mac_ctx != NULL)
		return d;
	if (d->md == NULL)
		d->md = EVP_MD_fetch(NULL, d->name, NULL);
	if (d->md_ctx == NULL && (d->md_ctx = EVP_MD_CTX_new()) == NULL)
		memory_exhausted(1);
	if (d->md == NULL || (d->mac_ctx = digest_open_mac(d)) == NULL)
		return NULL;
	return d;
}

int
sign_digest(enum sign_digest which, const char *text, size_t len, unsigned char *out)
{
	struct digest *d = digest_open(which);

	return d != NULL && EVP_DigestInit_ex(d->md_ctx, d->md, NULL) == 1 &&
		       EVP_DigestUpdate(d->md_ctx, text, len) == 1 &&
		       EVP_DigestFinal_ex(d->md_ctx, out, NULL) == 1
		   ? 0
		   : -1;
}

/*
 * Prepares the context.  If the key is the same as last time, the context keeps it: preparing a key
 * takes as long as signing two short texts.  Returns 1, or 0 for an error, as OpenSSL does.
 */
static int
prepare(struct digest *d, const void *key, size_t key_len)
{
	if (key_len > 0 && key_len == d->key_len && memcmp(key, d->key, key_len) == 0)
		return EVP_MAC_init(d->mac_ctx, NULL, 0, NULL);
	d->key_len = 0;
	if (EVP_MAC_init(d->mac_ctx, key, key_len, NULL) != 1)
		return 0;
	if (key_len <= sizeof(d->key)) {
		memcpy(d->key, key, key_len);
		d->key_len = key_len;
	}
	return 1;
}

int
sign_mac(
    enum sign_digest which, const void *key, size_t key_len, const char *text, unsigned char *out)
{
	struct digest *d = digest_open(which);
	size_t len;

	return d != NULL && prepare(d, key, key_len) == 1 &&
		       EVP_MAC_update(d->mac_ctx, (const unsigned char *)text, strlen(text)) == 1 &&
		       EVP_MAC_final(d->mac_ctx, out, &len, d->bytes) == 1
		   ? 0
		   : -1;
}

void
sign_mac_forget(void)
{
	struct digest *d;

	for (d = digests; d < digests + sizeof(digests) / sizeof(digests[0]); d++) {
		EVP_MAC_CTX_free(d->mac_ctx);
		d->mac_ctx = NULL;
		explicit_bzero(d->key, sizeof(d->key));
		d->key_len = 0;
	}
}
