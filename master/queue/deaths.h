/*
 * Tasks whose worker died: the death is counted, the task requeued or failed, and one line of the
 * log tells it.  A live worker settles a failed task itself; done.h settles those that are done.
 */
#ifndef MASTER_QUEUE_DEATHS_H
#define MASTER_QUEUE_DEATHS_H

#include <stddef.h>

#include "master/queue/held.h"
#include "master/queue/queue.h"

enum death_kind {
	DEATH_CRASH,
	DEATH_MEMORY,
	DEATH_FORGIVEN, /* we stopped the worker: nothing is counted */
	DEATH_SHORTAGE, /* the machine was short of memory: nothing is counted */
};

struct death {
	TAILQ_ENTRY(death) entry;
	struct queue *q;
	enum death_kind kind;

	/* The worker. */
	int worker; /* number of its slot */
	pid_t pid;
	int64_t peak; /* memory, bytes; -1: unknown */
	int64_t cap; /* bytes */
	const char *cause; /* for the log's field: "signal", "exit", "out_of_memory", … */
	char verdict[480]; /* "killed: signal 11 (Segmentation fault)" */

	/* Its task. */
	int64_t task;
	int64_t claim;
	int64_t bytes_done; /* of the last report */
	int64_t bytes_total; /* -1: unknown */
	char source[1024]; /* redacted */
	char destination[1024]; /* redacted */

	/* Settling it. */
	int64_t retry_at; /* after a refusal, on clock_ms(); 0: the statement is under way */
	bool refused; /* logged: the database refuses it */
};

/* What the row says after a death. */
struct death_row {
	bool failed; /* else queued */
	int count; /* deaths of this kind */
	int limit; /* on them */
	int next_part; /* where the next worker resumes; 0: there is no upload to resume */
	bool gained; /* the attempt has finished parts, so that a crash is not counted */
	int64_t newer; /* the task that supersedes this one, 0: none */
};

void deaths_init(struct queue *q);

/* Takes the death over, which is on the heap: settles it now, or when the database is back. */
void deaths_add(struct queue *q, struct death *death);

/* Settles deaths again that the database refused. */
void deaths_run(struct queue *q);
int64_t deaths_deadline(const struct queue *q);

bool deaths_are_settled(const struct queue *q);

/* The sentence of the log: verdict, task, position, outcome.  row NULL: not known yet. */
void deaths_format(char *buf, size_t size, const struct death *death, const struct death_row *row);

void deaths_walk(const struct queue *q, held_visit *visit, void *arg);

/* Forgets all deaths: their rows return to the queue with the lease. */
void deaths_discard(struct queue *q);

#endif
