#include "master/pool/connections.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"

/* A worker without a connection for so long, while the master has one, is refused. */
#define REFUSED_MS 1000
#define MORE_MS 5000 /* after a refusal one more is tried */
#define FORGET_MS 60000 /* the last refusal is so long ago that it counts no more */
#define SLICE_MS 200 /* a busy worker keeps its connection for so long although others wait */
#define LONG_MS 2000 /* a wait that keeps tasks from workers without a connection */
#define TELL_MS 60000
#define TICK_MS 50 /* between two looks while a worker waits */
#define RARE_TICK_MS 1000 /* while none does, and the server has refused one */

#define AGAIN_WITHIN_MS 1000 /* a need that returns so soon is the same need */

/* A worker that may have a connection open. */
static bool
holds(const struct slot *slot)
{
	return slot->connection >= CONNECTION_GRANTED;
}

static int
count(const struct pool *p, enum slot_connection state)
{
	const struct slot *slot;
	int n = 0;

	POOL_FOREACH (slot, p)
		n += slot_is_live(slot) && slot->connection == state;
	return n;
}

int
connections_count(const struct pool *p)
{
	return count(p, CONNECTION_UP);
}

static int
count_held(const struct pool *p)
{
	const struct slot *slot;
	int n = 0;

	POOL_FOREACH (slot, p)
		n += slot_is_live(slot) && holds(slot);
	return n;
}

static void
change(struct slot *slot, enum slot_connection state)
{
	slot->connection = state;
	slot->connection_since = clock_ms();
}

static void
send_word(struct slot *slot, enum connect_word word, const char *why)
{
	struct msg msg = { .type = MSG_CONNECT, .connect.word = (int)word };

	strlcpy(msg.connect.why, why, sizeof(msg.connect.why));
	outbox_send(slot, &msg, -1);
}

static void
note_need(struct slot *slot)
{
	int64_t now = clock_ms();

	if (holds(slot))
		return;
	if (slot->needs_since == 0 || now - slot->connection_since > AGAIN_WITHIN_MS)
		slot->needs_since = now;
	change(slot, CONNECTION_WAITS);
}

static void
note_up(struct pool *p, struct slot *slot)
{
	if (!holds(slot))
		return;
	change(slot, CONNECTION_UP);
	slot->needs_since = 0;
	slot->denied = false;
	agenda_claim(&p->state->agenda);
}

static void
note_down(struct slot *slot, const char *why)
{
	int64_t now = clock_ms();

	strlcpy(slot->refusal, why, sizeof(slot->refusal));
	if (slot->connection == CONNECTION_DOWN || !holds(slot))
		return;
	change(slot, CONNECTION_DOWN);
	if (slot->needs_since == 0)
		slot->needs_since = now;
}

static void
note_free(struct slot *slot)
{
	change(slot, CONNECTION_NONE);
	slot->yields = slot->denied = false;
}

void
connections_note(struct pool *p, struct slot *slot, const struct msg_database *msg)
{
	switch ((enum database_word)msg->word) {
	case DATABASE_NEEDED:
		note_need(slot);
		break;
	case DATABASE_UP:
		note_up(p, slot);
		break;
	case DATABASE_DOWN:
		note_down(slot, msg->why);
		break;
	case DATABASE_FREE:
		note_free(slot);
		break;
	}
}

void
connections_vacate(struct slot *slot)
{
	note_free(slot);
	slot->needs_since = 0;
	slot->refusal[0] = '\0';
}

void
connections_forget(struct pool *p)
{
	memset(&p->connections, 0, sizeof(p->connections));
}

static void
take_back(struct slot *slot)
{
	slot->yields = true;
	send_word(slot, CONNECT_YIELD, "");
}

/* The server refuses this worker's connection: no more are tried than it has admitted. */
static void
refuse(struct pool *p, struct slot *slot, int64_t now)
{
	struct connections *c = &p->connections;
	int up = connections_count(p);

	if (c->refused_since == 0)
		c->refused_since = now;
	c->refused_at = now;
	c->more_at = now + MORE_MS;
	c->admitted = up > 0 ? up : 1;
	strlcpy(c->why, slot->refusal, sizeof(c->why));
	if (count_held(p) > c->admitted)
		take_back(slot);
}

/* While the master itself is away, a worker without a connection says nothing about limits. */
static void
look_for_refusals(struct pool *p, int64_t now)
{
	struct slot *slot;

	if (p->database_at == 0 || now - p->database_at < REFUSED_MS)
		return;
	POOL_FOREACH (slot, p)
		if (slot->connection == CONNECTION_DOWN && !slot->yields &&
		    now - slot->connection_since >= REFUSED_MS)
			refuse(p, slot, now);
}

/* One more may be admitted by now. */
static void
try_more(struct pool *p, int64_t now)
{
	struct connections *c = &p->connections;

	if (c->refused_since == 0)
		return;
	if (now - c->refused_at >= FORGET_MS) {
		if (c->told_at != 0)
			log_info("the database refuses no more connections, after %d s",
			    (int)((c->refused_at - c->refused_since) / 1000));
		connections_forget(p);
	} else if (now >= c->more_at && count(p, CONNECTION_WAITS) > 0) {
		c->admitted++;
		c->more_at = now + MORE_MS;
	}
}

