/*
 * Whether the numbers of the backends tell that a pooler gives a connection to others.  The order
 * in which such a pooler takes its free servers is its own.
 */
#include "common/db/backends.h"
#include "tests/unit/tap.h"

/* The backend for a statement of that connection; statement counts those of all, from 0. */
typedef long pool_give(int who, int statement);

static long
own_server(int who, int statement)
{
	(void)statement;
	return 100 + who;
}

static long
last_used(int who, int statement)
{
	(void)who, (void)statement;
	return 100;
}

static long
two_in_turn(int who, int statement)
{
	(void)who;
	return 100 + statement % 2;
}

static long
three_in_turn(int who, int statement)
{
	(void)who;
	return 100 + statement % 3;
}

static long
many_in_turn(int who, int statement)
{
	(void)who;
	return 100 + statement;
}

static enum backends_verdict
ask(pool_give *give)
{
	struct backends b = { 0 };
	int i;

	for (i = 0; i < 20 && b.verdict == BACKENDS_ASKED; i++)
		backends_note(&b, give(backends_turn(&b), i));
	return b.verdict;
}

int
main(void)
{
	is_int(ask(own_server), BACKENDS_KEPT, "each connection has its server");
	is_int(ask(last_used), BACKENDS_SHARED, "both have the server that was used last");
	is_int(ask(two_in_turn), BACKENDS_SHARED, "two servers serve in turn");
	is_int(ask(three_in_turn), BACKENDS_SHARED, "three servers serve in turn");
	is_int(ask(many_in_turn), BACKENDS_SHARED, "no connection gets the same server again");
	return done_testing();
}
