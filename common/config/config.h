/*
 * The configuration: one struct, read from one file by libConfuse, checked as a whole, and never
 * changed afterwards, but for the keys of stores, which are renewed: config_set_keys().  A reload
 * reads a new one and swaps pointers.
 *
 * One table of keys, table.c, gives parser, defaults, check and dump.  Unknown, wrong and
 * contradictory settings are refused with "file:line: what is wrong; what would be right".
 *
 * struct config_worker and struct config_store hold no pointers, since they are sent to workers.
 */
#ifndef COMMON_CONFIG_CONFIG_H
#define COMMON_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CONFIG_PATH_MAX 1024
#define CONFIG_NAME_MAX 64
#define CONFIG_HOST_MAX 256
#define CONFIG_SECRET_MAX 256
#define CONFIG_TOKEN_MAX 4096
#define CONFIG_COMMAND_MAX 16 /* words of a command */
#define CONFIG_WORD_MAX 256
#define CONFIG_STORES_MAX 32
#define CONFIG_QUEUES_MAX 32
#define CONFIG_ALLOW_MAX 32
#define CONFIG_RESOLVE_MAX 8
#define CONFIG_WORKERS_MAX 256
#define CONFIG_STREAMS_MAX 64

enum store_kind { STORE_S3, STORE_COS, STORE_FILE, STORE_HTTP };
enum store_addressing { ADDRESSING_PATH, ADDRESSING_VIRTUAL };
enum store_verify {
	VERIFY_AUTO,
	VERIFY_CRC64,
	VERIFY_CRC32C,
	VERIFY_MD5,
	VERIFY_SIZE,
	VERIFY_NONE
};
enum store_copy { COPY_AUTO, COPY_NEVER };
enum store_encryption {
	ENCRYPTION_NONE, /* none is asked for; the store may encrypt nevertheless */
	ENCRYPTION_AES256,
	ENCRYPTION_AWS_KMS,
	ENCRYPTION_AWS_KMS_DSSE,
	ENCRYPTION_COS_KMS
};
enum store_loss { LOSS_FAIL, LOSS_WARN };
enum memory_backend { MEMORY_AUTO, MEMORY_CGROUP2, MEMORY_CGROUP1, MEMORY_RLIMIT };

struct config_store {
	char name[CONFIG_NAME_MAX];
	enum store_kind kind; /* STORE_HTTP is built in, never configured */

	/* Of s3 and cos: the server. */
	char endpoint[CONFIG_HOST_MAX]; /* http[s]://host[:port], no path */
	char region[CONFIG_NAME_MAX];
	enum store_addressing addressing; /* s3: path by default; cos: always virtual */
	char ca_file[CONFIG_PATH_MAX];
	char resolve[CONFIG_RESOLVE_MAX][CONFIG_HOST_MAX * 2]; /* HOST:PORT:ADDRESS, for libcurl */
	int nresolve;

	/* Of s3 and cos: the keys.  Without them requests are not signed. */
	char access_key[CONFIG_SECRET_MAX];
	char secret_key[CONFIG_SECRET_MAX];
	char session_token[CONFIG_TOKEN_MAX]; /* of STS */
	int64_t keys_expire; /* seconds since 1970; 0: not stated */

	/* The origin of the keys. */
	char access_key_file[CONFIG_PATH_MAX];
	char secret_key_file[CONFIG_PATH_MAX];
	char secret_key_env[CONFIG_NAME_MAX];
	char session_token_file[CONFIG_PATH_MAX];
	char credentials_file[CONFIG_PATH_MAX];
	char credentials_profile[CONFIG_NAME_MAX]; /* empty: "default" */
	int ncredentials_command; /* words; 0: there is no command */
	char credentials_command[CONFIG_COMMAND_MAX][CONFIG_WORD_MAX];

	/* Of file. */
	char root[CONFIG_PATH_MAX]; /* absolute */
	int file_mode; /* of new files */
	int directory_mode; /* of new directories */