static int
limit(const struct pool *p)
{
	int most = p->state->conf->database_connections;

	if (most == 0)
		most = CONFIG_WORKERS_MAX;
	return p->connections.admitted > 0 && p->connections.admitted < most
		   ? p->connections.admitted
		   : most;
}

/* The one that has been in this state for longest; NULL: none is. */
static struct slot *
oldest(struct pool *p, enum slot_connection state)
{
	struct slot *slot, *found = NULL;

	POOL_FOREACH (slot, p)
		if (slot_is_live(slot) && slot->connection == state &&
		    (found == NULL || slot->connection_since < found->connection_since))
			found = slot;
	return found;
}

static void
grant(struct pool *p)
{
	int room = limit(p) - count_held(p);
	struct slot *slot;

	for (; room > 0 && (slot = oldest(p, CONNECTION_WAITS)) != NULL; room--) {
		change(slot, CONNECTION_GRANTED);
		slot->yields = slot->denied = false;
		send_word(slot, CONNECT_GRANT, "");
	}
}

/* Whether the connection is better given back by this worker than by that one; NULL: by none. */
static bool
yields_before(const struct slot *slot, const struct slot *other)
{
	if (other == NULL || (slot->task == NULL) != (other->task == NULL))
		return other == NULL || slot->task == NULL;
	return slot->connection_since < other->connection_since;
}

/* Takes back so many connections: for workers that wait, or since there are too many. */
static void
take_back_some(struct pool *p, int wanted, int64_t slice, int64_t now)
{
	struct slot *slot, *best;

	POOL_FOREACH (slot, p)
		wanted -= holds(slot) && slot->yields;
	for (; wanted > 0; wanted--) {
		best = NULL;
		POOL_FOREACH (slot, p)
			if (slot->connection == CONNECTION_UP && !slot->yields &&
			    (slot->task == NULL || now - slot->connection_since >= slice) &&
			    yields_before(slot, best))
				best = slot;
		if (best == NULL)
			return;
		take_back(best);
	}
}

/* Since when the worker has no connection although the master has one; 0: that is not so. */
static int64_t
lacks_since(const struct pool *p, const struct slot *slot)
{
	int64_t since = slot->needs_since;

	if (since == 0 || p->database_at == 0 || slot->connection == CONNECTION_NONE ||
	    slot->connection == CONNECTION_UP)
		return 0;
	return since > p->database_at ? since : p->database_at;
}

/* Tells workers that have waited for too long that there is none. */
static void
deny(struct pool *p, int64_t now)
{
	int64_t bound = p->state->conf->lease_ms * 2 / 3, since;
	struct slot *slot;

	POOL_FOREACH (slot, p) {
		since = lacks_since(p, slot);
		if (since == 0 || slot->denied || now - since < bound)
			continue;
		slot->denied = true;
		send_word(slot, CONNECT_DENY,
		    p->connections.refused_since != 0 ? p->connections.why
						      : "those of database_connections are in use");
	}
}

static void
look_for_contention(struct pool *p, int64_t now)
{
	bool before = p->contended;
	const struct slot *slot;
	int64_t since;

	p->contended = false;
	POOL_FOREACH (slot, p) {
		since = slot_is_live(slot) ? lacks_since(p, slot) : 0;
		p->contended |= since != 0 && now - since >= LONG_MS;
	}
	if (before && !p->contended)
		agenda_claim(&p->state->agenda);
}

static void
tell(struct pool *p, int64_t now)
{
	struct connections *c = &p->connections;
	int up = connections_count(p);

	if (c->refused_since == 0 || c->refused_at <= c->told_at ||
	    (c->told_at != 0 && now - c->told_at < TELL_MS))
		return;
	c->told_at = now;
	log_warn("the database refuses more connections: %d of %d workers have one, which they "
		 "give to each other in turn: %s",
	    up, pool_count_live(p), c->why);
}

void
connections_run(struct pool *p)
{
	int64_t now = clock_ms();
	int waiting;

	look_for_refusals(p, now);
	try_more(p, now);
	grant(p);
	waiting = count(p, CONNECTION_WAITS);
	if (waiting > 0)
		take_back_some(p, waiting, SLICE_MS, now);
	take_back_some(p, count_held(p) - limit(p), 0, now);
	deny(p, now);
	look_for_contention(p, now);
	tell(p, now);
}

int64_t
connections_deadline(const struct pool *p)
{
	const struct slot *slot;
	int64_t at = 0, now = clock_ms();

	if (p->connections.refused_since != 0)
		at = now + RARE_TICK_MS;
	POOL_FOREACH (slot, p) {
		if (slot->connection == CONNECTION_WAITS || slot->connection == CONNECTION_GRANTED)
			return now + TICK_MS;
		if (slot->connection == CONNECTION_DOWN && p->database_at != 0)
			at = now + RARE_TICK_MS;
	}
	return at;
}
