#include "master/node/second.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "master/node/node.h"

#define LARGE 32 /* rows of a batch */
#define IDLE_MS 10000 /* after the last large batch */
#define AGAIN_AFTER_MS 10000 /* after a failure */

static void
on_up(void *arg)
{
	struct node *n = arg;

	link_set_planner(n->second.db);
	log_debug("results are settled over a second connection");
}

/* The handle calls this, so it must not be freed here. */
static void
on_down(void *arg, const char *why)
{
	struct node *n = arg;

	log_debug("second connection: %s", why);
	n->second.failed = true;
}

static void
begin(struct node *n)
{
	struct db_events events = { .up = on_up, .down = on_down, .quiet = true, .arg = n };

	n->second.db = db_new(n->state->conf->worker.database, "ferryd settle", &events);
	db_run(n->second.db);
}

void
second_note_batch(struct node *n, int rows)
{
	int64_t now = clock_ms();

	if (rows < LARGE)
		return;
	n->second.idle_at = now + IDLE_MS;
	if (n->second.db == NULL && n->second.not_before <= now && db_is_up(n->db))
		begin(n);
}

struct db *
second_db(const struct node *n)
{
	return n->second.db != NULL && !n->second.failed && db_is_up(n->second.db) ? n->second.db
										   : NULL;
}

int
second_generation(const struct node *n)
{
	return n->second.generation;
}

int
second_fd(const struct node *n)
{
	return n->second.db != NULL ? db_fd(n->second.db) : -1;
}

short
second_poll_events(const struct node *n)
{
	return n->second.db != NULL ? db_poll_events(n->second.db) : 0;
}

bool
second_receive(struct node *n)
{
	return n->second.db != NULL && db_run(n->second.db);
}

void
second_close(struct node *n)
{
	db_free(n->second.db);
	n->second.db = NULL;
	n->second.failed = false;
	n->second.generation++;
}

void
second_run(struct node *n)
{
	if (n->second.db == NULL)
		return;
	if (n->second.failed) {
		n->second.not_before = clock_ms() + AGAIN_AFTER_MS;
		second_close(n);
	} else if (n->second.idle_at <= clock_ms() && db_pending(n->second.db) == 0) {
		second_close(n);
	}
}

int64_t
second_deadline(const struct node *n)
{
	if (n->second.db == NULL)
		return 0;
	if (n->second.failed)
		return clock_ms();
	return clock_earlier(
	    db_deadline(n->second.db), db_pending(n->second.db) == 0 ? n->second.idle_at : 0);
}
