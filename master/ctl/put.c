/*
 * ferryctl put: one INSERT.  Columns that no option names are left to the schema's defaults.
 */
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/uri.h"
#include "master/ctl/ctl.h"

#define COLUMNS_MAX 16

struct put {
	const char *columns[COLUMNS_MAX]; /* names, from this file only */
	const char *values[COLUMNS_MAX];
	int ncolumns;
	const char *metadata[64]; /* NAME=VALUE */
	int nmetadata;
	const char *dedup_key;
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
	OPT_ATTEMPTS
};

static const struct option options[] = {
    {"wait", no_argument, NULL, 'w'},
    {"queue", required_argument, NULL, 'q'},
    {"priority", required_argument, NULL, 'p'},
    {"if-exists", required_argument, NULL, OPT_IF_EXISTS},
    {"dedup", required_argument, NULL, OPT_DEDUP},
    {"expect-size", required_argument, NULL, OPT_SIZE},
    {"expect-crc64", required_argument, NULL, OPT_CRC64},
    {"content-type", required_argument, NULL, OPT_TYPE},
    {"storage-class", required_argument, NULL, OPT_CLASS},
    {"meta", required_argument, NULL, OPT_META},
    {"max-attempts", required_argument, NULL, OPT_ATTEMPTS},
    {NULL, 0, NULL, 0},
};

const char ctl_put_options[] =
    "  -w, --wait                       follow the task until it is finished\n"
    "  -q, --queue NAME                 by default \"default\"\n"
    "  -p, --priority NUMBER            a higher one goes first; by default 0\n"
    "  --if-exists overwrite|skip|fail  what if the destination is there; by default overwrite\n"
    "  --dedup KEY                      refuse if an unfinished task has it\n"
    "  --expect-size BYTES              how large the source must be\n"
    "  --expect-crc64 NUMBER            what its CRC64 must be, in unsigned decimal\n"
    "  --content-type TYPE              what the new object gets instead of the source's\n"
    "  --storage-class CLASS            by default the destination's own\n"
    "  --meta NAME=VALUE                user metadata; may be repeated\n"
    "  --max-attempts NUMBER            how often a transfer may fail before the task does\n";

/* A later option of the same name takes the place of the earlier one. */
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
add_metadata(struct put *put, const char *pair)
{
	const char *equals = strchr(pair, '=');

	if (equals == NULL || equals == pair) {
		warnx("metadata \"%s\" is not of the form NAME=VALUE", pair);
		return -1;
	}
	if (put->nmetadata == (int)(sizeof(put->metadata) / sizeof(put->metadata[0]))) {
		warnx("more than %d pairs of metadata", put->nmetadata);
		return -1;
	}
	put->metadata[put->nmetadata++] = pair;
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
		return add_metadata(put, optarg);
	case OPT_ATTEMPTS:
		return set_number(put, "max_attempts", optarg, 1, 1000);
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
		warnx("destination: a URL can only be a source; a destination looks like "
		      "STORE://bucket/key");
		return -1;
	}
	return 0;
}

/* The pairs as one JSON object, made by the server.  *json is NULL if there are none; else to be
 * freed.  0 or -1. */
static int
build_metadata(struct ctl *ctl, const struct put *put, char **json)
{
	const char *params[3];
	PGresult *res;
	char *name;
	int i;

	*json = NULL;
	for (i = 0; i < put->nmetadata; i++) {
		name = strndup(put->metadata[i], strcspn(put->metadata[i], "="));
		params[0] = *json != NULL ? *json : "{}";
		params[1] = name;
		params[2] = strchr(put->metadata[i], '=') + 1;
		res = name == NULL
			  ? NULL
			  : ctl_query(ctl,
				"SELECT $1::jsonb || jsonb_build_object($2::text, $3::text)", 3,
				params);
		free(name);
		free(*json);
		*json = res != NULL ? strdup(PQgetvalue(res, 0, 0)) : NULL;
		PQclear(res);
		if (*json == NULL)
			return -1;
	}
	return 0;
}

/* Says which task already has the dedup key. */
static void
explain_dedup(struct ctl *ctl, const struct put *put)
{
	PGresult *res = ctl_query(ctl,
	    "SELECT id, state FROM ferry.task WHERE dedup_key = $1 AND state IN ('queued', "
	    "'running')",
	    1, &put->dedup_key);
	char key[1024];

	if (res != NULL && PQntuples(res) == 1)
		warnx("task %s has the dedup key \"%s\" and is still %s", PQgetvalue(res, 0, 0),
		    ctl_clean(key, sizeof(key), put->dedup_key, CTL_WHOLE), PQgetvalue(res, 0, 1));
	PQclear(res);
}

static int
insert(struct ctl *ctl, const struct put *put, char *id, size_t size)
{
	char sql[1024] = "INSERT INTO ferry.task (", parameter[16];
	const char *state;
	PGresult *res;
	int i, ret = -1;

	for (i = 0; i < put->ncolumns; i++) {
		strlcat(sql, i > 0 ? ", " : "", sizeof(sql));
		strlcat(sql, put->columns[i], sizeof(sql));
	}
	strlcat(sql, ") VALUES (", sizeof(sql));
	for (i = 0; i < put->ncolumns; i++) {
		snprintf(parameter, sizeof(parameter), "%s$%d", i > 0 ? ", " : "", i + 1);
		strlcat(sql, parameter, sizeof(sql));
	}
	strlcat(sql, ") RETURNING id", sizeof(sql));
	res = PQexecParams(ctl->conn, sql, put->ncolumns, NULL, put->values, NULL, NULL, 0);
	if (PQresultStatus(res) == PGRES_TUPLES_OK) {
		strlcpy(id, PQgetvalue(res, 0, 0), size);
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
	struct put put = {0};
	char id[32], *json;
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
	if (build_metadata(ctl, &put, &json) == -1)
		return ctl_exit_code(ctl);
	if (json != NULL)
		set_column(&put, "metadata", json);
	code = insert(ctl, &put, id, sizeof(id));
	free(json);
	if (code == -1)
		return ctl_exit_code(ctl);
	printf("%s\n", id);
	fflush(stdout);
	return put.wait ? ctl_wait(ctl, id) : 0;
}
