/*
 * What keeps the database and the stores tidy: abandoned uploads, old tasks, and what keeps vacuums
 * from their work.
 */
#ifndef MASTER_UPKEEP_UPKEEP_H
#define MASTER_UPKEEP_UPKEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "master/node/node.h"
#include "master/pool/slot.h"
#include "master/state.h"

/* prune.c */
struct prune {
	bool asking;
	int64_t at; /* of the next batch */
	int64_t deleted; /* in this round of batches */
	int batch; /* rows of the next batch; 0: it is the first of a round */
	char from[64]; /* the next batch begins here, as the database writes it; empty: at the
			  oldest */
};

/* blocker.c */
struct blocker {
	bool asking;
	bool told; /* this transaction has been logged */
	int64_t look_at;
	int64_t since; /* when we first saw this transaction */
	char key[256]; /* tells it from others */
};

/* waits.c */
#define WAITS_SAID_MAX 64
struct wait_said {
	char reason[160];
	int64_t at; /* 0: this place is free */
};
struct waits {
	bool asking;
	int64_t asked_at;
	int64_t look_at;
	struct wait_said said[WAITS_SAID_MAX]; /* what the log has said */
};

struct upkeep {
	struct state *state;
	struct pool *pool;
	struct node *node;

	struct prune prune;
	struct blocker blocker;
	struct waits waits;
};

#endif
