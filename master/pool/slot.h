/*
 * The places for workers.  This folder alone writes a slot's state; the functions below are the
 * changes that others ask for.
 *
 * EMPTY -> STARTING -> IDLE -> BUSY or REAPING -> IDLE; a worker that was told to end goes from
 * IDLE to STOPPING.  When the process is gone the slot is EMPTY, or in BACKOFF after a bad start.
 */
#ifndef MASTER_POOL_SLOT_H
#define MASTER_POOL_SLOT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/config/config.h"
#include "common/task.h"
#include "master/cap/cap.h"
#include "master/pool/lease.h"
#include "master/pool/outbox.h"
#include "master/state.h"

enum slot_state {
	SLOT_EMPTY,
	SLOT_BACKOFF, /* empty until start_at */
	SLOT_STARTING, /* until its first READY */
	SLOT_IDLE,
	SLOT_BUSY, /* has a task */
	SLOT_REAPING, /* removes abandoned uploads */
	SLOT_STOPPING, /* was told to end and has nothing to do */
};

/* How the process is to end. */
enum slot_ending {
	ENDING_NOT,
	ENDING_RETIRES, /* it was told to end once idle */
	ENDING_KILLED, /* we killed it and had not told it to end: it hung or spoke nonsense */
	ENDING_LATE, /* we killed it since it did not end when told to */
	ENDING_FORGIVEN, /* we killed it to end ourselves: its death is not its task's fault */
};

/* A worker's connection to the database. */
enum slot_connection {
	CONNECTION_NONE, /* it has none and needs none */
	CONNECTION_WAITS, /* it needs one and may not have one yet */
	CONNECTION_GRANTED, /* it is making one */
	CONNECTION_UP,
	CONNECTION_DOWN, /* it may have one, and cannot make it */
};

/* What a task uses that may have a rate. */
enum slot_use_of { USE_SOURCE, USE_DESTINATION, USE_QUEUE, SLOT_USES };
struct slot_use {
	char name[CONFIG_NAME_MAX]; /* of the store or of the queue; empty: none */
	int64_t rate_told; /* bytes a second, the share that the worker was told; -1: none yet */
};

struct slot {
	int number; /* from 1 */
	enum slot_state state;

	/* The process. */
	pid_t pid; /* 0: none */
	int pidfd; /* -1: none could be had, SIGCHLD has to do */
	int channel; /* -1: closed */
	int report; /* tells what failed between fork and exec; -1 once the worker was idle */
	uint64_t generation; /* of this process; rises with every spawn */
	uint64_t conf_generation; /* of the configuration that it was started with */
	struct cap_leaf leaf;
	int64_t memory; /* its cap, bytes */
	bool was_idle; /* it has said READY */
	bool complained; /* its nonsense has been logged */
	enum slot_ending ending;
	const char *killed_for; /* a clause, if we killed it; else NULL */
	struct cap_kinds kinds; /* its memory when it was last near its cap */
	struct msg_fault fault; /* the signal that it says it dies of; signo 0: none */

	/* Its connection to the database: pool/connections.h.  Times are on clock_ms(). */
	enum slot_connection connection;
	int64_t connection_since; /* in this state */
	int64_t needs_since; /* it has needed one and has had none since then; 0: that is not so */
	bool yields; /* it was told to close it */
	bool denied; /* it was told that none is to be had */
	char refusal[CHANNEL_WHY_MAX]; /* in DOWN: why */

	/* When it retires. */
	int max_tasks; /* after so many; 0: no limit */
	int ntasks; /* given to it so far */
	int64_t expires_at; /* on clock_ms(); 0: never */

	/* When it counts as hung, on clock_ms(). */
	int64_t silence_ms; /* longest silence of a busy worker */
	int64_t started_at;
	int64_t heard_at;
	int64_t kill_at; /* it should have ended by then; 0: it need not */

	/* The next start. */
	int64_t start_at; /* in BACKOFF */
	int64_t delay_ms; /* doubles with each bad start */

	/* The task in work. */
	bool reserved; /* the claim under way may bring a task for it */
	bool cancelled; /* it was told to drop its task */
	struct task *task; /* owned; NULL: none */
	int64_t bytes_done; /* in finished parts and parts in flight */
	int64_t bytes_total; /* -1: unknown */
	int64_t counted; /* those of bytes_done that the figures have; -1: not known */
	bool progressed; /* these differ from what was written into the row */

	/* The task that it may begin next: queue/handout.h. */
	struct task *next; /* owned; NULL: none */
	bool next_cancelled; /* it was told to drop that one */
	bool slow; /* it has returned one and gets no other until its task ends */

