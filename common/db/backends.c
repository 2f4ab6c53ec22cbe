#include "common/db/backends.h"

const char backends_sql[] = "SELECT pg_backend_pid()";

/* Which connection asks.  No round through a few servers gives each connection its own again. */
static const int order[] = { 0, 1, 1, 0, 0, 1 };
#define STEPS ((int)(sizeof(order) / sizeof(order[0])))

int
backends_turn(const struct backends *b)
{
	return order[b->step];
}

void
backends_note(struct backends *b, long pid)
{
	int who = order[b->step++];

	if (pid == b->pid[!who] || (b->pid[who] != 0 && pid != b->pid[who]))
		b->verdict = BACKENDS_SHARED;
	else if (b->step == STEPS)
		b->verdict = BACKENDS_KEPT;
	b->pid[who] = pid;
}
