/*
 * The channel between the master and one worker: a SOCK_SEQPACKET socketpair.  A packet holds one
 * message: a header and a struct that depends on its type.  EOF means that the other side is gone.
 *
 * Runs of zeros are left out of a packet, since the structs are mostly empty text.  So CONFIG, all
 * STOREs and a TASK fit into the smallest socket buffer that a process without privileges gets.
 *
 * Every message names slot and generation, so that the master drops messages of a dead worker and
 * of a worker in the wrong slot.  Both ends are the same build: the master executes the image that
 * it opened at start.  Even so, channel_recv() checks a message's type and length before it copies.
 *
 * The conversation:
 *
 *   master: CONFIG, STORE for each store       worker: READY
 *   master: TASK                               worker: PROGRESS, ..., RESULT, READY
 *   master: REAP                               worker: READY
 *   worker, once, as it dies of a signal: FAULT
 *   master, at any time: CANCEL, RATE, LEASE, KEYS, RETIRE, STOP, LOG
 *   worker, at any time: REFUSED               master: KEYS, old or new
 *   worker, at any time: DATABASE NEEDED        master: CONNECT GRANT, later
 *   worker, granted: DATABASE UP, DOWN, FREE    master: CONNECT YIELD, so that FREE follows
 *   master, to a worker that has asked and is not up: CONNECT DENY
 *   worker, at any time: CLOCK, CERTIFICATE, REQUESTS, LOST
 *
 * A worker is idle between READY and the next TASK or REAP.  The master may send a busy worker one
 * TASK more.  The worker begins that task after its RESULT, or sends RETURN before it.
 */
#ifndef COMMON_CHANNEL_H
#define COMMON_CHANNEL_H

#include <stdint.h>

#include "common/config/config.h"
#include "common/task.h"

/*
 * How the master starts a worker: ferry-worker SLOT GENERATION LOG.  Descriptors 0 and 1 are
 * /dev/null.  Descriptor 2 is the master's stderr if LOG is "stderr", else /dev/null.  All others
 * are closed.
 */
#define WORKER_CHANNEL_FD 3
#define WORKER_LOG_FD 4 /* the log file if LOG is "file", else /dev/null */
#define WORKER_LOG_FILE "file"
#define WORKER_LOG_STDERR "stderr"
#define WORKER_LOG_SYSLOG "syslog"

/*
 * How ferryctl starts one to look at the stores: ferry-worker --probe read|write URI ...  It sends
 * CONFIG, the STOREs and a LEASE, and reads lines from the worker's standard output:
 * worker/probe.h.
 */
#define WORKER_PROBE "--probe"
#define WORKER_PROBE_READ "read"
#define WORKER_PROBE_WRITE "write"

/* The exit code of a worker that got no memory since it is at its RLIMIT_DATA. */
#define WORKER_EXIT_MEMORY 97

/* The exit code of a worker that got no memory from the system although its limit, if it had one,
 * left some. */
#define WORKER_EXIT_REFUSED 98

enum msg_type {
	/* master to worker */
	MSG_CONFIG = 1,
	MSG_STORE,
	MSG_KEYS, /* the keys of a store, for requests that begin from now on */
	MSG_TASK,
	MSG_CANCEL, /* drop the task: it was cancelled, or its claim is revoked */
	MSG_REAP, /* abort abandoned uploads */
	MSG_RATE, /* this worker's share of a rate */
	MSG_LEASE, /* the end of the node's lease */
	MSG_RETIRE, /* exit once idle */
	MSG_STOP, /* flush checkpoints, give the task back, exit within grace */
	MSG_LOG, /* a new log, whose descriptor comes along */
	MSG_CONNECT, /* whether the worker may connect to the database */
	/* worker to master */
	MSG_READY, /* idle; the first one ends "starting" */
	MSG_PROGRESS, /* once a second, and with every finished part */
	MSG_RESULT,
	MSG_RETURN, /* the next task is given back, not begun */
	MSG_FAULT, /* sent by a handler: the worker dies of this signal */
	MSG_REFUSED, /* a store has refused its keys: are there newer ones? */
	MSG_DATABASE, /* how the worker's connection to the database fares */
	MSG_CLOCK, /* what a store says the time is */
	MSG_CERTIFICATE, /* until when a store's certificate is valid */
	MSG_REQUESTS, /* how many requests stores have had since the last one */
	MSG_LOST, /* lines of the log that could not be written */
};

