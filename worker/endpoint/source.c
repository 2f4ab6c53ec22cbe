#include "worker/endpoint/source.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/uri.h"
#include "worker/base/memory.h"
#include "worker/session/session.h"
#include "worker/http/answer.h"
#include "worker/http/reach.h"
#include "worker/http/request.h"
#include "worker/event/call.h"
#include "worker/event/loop.h"
#include "worker/endpoint/beneath.h"

/* The fragment of a URL is not sent. */
static void
set_url(struct source *source, const char *url)
{
	char *key = memory_strdup(url);

	key[strcspn(key, "#")] = '\0';
	memory_free(source->key);
	source->key = key;
	source->moves++;
}

static int
init_url(
    struct worker *w, struct source *source, const char *uri, const char *scheme, struct failure *f)
{
	const struct config_worker *conf = &w->setup->config.worker;
	char why[256];

	if (reach_check_url(conf, uri, why, sizeof(why)) == -1)
		return failure_set(f, CLASS_PERMANENT, "source: %s", why);
	source->is_url = true;
	source->public_only = !conf->http_private;
	source->store = &source->url_store;
	source->store->conf.kind = STORE_HTTP;
	strlcpy(source->store->conf.name, scheme, sizeof(source->store->conf.name));
	set_url(source, uri);
	source->url = memory_strdup(source->key);
	return 0;
}

int
source_init(struct worker *w, struct source *source, const char *text, struct failure *f)
{
	struct uri uri;
	const char *key;
	char why[256];

	source->fd = -1;
	source->pin.size = -1;
	object_info_init(&source->info);
	if (uri_parse(&uri, text, why, sizeof(why)) == -1)
		return failure_set(f, CLASS_PERMANENT, "source: %s", why);
	if (uri.is_url)
		return init_url(w, source, text, uri.store, f);
	source->store = session_store(w, uri.store);
	if (source->store == NULL)
		return session_lacks_store(f, "source", uri.store);
	if (source->store->conf.kind == STORE_FILE) {
		source->is_file = true;
		source->key = memory_strdup(uri.path);
		return 0;
	}
	if (uri_split_bucket(&uri, source->bucket, &key, why, sizeof(why)) == -1 ||
	    store_check_name(&source->store->conf, source->bucket, key, why, sizeof(why)) == -1)
		return failure_set(f, CLASS_PERMANENT, "source: %s", why);
	source->key = memory_strdup(key);
	return 0;
}

