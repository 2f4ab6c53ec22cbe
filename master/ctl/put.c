/*
 * ferryctl put: inserts a task.  Columns without an option keep the schema's defaults.
 */
#include "master/ctl/ctl.h"

#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"
#include "common/base/uri.h"

#define COLUMNS_MAX 20

/* What becomes a JSON object of strings. */
struct pairs {
	const char *column; /* that takes the object */
	const char *texts[64]; /* NAME=VALUE */
	int n;
};

struct put {
	/* The row. */
	const char *columns[COLUMNS_MAX]; /* names, all from this file */
	const char *values[COLUMNS_MAX];
	int ncolumns;
	struct pairs metadata;
	struct pairs tags;

	const char *dedup_key; /* or NULL */
	bool wait;
};

enum {
	OPT_IF_EXISTS = 256,
	OPT_DEDUP,
	OPT_SIZE,
	OPT_CRC64,
	OPT_TYPE,
	OPT_CLASS,
	OPT_META,
	OPT_ATTEMPTS,
	OPT_TAG,
	OPT_NOTIFY
};

static const struct option options[] = {
	{ "wait", no_argument, NULL, 'w' },
	{ "queue", required_argument, NULL, 'q' },
	{ "priority", required_argument, NULL, 'p' },
	{ "if-exists", required_argument, NULL, OPT_IF_EXISTS },
	{ "dedup", required_argument, NULL, OPT_DEDUP },
	{ "expect-size", required_argument, NULL, OPT_SIZE },
	{ "expect-crc64", required_argument, NULL, OPT_CRC64 },
	{ "content-type", required_argument, NULL, OPT_TYPE },
	{ "storage-class", required_argument, NULL, OPT_CLASS },
	{ "meta", required_argument, NULL, OPT_META },
	{ "max-attempts", required_argument, NULL, OPT_ATTEMPTS },
	{ "tag", required_argument, NULL, OPT_TAG },
	{ "notify", required_argument, NULL, OPT_NOTIFY },
	{ NULL, 0, NULL, 0 },
};

const char ctl_put_options[] =
    "  -w, --wait                       follow the task until it is finished\n"
    "  -q, --queue NAME                 the queue; by default \"default\"\n"
    "  -p, --priority NUMBER            a higher priority goes first; by default 0\n"
    "  --if-exists overwrite|skip|fail  if the destination exists; by default overwrite\n"
    "  --dedup KEY                      refuse if an unfinished task has this key\n"
    "  --expect-size BYTES              the size that the source must have\n"
    "  --expect-crc64 NUMBER            the CRC64 that it must have, in unsigned decimal\n"
    "  --content-type TYPE              of the new object; by default the source's\n"
    "  --storage-class CLASS            of the new object; by default the store's\n"
    "  --meta NAME=VALUE                user metadata; may be repeated\n"
    "  --max-attempts NUMBER            failed transfers after which the task fails\n"
    "  --tag NAME=VALUE                 to find the task by; may be repeated\n"
    "  --notify CHANNEL                 the channel that is told of the task's end\n";

/* Sets a column, in place of an earlier value. */
static void
set_column(struct put *put, const char *name, const char *value)
{
	int i;

	for (i = 0; i < put->ncolumns; i++)
		if (strcmp(put->columns[i], name) == 0)
			break;
	put->columns[i] = name;
	put->values[i] = value;
	if (i == put->ncolumns)
		put->ncolumns++;
}

/* Returns 0, or -1 after a message. */
static int
set_number(struct put *put, const char *name, const char *value, long long min, long long max)
{
	const char *errstr;

	strtonum(value, min, max, &errstr);
	if (errstr != NULL) {
		warnx("%s \"%s\" is %s; a whole number from %lld to %lld is right", name, value,
		    errstr, min, max);
		return -1;
	}
	set_column(put, name, value);
	return 0;
}

