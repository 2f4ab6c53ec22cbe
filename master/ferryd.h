/*
 * What the master's modules share: one struct master, made in main() and handed to everybody.  Each part of it is
 * written by the module that its comment names and read by the others.
 */
#ifndef MASTER_FERRYD_H
#define MASTER_FERRYD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "common/channel.h"
#include "common/config.h"
#include "common/db.h"
#include "common/task.h"
#include "master/cap.h"

enum phase {
	PHASE_STARTING, /* until the database has answered, or failed to, for the first time */
	PHASE_RUNNING,
	PHASE_DRAINING, /* QUIT: no new claims, workers end after their task */
	PHASE_STOPPING, /* TERM: workers hand back, and are killed after the grace */
	PHASE_LEAVING,	/* no workers left: the last statements */
	PHASE_GONE,
};

/* starting -> idle -> busy -> stopping -> (dead) -> empty or backoff -> starting */
enum slot_state { SLOT_EMPTY, SLOT_BACKOFF, SLOT_STARTING, SLOT_IDLE, SLOT_BUSY, SLOT_STOPPING };

/* A message that waits until the worker reads. */
struct outgoing {
	TAILQ_ENTRY(outgoing) entry;
	int fd; /* a copy of the descriptor that goes along, or -1 */
	int64_t since;
	struct msg msg;
};
TAILQ_HEAD(outbox, outgoing);

/* What the slot's task uses that may be limited, and the share of its rate that the worker was told. */
enum slot_use_of { USE_SOURCE, USE_DESTINATION, USE_QUEUE, SLOT_USES };
struct slot_use {
	char name[CONFIG_NAME_MAX]; /* of the store or of the queue; empty: none */
	int64_t rate_told;	    /* -1: nothing yet */
};

struct slot {
	int number; /* from 1 */
	enum slot_state state;
	pid_t pid; /* 0: no process */
	int pidfd; /* -1: none could be had, SIGCHLD has to do */
	int channel;
	int report;		  /* what failed between fork and exec can be read here; -1 once it is idle */
	uint64_t generation;	  /* of this process; rises with every spawn */
	uint64_t conf_generation; /* of the configuration that it was started with */
	int64_t memory;		  /* its cap, bytes */
	int64_t silence_ms;	  /* longest silence of a busy worker */
	int max_tasks;		  /* it retires after so many; 0: never for that */
	int ntasks;		  /* that it was given */
	int64_t expires_at;	  /* it retires then; 0: never for that */
	int64_t started_at;
	int64_t heard_at;
	int64_t kill_at; /* deadline of a process that should have ended; 0: none */
	int64_t start_at;
	int64_t delay_ms; /* before the next start; doubles with bad starts */
	bool was_idle;	  /* said READY */
	bool retiring;	 /* was told to end once idle */
	bool reserved;	 /* the claim under way may give it a task */
	bool reaping;	 /* busy, but with REAP */
	bool cancelled;	 /* was told to drop its task */
	bool killed;	 /* we sent SIGKILL */
	bool exited;	 /* waited for: its pid may be somebody else's by now */
	bool forgiven;	 /* we stopped it: its death is not its task's fault */
	bool complained; /* its nonsense has been logged */
	struct cap_leaf leaf;
	struct task *task; /* owned; NULL: none */
	struct task *next; /* prefetch.c: the worker has it beside that one; owned; NULL: none */
	bool next_cancelled;
	bool slow; /* it has returned one, and gets no other while its task lasts */
	int64_t bytes_done;
	int64_t bytes_total;
	struct slot_use uses[SLOT_USES];
	struct slot_use told[SLOT_USES]; /* what the process was told last, for this task or one before it */
	int64_t use; /* shares.c: bytes a second that its task has moved of late; below 0: not known */
	struct outbox outbox;
};

struct pool {
	int span;   /* slots that are in use or have been; 0: all of them */
	int target; /* workers wanted: the configuration's, and TTIN and TTOU since; no more than memory_total holds */
	int held_at; /* as was logged: what memory_total holds is less than is wanted; 0: it is not */
	uint64_t generation;
	bool start_failing; /* logged once an outage */
	char bad_start[384]; /* why workers die before they are ever idle, as was logged; empty: they do not */
	struct slot slots[CONFIG_WORKERS_MAX];
};

/* How far the conversation with the database has come on this connection. */
enum link { LINK_DOWN, LINK_SCHEMA, LINK_NODE, LINK_READY };

/* A place in the order of claims, as the database writes it. */
struct place {
	char rank[16];
	char run_at[64];
	char id[24];
};

/* queue.c: the node; stale.c: check*; abandoned.c: reap*; claim.c: the rest. */
struct queue {
	enum link link;
	int64_t node; /* id of our row, 0: none */
	char node_name[CONFIG_PATH_MAX + 256];
	bool schema_bad; /* logged */
	bool renewing;
	bool rescuing;
	bool reconcile_wanted; /* as soon as no claim is under way */
	bool leaving; /* the last statement is under way */
	bool left;    /* it is answered */
	bool error_logged; /* of renewal, rescue, claim: once an outage */
	int64_t schema_at; /* deadlines; 0: none */
	int64_t renew_at;
	int64_t rescue_at;
	int64_t lease_asked_at; /* lease.c, on clock_boot_ms() */
	int64_t lease_asked_ms;
	int64_t lease_until;