	/* How it is used. */
	enum store_verify verify;
	enum store_copy copy; /* within the store: by the store itself, or through a worker */
	enum store_encryption encryption; /* of new objects */
	char kms_key[CONFIG_HOST_MAX]; /* empty: the store's own */
	enum store_loss metadata_loss; /* what becomes of a task that cannot carry a header */
	bool keep_damaged; /* an object that differs from its source, of a task that has failed */
	int parts_max; /* of an upload; 0: as the store's documents say, or its refusals */
	int max_transfers; /* over all nodes; 0: no limit */
	int64_t rate; /* bytes a second over all nodes; 0: no limit */
};

/* What signs the requests to a store. */
struct store_keys {
	char access_key[CONFIG_SECRET_MAX]; /* empty: there are no keys */
	char secret_key[CONFIG_SECRET_MAX];
	char session_token[CONFIG_TOKEN_MAX]; /* empty: none goes along */
	int64_t expires; /* seconds since 1970; 0: not stated */
};

struct config_worker {
	/* Size. */
	int64_t memory; /* the cap, bytes */
	int streams; /* 0: as many as help, up to config_streams_most() */
	int64_t part_size; /* bytes, at least 5 MiB as S3 demands; 0: follows the object's size */

	/* Recycling. */
	int max_tasks; /* 0: no limit */
	int64_t max_age_ms; /* 0: no limit */
	int64_t database_max_age_ms; /* of a connection */
	int64_t database_idle_ms; /* without a statement, until a connection is closed */

	/* Bounds of a task.  0: none. */
	int64_t max_size; /* bytes of an object */
	int64_t max_duration_ms; /* of an attempt */
	int64_t min_rate; /* bytes a second, in each minute */

	/* Time-outs. */
	int64_t stall_timeout_ms; /* a transfer without a byte for so long fails, to be retried */
	int64_t answer_timeout_ms; /* of the destination, after the last byte */
	int64_t connect_timeout_ms;
	int64_t grace_ms; /* of a stop */

	/* The backoff of failed tasks. */
	int64_t retry_delay_ms; /* the first one; doubles */
	int64_t retry_delay_max_ms;

	/* The section http. */
	bool http_private; /* private, link-local and loopback addresses are allowed */
	int nallow;
	char allow[CONFIG_ALLOW_MAX][CONFIG_HOST_MAX]; /* hosts of sources; "*.example.com" too */

	char database[CONFIG_PATH_MAX];
};

struct config {
	/* The daemon. */
	char file[CONFIG_PATH_MAX];
	char user[CONFIG_NAME_MAX];
	char pidfile[CONFIG_PATH_MAX];
	char log[CONFIG_PATH_MAX]; /* absolute path, "stderr" or "syslog" */
	char log_level[16]; /* "info" or "debug" */

	/* The workers. */
	int workers;
	char worker_program[CONFIG_PATH_MAX]; /* empty: beside ferryd, else the installed one */
	int database_connections; /* of all workers together; 0: one of each */
	int64_t memory_total; /* bytes, of the master and all workers; 0: no limit */
	enum memory_backend memory_backend;
	char cgroup[CONFIG_PATH_MAX]; /* our cgroup's name, below the one that ferryd starts in */
	struct config_worker worker;

	/* The queue. */
	int nqueues;
	char queues[CONFIG_QUEUES_MAX][CONFIG_NAME_MAX];
	int64_t lease_ms;
	int64_t poll_ms; /* between two looks at the queue without a notification */
	int max_crashes; /* of workers, until their task fails */
	int max_ooms; /* likewise */

	/* Upkeep. */
	int64_t transaction_warning_ms; /* the age at which a transaction is reported */
	int64_t wait_notice_ms; /* likewise of tasks that wait */
	int64_t retention_ms; /* of tasks that have ended; 0: for ever */
	int64_t reap_interval_ms; /* between two reapings of abandoned uploads */