static int
set_crc64(struct put *put, const char *value)
{
	char *end;

	errno = 0;
	strtoull(value, &end, 10);
	if (value[0] < '0' || value[0] > '9' || *end != '\0' || errno != 0) {
		warnx("expect_crc64 \"%s\" is not a CRC64 in unsigned decimal, such as "
		      "11051210869376104954",
		    value);
		return -1;
	}
	set_column(put, "expect_crc64", value);
	return 0;
}

static int
set_if_exists(struct put *put, const char *value)
{
	if (strcmp(value, "overwrite") != 0 && strcmp(value, "skip") != 0 &&
	    strcmp(value, "fail") != 0) {
		warnx("if_exists \"%s\" is unknown; overwrite, skip or fail is right", value);
		return -1;
	}
	set_column(put, "if_exists", value);
	return 0;
}

static int
add_pair(struct pairs *pairs, const char *text)
{
	const char *equals = strchr(text, '=');

	if (equals == NULL || equals == text) {
		warnx("%s \"%s\" is not of the form NAME=VALUE", pairs->column, text);
		return -1;
	}
	if (pairs->n == (int)(sizeof(pairs->texts) / sizeof(pairs->texts[0]))) {
		warnx("more than %d pairs of %s", pairs->n, pairs->column);
		return -1;
	}
	pairs->texts[pairs->n++] = text;
	return 0;
}

static int
take_option(struct put *put, int c)
{
	switch (c) {
	case 'w':
		put->wait = true;
		return 0;
	case 'q':
		set_column(put, "queue", optarg);
		return 0;
	case 'p':
		return set_number(put, "priority", optarg, INT32_MIN, INT32_MAX);
	case OPT_IF_EXISTS:
		return set_if_exists(put, optarg);
	case OPT_DEDUP:
		put->dedup_key = optarg;
		set_column(put, "dedup_key", optarg);
		return 0;
	case OPT_SIZE:
		return set_number(put, "expect_size", optarg, 0, INT64_MAX);
	case OPT_CRC64:
		return set_crc64(put, optarg);
	case OPT_TYPE:
		set_column(put, "content_type", optarg);
		return 0;
	case OPT_CLASS:
		set_column(put, "storage_class", optarg);
		return 0;
	case OPT_META:
		return add_pair(&put->metadata, optarg);
	case OPT_ATTEMPTS:
		return set_number(put, "max_attempts", optarg, 1, 1000);
	case OPT_TAG:
		return add_pair(&put->tags, optarg);
	case OPT_NOTIFY:
		set_column(put, "notify", optarg);
		return 0;
	default:
		return -1;
	}
}

static int
check_uris(const char *source, const char *destination)
{
	struct uri uri;
	char why[256];

	if (uri_parse(&uri, source, why, sizeof(why)) == -1) {
		warnx("source: %s", why);
		return -1;
	}
	if (uri_parse(&uri, destination, why, sizeof(why)) == -1) {
		warnx("destination: %s", why);
		return -1;
	}
	if (uri.is_url) {
		warnx("destination: a URL can only be a source; write STORE://bucket/key");
		return -1;
	}
	return 0;
}

/* Makes a JSON object of the pairs, with the server's help.  *json is a heap string, NULL without
 * pairs.  Returns 0 or -1. */
static int
build_object(struct ctl *ctl, const struct pairs *pairs, char **json)
{
	enum { OBJECT };
	PGresult *res;
	int i;

	*json = NULL;
	for (i = 0; i < pairs->n; i++) {
		char *name = memory_strdup(pairs->texts[i]), *equals = strchr(name, '=');
		const char *params[] = { *json != NULL ? *json : "{}", name, equals + 1 };

		*equals = '\0';
		res = ctl_query(
		    ctl, "SELECT $1::jsonb || jsonb_build_object($2::text, $3::text)", 3, params);
		free(name);
		free(*json);
		*json = res != NULL ? memory_strdup(PQgetvalue(res, 0, OBJECT)) : NULL;
		PQclear(res);
		if (*json == NULL)
			return -1;
	}
	return 0;
}

