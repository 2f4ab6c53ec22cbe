#include "worker/probe.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/uri.h"
#include "worker/endpoint/beneath.h"
#include "worker/endpoint/object.h"
#include "worker/event/call.h"
#include "worker/http/request.h"

#define TIMEOUT_MS 20000 /* of one request */
#define SKEW_WARN_S 30 /* stores accept five to fifteen minutes */

/* Keys of ours begin so.  Nothing is ever made under the first one. */
#define KEY_ABSENT ".ferryd-doctor/absent"
#define KEY_UPLOAD ".ferryd-doctor/upload"

/* Buckets that nobody has, in the form that the dialects want, where no bucket is known. */
#define BUCKET_S3 "ferryd-doctor"
#define BUCKET_COS "ferryd-doctor-1250000000"

struct probe {
	struct worker *w;
	struct store *store;
	bool write;
	bool knows_bucket;
	char bucket[URI_BUCKET_MAX];
	char key[URI_MAX];
};

static void __attribute__((format(printf, 4, 5)))
say(const struct probe *p, const char *level, const char *check, const char *fmt, ...)
{
	va_list ap;

	printf("%s\t%s\t%s\t", level, p->store->conf.name, check);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

/* Prepares a request about key in the bucket. */
static void
prepare(const struct probe *p, struct http_request *r, enum store_op op, const char *key)
{
	struct object_name name = { .store = p->store, .bucket = p->bucket, .key = key };

	object_prepare(&name, r, op);
}

static int
ask(const struct probe *p, struct http_request *r, struct failure *f)
{
	failure_init(f);
	return call_insist(p->w, r, clock_ms() + TIMEOUT_MS, f);
}

/* A right that is missing is no fault: the store may be meant for reading, or for writing, only. */
static const char *
level_of(const struct failure *f)
{
	return f->status == 403 && (f->code[0] == '\0' || strcmp(f->code, "AccessDenied") == 0)
		   ? "warn"
		   : "fail";
}

static void
say_clock(const struct probe *p, const struct http_request *r)
{
	int64_t skew = r->info.date - clock_wall();

	if (r->info.date < 0)
		say(p, "warn", "clock",
		    "its answers have no Date, so that the clocks cannot be compared");
	else if (llabs(skew) < SKEW_WARN_S)
		say(p, "ok", "clock", "differs from ours by %" PRId64 " s", (int64_t)llabs(skew));
	else
		say(p, "warn", "clock",
		    "is %" PRId64 " s %s ours; requests are signed by the store's clock while the "
		    "difference is below a day: set the clock of this machine",
		    (int64_t)llabs(skew), skew < 0 ? "behind" : "ahead of");
}

static int
read_once(const struct probe *p, struct http_request *r, struct failure *f)
{
	prepare(p, r, OP_GET, p->key);
	r->call.range_first = r->call.range_last = 0;
	return ask(p, r, f);
}

/*
 * Reads one byte of an object, or asks for one that is not there: a store that answers NoSuchKey
 * has accepted the signature and the right to read.
 */
static void
probe_read(const struct probe *p)
{
	bool tls = strncmp(p->store->conf.endpoint, "https:", 6) == 0;
	const char *how = tls ? "over TLS" : "without TLS";
	struct http_request r;
	struct failure f;
	int rc = read_once(p, &r, &f);

	/* now it is signed by the store's clock */
	if (rc == -1 && r.status == 403 && f.class == CLASS_TRANSIENT) {
		http_release(&r);
		rc = read_once(p, &r, &f);
	}
	if (rc == 0 || r.status == 416)
		say(p, "ok", "read", "the key reads an object of bucket %s, %s", p->bucket, how);
	else if (r.status == 404 && strcmp(f.code, "NoSuchKey") == 0)
		say(p, "ok", "read", "the key may read in bucket %s, %s", p->bucket, how);
	else if (strcmp(f.code, "NoSuchBucket") == 0 && !p->knows_bucket)
		say(p, "warn", "read",
		    "it answers, %s, but no task names a bucket of it: ask again with \"ferryctl "
		    "doctor %s://BUCKET\"",
		    how, p->store->conf.name);
	else
		say(p, level_of(&f), "read", "%s", f.text);
	if (r.status != 0)
		say_clock(p, &r);
	http_release(&r);
}

/* Whether uploads can be found whose begin got no answer. */
static void
probe_uploads(const struct probe *p)
{
	struct http_request r;
	struct failure f;

	prepare(p, &r, OP_LIST_UPLOADS, KEY_UPLOAD);
	if (ask(p, &r, &f) == 0)
		say(p, "ok", "uploads", "the key lists the uploads of bucket %s", p->bucket);
	else
		say(p, level_of(&f), "uploads",
		    "%s; without it, an upload whose begin got no answer cannot be found and "
		    "aborted",
		    f.text);
	http_release(&r);
}

/* One request about the upload; says how it went.  Returns whether it went well. */
static bool
ask_upload(const struct probe *p, enum store_op op, const char *upload_id, const char *check,
    const char *good)
{
	struct http_request r;
	struct failure f;
	bool went;

	prepare(p, &r, op, KEY_UPLOAD);
	r.call.upload_id = upload_id;
	went = ask(p, &r, &f) == 0;
	if (went)
		say(p, "ok", check, "%s", good);
	else
		say(p, level_of(&f), check, "%s", f.text);
	http_release(&r);
	return went;
}

/* Begins an upload, lists its parts, and aborts it. */
static void
probe_write(const struct probe *p)
{
	char upload_id[S3XML_UPLOAD_ID_MAX];
	struct http_request r;
	struct failure f;
	int rc;

	prepare(p, &r, OP_INITIATE, KEY_UPLOAD);
	rc = ask(p, &r, &f);
	if (rc == 0)
		strlcpy(upload_id, r.xml.upload_id, sizeof(upload_id));
	http_release(&r);
	if (rc == -1) {
		say(p, level_of(&f), "write", "%s", f.text);
		return;
	}
	say(p, "ok", "write", "the key begins an upload in bucket %s", p->bucket);
	ask_upload(p, OP_LIST_PARTS, upload_id, "parts", "the key lists the parts of an upload");
	if (!ask_upload(p, OP_ABORT, upload_id, "abort", "the key aborts an upload"))
		say(p, "fail", "abort",
		    "the upload %s of %s in bucket %s is left; abort it by hand", upload_id,
		    KEY_UPLOAD, p->bucket);
}

static void
probe_objects(const struct probe *p)
{
	if (config_awaits_keys(&p->store->conf)) {
		say(p, "warn", "keys",
		    "its keys come from a command, which ferryd alone runs; the log of ferryd says "
		    "whether it works");
		return;
	}
	probe_read(p);
	if (!p->knows_bucket)
		return;
	probe_uploads(p);
	if (p->write)
		probe_write(p);
}

static void
probe_new_file(const struct probe *p, int root)
{
	char name[64];
	int fd;

	snprintf(name, sizeof(name), BENEATH_OWN "doctor-%d.tmp", (int)getpid());
	fd = beneath_make(root, name, 0600);
	if (fd == -1 || unlinkat(root, name, 0) == -1)
		say(p, "fail", "write",
		    "a file in root %s cannot be made: %m; chown the directory to this account, "
		    "and "
		    "under systemd set ReadWritePaths=",
		    p->store->conf.root);
	else
		say(p, "ok", "write", "this account makes and removes files in root %s",
		    p->store->conf.root);
	if (fd != -1)
		close(fd);
}

static void
probe_file(const struct probe *p)
{
	struct failure f;
	int root, dir;

	failure_init(&f);
	if ((root = beneath_root(&p->store->conf, &f)) == -1) {
		say(p, "fail", "read", "%s", f.text);
		return;
	}
	if ((dir = beneath_open(root, ".", O_RDONLY | O_DIRECTORY)) == -1) {
		say(p, "fail", "read",
		    "root %s cannot be read: %m; let this account read and enter it",
		    p->store->conf.root);
	} else {
		say(p, "ok", "read", "this account reads root %s", p->store->conf.root);
		if (p->write)
			probe_new_file(p, dir);
		close(dir);
	}
	close(root);
}

/* Finds the bucket and the key that stand for the store. */
static void
choose_object(struct probe *p, char **uris, int nuris)
{
	const char *key;
	struct uri uri;
	char why[256];
	int i;

	for (i = 0; i < nuris && !p->knows_bucket; i++) {
		if (uri_parse(&uri, uris[i], why, sizeof(why)) == -1 ||
		    strcmp(uri.store, p->store->conf.name) != 0 ||
		    uri_split_bucket(&uri, p->bucket, &key, why, sizeof(why)) == -1)
			continue;
		p->knows_bucket = true;
		strlcpy(p->key, key, sizeof(p->key));
	}
	if (p->knows_bucket)
		return;
	strlcpy(p->bucket, p->store->conf.kind == STORE_COS ? BUCKET_COS : BUCKET_S3,
	    sizeof(p->bucket));
	strlcpy(p->key, KEY_ABSENT, sizeof(p->key));
}

void
probe_stores(struct worker *w, bool write, char **uris, int nuris)
{
	struct probe p;
	int i;

	for (i = 0; i < w->setup->config.nstores; i++) {
		p = (struct probe){ .w = w, .store = &w->setup->stores[i], .write = write };
		if (p.store->conf.kind == STORE_FILE) {
			probe_file(&p);
			continue;
		}
		choose_object(&p, uris, nuris);
		probe_objects(&p);
	}
}
