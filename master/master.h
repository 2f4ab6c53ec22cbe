/*
 * The master: the contexts of its folders, and what the program's own files add.
 */
#ifndef MASTER_MASTER_H
#define MASTER_MASTER_H

#include "master/keys/keys.h"
#include "master/limits/limits.h"
#include "master/metrics/process.h"
#include "master/node/node.h"
#include "master/os/pause.h"
#include "master/pool/slot.h"
#include "master/queue/queue.h"
#include "master/state.h"
#include "master/upkeep/upkeep.h"

struct master {
	struct state state;
	struct pool pool;
	struct exporter exporter;
	struct node node;
	struct limits limits;
	struct keys keys;
	struct upkeep upkeep;
	struct queue queue;

	/* The process: main.c. */
	int signal_fd;
	int ready_fd; /* the starter waits at its other end; -1: nobody waits */
	int exit_code;
	struct pause pause; /* the turns of the loop */

	int64_t gather_at; /* gather.c: the next figures, on clock_ms(); 0: at once */

	/* The end: phase.c.  On clock_ms(). */
	int64_t phase_deadline; /* 0: none */
	int64_t grace_ends;
};

/* Points the contexts at each other. */
void master_init(struct master *m, struct config *conf);

#endif