	/* The section metrics. */
	char metrics_listen[CONFIG_HOST_MAX]; /* ADDRESS:PORT; empty: no exporter runs */
	char metrics_token_file[CONFIG_PATH_MAX];
	char metrics_token[CONFIG_SECRET_MAX]; /* empty: none is asked for */

	/* The stores. */
	int nstores;
	struct config_store stores[CONFIG_STORES_MAX];
};

/*
 * The memory of a worker, in bytes.  config_load() compares it with worker.memory, and the worker's
 * buffers have these sizes.
 */
#define WORKER_BASE_MEMORY (12 << 20) /* code, libraries, TLS, XML, database handle */
#define WORKER_RING_SIZE (1 << 20) /* between a part's GET and its PUT */
#define WORKER_RECV_BUFFER (512 << 10) /* CURLOPT_BUFFERSIZE */
#define WORKER_SEND_BUFFER (512 << 10) /* CURLOPT_UPLOAD_BUFFERSIZE, with TLS */

/* The memory that a worker needs for so many streams. */
int64_t config_memory_needed(int streams);

/*
 * The first pipes have rings and receive buffers of twice the size if the cap holds them: on a fast
 * link little is in flight, and fewer, larger pieces cost less.
 */
#define WORKER_LARGE_PIPES 4
#define WORKER_LARGE_EXTRA (WORKER_RING_SIZE + WORKER_RECV_BUFFER)

/* The number of such large pipes. */
int config_large_pipes(const struct config_worker *worker);

/* The master's part of memory_total. */
#define MASTER_MEMORY (8 << 20)

/* The number of workers that memory_total holds, at most CONFIG_WORKERS_MAX. */
int config_workers_most(const struct config *conf);

/*
 * The largest number of streams of a worker: as configured, else as many as 7/8 of the cap hold, at
 * least one.
 */
int config_streams_most(const struct config_worker *worker);

/*
 * Reads and checks file, with the secrets that it names.  Returns a new configuration, or NULL with
 * the first error in why: "FILE:LINE: what is wrong; what would be right".  Does not log.
 */
struct config *config_load(const char *file, char *why, size_t why_size);

/* Wipes and frees.  NULL is fine. */
void config_free(struct config *conf);

/*
 * Writes the configuration in force in the syntax of the file, with masked secrets.  Reading the
 * output gives the same configuration.
 */
void config_dump(const struct config *conf, FILE *out);

/* The store of that name, or NULL. */
const struct config_store *config_find_store(const struct config *conf, const char *name);

/*
 * Puts keys in force for the store.  The bytes behind each text of keys must be zeros.  Returns
 * whether the store had others.
 */
bool config_set_keys(struct config_store *store, const struct store_keys *keys);

/* The keys in force. */
void config_get_keys(const struct config_store *store, struct store_keys *keys);

/* Whether the keys come from files or from a command, so that they can be renewed. */
bool config_renews_keys(const struct config_store *store);

/* Whether a command is to give the keys, and has given none yet. */
bool config_awaits_keys(const struct config_store *store);

/* The files that the keys come from. */
#define CONFIG_KEY_FILES 4
struct config_key_file {
	const char *key; /* of the configuration, as "secret_key_file" */
	const char *path;
};

/* Fills in the key files that the store has.  Returns how many. */
int config_key_files(
    const struct config_store *store, struct config_key_file files[CONFIG_KEY_FILES]);

/*
 * Reads the keys of a store anew from its files.  What does not come from a file stays as it is in
 * the store.  Returns 0, or -1 with "FILE: what is wrong; what would be right" in why, which never
 * holds a secret.
 */
int config_read_keys(
    const struct config_store *store, struct store_keys *keys, char *why, size_t why_size);

const char *store_kind_name(enum store_kind kind);
const char *store_verify_name(enum store_verify verify);
const char *store_encryption_name(enum store_encryption encryption); /* as headers have it */
const char *memory_backend_name(enum memory_backend backend); /* "cgroup v2" */

#endif
