/*
 * What a refusal does not say of its own: who refused, and what a proxy may have to do with it.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "worker/http/private.h"

/*
 * The signature covers Host.  A proxy that rewrites Host makes it wrong, and nothing but the host
 * that the server saw tells this from a wrong secret.
 */
static void
explain_signature(const struct http_request *r, struct failure *f)
{
	const char *sent = strstr(r->wire.url, "://") + 3, *seen = r->xml.signed_host;
	int len = (int)strcspn(sent, "/?");
	char told[TASK_ERROR_MAX];

	strlcpy(told, f->text, sizeof(told));
	if (seen[0] == '\0' && r->store->conf.kind != STORE_HTTP)
		failure_reword(f,
		    "%.300s; the secret is wrong, or a proxy before the store rewrites Host (%.*s)",
		    told, len, sent);
	else if (seen[0] != '\0' &&
		 ((int)strlen(seen) != len || strncasecmp(seen, sent, (size_t)len) != 0))
		failure_reword(f,
		    "%.300s; the store saw Host %s, but %.*s was sent and signed: let the proxy "
		    "before it keep Host",
		    told, seen, len, sent);
	else if (r->store->conf.kind != STORE_HTTP)
		failure_reword(f, "%.400s; the secret is wrong: correct it in store %s", told,
		    r->store->conf.name);
}

/* Often a proxy refuses a body for its size, and the limit is its own. */
static void
explain_size(const struct http_request *r, struct failure *f)
{
	char told[TASK_ERROR_MAX];

	if (r->info.server[0] == '\0')
		return;
	strlcpy(told, f->text, sizeof(told));
	failure_reword(f, "%.400s (Server %s)", told, r->info.server);
}

void
http_explain(const struct http_request *r, struct failure *f)
{
	if (strcmp(f->code, "SignatureDoesNotMatch") == 0)
		explain_signature(r, f);
	else if (f->status == 413)
		explain_size(r, f);
}
