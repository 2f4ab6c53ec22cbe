#include "worker/session/connection.h"

#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "worker/session/session.h"

static void
say(struct worker *w, enum database_word word, const char *why)
{
	struct msg msg = { .type = MSG_DATABASE, .database.word = (int)word };

	strlcpy(msg.database.why, why, sizeof(msg.database.why));
	session_send(w, &msg, true);
}

static void
on_up(void *arg)
{
	struct worker *w = arg;

	w->connection.up = true;
	w->connection.denied = w->connection.tries = false;
	w->connection.told[0] = '\0';
	say(w, DATABASE_UP, "");
}

static void
on_down(void *arg, const char *why)
{
	struct worker *w = arg;

	w->connection.up = false;
	strlcpy(w->connection.told, why, sizeof(w->connection.told));
	say(w, DATABASE_DOWN, w->connection.told);
}

void
connection_open(struct worker *w)
{
	/* the master logs outages: all of them, or the lack of connections */
	struct db_events events = { .up = on_up, .down = on_down, .quiet = true, .arg = w };
	char name[32];

	snprintf(name, sizeof(name), "ferry-worker %d", w->slot);
	w->db = db_new(w->setup->config.worker.database, name, &events);
	db_park(w->db);
	db_run(w->db);
}

/* Without a grant. */
static void
ask(struct worker *w)
{
	struct connection *c = &w->connection;
	bool needs = db_pending(w->db) > 0;

	if (needs && w->eof) {
		c->granted = true;
		db_unpark(w->db);
	} else if (needs && !c->asked) {
		c->asked = true;
		say(w, DATABASE_NEEDED, "");
	} else if (!needs && c->asked) {
		c->asked = false;
		say(w, DATABASE_FREE, "");
	}
}

/* Without a connection all reasons count, not only the first one of the outage. */
static void
tell_reason(struct worker *w)
{
	struct connection *c = &w->connection;
	struct db_outage outage;
	char why[sizeof(c->told)];

	if (c->up || !db_outage(w->db, &outage))
		return;
	strlcpy(why, outage.why, sizeof(why));
	if (strcmp(why, c->told) == 0)
		return;
	strlcpy(c->told, why, sizeof(c->told));
	say(w, DATABASE_DOWN, why);
}

/* Acts on the words of the master that have come. */
static void
obey(struct worker *w)
{
	struct connection *c = &w->connection;

	if (c->grant) {
		c->granted = true;
		c->grant = c->yields = c->asked = false;
		db_unpark(w->db);
	}
	if (c->yields && c->granted)
		db_park(w->db);
	c->yields = false;
}

void
connection_run(struct worker *w)
{
	struct connection *c = &w->connection;
	int64_t now = clock_ms();

	if (w->db == NULL)
		return;
	obey(w);
	if (!c->granted) {
		ask(w);
		return;
	}
	if (!c->up || db_pending(w->db) > 0)
		c->close_at = 0;
	else if (c->close_at == 0)
		c->close_at = now + w->setup->config.worker.database_idle_ms;
	if ((c->close_at != 0 && c->close_at <= now) ||
	    (!c->up && !c->tries && db_pending(w->db) == 0))
		db_park(w->db);
	if (db_is_parked(w->db)) {
		c->granted = c->up = c->asked = c->tries = false;
		c->close_at = 0;
		say(w, DATABASE_FREE, "");
		ask(w);
		return;
	}
	tell_reason(w);
}

int64_t
connection_deadline(const struct worker *w)
{
	return w->db != NULL ? w->connection.close_at : 0;
}

bool
connection_is_denied(const struct worker *w)
{
	return w->connection.denied;
}

int
connection_failure(const struct worker *w, struct failure *f)
{
	failure_set(f, CLASS_TRANSIENT, "no connection to the database is to be had: %s",
	    w->connection.why);
	return failure_blame(f, TROUBLE_DATABASE);
}

void
connection_settle(struct worker *w)
{
	if (!w->connection.denied)
		return;
	db_drop(w->db);
	w->connection.tries = true;
	w->connection.denied = false;
}
