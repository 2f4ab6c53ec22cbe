/*
 * The tasks of this node, from the claim to the row that says how they ended.  A claimed task is in
 * exactly one place here: see held.h.
 */
#ifndef MASTER_QUEUE_QUEUE_H
#define MASTER_QUEUE_QUEUE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "master/limits/limits.h"
#include "master/node/node.h"
#include "master/node/sqlarray.h"
#include "master/pool/slot.h"
#include "master/queue/claim_stmt.h"
#include "master/state.h"
#include "master/upkeep/upkeep.h"

/* A place in the order of claims, as the database writes it. */
struct place {
	char rank[16];
	char run_at[64];
	char id[24]; /* empty: no place */
};

/* How the claim under way looks for tasks. */
enum claim_kind {
	CLAIM_NONE, /* none is under way */
	CLAIM_IN_ORDER, /* in the order of all tasks */
	CLAIM_BY_LANES, /* lane by lane */
	CLAIM_STARVING, /* lane by lane, for starving tasks */
	CLAIM_PROBE, /* lane by lane, for one task of a store that is held */
};

/* The claim under way. */
struct asked {
	enum claim_kind kind;
	bool woken; /* it follows a wake: wake.h */
	bool from_start; /* else from the place where the last claim ended */
	enum claim_reading reading;
	int wish; /* tasks */
	int look; /* rows that are looked at */
	int64_t node; /* id of our row when it was submitted */
	int64_t at; /* when it was submitted */
};

/* claim.c */
struct claim {
	struct asked asked;

	/* Where the next claim looks. */
	struct place place; /* where the last claim ended */
	bool after_start; /* the last claim was from the start */
	int64_t start_over_at; /* no claim from the start before that */
	int64_t by_lanes_until; /* all claims are by lanes until then */
	bool meets_behind; /* the last claim met tasks that wait for others */

	/* After a refusal; see careful.h. */
	int careful; /* so many claims read numbers only */
	int64_t unread_task;
	int64_t unread_claim;
	int clashes; /* with claims of other nodes, in a row */

	/* When the next claim is submitted, on clock_ms(); 0: never. */
	int64_t not_before; /* after a refusal */
	int64_t again_at; /* the last claim from a place did not find enough */
	int64_t poll_at; /* in case a notification was lost */
};

/* wake.c; times are on clock_ms() */
struct wake {
	int64_t at; /* a claim follows; 0: nothing has woken this node */
	bool due; /* the next claim is for a wake */
	int64_t last_at; /* the last claim for a wake; 0: there was none */
	int64_t lead_until; /* this node claims at once until then */
	int64_t rest_until; /* then it does not lead again until then */
};

/* due.c */
struct due {
	bool asking;
	int64_t at; /* a task is due then, on clock_ms(); 0: none before the next poll */
};

/* stock.c: tasks that are claimed ahead. */
struct stocked;
TAILQ_HEAD(stocked_list, stocked);
struct stock {
	struct stocked_list held; /* oldest first */
	int n;

	/* How fast tasks end. */
	int64_t window_at; /* the present window began then */
	int ended; /* tasks in the present window */
	int ended_before; /* in the window before */
};

/* putoff.c: tasks that were claimed and go back unbegun; one array for each column. */
struct putoff {
	bool open;
	struct sqlarray ids, claims, delays, reasons;
};

/* done.c: tasks that are done and whose rows do not say so yet. */
struct result;
TAILQ_HEAD(result_list, result);
struct done {
	struct result_list waiting;
	struct result_list sent; /* those of the statement under way */
	int n; /* in both */

	/* The statement under way, or the last one. */
	bool sending;
	bool over_second; /* it went over the second connection */
	int generation; /* of that connection */
	int64_t submitted_at;

	/* The next statement. */
	int batch; /* the most rows that it may have */
	int64_t retry_at; /* not before that, after a refusal; 0: at any time */
	int64_t say_again_at; /* when the log says next that an end is refused again */
};

/* deaths.c: deaths of workers with a task that are not settled yet. */
struct death;
TAILQ_HEAD(deaths, death);

/* revoked.c */
struct revoked {
	bool checking;
};

/* behind.c */
struct behind {
	bool asking;
	bool letting_go;
	char from[24]; /* the destination that was looked at last; empty: none */
	int64_t at; /* when to look for tasks to free, on clock_ms(); 0: soon */
	int64_t let_go_at; /* when to look for cancelled claims; 0: never */
};

/* progress.c; times are on clock_ms() */
struct progress {
	bool writing;
	int64_t at; /* when to write next; 0: nothing is new */
	int64_t last_at; /* when it was written last */
};

/* requeue.c */
enum leave { LEAVE_NOT, LEAVE_ASKED, LEAVE_DONE };
struct requeue {
	bool rescuing;
	enum leave leave; /* how far the last statement has come */
};

struct queue {
	struct state *state;
	struct pool *pool;
	struct node *node;
	struct limits *limits;
	struct upkeep *upkeep;

	struct claim claim;
	struct wake wake;
	struct due due;
	struct stock stock;
	struct putoff putoff;
	struct done done;
	struct deaths deaths;
	struct revoked revoked;
	struct behind behind;
	struct progress progress;
	struct requeue requeue;
};

#endif
