#include "master/node/aside.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "master/node/node.h"

void
aside_open(struct node *n)
{
	struct db_events events = { .quiet = true };

	log_info("the database does not answer on the first connection: the lease is renewed over "
		 "one of its own");
	n->aside.db = db_new(n->state->conf->worker.database, "ferryd lease", &events);
	n->aside.renew_at = clock_ms();
}

void
aside_close(struct node *n)
{
	db_free(n->aside.db);
	n->aside.db = NULL;
	n->aside.renewing = false;
}

int
aside_fd(const struct node *n)
{
	return n->aside.db != NULL ? db_fd(n->aside.db) : -1;
}

short
aside_poll_events(const struct node *n)
{
	return n->aside.db != NULL ? db_poll_events(n->aside.db) : 0;
}

bool
aside_receive(struct node *n)
{
	return n->aside.db != NULL && db_run(n->aside.db);
}

int64_t
aside_deadline(const struct node *n)
{
	int64_t at;

	if (n->aside.db == NULL)
		return 0;
	at = db_deadline(n->aside.db);
	return n->aside.renewing || !db_is_up(n->aside.db) ? at
							   : clock_earlier(at, n->aside.renew_at);
}
