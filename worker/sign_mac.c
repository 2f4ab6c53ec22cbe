/*
 * Digests and HMACs.  OpenSSL's calls for a single one look the algorithm up each time, which takes several times as long as what
 * they then compute: so that is done once, and the contexts are kept.
 */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <string.h>

#include "worker/memory.h"
#include "worker/sign_canon.h"

struct digest {
	const char *name;
	size_t bytes;
	EVP_MD *md;
	EVP_MD_CTX *md_ctx;
	EVP_MAC_CTX *mac_ctx;
	unsigned char key[64]; /* the one that mac_ctx has been given; a longer one is given each time */
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

/* NULL if this libcrypto does not have it. */
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

	return d != NULL && EVP_DigestInit_ex(d->md_ctx, d->md, NULL) == 1 && EVP_DigestUpdate(d->md_ctx, text, len) == 1 &&
	    EVP_DigestFinal_ex(d->md_ctx, out, NULL) == 1 ? 0 : -1;
}

/* With the key of last time it need not be made ready again, which takes as long as two short texts. */
static int
mac_init(struct digest *d, const void *key, size_t key_len)
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
sign_mac(enum sign_digest which, const void *key, size_t key_len, const char *text, unsigned char *out)
{
	struct digest *d = digest_open(which);
	size_t len;

	return d != NULL && mac_init(d, key, key_len) == 1 &&
	    EVP_MAC_update(d->mac_ctx, (const unsigned char *)text, strlen(text)) == 1 &&
	    EVP_MAC_final(d->mac_ctx, out, &len, d->bytes) == 1 ? 0 : -1;
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