/* A file has no ETag: inode and time of the last change stand for one. */
static void
file_etag(const struct stat *st, char etag[S3XML_ETAG_MAX])
{
	snprintf(etag, S3XML_ETAG_MAX, "%" PRIuMAX "-%jd.%09ld", (uintmax_t)st->st_ino,
	    (intmax_t)st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
}

int
source_fail_file(const struct source *source, struct failure *f)
{
	return beneath_fail(&source->store->conf, source->key, "source", f);
}

static int
open_file(struct source *source, struct failure *f)
{
	struct stat st;

	source->fd = beneath_source(&source->store->conf, source->key, f);
	if (source->fd == -1)
		return -1;
	if (fstat(source->fd, &st) == -1)
		return source_fail_file(source, f);
	if (!S_ISREG(st.st_mode))
		return failure_set(f, CLASS_PERMANENT, "source: not a regular file");
	source->pin.size = st.st_size;
	source->ranges = true;
	file_etag(&st, source->pin.etag);
	return 0;
}

int
source_check_file(const struct source *source, struct failure *f)
{
	char etag[S3XML_ETAG_MAX];
	struct stat st;

	if (fstat(source->fd, &st) == -1)
		return source_fail_file(source, f);
	file_etag(&st, etag);
	if (st.st_size != source->pin.size || strcmp(etag, source->pin.etag) != 0)
		return failure_set(f, CLASS_SOURCE_CHANGED,
		    "source changed: the file was written to while it was read");
	return 0;
}

/*
 * Without a length, the last chunk ends a body.  Else the body ends with the connection, and a
 * connection that breaks looks alike.
 */
static int
check_end(const struct source *source, const struct http_request *r, struct failure *f)
{
	if (source->pin.size >= 0 || r->info.size >= 0 || r->info.chunked || r->status == 206 ||
	    source->end_expected)
		return 0;
	return http_failure(r, f, CLASS_PERMANENT,
	    "the answer states no length and ends with the connection, so that a broken connection "
	    "would look like the end: give expect_size or expect_crc64 in the row");
}

/* True if a 206 brings all bytes. */
static bool
is_all(const struct object_info *info)
{
	return info->size >= 0 && info->range_first == 0 && info->range_last == info->size - 1;
}

enum source_answer
source_pin_answer(struct source *source, const struct http_request *r, struct failure *f)
{
	const struct object_info *info = &r->info;
	bool asked_range = r->call.range_last >= 0;

	/* stores answer a range by a 206; HEAD says whether this was the object all the same */
	if (!source->is_url && asked_range && r->status == 200)
		return SOURCE_ASK_HEAD;
	pin_take(&source->pin, info);
	object_info_copy(&source->info, info);
	/* a range needs a size: without one no range has an end */
	source->ranges = pin_holds(&source->pin) && info->size >= 0 &&
			 (r->status == 206 || r->call.op == OP_HEAD);
	if (check_end(source, r, f) == -1)
		return SOURCE_FAILED;
	if (r->status == 206 && !source->ranges && !is_all(info))
		return SOURCE_ASK_WHOLE;
	return SOURCE_PINNED;
}

/* There is no first byte: so says an empty object's server, and many a confused one. */
static enum source_answer
take_no_range(struct source *source, const struct http_request *r, struct failure *f)
{
	if (!source->is_url)
		return SOURCE_ASK_HEAD;
	if (r->call.range_last < 0) {
		http_failure(r, f, CLASS_TRANSIENT, "HTTP 416, but no range was asked for");
		return SOURCE_FAILED;
	}
	if (r->info.range_total != 0)
		return SOURCE_ASK_WHOLE;
	failure_init(f);
	pin_take(&source->pin, &r->info);
	source->pin.size = 0;
	source->ranges = false;
	return SOURCE_PINNED;
}

struct object_name
source_name(const struct source *source)
{
	return (struct object_name){ .store = source->store,
		.bucket = source->is_url ? NULL : source->bucket,
		.key = source->key };
}

static int
open_object(struct worker *w, struct source *source, struct failure *f)
{
	struct object_name name = source_name(source);
	struct http_request r;
	int rc;

	object_prepare(&name, &r, OP_HEAD);
	rc = call_repeat(w, &r, f);
	if (rc == 0)
		rc = source_pin_answer(source, &r, f) == SOURCE_PINNED ? 0 : -1;
	http_release(&r);
	return rc;
}

static enum http_verdict
leave_body(struct http_request *r, const char *buf, size_t len)
{
	(void)buf;
	(void)len;
	/* a 206 has one byte; a 200 would bring the whole object */
	return r->status == 206 ? HTTP_TAKEN : HTTP_ENOUGH;
}

/* RFC 9110, 15.4: a secure request must not become one that everybody on the way can answer. */
static bool
gives_up_tls(const char *from, const char *to)
{
	return strncasecmp(from, "https:", 6) == 0 && strncasecmp(to, "https:", 6) != 0;
}

int
source_follow(const struct source_hop *hop, const struct http_request *r, struct failure *f)
{
	const char *url = http_redirect(r);
	char why[256];

	if (strlen(url) >= URI_MAX)
		return failure_set(
		    f, CLASS_PERMANENT, "source: redirected to a URL of %zu bytes", strlen(url));
	if (reach_check_url(&hop->w->setup->config.worker, url, why, sizeof(why)) == -1)
		return failure_set(f, CLASS_PERMANENT, "source: redirected: %s", why);
	if (gives_up_tls(hop->source->key, url))
		return failure_set(f, CLASS_PERMANENT,
		    "source: redirected from https to http, where nothing protects the bytes; "
		    "name the http URL in the row if you mean it");
	if (++*hop->redirects > SOURCE_REDIRECTS_MAX)
		return failure_set(
		    f, CLASS_PERMANENT, "source: more than %d redirects", SOURCE_REDIRECTS_MAX);
	set_url(hop->source, url);
	return 0;
}

bool
source_turn_back(struct source *source, int asked)
{
	bool there = source->url != NULL && strcmp(source->key, source->url) == 0;

	if (source->url == NULL || (there && source->moves == asked))
		return false;
	if (!there)
		set_url(source, source->url);
	return true;
}

static bool
is_done(void *arg, int64_t *wake)
{
	(void)wake;
	return http_is_done(arg);
}

enum source_answer
source_take_answer(
    struct worker *w, struct source *source, struct http_request *r, struct failure *f)
{
	const struct source_hop hop = { w, source, &source->redirects };

	if (source->is_url && http_redirect(r) != NULL)
		return source_follow(&hop, r, f) == -1 ? SOURCE_FAILED : SOURCE_MOVED;
	if (http_result(r, f) == 0)
		return source_pin_answer(source, r, f);
	return r->status == 416 ? take_no_range(source, r, f) : SOURCE_FAILED;
}

/* Waits before the next try.  Returns 0, or -1 if there is none. */
static int
wait_for_next(struct worker *w, int tries, struct failure *f)
{
	int64_t at = worker_interrupted(w) ? 0 : failure_retry_at(f, tries, clock_ms());

	if (at == 0)
		return -1;
	if (loop_wait(w, loop_never, NULL, at) == LOOP_INTERRUPTED) {
		failure_init(f);
		return -1;
	}
	return 0;
}

int
source_ask(struct worker *w, struct source *source, source_try *try, void *arg, struct failure *f)
{
	int tries = 0;

	for (;;) {
		failure_init(f);
		switch (try(arg, f)) {
		case SOURCE_PINNED:
			return 0;
		case SOURCE_MOVED:
			break;
		case SOURCE_ASK_WHOLE:
			source->whole = true;
			break;
		case SOURCE_ASK_HEAD:
			return open_object(w, source, f);
		case SOURCE_FAILED:
			tries += failure_counts(f);
			if (wait_for_next(w, tries, f) == -1)
				return -1;
		}
	}
}

/* A GET that takes no byte of the body. */
struct probe {
	struct worker *w;
	struct source *source;
	struct http_request r;
};

/* Asks for the first byte, or for all bytes and takes none. */
static enum source_answer
try_probe(void *arg, struct failure *f)
{
	struct probe *p = arg;
	struct object_name name = source_name(p->source);
	struct http_request *r = &p->r;
	enum source_answer answer = SOURCE_FAILED;

	object_prepare(&name, r, OP_GET);
	if (!p->source->whole)
		r->call.range_first = r->call.range_last = 0;
	r->on_body = leave_body;
	r->public_only = p->source->public_only;
	if (http_start(p->w->http, r, f) == 0 && loop_wait(p->w, is_done, r, 0) == LOOP_DONE)
		answer = source_take_answer(p->w, p->source, r, f);
	http_release(r);
	return answer;
}

/* By GET, not HEAD: a pre-signed URL is signed for one method. */
static int
open_url(struct worker *w, struct source *source, struct failure *f)
{
	struct probe *p = memory_alloc(sizeof(*p));
	int rc;

	p->w = w;
	p->source = source;
	rc = source_ask(w, source, try_probe, p, f);
	memory_free(p);
	return rc;
}

int
source_open(struct worker *w, struct source *source, struct failure *f)
{
	if (source->is_file)
		return open_file(source, f);
	if (source->is_url)
		return open_url(w, source, f);
	return open_object(w, source, f);
}

void
source_prepare_get(struct source *source, struct http_request *r, int64_t first, int64_t last)
{
	struct object_name name = source_name(source);

	object_prepare(&name, r, OP_GET);
	r->role = HTTP_READER;
	r->public_only = source->public_only;
	pin_demand(&source->pin, &r->call);
	if (source->ranges) {
		r->call.range_first = first;
		r->call.range_last = last;
	}
}

int
source_check_answer(struct source *source, const struct http_request *r, struct failure *f)
{
	bool is_all = r->call.range_first == 0 && r->call.range_last == source->pin.size - 1;

	if (pin_check(&source->pin, r, f) == -1 || check_end(source, r, f) == -1)
		return -1;
	/* the whole object answers a range that is the whole object */
	if (r->status == 200 && source->ranges && !(is_all && r->info.size >= 0))
		return http_foreign(
		    r, f, CLASS_TRANSIENT, "is the whole object, but a range was asked for");
	if (!pin_holds(&source->pin))
		object_info_copy(&source->info, &r->info);
	return 0;
}

bool
source_is_same(const struct source *source, int64_t size, const char *pin)
{
	return source->pin.size == size && pin_is_text(&source->pin, pin);
}

void
source_release(struct source *source)
{
	if (source->fd != -1)
		close(source->fd);
	source->fd = -1;
	memory_free(source->key);
	memory_free(source->url);
	source->key = source->url = NULL;
	object_info_release(&source->info);
}
