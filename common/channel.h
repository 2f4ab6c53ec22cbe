/*
 * The channel between the master and one worker: a SOCK_SEQPACKET socketpair, one message a packet, each a fixed
 * struct after a fixed header.  Runs of zeros are left out on the way, since the structs are mostly empty text: so CONFIG, all
 * STOREs and a TASK fit into the smallest socket buffer that a system gives to an unprivileged process.  slot and generation in every message: a word of a dead predecessor, or of a worker
 * that thinks it is somebody else, is dropped.  EOF means that the other side is gone.  Nothing is shared.
 *
 * Both ends are the same build (the master executes the image that it opened at start), so structs go as they are;
 * a message of the wrong length or of an unknown type is an error of the sender all the same, and is reported, not
 * trusted: channel_recv() checks type and length before the copy.
 *
 * Conversation.  Master: CONFIG, STORE × nstores; worker: READY.  Then TASK, worker: PROGRESS …,
 * RESULT, READY; or REAP, READY.  At any time master: CANCEL, RATE, LEASE, RETIRE, STOP, LOG.  A worker is idle exactly between its READY and the
 * next TASK or REAP.  A busy one may be sent one TASK more: it begins it after its RESULT, or says RETURN before that.
 */
#ifndef COMMON_CHANNEL_H
#define COMMON_CHANNEL_H

#include <stdint.h>

#include "common/config.h"
#include "common/task.h"

#define WORKER_EXIT_MEMORY 97 /* exit code of a worker whose memory allocation failed (memory_backend rlimit) */

enum msg_type {
	/* master to worker */
	MSG_CONFIG = 1,
	MSG_STORE,
	MSG_TASK,
	MSG_CANCEL, /* the task was cancelled, or its claim is stale */
	MSG_REAP,   /* abort uploads that no live task owns */
	MSG_RATE,   /* this worker's share of the rate of a store, or of the task's queue */
	MSG_LEASE,  /* until when the node's claims are good */
	MSG_RETIRE, /* exit cleanly once idle */
	MSG_STOP,   /* hand back now: flush checkpoints, release the claim, exit within grace */
	MSG_LOG,    /* a new log descriptor comes with it */
	/* worker to master */
	MSG_READY,    /* idle; the first one ends "starting" */
	MSG_PROGRESS, /* about once a second, and with every finished part */
	MSG_RESULT,
	MSG_RETURN, /* the task that was to be the next is not begun here */
};

struct msg_config {
	int nstores;
	int64_t node;	     /* id of the node row */
	int memory_backend;  /* enum memory_backend, the one in force */
	char peak_file[CONFIG_PATH_MAX]; /* the cgroup's peak memory file; empty under rlimit (ask getrusage) */
	struct config_worker worker;
};

struct msg_store {
	struct config_store store;
};

struct msg_task {
	struct task task;
};

struct msg_cancel {
	int64_t task;
	int64_t claim;
};

struct msg_rate {
	char store[CONFIG_NAME_MAX]; /* empty: of the queue of the task in work, or of the next */
	int64_t rate; /* bytes a second for this worker; 0: no limit */
};

/* Absolute, for the message may be read late. */
struct msg_lease {
	int64_t until; /* on clock_boot_ms(), with a margin taken off; 0: it has lapsed */
};

struct msg_progress {
	int64_t task;
	int64_t claim;
	int64_t bytes_done;  /* in finished parts and parts in flight */
	int64_t bytes_total; /* -1: not known yet */
	int64_t rate;	     /* bytes a second, of late */
};

/*
 * How a task has ended.  With TASK_DONE and TASK_SKIPPED its row is still to be settled: that is the master's work, and what
 * follows up to etag is the evidence that it writes.  With all others the worker has settled it.
 */
struct msg_result {
	int64_t task;
	int64_t claim;
	int result; /* enum task_result */
	int ready;  /* 0 or 1: this is a READY, too */
	int goes_on; /* 0 or 1: with the task that it was sent meanwhile */
	int error_class; /* enum error_class */
	int64_t bytes;
	int64_t bytes_total; /* -1: not known (skipped) */
	int64_t peak_memory;
	int64_t elapsed_ms;
	int has_crc64; /* 0 or 1: not of what was skipped, or copied by a store that states none */
	int copied; /* 0 or 1: by the store itself */
	uint64_t crc64;
	int resumed; /* parts that were there already */
	int streams; /* most parts in flight; 0: none */
	char verified_by[16];
	char etag[TASK_ETAG_MAX]; /* of the new object; empty: none */
	char throttled_store[CONFIG_NAME_MAX]; /* set with CLASS_THROTTLED */
	char error[TASK_ERROR_MAX];
};

struct msg_return {
	int64_t task;
	int64_t claim;
};

struct msg {
	int type; /* enum msg_type */
	int slot;
	uint64_t generation; /* rises with every spawn of the master */
	union {
		struct msg_config config;
		struct msg_store store;
		struct msg_task task;
		struct msg_cancel cancel;
		struct msg_rate rate;
		struct msg_lease lease;
		struct msg_progress progress;
		struct msg_result result;
		struct msg_return back;
	};
};

/* Makes the pair, both ends close-on-exec; fds[0] (the master's) non-blocking.  Returns 0, or -1 with errno. */
int channel_pair(int fds[2]);

/*
 * Sends msg with the length that its type has; fd_to_pass >= 0 goes along (MSG_LOG).  Returns 0, or -1 with errno:
 * EAGAIN if the other side does not read (the master then treats the worker as hung), EPIPE if it is gone.
 */
int channel_send(int fd, const struct msg *msg, int fd_to_pass);

/*
 * Receives one message without waiting: the header, and of the union the member that its type has, as a whole.  Returns 1
 * for a message, 0 for end of file, -1 with errno: EAGAIN if there is none, EBADMSG for a packet of unknown type or wrong
 * length (it is consumed).  A descriptor that came along is in *fd_passed, close-on-exec, else -1; one that came with any
 * other type than MSG_LOG is closed.
 */
int channel_recv(int fd, struct msg *msg, int *fd_passed);

const char *msg_type_name(int type);

#endif
