/*
 * Looking up a host name without waiting for it: libpq's own look-up would stop the whole loop for
 * as long as a name server is silent.  glibc's getaddrinfo_a() does it in a helper thread, with all
 * signals blocked there.
 *
 * A look-up that cannot be cancelled still owns its memory, so it is set aside and freed when it
 * has ended.
 */
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/db_internal.h"

struct db_resolve {
	SLIST_ENTRY(db_resolve) link;
	struct gaicb request;
	struct addrinfo hints;
	char host[]; /* what request.ar_name points to */
};

static SLIST_HEAD(, db_resolve) set_aside = SLIST_HEAD_INITIALIZER(set_aside);

static void
resolve_destroy(struct db_resolve *r)
{
	if (r->request.ar_result != NULL)
		freeaddrinfo(r->request.ar_result);
	free(r);
}

static void
sweep(void)
{
	struct db_resolve *r, *next;

	SLIST_FOREACH_SAFE(r, &set_aside, link, next)
	{
		if (gai_error(&r->request) == EAI_INPROGRESS)
			continue;
		SLIST_REMOVE(&set_aside, r, db_resolve, link);
		resolve_destroy(r);
	}
}

struct db_resolve *
db_resolve_start(const char *host)
{
	size_t size = strlen(host) + 1;
	struct db_resolve *r = db_alloc(sizeof(*r) + size);
	struct gaicb *list[1] = {&r->request};

	sweep();
	memset(r, 0, sizeof(*r));
	memcpy(r->host, host, size);
	r->hints.ai_family = AF_UNSPEC;
	r->hints.ai_socktype = SOCK_STREAM;
	r->request.ar_name = r->host;
	r->request.ar_request = &r->hints;
	if (getaddrinfo_a(GAI_NOWAIT, list, 1, NULL) != 0) {
		free(r);
		return NULL;
	}
	return r;
}

int
db_resolve_poll(
    struct db_resolve *r, char out[][DB_ADDRESS_MAX], int max, int *n, char *why, size_t why_size)
{
	const struct addrinfo *ai;
	int error = gai_error(&r->request);

	if (error == EAI_INPROGRESS)
		return 0;
	*n = 0;
	if (error != 0) {
		snprintf(why, why_size, "host name \"%s\" does not resolve: %s", r->host,
		    gai_strerror(error));
		return -1;
	}
	for (ai = r->request.ar_result; ai != NULL && *n < max; ai = ai->ai_next)
		if (getnameinfo(ai->ai_addr, ai->ai_addrlen, out[*n], DB_ADDRESS_MAX, NULL, 0,
			NI_NUMERICHOST) == 0)
			++*n;
	if (*n == 0) {
		snprintf(why, why_size, "host name \"%s\" has no address", r->host);
		return -1;
	}
	return 1;
}

void
db_resolve_free(struct db_resolve *r)
{
	if (r == NULL)
		return;
	gai_cancel(&r->request);
	if (gai_error(&r->request) == EAI_INPROGRESS)
		SLIST_INSERT_HEAD(&set_aside, r, link);
	else
		resolve_destroy(r);
	sweep();
}
