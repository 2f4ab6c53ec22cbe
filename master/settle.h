/*
 * Tasks whose worker died: counted, put back or failed, and told in one line of the log.  Workers that live settle
 * what has failed themselves; what is done is results.h's.
 */
#ifndef MASTER_SETTLE_H
#define MASTER_SETTLE_H

#include <stdio.h>

#include "master/ferryd.h"

enum death_kind {
	DEATH_CRASH,
	DEATH_MEMORY,
	DEATH_FORGIVEN, /* we stopped it: nothing is counted */
};

/* What is known of a worker's death when it had a task. */
struct death {
	TAILQ_ENTRY(death) entry;
	struct master *m;
	enum death_kind kind;
	int worker;
	pid_t pid;
	int64_t task;
	int64_t claim;
	int64_t bytes_done; /* last heard of */
	int64_t bytes_total;
	int64_t peak; /* bytes, -1: unknown */
	int64_t cap;
	int64_t retry_at;
	bool refused;	      /* the database's refusal has been logged */
	const char *cause;    /* for the log's field: "signal", "exit", "out_of_memory" */
	char verdict[160];    /* "killed: signal 9 (Killed)" */
	char source[1024];    /* redacted */
};

/* Takes the death over: settles it now, or when the database is back. */
void settle_death(struct master *m, struct death *death);

/* Deaths that the database refused to take are tried again. */
int64_t settle_deadline(const struct master *m);
void settle_run(struct master *m);

/*
 * The sentence of the log: verdict, task and position, then what became of it.  state is NULL if that is not known yet;
 * next_part 0 if there is no upload to resume.
 */
void settle_format(char *buf, size_t size, const struct death *death, const char *state, int count, int limit, int next_part);

void settle_discard(struct master *m);

#endif
