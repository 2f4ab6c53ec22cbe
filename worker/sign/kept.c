/*
 * Derived keys are kept.  Deriving one takes longer than the rest of a signature, and it is the
 * same for a day (v4) or for a second (COS).
 */
#include <string.h>

#include "worker/sign/private.h"

#define KEPT_MAX 8 /* a task has two stores; the rest is for its predecessors */
#define SECRET_SIZE 512
#define SCOPE_SIZE 128

static struct kept {
	char secret[SECRET_SIZE];
	char scope[SCOPE_SIZE];
	unsigned char key[SIGN_KEPT_BYTES];
} table[KEPT_MAX];
static int next; /* the place of the next key */

bool
sign_kept_find(const char *secret, const char *scope, unsigned char key[SIGN_KEPT_BYTES])
{
	const struct kept *k;

	for (k = table; k < table + KEPT_MAX; k++)
		if (k->scope[0] != '\0' && strcmp(k->scope, scope) == 0 &&
		    strcmp(k->secret, secret) == 0) {
			memcpy(key, k->key, SIGN_KEPT_BYTES);
			return true;
		}
	return false;
}

void
sign_kept_add(const char *secret, const char *scope, const unsigned char key[SIGN_KEPT_BYTES])
{
	struct kept *k = &table[next];

	if (strlen(secret) >= sizeof(k->secret) || strlen(scope) >= sizeof(k->scope))
		return;
	strlcpy(k->secret, secret, sizeof(k->secret));
	strlcpy(k->scope, scope, sizeof(k->scope));
	memcpy(k->key, key, SIGN_KEPT_BYTES);
	next = (next + 1) % KEPT_MAX;
}

void
sign_forget_keys(void)
{
	explicit_bzero(table, sizeof(table));
	sign_mac_forget();
}