struct msg_config {
	int nstores;
	int64_t node; /* the id of the node's row */
	int memory_backend; /* enum memory_backend, never auto */
	char peak_file[CONFIG_PATH_MAX]; /* the cgroup's peak of memory; empty under rlimit */
	struct config_worker worker;
};

struct msg_store {
	struct config_store store;
};

struct msg_keys {
	char store[CONFIG_NAME_MAX];
	char endpoint[CONFIG_HOST_MAX]; /* that they are for: a reload may have changed it */
	struct store_keys keys;
};

struct msg_task {
	struct task task;
	int seen[TASK_ENDS]; /* enum store_seen of that end's store, by enum task_end */
};

struct msg_cancel {
	int64_t task;
	int64_t claim;
};

struct msg_rate {
	char store[CONFIG_NAME_MAX]; /* empty: the rate of the task's queue */
	int64_t rate; /* bytes a second; 0: no limit */
};

/* The time is absolute, since the message may be read late. */
struct msg_lease {
	int64_t until; /* on clock_boot_ms(), with a margin taken off; 0: lapsed */
};

struct msg_progress {
	int64_t task;
	int64_t claim;
	int64_t bytes_done; /* in finished parts and parts in flight */
	int64_t bytes_total; /* -1: not known yet */
	int64_t rate; /* bytes a second, at present */
	/* Yes or no, by enum task_end: that store has served this task since the last report. */
	int served[TASK_ENDS];
};

/*
 * How a task has ended.  After TASK_DONE and TASK_SKIPPED the master settles the row, with the
 * evidence, and after TASK_UNSETTLED it requeues the task.  After all other results the worker has
 * settled it.  An int for yes or no is 0 or 1.
 */
struct msg_result {
	int64_t task;
	int64_t claim;

	/* The outcome. */
	int result; /* enum task_result */
	int error_class; /* enum error_class */
	char error[TASK_ERROR_MAX];

	/* Of a failure: whose trouble it is. */
	int trouble; /* enum trouble */
	int end; /* enum task_end: at which end it failed */
	char store[CONFIG_NAME_MAX]; /* the store of that end; empty: no store is to blame */

	/* Yes or no, by enum task_end: that store has served this task since the last report. */
	int served[TASK_ENDS];

	/* PUTs that were sent again, because the store had got other bytes. */
	int damaged;

	/* What the worker does next. */
	int ready; /* yes or no: this is a READY, too */
	int goes_on; /* yes or no: the worker begins the next task that it holds */

	/* The evidence. */
	int64_t bytes;
	int64_t bytes_total; /* -1: not known (skipped) */
	int64_t peak_memory; /* bytes */
	int64_t elapsed_ms;
	int copied; /* yes or no: the store itself copied the object */
	int has_crc64; /* yes or no */
	uint64_t crc64;
	int resumed; /* parts that an earlier attempt has sent */
	int streams; /* most parts in flight; 0: none */
	char verified_by[16];
	char etag[TASK_ETAG_MAX]; /* of the new object; empty: none */
	char warning[TASK_ERROR_MAX]; /* what of the object was not carried; empty: none */
};

struct msg_return {
	int64_t task;
	int64_t claim;
};

/* A signal that ends the worker: sigaction(2).  What does not go with the signal is 0. */
struct msg_fault {
	int signo;
	int code; /* si_code */
	int pid; /* of the sender */
	int uid; /* of the sender */
	int itself; /* yes or no: the worker sent it */
	int system_call; /* that the filter of system calls forbids */
	uint64_t address; /* that could not be used */
	int64_t pc; /* where, as an offset in the file ferry-worker; -1: in a library, or unknown */
};

