/*
 * The stores, by requests that a worker makes: ferryctl has no client for them.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/uri.h"
#include "common/channel.h"
#include "master/ctl/doctor.h"

#define LEASE_MS 3600000 /* longer than any probe lasts: nothing contends for what it makes */
#define KEY_ABSENT ".ferryd-doctor/absent"
#define LINE_FIELDS 4

/* The newest tasks name the buckets that are in use. */
static const char sql_buckets[] =
    "WITH newest AS (SELECT id, source, destination FROM ferry.task ORDER BY id DESC LIMIT 1000)"
    " SELECT DISTINCT ON (store) split_part(uri, '://', 1) AS store,"
    "        split_part(split_part(uri, '://', 2), '/', 1)"
    "   FROM (SELECT id, destination AS uri FROM newest"
    "         UNION ALL SELECT id, source FROM newest) u"
    "  WHERE uri !~ '^https?://'"
    "  ORDER BY store, id DESC";

/* The arguments of the worker. */
struct probe_arguments {
	char path[CONFIG_PATH_MAX];
	char program[16], probe[16], mode[16];
	int nuris;
	char uris[2 * CONFIG_STORES_MAX][URI_MAX];
	char *argv[2 * CONFIG_STORES_MAX + 4];
};

static void
find_worker(const struct config *conf, char *path, size_t size)
{
	if (conf->worker_program[0] != '\0') {
		strlcpy(path, conf->worker_program, size);
		return;
	}
	doctor_beside("ferry-worker", path, size);
	if (access(path, X_OK) == -1)
		strlcpy(path, FERRY_LIBEXECDIR "/ferry-worker", size);
}

/* Adds "STORE://BUCKET" or "STORE://BUCKET/KEY".  The first of a store counts. */
static void
add_uri(struct probe_arguments *a, const char *uri)
{
	const char *path = strstr(uri, "://") + 3, *slash = strchr(path, '/');
	bool whole = slash != NULL && slash[1] != '\0';

	if (a->nuris == 2 * CONFIG_STORES_MAX)
		return;
	snprintf(a->uris[a->nuris++], URI_MAX, "%s%s%s", uri, slash != NULL ? "" : "/",
	    whole ? "" : KEY_ABSENT);
}

static void
add_buckets(struct doctor *d, struct probe_arguments *a)
{
	enum { STORE, BUCKET };
	char uri[URI_MAX];
	PGresult *res;
	int i;

	if (PQstatus(d->ctl->conn) != CONNECTION_OK)
		return;
	res = PQexec(d->ctl->conn, sql_buckets);
	for (i = 0; i < PQntuples(res); i++) {
		snprintf(uri, sizeof(uri), "%s://%s", PQgetvalue(res, i, STORE),
		    PQgetvalue(res, i, BUCKET));
		add_uri(a, uri);
	}
	PQclear(res);
}

static void
make_arguments(struct doctor *d, struct probe_arguments *a)
{
	int i;

	a->nuris = 0;
	for (i = 0; i < d->nuris; i++)
		add_uri(a, d->uris[i]);
	add_buckets(d, a);
	find_worker(d->conf, a->path, sizeof(a->path));
	strlcpy(a->program, "ferry-worker", sizeof(a->program));
	strlcpy(a->probe, WORKER_PROBE, sizeof(a->probe));
	strlcpy(a->mode, d->write ? WORKER_PROBE_WRITE : WORKER_PROBE_READ, sizeof(a->mode));
	a->argv[0] = a->program;
	a->argv[1] = a->probe;
	a->argv[2] = a->mode;
	for (i = 0; i < a->nuris; i++)
		a->argv[3 + i] = a->uris[i];
	a->argv[3 + a->nuris] = NULL;
}

/* Sends what the worker needs.  The channel has room for all of it, before anybody reads. */
static int
send_all(const struct config *conf, int fd)
{
	struct msg msg = { .type = MSG_LEASE, .lease = { .until = clock_boot_ms() + LEASE_MS } };
	int i, rc = channel_send(fd, &msg, -1);

	memset(&msg, 0, sizeof(msg));
	msg.type = MSG_CONFIG;
	msg.config.nstores = conf->nstores;
	msg.config.memory_backend = MEMORY_RLIMIT;
	msg.config.worker = conf->worker;
	if (rc == 0)
		rc = channel_send(fd, &msg, -1);
	for (i = 0; rc == 0 && i < conf->nstores; i++) {
		memset(&msg, 0, sizeof(msg));
		msg.type = MSG_STORE;
		msg.store.store = conf->stores[i];
		rc = channel_send(fd, &msg, -1);
	}
	explicit_bzero(&msg, sizeof(msg));
	return rc;
}

/* A line of the worker: worker/probe.h. */
static void
take_line(struct doctor *d, char *line)
{
	char *fields[LINE_FIELDS], check[2 * CONFIG_NAME_MAX];
	int i;

	for (i = 0; i < LINE_FIELDS && line != NULL; i++)
		fields[i] = strsep(&line, "\t");
	if (i < LINE_FIELDS)
		return;
	snprintf(check, sizeof(check), "store %s, %s", fields[1], fields[2]);
	doctor_tell(d, doctor_level(fields[0]), check, "%s", fields[3]);
}

void
doctor_stores(struct doctor *d)
{
	static struct probe_arguments a;
	struct doctor_program worker = { .name = "stores", .path = a.path, .argv = a.argv };
	int fds[2], code;

	if (d->conf->nstores == 0)
		return;
	make_arguments(d, &a);
	if (channel_pair(fds) == -1 || send_all(d->conf, fds[0]) == -1) {
		doctor_tell(d, DOCTOR_FAIL, "stores", "channel: %s", strerror(errno));
		return;
	}
	worker.channel = fds[1];
	code = doctor_run(d, &worker, take_line);
	close(fds[0]);
	if (code > 0)
		doctor_tell(d, DOCTOR_FAIL, "stores",
		    "%s ended with %d before it was done; see its words above", a.path, code);
}