	/* Rates: limits/shares.c. */
	struct slot_use uses[SLOT_USES]; /* of the task in work */
	struct slot_use told[SLOT_USES]; /* what the process was told last, for any task */
	int64_t use; /* bytes a second that its task has moved of late; below 0: unknown */

	struct outbox outbox;
};

/* What the server has shown of the connections that it admits: pool/connections.c. */
struct connections {
	int admitted; /* no more than these, and the master's; 0: no limit is known */
	int64_t refused_since; /* on clock_ms(), of the first refusal; 0: it refuses none */
	int64_t refused_at; /* of the last */
	int64_t more_at; /* when one more is tried */
	int64_t told_at; /* when the log said so; 0: it has not */
	char why[CHANNEL_WHY_MAX];
};

struct pool {
	struct state *state;

	/* What every worker gets. */
	struct cap *cap;
	int null_fd;
	int image_fd; /* ferry-worker as it was at start */
	char **environment;
	struct lease lease;

	/* Connections to the database. */
	int64_t database_at; /* the master's own is up since then; 0: it is down */
	struct connections connections;
	bool contended; /* a worker has waited long for one */

	/* Sizes. */
	int span; /* slots that are or were in use; 0: all */
	int target; /* wanted: workers of the configuration, changed by TTIN and TTOU */
	int held_at; /* logged: memory_total holds this many only; 0: it holds all that are wanted
		      */

	/* Starts. */
	uint64_t generation; /* of the last process */
	bool start_failing; /* logged: no worker can be started */
	char bad_start[512]; /* logged: why workers die before they are idle; empty: they do not */

	struct slot slots[CONFIG_WORKERS_MAX];
};

/* Every slot, used or not. */
#define POOL_FOREACH(slot, p) \
	for ((slot) = (p)->slots; (slot) < (p)->slots + pool_span(p); (slot)++)
static inline int
pool_span(const struct pool *p)
{
	return p->span > 0 ? p->span : CONFIG_WORKERS_MAX;
}

bool slot_is_live(const struct slot *slot);

/* Whether its worker is idle and may be given a task. */
bool slot_is_available(const struct pool *p, const struct slot *slot);

/* Whether its worker is busy and may be sent a task to begin next. */
bool slot_may_have_next(const struct pool *p, const struct slot *slot);

/*
 * Whether the worker gets no tasks, since it has no connection to the database and others have
 * waited long for one.
 */
bool slot_is_cut_off(const struct pool *p, const struct slot *slot);

/* Whether the worker has had as many tasks, or has lived as long, as it may. */
bool slot_has_served(const struct slot *slot);

/* Whether the worker was told to end once idle. */
bool slot_is_retiring(const struct slot *slot);

/* Whether we have sent SIGKILL. */
bool slot_is_killed(const struct slot *slot);

/* Whether this task is in work here, or next here. */
bool slot_has_task(const struct slot *slot, int64_t task, int64_t claim);
bool slot_has_next(const struct slot *slot, int64_t task, int64_t claim);

/* "starting", "idle", … */
const char *slot_state_name(enum slot_state state);

int pool_count_live(const struct pool *p);
int pool_count_busy(const struct pool *p);

/* The claim under way may bring a task for this idle worker; it is over. */
void slot_reserve(struct slot *slot);
void slot_unreserve(struct slot *slot);

/* The worker begins the task, which is the slot's from now on. */
void slot_begin(struct slot *slot, struct task *task);

/* The worker is about to be told to drop its task. */
void slot_cancel(struct slot *slot);

/* Frees the task in work. */
void slot_drop_task(struct slot *slot);

/* The worker may begin this task after the one in work; it is the slot's from now on. */
void slot_set_next(struct slot *slot, struct task *task);

/* The worker is about to be told to drop its next task. */
void slot_cancel_next(struct slot *slot);

/* The worker begins its next task. */
void slot_begin_next(struct slot *slot);

/* The worker does not begin its next task.  Returns that task: the caller's from now on. */
struct task *slot_take_next(struct slot *slot);

/* The worker has said something. */
void slot_heard(struct slot *slot);
void slot_note_progress(struct slot *slot, int64_t bytes_done, int64_t bytes_total);

/* The progress is about to be written into the row. */
void slot_progress_taken(struct slot *slot);

/* The worker has sent nonsense.  Returns whether it is the first time. */
bool slot_note_nonsense(struct slot *slot);

/* A task ended well: earlier bad starts are forgotten. */
void slot_praise(struct slot *slot);

/* The worker is about to be told to end. */
void slot_set_retiring(struct slot *slot);

/* The worker is about to die of a signal. */
void slot_note_fault(struct slot *slot, const struct msg_fault *fault);

/* Kills the worker: for its own fault, or because the master ends.  why: "it was hung". */
void slot_kill(struct slot *slot, const char *why);
void slot_kill_forgiven(struct slot *slot);

#endif
