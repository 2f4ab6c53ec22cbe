/*
 * What may hold tasks back: quotas over all nodes, our part of a rate, stores that have asked to
 * slow down, and whose turn it is.
 */
#ifndef MASTER_LIMITS_LIMITS_H
#define MASTER_LIMITS_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "master/node/node.h"
#include "master/pool/slot.h"
#include "master/state.h"

/* What holds for a store or a queue over all nodes together. */
struct quota {
	bool is_queue;
	char name[CONFIG_NAME_MAX];
	int max_transfers; /* 0: no limit */
	int64_t rate; /* bytes a second; 0: no limit */
	int weight; /* of a queue; 0: none */
	int others; /* tasks under it that other nodes have */
};

/* quota.c */
#define QUOTAS_MAX (CONFIG_STORES_MAX + CONFIG_QUEUES_MAX)
struct quotas {
	bool known; /* the database has told them on this connection */
	bool asking;
	int64_t ask_at; /* no question before that */
	int n;
	struct quota list[QUOTAS_MAX]; /* of the stores and queues that this node serves */
};

/* throttle.c: a store that has asked to slow down. */
struct throttle {
	char store[CONFIG_NAME_MAX]; /* empty: this place is free */
	int64_t until; /* no new tasks before that; 0: over */
	int64_t delay_ms; /* doubles */
};

/* health.c: a store, as the tasks of this node have met it at one end. */
#define HEALTH_MAX 256
#define HEALTH_NAME_MAX 320
enum health_state { HEALTH_OK, HEALTH_SUSPECT, HEALTH_HELD, HEALTH_PROBED };
struct health {
	char name[HEALTH_NAME_MAX]; /* the store, or "https://HOST"; empty: this place is free */
	enum task_end end;
	bool is_host;
	bool unknown; /* our configuration does not have the store */
	enum health_state state;
	bool served; /* a task, since the last failure */

	/* The trouble. */
	int failures; /* in a row */
	int64_t only_task; /* all of them were of this task; 0: of several */
	enum error_class class;
	enum trouble trouble;
	char reason[TASK_ERROR_MAX];
	int64_t since; /* the first failure, on clock_ms() */

	/* The probe. */
	int64_t delay_ms; /* doubles */
	int64_t probe_at; /* the next one, or a look after the present one; 0: due */
	int64_t probe_task;
	int64_t probe_claim;
};

/* fair.c */
struct fair {
	/* The queues of the configuration, as of the starts. */
	int n;
	char queues[CONFIG_QUEUES_MAX][CONFIG_NAME_MAX];
	double starts[CONFIG_QUEUES_MAX]; /* tasks so far divided by weight */

	/* The turns of starving tasks. */
	int claimed; /* tasks since the last turn */
	int64_t look_at; /* no look for starving tasks before that */
};

struct limits {
	struct state *state;
	struct pool *pool;
	struct node *node;

	struct quotas quotas;
	int64_t share_at; /* shares.c: the next division; 0: no task is under a rate */
	struct throttle throttles[CONFIG_STORES_MAX];
	struct health health[HEALTH_MAX];
	struct health *probing; /* the claim under way is for a probe of this one */
	struct fair fair;
};

#endif
