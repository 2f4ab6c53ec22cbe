/*
 * Looks up a host name without waiting.  libpq's own look-up would stop the loop while a name
 * server is silent.  glibc's getaddrinfo_a() works in a helper thread, with all signals blocked
 * there.
 *
 * The thread uses the memory of a look-up to its end.  A look-up that cannot be cancelled is set
 * aside, and freed later.
 */
#include "common/db/private.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/base/memory.h"

struct db_resolve {
	SLIST_ENTRY(db_resolve) link;
	struct gaicb request;
	struct addrinfo hints;
	char host[]; /* request.ar_name points here */
};

static SLIST_HEAD(, db_resolve) set_aside = SLIST_HEAD_INITIALIZER(set_aside);

static void
destroy(struct db_resolve *r)
{
	if (r->request.ar_result != NULL)
		freeaddrinfo(r->request.ar_result);
	free(r);
}

/* Frees the look-ups set aside that have ended. */
static void
sweep(void)
{
	struct db_resolve *r, *next;

	SLIST_FOREACH_SAFE(r, &set_aside, link, next)
	{
		if (gai_error(&r->request) == EAI_INPROGRESS)
			continue;
		SLIST_REMOVE(&set_aside, r, db_resolve, link);
		destroy(r);
	}
}

struct db_resolve *
db_resolve_start(const char *host)
{
	size_t size = strlen(host) + 1;
	struct db_resolve *r = memory_alloc(sizeof(*r) + size);
	struct gaicb *list[1] = { &r->request };

	sweep();
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

enum db_resolve_state
db_resolve_poll(struct db_resolve *r, struct db_addresses *found, char *why, size_t why_size)
{
	const struct addrinfo *ai;
	int error = gai_error(&r->request);

	if (error == EAI_INPROGRESS)
		return RESOLVE_WAITS;
	found->n = 0;
	if (error != 0) {
		snprintf(why, why_size, "host name \"%s\" does not resolve: %s", r->host,
		    gai_strerror(error));
		return RESOLVE_FAILED;
	}
	for (ai = r->request.ar_result; ai != NULL && found->n < DB_ADDRESSES_MAX; ai = ai->ai_next)
		if (getnameinfo(ai->ai_addr, ai->ai_addrlen, found->text[found->n], DB_ADDRESS_MAX,
			NULL, 0, NI_NUMERICHOST) == 0)
			found->n++;
	if (found->n == 0) {
		snprintf(why, why_size, "host name \"%s\" has no address", r->host);
		return RESOLVE_FAILED;
	}
	return RESOLVE_FOUND;
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
		destroy(r);
	sweep();
}