struct msg_refused {
	char store[CONFIG_NAME_MAX];
};

#define CHANNEL_WHY_MAX 320 /* of a connection that cannot be made */

/* A worker that has said nothing has no connection and needs none. */
enum database_word {
	DATABASE_NEEDED, /* a statement waits */
	DATABASE_UP,
	DATABASE_DOWN, /* it cannot be made, or is gone; the worker tries on */
	DATABASE_FREE, /* it is closed, or is not needed any more: the grant goes back */
};

struct msg_database {
	int word; /* enum database_word */
	char why[CHANNEL_WHY_MAX]; /* with DOWN */
};

enum connect_word {
	CONNECT_GRANT, /* the worker may connect, until it says FREE */
	CONNECT_YIELD, /* close it as soon as no statement is under way */
	CONNECT_DENY, /* there is none for it: the worker gives its task back */
};

struct msg_connect {
	int word; /* enum connect_word */
	char why[CHANNEL_WHY_MAX]; /* with DENY */
};

struct msg_clock {
	char store[CONFIG_NAME_MAX];
	int64_t ahead_s; /* how far the store's clock is ahead of this machine's */
};

struct msg_certificate {
	char store[CONFIG_NAME_MAX];
	int64_t expires; /* seconds since 1970 */
};

/* What stores are asked, for the metrics. */
enum request_op {
	REQUEST_HEAD,
	REQUEST_GET,
	REQUEST_PUT,
	REQUEST_INITIATE,
	REQUEST_UPLOAD_PART,
	REQUEST_COMPLETE,
	REQUEST_ABORT,
	REQUEST_LIST_PARTS,
	REQUEST_LIST_UPLOADS,
	REQUEST_DELETE,
	REQUEST_COPY,
	REQUEST_COPY_PART,
	REQUEST_OPS
};
const char *request_op_name(enum request_op op); /* "head", "get", … */

/* Requests of one kind that had one answer. */
struct msg_request {
	char store[CONFIG_NAME_MAX];
	int op; /* enum request_op */
	int status; /* of HTTP; 0: no answer came */
	int64_t requests;
};

#define REQUESTS_MAX 16
struct msg_requests {
	int n;
	struct msg_request list[REQUESTS_MAX];
};

struct msg_lost {
	uint64_t lines;
	int error; /* errno of the last one */
};

struct msg {
	int type; /* enum msg_type */
	int slot;
	uint64_t generation; /* rises with every worker that the master starts */
	union {
		struct msg_config config;
		struct msg_store store;
		struct msg_keys keys;
		struct msg_task task;
		struct msg_cancel cancel;
		struct msg_rate rate;
		struct msg_lease lease;
		struct msg_progress progress;
		struct msg_result result;
		struct msg_return back;
		struct msg_fault fault;
		struct msg_refused refused;
		struct msg_database database;
		struct msg_connect connect;
		struct msg_clock clock;
		struct msg_certificate certificate;
		struct msg_requests requests;
		struct msg_lost lost;
	};
};

/*
 * Makes the socket pair, both ends close-on-exec.  fds[0] is the master's, and does not block.
 * Returns 0, or -1 with errno.
 */
int channel_pair(int fds[2]);

/*
 * Sends msg, and the descriptor fd_to_pass unless it is -1.  Returns 0, or -1 with errno: EAGAIN if
 * the other side does not read, so that the master treats the worker as hung; EPIPE if it is gone.
 */
int channel_send(int fd, const struct msg *msg, int fd_to_pass);

/*
 * Receives one message without waiting, and fills in its header and its member of the union.
 * Returns 1 for a message, 0 for end of file, -1 with errno: EAGAIN if there is no message, EBADMSG
 * for a packet of unknown type or wrong length, which is consumed.  *fd_passed is the descriptor
 * that came with MSG_LOG, close-on-exec, else -1.  Descriptors with other types are closed.
 */
int channel_recv(int fd, struct msg *msg, int *fd_passed);

const char *msg_type_name(int type);

#endif
