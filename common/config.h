/*
 * The configuration: one struct, parsed by libConfuse from one file, checked as a whole, immutable afterwards.
 * A reload parses a new one beside the old and swaps pointers.
 *
 * One table of keys (in config.c) gives parser, defaults, check and dump.  Everything unknown, out of range or
 * contradictory is refused with "file:line: what is wrong; what would be right".
 *
 * struct config_worker and struct config_store hold no pointers: they are sent to a worker as they are.
 */
#ifndef COMMON_CONFIG_H
#define COMMON_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CONFIG_PATH_MAX 1024
#define CONFIG_NAME_MAX 64
#define CONFIG_HOST_MAX 256
#define CONFIG_SECRET_MAX 256
#define CONFIG_TOKEN_MAX 4096
#define CONFIG_STORES_MAX 32
#define CONFIG_QUEUES_MAX 32
#define CONFIG_ALLOW_MAX 32
#define CONFIG_RESOLVE_MAX 8
#define CONFIG_WORKERS_MAX 256
#define CONFIG_STREAMS_MAX 64

enum store_kind { STORE_S3, STORE_COS, STORE_FILE, STORE_HTTP };
enum store_addressing { ADDRESSING_PATH, ADDRESSING_VIRTUAL };
enum store_verify { VERIFY_AUTO, VERIFY_CRC64, VERIFY_CRC32C, VERIFY_MD5, VERIFY_SIZE, VERIFY_NONE };
enum store_copy { COPY_AUTO, COPY_NEVER };
enum memory_backend { MEMORY_AUTO, MEMORY_CGROUP2, MEMORY_CGROUP1, MEMORY_RLIMIT };

struct config_store {
	char name[CONFIG_NAME_MAX];
	enum store_kind kind; /* STORE_HTTP only for the built-in "http" and "https", never from a file */
	enum store_addressing addressing; /* s3: path by default; cos: always virtual */
	enum store_verify verify;
	enum store_copy copy; /* from the store to itself: by the store, or through us */
	char endpoint[CONFIG_HOST_MAX]; /* http[s]://host[:port], no path */
	char region[CONFIG_NAME_MAX];
	char access_key[CONFIG_SECRET_MAX]; /* empty with an empty secret: requests go unsigned */
	char secret_key[CONFIG_SECRET_MAX]; /* read from secret_key_file, or from the environment by secret_key_env */
	char session_token[CONFIG_TOKEN_MAX]; /* STS, from session_token_file; empty if none */
	char secret_key_file[CONFIG_PATH_MAX]; /* where the above came from, for config_dump() */
	char secret_key_env[CONFIG_NAME_MAX];
	char access_key_file[CONFIG_PATH_MAX];
	char session_token_file[CONFIG_PATH_MAX];
	char root[CONFIG_PATH_MAX]; /* file: absolute */
	char ca_file[CONFIG_PATH_MAX];
	char resolve[CONFIG_RESOLVE_MAX][CONFIG_HOST_MAX * 2]; /* HOST:PORT:ADDRESS, as CURLOPT_RESOLVE */
	int nresolve;
	int max_transfers; /* 0: no limit */
	int64_t rate;	   /* bytes a second over all nodes; 0: no limit */
};

struct config_worker {
	int64_t memory; /* the cap, bytes */
	int streams; /* 0: as many as help, up to config_streams_most() */
	int64_t part_size; /* bytes, at least 5 MiB (the S3 minimum for all parts but the last); 0: follows the object's size */
	int max_tasks;	   /* 0: no recycling */
	int64_t max_age_ms; /* 0: no recycling */
	int64_t database_max_age_ms;
	int64_t stall_timeout_ms; /* a transfer that moves no byte for so long is a transient failure */
	int64_t connect_timeout_ms;
	int64_t retry_delay_ms;	    /* first backoff of a failed task; doubles */
	int64_t retry_delay_max_ms; /* its cap */
	int64_t grace_ms;
	bool http_private; /* http { private = true }: private, link-local and loopback addresses are allowed */
	int nallow;
	char allow[CONFIG_ALLOW_MAX][CONFIG_HOST_MAX]; /* hosts that http(s) sources may name; "*.example.com" too */
	char database[CONFIG_PATH_MAX];
};

