/*
 * Owns the second connection: when there is one.
 */
#include "master/second.h"

#include "common/clock.h"
#include "common/log.h"
#include "master/queue.h"
#include "master/results.h"

#define LARGE 32	    /* rows of a batch */
#define IDLE_MS 10000	    /* after the last large batch */
#define AGAIN_AFTER_MS 10000 /* it has failed */

static void
on_up(void *arg)
{
	struct master *m = arg;

	queue_set_planner(m->second.db);
	log_debug("results are settled over a second connection");
}

/* Called out of the handle, which must not be freed there. */
static void
on_down(void *arg, const char *why)
{
	struct master *m = arg;

	log_debug("second connection: %s", why);
	m->second.failed = true;
}

static void
begin(struct master *m)
{
	struct db_events events = { .up = on_up, .down = on_down, .quiet = true, .arg = m };

	m->second.db = db_new(m->conf->worker.database, "ferryd settle", &events);
	db_run(m->second.db);
}

void
second_note_batch(struct master *m, int rows)
{
	int64_t now = clock_ms();

	if (rows < LARGE)
		return;
	m->second.idle_at = now + IDLE_MS;
	if (m->second.db == NULL && m->second.not_before <= now && db_is_up(m->db))
		begin(m);
}

struct db *
second_db(const struct master *m)
{
	return m->second.db != NULL && !m->second.failed && db_is_up(m->second.db) ? m->second.db : NULL;
}

int
second_fd(const struct master *m)
{
	return m->second.db != NULL ? db_fd(m->second.db) : -1;
}

short
second_poll_events(const struct master *m)
{
	return m->second.db != NULL ? db_poll_events(m->second.db) : 0;
}

bool
second_receive(struct master *m)
{
	return m->second.db != NULL && db_run(m->second.db);
}

void
second_close(struct master *m)
{
	db_free(m->second.db);
	m->second.db = NULL;
	m->second.failed = false;
	results_second_closed(m);
}

void
second_run(struct master *m)
{
	if (m->second.db == NULL)
		return;
	if (m->second.failed) {
		m->second.not_before = clock_ms() + AGAIN_AFTER_MS;
		second_close(m);
	} else if (m->second.idle_at <= clock_ms() && db_pending(m->second.db) == 0) {
		second_close(m);
	}
}

int64_t
second_deadline(const struct master *m)
{
	if (m->second.db == NULL)
		return 0;
	if (m->second.failed)
		return clock_ms();
	return clock_earlier(db_deadline(m->second.db), db_pending(m->second.db) == 0 ? m->second.idle_at : 0);
}
