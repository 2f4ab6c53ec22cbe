#include "worker/session/notes.h"

#include <stdlib.h>
#include <string.h>

#include "worker/session/session.h"

/* Less may be the time that the answer took. */
#define CLOCK_DIFFERS_S 30

void
notes_clock(struct worker *w, struct store *store, int64_t ahead_s)
{
	struct msg msg = { .type = MSG_CLOCK, .clock.ahead_s = ahead_s };

	if (store->clock_told && llabs(ahead_s - store->clock_ahead_s) < CLOCK_DIFFERS_S)
		return;
	store->clock_told = true;
	store->clock_ahead_s = ahead_s;
	strlcpy(msg.clock.store, store->conf.name, sizeof(msg.clock.store));
	session_send(w, &msg, false);
}

void
notes_certificate(struct worker *w, struct store *store, int64_t expires)
{
	struct msg msg = { .type = MSG_CERTIFICATE, .certificate.expires = expires };

	if (store->certificate_expires == expires)
		return;
	store->certificate_expires = expires;
	strlcpy(msg.certificate.store, store->conf.name, sizeof(msg.certificate.store));
	session_send(w, &msg, true);
}