/* Sets the column of the pairs, if there are any, to *json.  Returns 0 or -1. */
static int
set_object(struct ctl *ctl, struct put *put, const struct pairs *pairs, char **json)
{
	if (build_object(ctl, pairs, json) == -1)
		return -1;
	if (*json != NULL)
		set_column(put, pairs->column, *json);
	return 0;
}

/* Names the task that has the dedup key. */
static void
explain_dedup(struct ctl *ctl, const struct put *put)
{
	PGresult *res = ctl_query(ctl,
	    "SELECT id, state"
	    "  FROM ferry.task"
	    " WHERE dedup_key = $1"
	    "   AND created_by = current_user"
	    "   AND state IN ('queued', 'running')",
	    1, &put->dedup_key);
	enum { ID, STATE };
	char key[1024];

	if (res != NULL && PQntuples(res) == 1)
		warnx("task %s has the dedup key \"%s\" and is still %s", PQgetvalue(res, 0, ID),
		    ctl_clean(key, sizeof(key), put->dedup_key, CTL_WHOLE),
		    PQgetvalue(res, 0, STATE));
	PQclear(res);
}

/* Writes the statement.  Its names of columns come from this file. */
static void
write_insert(char *sql, size_t size, const struct put *put)
{
	char parameter[16];
	int i;

	strlcpy(sql, "INSERT INTO ferry.task (", size);
	for (i = 0; i < put->ncolumns; i++) {
		strlcat(sql, i > 0 ? ", " : "", size);
		strlcat(sql, put->columns[i], size);
	}
	strlcat(sql, ") VALUES (", size);
	for (i = 0; i < put->ncolumns; i++) {
		snprintf(parameter, sizeof(parameter), "%s$%d", i > 0 ? ", " : "", i + 1);
		strlcat(sql, parameter, size);
	}
	strlcat(sql, ") RETURNING id", size);
}

/*
 * life of a row: new -> queued
 *
 * Returns 0 with the id, or -1 after a message.
 */
static int
insert(struct ctl *ctl, const struct put *put, char *id, size_t size)
{
	enum { ID };
	char sql[1024];
	const char *state;
	PGresult *res;
	int ret = -1;

	write_insert(sql, sizeof(sql), put);
	res = PQexecParams(ctl->conn, sql, put->ncolumns, NULL, put->values, NULL, NULL, 0);
	if (PQresultStatus(res) == PGRES_TUPLES_OK) {
		strlcpy(id, PQgetvalue(res, 0, ID), size);
		ret = 0;
	} else {
		ctl_complain(res, "no task was made");
		state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
		if (put->dedup_key != NULL && state != NULL && strcmp(state, "23505") == 0)
			explain_dedup(ctl, put);
	}
	PQclear(res);
	return ret;
}

int
ctl_put(struct ctl *ctl, int argc, char **argv)
{
	struct put put = { .metadata.column = "metadata", .tags.column = "tags" };
	char id[32], *metadata = NULL, *tags = NULL;
	int c, code;

	while ((c = getopt_long(argc, argv, "wq:p:", options, NULL)) != -1)
		if (take_option(&put, c) == -1)
			return CTL_USAGE;
	if (argc - optind != 2 || check_uris(argv[optind], argv[optind + 1]) == -1)
		return CTL_USAGE;
	set_column(&put, "source", argv[optind]);
	set_column(&put, "destination", argv[optind + 1]);
	if ((code = ctl_connect(ctl)) != 0)
		return code;
	if (set_object(ctl, &put, &put.metadata, &metadata) == -1 ||
	    set_object(ctl, &put, &put.tags, &tags) == -1)
		code = -1;
	else
		code = insert(ctl, &put, id, sizeof(id));
	free(metadata);
	free(tags);
	if (code == -1)
		return ctl_exit_code(ctl);
	printf("%s\n", id);
	fflush(stdout);
	return put.wait ? ctl_wait(ctl, id) : 0;
}
