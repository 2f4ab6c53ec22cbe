/*
 * Whether the numbers of the backends tell that a pooler gives a connection to others.  The order
 * in which such a pooler takes its free servers is its own.
 */
#include "master/node/pooler.h"
#include "tests/unit/tap.h"

/* The backend for a statement of that connection, which is the so-manieth statement in all. */
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

static enum pooler_verdict
ask(pool_give *give)
{
	struct pooler p = { .verdict = POOLER_ASKED };
	int i;

	for (i = 0; i < 20 && p.verdict == POOLER_ASKED; i++)
		pooler_note(&p, give(pooler_turn(&p), i));
	return p.verdict;
}

int
main(void)
{
	is_int(ask(own_server), POOLER_KEEPS, "each connection has its server");
	is_int(ask(last_used), POOLER_SHARES, "both have the server that was used last");
	is_int(ask(two_in_turn), POOLER_SHARES, "two servers serve in turn");
	is_int(ask(three_in_turn), POOLER_SHARES, "three servers serve in turn");
	is_int(ask(many_in_turn), POOLER_SHARES, "no connection gets the same server again");
	return done_testing();
}