	bool claim_wanted;
	bool claiming;
	int64_t claim_node; /* who the claim under way is for */
	bool asking_due;
	bool checking;
	bool check_again;
	int64_t claim_not_before;
	int64_t claim_at; /* when the claim under way was submitted */
	bool claim_from_start;
	bool claim_starving; /* it looks for tasks that starve */
	bool claim_after_start; /* the one before it was from the start */
	bool claim_by_lanes;
	int64_t by_lanes_until; /* all claims until then */
	int claim_wish; /* rows */
	struct place place; /* where the last claim ended */
	int64_t start_over_at; /* no claim from the start before that */
	int64_t claim_again_at; /* the last one from place was not enough: from the start then; 0: no */
	int64_t poll_at;
	int64_t due_at;
	int64_t check_at;
	int64_t reap_at;
	int64_t reap_later_at; /* and once more then */
};

/* stock.c: tasks claimed ahead. */
struct stocked;
TAILQ_HEAD(stocked_list, stocked);
struct stock {
	struct stocked_list held; /* oldest first */
	int n;
	int64_t window_at; /* tasks that ended since then, and in the stretch before */
	int ended;
	int ended_before;
};

/* oldest.c: the transaction that holds up vacuums. */
struct oldest {
	bool asking;
	bool refused; /* we have not the right to know */
	bool told;
	int64_t look_at;
	int64_t since; /* first seen */
	char key[256];
};

/* prune.c */
struct prune {
	bool asking;
	int64_t at;
	int64_t deleted; /* in this round of batches */
	int batch;	 /* rows of the next; 0: the first of a round */
	char from[64];	 /* where the next batch begins, as the database writes it; empty: at the oldest */
};

/* A store that asked us to slow down gets no new tasks until then. */
struct throttle {
	char store[CONFIG_NAME_MAX];
	int64_t until;
	int64_t delay_ms;
};

/* A limit as it holds for all nodes together.  0: none. */
struct quota {
	bool is_queue;
	char name[CONFIG_NAME_MAX];
	int max_transfers;
	int64_t rate;
	int weight; /* of a queue */
	int others; /* tasks under it that other nodes have */
};

/* quota.c: the limits on the stores and queues that this node serves, and the weights of queues. */
#define QUOTAS_MAX (CONFIG_STORES_MAX + CONFIG_QUEUES_MAX)
struct quotas {
	bool known; /* since the database was reached */
	bool asking;
	bool wanted; /* as soon as ask_at allows */
	int64_t ask_at;
	int64_t share_at; /* shares.c: the next division; 0: no task is under a rate */
	int n;
	struct quota list[QUOTAS_MAX];
};

/* fair.c */
struct fair {
	int n;
	char queues[CONFIG_QUEUES_MAX][CONFIG_NAME_MAX]; /* those of the configuration, as of the starts */
	double starts[CONFIG_QUEUES_MAX];
	int claimed; /* since the last turn of the starving */
	int64_t look_at; /* no look for them before that */
};

struct death;
TAILQ_HEAD(deaths, death);

/* results.c: tasks that are done and not yet settled. */
struct result;
TAILQ_HEAD(result_list, result);
struct results {
	struct result_list waiting;
	struct result_list sent; /* what the statement under way is about */
	bool sending;
	int n; /* in both */
	int batch; /* rows that the next statement may have */
	int64_t submitted_at; /* the last statement */
	int64_t retry_at; /* after a refusal; 0: none */
	bool refused; /* the server lacks something, and that was logged */
	bool over_second; /* the statement under way */
};

/* second.c */
struct second {
	struct db *db; /* NULL: none */
	bool failed;
	int64_t not_before; /* after a failure */
	int64_t idle_at; /* when it is of no use any more */
};

struct master {
	struct config *conf;
	uint64_t conf_generation; /* rises when workers have to be replaced */
	bool foreground;
	enum phase phase;
	int64_t phase_deadline, grace_ends;
	int exit_code;

	int signal_fd;
	int null_fd;
	int image_fd; /* ferry-worker as it was at start */
	int ready_fd; /* the starter waits at its other end; -1: nobody does */
	char **environment; /* of workers */

	struct cap *cap;
	struct db *db;
	struct queue queue;
	struct pool pool;
	struct deaths deaths; /* reap.c: settled in the database, or waiting for it */
	struct results results;
	struct second second;
	struct stock stock;
	struct oldest oldest;
	struct prune prune;
	struct throttle throttles[CONFIG_STORES_MAX];
	struct quotas quotas;
	struct fair fair;
};

/* No new tasks from now on. */
static inline bool
master_is_ending(const struct master *m)
{
	return m->phase >= PHASE_DRAINING;
}

#endif
