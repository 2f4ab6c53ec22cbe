#include "master/exporter/page.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/text.h"

#define NONCE_BYTES 16
#define PLACEHOLDER "@NONCE@"

void
page_write(char *policy, size_t policy_size, FILE *out)
{
	unsigned char random[NONCE_BYTES];
	char nonce[2 * NONCE_BYTES + 1];
	const char *from = page_file, *to;

	arc4random_buf(random, sizeof(random));
	text_hex(nonce, random, sizeof(random));
	while ((to = strstr(from, PLACEHOLDER)) != NULL) {
		fwrite(from, 1, (size_t)(to - from), out);
		fputs(nonce, out);
		from = to + strlen(PLACEHOLDER);
	}
	fputs(from, out);
	snprintf(policy, policy_size,
	    "default-src 'none'; script-src 'nonce-%s'; style-src 'nonce-%s'; connect-src 'self'; "
	    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
	    "require-trusted-types-for 'script'; trusted-types 'none'",
	    nonce, nonce);
}