struct config {
	char file[CONFIG_PATH_MAX];
	char user[CONFIG_NAME_MAX];
	char pidfile[CONFIG_PATH_MAX];
	char log[CONFIG_PATH_MAX]; /* absolute path, "stderr" or "syslog" */
	char log_level[16];	   /* "info" or "debug" */
	int workers;
	int64_t memory_total; /* of all workers and the master, bytes; 0: no limit */
	int nqueues;
	char queues[CONFIG_QUEUES_MAX][CONFIG_NAME_MAX];
	int64_t lease_ms;
	int64_t poll_ms; /* fallback poll of the queue */
	int64_t transaction_warning_ms; /* a transaction that is open for so long is named */
	int64_t retention_ms; /* of tasks that have ended; 0: for ever */
	int64_t reap_interval_ms; /* from one look for abandoned uploads to the next */
	int max_crashes; /* worker deaths that a task may cause before it fails */
	int max_ooms;
	enum memory_backend memory_backend;
	char cgroup[CONFIG_PATH_MAX]; /* name of our cgroup below the one that we start in; "ferryd" */
	char worker_program[CONFIG_PATH_MAX]; /* empty: ferry-worker beside ferryd, else the installed one */
	struct config_worker worker;
	int nstores;
	struct config_store stores[CONFIG_STORES_MAX];
};

/*
 * Memory that a worker needs for so many streams, in bytes: what config_load() holds against worker.memory.
 * Kept here so that parser and engine cannot differ; the engine's buffers are these constants.
 */
#define WORKER_BASE_MEMORY (12 << 20)	/* code, libraries, TLS, XML, database handle */
#define WORKER_RING_SIZE (1 << 20)	/* between a part's GET and its PUT */
#define WORKER_RECV_BUFFER (512 << 10)	/* CURLOPT_BUFFERSIZE */
#define WORKER_SEND_BUFFER (512 << 10)	/* CURLOPT_UPLOAD_BUFFERSIZE, where TLS is spoken */
int64_t config_memory_needed(int streams);

/*
 * The first few pipes have a ring and a receive buffer of twice that size, if the cap holds them besides: fewer, larger pieces cost less
 * where little is in flight, as on a fast link.
 */
#define WORKER_LARGE_PIPES 4
#define WORKER_LARGE_EXTRA (WORKER_RING_SIZE + WORKER_RECV_BUFFER)
int config_large_pipes(const struct config_worker *worker);

/* What the master itself counts for in memory_total. */
#define MASTER_MEMORY (8 << 20)

/* Workers that memory_total holds, CONFIG_WORKERS_MAX at most. */
int config_workers_most(const struct config *conf);

/* Streams that a worker may come to have: those configured, or those that seven eighths of the cap hold, one at least. */
int config_streams_most(const struct config_worker *worker);

/*
 * Parses and checks file.  Returns a new configuration, to be freed with config_free(), or NULL with the first
 * error in why: "FILE:LINE: …; …".  Reads the secrets.  Never exits, logs nothing.
 */
struct config *config_load(const char *file, char *why, size_t why_size);

/* Frees and wipes the secrets.  NULL is fine. */
void config_free(struct config *conf);

/* Writes the effective configuration in the configuration's own syntax, secrets masked; parses again to the same. */
void config_dump(const struct config *conf, FILE *out);

/* The store of that name, or NULL. */
const struct config_store *config_find_store(const struct config *conf, const char *name);

const char *store_kind_name(enum store_kind kind);
const char *store_verify_name(enum store_verify verify);
const char *memory_backend_name(enum memory_backend backend); /* "cgroup v2", "cgroup v1", "rlimit", "auto" */

#endif
