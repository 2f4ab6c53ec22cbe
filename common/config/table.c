/*
 * The table of keys, with defaults and bounds.  Parser, check and dump follow it.
 */
#include "common/config/private.h"

const char *const config_section_names[SECTIONS] = { "root", "worker", "http", "metrics", "store" };

static const char *const level_words[] = { "info", "debug", NULL };
static const char *const backend_words[] = { "auto", "cgroup2", "cgroup1", "rlimit", NULL };
static const char *const kind_words[] = { "s3", "cos", "file", NULL };
static const char *const addressing_words[] = { "path", "virtual", NULL };
static const char *const verify_words[] = { "auto", "crc64", "crc32c", "md5", "size", "none",
	NULL };
static const char *const auto_words[] = { "auto", NULL };
static const char *const none_words[] = { "none", NULL };
static const char *const copy_words[] = { "auto", "never", NULL };
static const char *const encryption_words[] = { "none", "AES256", "aws:kms", "aws:kms:dsse",
	"cos/kms", NULL };
static const char *const loss_words[] = { "fail", "warn", NULL };
static const char *const secret_key_words[] = {
	"is refused, since configurations are read by many; use secret_key_file or secret_key_env",
	NULL
};

#define MIB ((int64_t)1 << 20)
#define GIB ((int64_t)1 << 30)
#define SECOND ((int64_t)1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

#define IN(s, f) .offset = offsetof(s, f), .size = sizeof(((s *)NULL)->f)
#define LIST_IN(s, f, n, most)                                                          \
	.type = TYPE_LIST, .offset = offsetof(s, f), .size = sizeof(((s *)NULL)->f[0]), \
	.count_offset = offsetof(s, n), .max = (most)
#define TOP(key) .section = SECTION_TOP, .name = (key)
#define WORKER(key) .section = SECTION_WORKER, .name = (key)
#define HTTP(key) .section = SECTION_HTTP, .name = (key)
#define METRICS(key) .section = SECTION_METRICS, .name = (key)
#define STORE(key, k) .section = SECTION_STORE, .name = (key), .kinds = (k)
#define TEXT(s, f) .type = TYPE_TEXT, IN(s, f)
#define NUMBER(t, s, f, lo, hi) .type = (t), IN(s, f), .min = (lo), .max = (hi)
#define C struct config
#define S struct config_store

