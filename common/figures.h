/*
 * What the master tells its exporter: counts since the master started, and how things stand.
 *
 * They talk over a SOCK_SEQPACKET pair, one struct a packet.  The master sends a SETUP first, and
 * then FIGURES once a second; the exporter sends WORDs.  Every struct begins with its type.  Both
 * are the same build, since the master executes the image that it opened at start.  The receiver
 * checks type and length nevertheless.  EOF means that the other side is gone.
 *
 * The number of names is bounded, so that the number of time series is.  What finds no place counts
 * under "other".
 */
#ifndef COMMON_FIGURES_H
#define COMMON_FIGURES_H

#include <stddef.h>
#include <stdint.h>

#include "common/config/config.h"

/* How the master starts it: ferry-exporter.  Descriptors are as those of a worker. */
#define EXPORTER_CHANNEL_FD 3

/* How many values were at most as large as each bound; the last count has the larger values. */
#define HISTOGRAM_BOUNDS 13
struct histogram {
	uint64_t counts[HISTOGRAM_BOUNDS + 1];
	double sum;
};
extern const double histogram_of_statements[HISTOGRAM_BOUNDS]; /* seconds */
extern const double histogram_of_tasks[HISTOGRAM_BOUNDS]; /* seconds */

/* Counts one value. */
void histogram_add(struct histogram *h, const double *bounds, double value);

/* A sum for each pair of names. */
#define FIGURES_SUMS 64
struct figures_sum {
	char name[CONFIG_NAME_MAX];
	char other_name[CONFIG_NAME_MAX]; /* empty where one name is enough */
	uint64_t value;
};
struct figures_sums {
	int n;
	struct figures_sum list[FIGURES_SUMS];
};

/* Adds to the sum of these names.  A name ends at its NUL, or after CONFIG_NAME_MAX - 1 bytes. */
void figures_add(struct figures_sums *sums, const char *name, const char *other, uint64_t value);

/* Sets the value of these names instead. */
void figures_set(struct figures_sums *sums, const char *name, const char *other, uint64_t value);

/* Why workers have died. */
enum figures_death {
	DIED_OUT_OF_MEMORY, /* at its own cap */
	DIED_MACHINE_OUT_OF_MEMORY, /* the machine, or a cgroup above, was short */
	DIED_SIGNAL,
	DIED_EXIT,
	DIED_HUNG, /* the master killed it for its own fault */
	DEATHS
};

/* The workers in a state. */
#define FIGURES_STATES 6
struct figures_state {
	char name[16];
	int workers;
};

/* A worker process.  Bytes; -1: unknown. */
struct figures_worker {
	int number;
	int state; /* an index into states */
	int pid;
	uint64_t generation; /* of the process: it rises with every start */
	int64_t memory;
	int64_t peak;
	int64_t cap;
	int64_t task; /* its id; has_task says whether there is one */
	int has_task; /* yes or no */
	int64_t bytes_done; /* of the task, in finished parts and parts in flight */
	int64_t bytes_total;
};

/* The death of a worker.  The last ones are kept. */
#define FIGURES_ENDS 32
struct figures_end {
	int64_t at; /* milliseconds since 1970 */
	int number; /* of the worker */
	int cause; /* enum figures_death */
	int64_t peak; /* bytes; -1: unknown */
	int64_t cap; /* bytes */
	int64_t task;
	int has_task; /* yes or no */
};

struct figures_store {
	char name[CONFIG_NAME_MAX];
	int throttled; /* yes or no: it has asked to slow down, and gets no new tasks now */
	char trouble[24]; /* the class of the failures that it is held for; empty: it is not held */
	int no_keys; /* yes or no: its command has given no keys yet, so that it gets no tasks */
	int has_clock; /* yes or no: its time is known */
	int64_t clock_ahead_s; /* of this machine's clock */
};

/* Requests of one kind that had one answer. */
#define FIGURES_REQUESTS 256
struct figures_request {
	char store[CONFIG_NAME_MAX];
	char operation[16];
	char status[8]; /* of HTTP; "none": no answer came */
	uint64_t requests;
};
struct figures_requests {
	int n;
	struct figures_request list[FIGURES_REQUESTS];
};

/* Adds to the count of these.  What finds no place counts as "other" in all three. */
void figures_add_requests(struct figures_requests *r, const char *store, const char *operation,
    const char *status, uint64_t requests);

enum figures_type { FIGURES_SETUP = 1, FIGURES_REPORT, FIGURES_WORD };

struct figures {
	int type; /* FIGURES_REPORT */

	/* Counts since the master started. */
	struct histogram claims; /* from the statement to its answer */
	struct histogram settles; /* likewise */
	uint64_t deaths[DEATHS];
	uint64_t starts_failed;
	uint64_t nends; /* the newest is ends[(nends - 1) % FIGURES_ENDS] */
	struct figures_end ends[FIGURES_ENDS];
	struct figures_sums bytes; /* from store, to store */
	struct figures_sums failures; /* class, store */
	struct figures_sums throttles; /* store */
	struct figures_sums damages; /* store that got other bytes than were sent */
	struct figures_requests requests;
	struct figures_sums certificates; /* store; until when it is valid, seconds since 1970 */

	/* How things stand. */
	int64_t node; /* the id of this node's row; 0: it has none */
	int running; /* yes or no: the master takes tasks; it has started and does not end */
	int database_up; /* yes or no */
	int64_t lease_ms; /* until the lease of this node ends; 0: it has ended, or there is none */
	struct figures_state states[FIGURES_STATES];
	int nworkers;
	struct figures_worker workers[CONFIG_WORKERS_MAX];
	int nstores;
	struct figures_store stores[CONFIG_STORES_MAX];
};

struct figures_setup {
	int type; /* FIGURES_SETUP */
	char listen[CONFIG_HOST_MAX];
	char token[CONFIG_SECRET_MAX]; /* empty: none is asked for */
	char database[CONFIG_PATH_MAX];
};

/* What the exporter has to say; the master logs it. */
struct figures_word {
	int type; /* FIGURES_WORD */
	int fine; /* yes or no: it listens; else the text says why it does not */
	char text[256];
};

/*
 * Sends one of these structs without waiting.  Returns 0, or -1 with errno: EAGAIN if the other
 * side does not read, EPIPE if it is gone.
 */
int figures_send(int fd, const void *packet, size_t len);

/*
 * Receives one of them into a buffer of size bytes without waiting.  Returns its length, 0 for end
 * of file, or -1 with errno: EAGAIN if there is none.
 */
ptrdiff_t figures_receive(int fd, void *packet, size_t size);

#endif
