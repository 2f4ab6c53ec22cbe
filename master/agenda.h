/*
 * What is wanted next.  A part of the master that learns something notes here what follows from it.
 * The part that acts looks here in its turn of the loop.  So a lower folder never calls a higher
 * one.
 */
#ifndef MASTER_AGENDA_H
#define MASTER_AGENDA_H

#include <stdbool.h>
#include <stdint.h>

struct agenda {
	/* As soon as the part that acts can. */
	bool claim; /* queue/claim.c: claim tasks */
	bool wake; /* queue/wake.c: claim tasks soon, since any node may have them */
	bool check; /* queue/revoked.c: look which claims are revoked */
	bool rescue; /* queue/requeue.c: requeue the tasks of nodes whose lease has lapsed */
	bool reconcile; /* queue/requeue.c: requeue tasks that only the table says we hold */
	bool limits; /* limits/quota.c: ask for the quotas */
	bool probe; /* limits/health.c: try the stores that are held, since one has new keys */
	bool divide; /* limits/shares.c: divide the rates */

	/* When the clock says so, on clock_ms(); 0: never. */
	int64_t check_at; /* queue/revoked.c */
	int64_t renew_at; /* node/node.c: renew our lease */
	int64_t reap_at; /* upkeep/reap.c */
	int64_t reap_again_at; /* upkeep/reap.c: another round after the one at reap_at */
};

/* There may be tasks to claim, or a worker to claim them for. */
void agenda_claim(struct agenda *a);

/* There may be tasks, which all nodes were told. */
void agenda_wake(struct agenda *a);

/* A task was cancelled. */
void agenda_cancelled(struct agenda *a);

/* A worker has a task: its claim is checked at intervals of AGENDA_CHECK_MS. */
#define AGENDA_CHECK_MS 1000
void agenda_check_later(struct agenda *a);

/* The row of this node is out of date: the lease is renewed by then.  No effect without a row. */
void agenda_renew_by(struct agenda *a, int64_t at);

/* Quotas or their users have changed on some node. */
void agenda_limits(struct agenda *a);

/* An upload may have been abandoned. */
void agenda_reap_soon(struct agenda *a);

/*
 * A minute from now.  After a cancel, whatever the worker has not removed within a minute counts as
 * abandoned; and a reaper leaves alone for a minute what it has tried.
 */
void agenda_reap_later(struct agenda *a);

/* An operator asks for a round of reaping. */
void agenda_reap_now(struct agenda *a);

bool agenda_reap_is_due(const struct agenda *a);

#endif