const struct config_key config_keys[] = {
	{ TOP("database"), TEXT(C, worker.database), .check = config_text_conninfo },
	{ TOP("user"), TEXT(C, user), .initial = "ferry", .check = config_text_name },
	{ TOP("pidfile"), TEXT(C, pidfile), .initial = "/run/ferryd/ferryd.pid",
	    .check = config_text_absolute },
	{ TOP("log"), TEXT(C, log), .initial = "/var/log/ferryd/ferryd.log",
	    .check = config_text_log },
	{ TOP("log_level"), TEXT(C, log_level), .initial = "info", .words = level_words },
	{ TOP("workers"), NUMBER(TYPE_INT, C, workers, 1, CONFIG_WORKERS_MAX), .initial = "4" },
	{ TOP("memory_total"), NUMBER(TYPE_SIZE, C, memory_total, MIB, 1024 * GIB),
	    .initial = "none", .words = none_words },
	{ TOP("queues"), LIST_IN(C, queues, nqueues, CONFIG_QUEUES_MAX), .initial = "default" },
	{ TOP("lease"), NUMBER(TYPE_DURATION, C, lease_ms, 2 * SECOND, HOUR), .initial = "30s" },
	{ TOP("grace"), NUMBER(TYPE_DURATION, C, worker.grace_ms, 0, HOUR), .initial = "20s" },
	{ TOP("poll"), NUMBER(TYPE_DURATION, C, poll_ms, 100, HOUR), .initial = "5s" },
	{ TOP("reap_interval"), NUMBER(TYPE_DURATION, C, reap_interval_ms, SECOND, 30 * DAY),
	    .initial = "1h" },
	{ TOP("retention"), NUMBER(TYPE_DURATION, C, retention_ms, 0, 3650 * DAY) },
	{ TOP("transaction_warning"), NUMBER(TYPE_DURATION, C, transaction_warning_ms, SECOND, DAY),
	    .initial = "30s" },
	{ TOP("wait_notice"), NUMBER(TYPE_DURATION, C, wait_notice_ms, SECOND, DAY),
	    .initial = "30s" },
	{ TOP("max_crashes"), NUMBER(TYPE_INT, C, max_crashes, 1, 1000), .initial = "3" },
	{ TOP("max_ooms"), NUMBER(TYPE_INT, C, max_ooms, 1, 1000), .initial = "2" },
	{ TOP("memory_backend"), .type = TYPE_WORD, IN(C, memory_backend), .words = backend_words },
	{ TOP("cgroup"), TEXT(C, cgroup), .initial = "ferryd", .check = config_text_relative },
	{ TOP("worker_program"), TEXT(C, worker_program), .check = config_text_absolute,
	    .may_be_empty = true },
	{ TOP("database_max_age"),
	    NUMBER(TYPE_DURATION, C, worker.database_max_age_ms, SECOND, 30 * DAY),
	    .initial = "1h" },
	{ TOP("database_idle"), NUMBER(TYPE_DURATION, C, worker.database_idle_ms, 100, 30 * DAY),
	    .initial = "30s" },
	{ TOP("database_connections"),
	    NUMBER(TYPE_INT, C, database_connections, 0, CONFIG_WORKERS_MAX), .initial = "0" },
	{ TOP("retry_delay"), NUMBER(TYPE_DURATION, C, worker.retry_delay_ms, 10, DAY),
	    .initial = "1s" },
	{ TOP("retry_delay_max"), NUMBER(TYPE_DURATION, C, worker.retry_delay_max_ms, 10, 30 * DAY),
	    .initial = "15m" },

	{ WORKER("memory"), NUMBER(TYPE_SIZE, C, worker.memory, MIB, 1024 * GIB),
	    .initial = "64M" },
	{ WORKER("streams"), NUMBER(TYPE_INT, C, worker.streams, 1, CONFIG_STREAMS_MAX),
	    .initial = "auto", .words = auto_words },
	{ WORKER("part_size"), NUMBER(TYPE_SIZE, C, worker.part_size, 5 * MIB, 5 * GIB),
	    .initial = "auto", .words = auto_words },
	{ WORKER("max_tasks"), NUMBER(TYPE_INT, C, worker.max_tasks, 0, 1000000000) },
	{ WORKER("max_age"), NUMBER(TYPE_DURATION, C, worker.max_age_ms, 0, 365 * DAY) },
	{ WORKER("max_size"), NUMBER(TYPE_SIZE, C, worker.max_size, 1, 1024 * 1024 * GIB),
	    .initial = "none", .words = none_words },
	{ WORKER("max_duration"),
	    NUMBER(TYPE_DURATION, C, worker.max_duration_ms, SECOND, 365 * DAY), .initial = "none",
	    .words = none_words },
	{ WORKER("min_rate"), NUMBER(TYPE_SIZE, C, worker.min_rate, 1, 1024 * GIB),
	    .initial = "none", .words = none_words },
	{ WORKER("stall_timeout"), NUMBER(TYPE_DURATION, C, worker.stall_timeout_ms, SECOND, HOUR),
	    .initial = "60s" },
	{ WORKER("answer_timeout"), NUMBER(TYPE_DURATION, C, worker.answer_timeout_ms, SECOND, DAY),
	    .initial = "5m" },
	{ WORKER("connect_timeout"), NUMBER(TYPE_DURATION, C, worker.connect_timeout_ms, 100, HOUR),
	    .initial = "10s" },

	{ HTTP("allow"), LIST_IN(C, worker.allow, worker.nallow, CONFIG_ALLOW_MAX),
	    .check = config_text_host_pattern },
	{ HTTP("private"), .type = TYPE_BOOL, IN(C, worker.http_private) },

	{ METRICS("listen"), TEXT(C, metrics_listen), .check = config_text_listen },
	{ METRICS("token_file"), TEXT(C, metrics_token_file), .check = config_text_absolute },

	{ STORE("kind", FOR_ALL), .type = TYPE_WORD, IN(S, kind), .words = kind_words },
	{ STORE("endpoint", FOR_OBJECTS), TEXT(S, endpoint), .check = config_text_endpoint },
	{ STORE("region", FOR_OBJECTS), TEXT(S, region), .check = config_text_name },
	{ STORE("addressing", FOR_OBJECTS), .type = TYPE_WORD, IN(S, addressing),
	    .words = addressing_words },
	{ STORE("access_key", FOR_OBJECTS), TEXT(S, access_key) },
	{ STORE("access_key_file", FOR_OBJECTS), TEXT(S, access_key_file),
	    .check = config_text_absolute },
	{ STORE("secret_key", FOR_OBJECTS), .type = TYPE_REFUSED, .words = secret_key_words },
	{ STORE("secret_key_file", FOR_OBJECTS), TEXT(S, secret_key_file),
	    .check = config_text_absolute },
	{ STORE("secret_key_env", FOR_OBJECTS), TEXT(S, secret_key_env),
	    .check = config_text_variable },
	{ STORE("session_token_file", FOR_OBJECTS), TEXT(S, session_token_file),
	    .check = config_text_absolute },
	{ STORE("credentials_file", FOR_OBJECTS), TEXT(S, credentials_file),
	    .check = config_text_absolute },
	{ STORE("credentials_profile", FOR_OBJECTS), TEXT(S, credentials_profile),
	    .check = config_text_profile },
	{ STORE("credentials_command", FOR_OBJECTS),
	    LIST_IN(S, credentials_command, ncredentials_command, CONFIG_COMMAND_MAX),
	    .may_repeat = true },
	{ STORE("ca_file", FOR_OBJECTS), TEXT(S, ca_file), .check = config_text_absolute },
	{ STORE("resolve", FOR_OBJECTS), LIST_IN(S, resolve, nresolve, CONFIG_RESOLVE_MAX),
	    .check = config_text_resolve },
	{ STORE("root", FOR_FILE), TEXT(S, root), .check = config_text_absolute },
	{ STORE("file_mode", FOR_FILE), NUMBER(TYPE_MODE, S, file_mode, 0600, 0777),
	    .initial = "0644" },
	{ STORE("directory_mode", FOR_FILE), NUMBER(TYPE_MODE, S, directory_mode, 0700, 0777),
	    .initial = "0755" },
	{ STORE("verify", FOR_ALL), .type = TYPE_WORD, IN(S, verify), .words = verify_words },
	{ STORE("copy", FOR_OBJECTS), .type = TYPE_WORD, IN(S, copy), .words = copy_words },
	{ STORE("encryption", FOR_OBJECTS), .type = TYPE_WORD, IN(S, encryption),
	    .words = encryption_words },
	{ STORE("kms_key", FOR_OBJECTS), TEXT(S, kms_key), .check = config_text_kms_key },
	{ STORE("metadata_loss", FOR_OBJECTS), .type = TYPE_WORD, IN(S, metadata_loss),
	    .words = loss_words },
	{ STORE("keep_damaged", FOR_OBJECTS), .type = TYPE_BOOL, IN(S, keep_damaged) },
	{ STORE("parts_max", FOR_OBJECTS), NUMBER(TYPE_INT, S, parts_max, 1, 10000),
	    .initial = "auto", .words = auto_words },
	{ STORE("max_transfers", FOR_ALL), NUMBER(TYPE_INT, S, max_transfers, 0, 100000) },
	{ STORE("rate", FOR_ALL), NUMBER(TYPE_SIZE, S, rate, 0, 1024 * GIB) },
};
_Static_assert(
    sizeof(config_keys) / sizeof(config_keys[0]) == CONFIG_KEYS, "CONFIG_KEYS counts the table");
