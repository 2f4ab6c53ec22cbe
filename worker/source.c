/*
 * Opening and pinning sources.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/uri.h"
#include "worker/file.h"
#include "worker/guard.h"
#include "worker/loop.h"
#include "worker/memory.h"
#include "worker/session.h"
#include "worker/source.h"

static int
source_init_url(struct worker *w, struct source *source, const char *uri, const char *scheme, struct failure *f)
{
	const struct config_worker *conf = &w->setup->config.worker;
	char why[256];

	if (guard_check_url(conf, uri, why, sizeof(why)) == -1)
		return failure_set(f, CLASS_PERMANENT, "source: %s", why);
	source->is_url = true;
	source->guarded = !conf->http_private;
	source->store = &source->url_store;
	source->store->conf.kind = STORE_HTTP;
	strlcpy(source->store->conf.name, scheme, sizeof(source->store->conf.name));
	source->key = memory_strdup(uri);
	/* a fragment is for whoever shows it, not for the server */
	source->key[strcspn(source->key, "#")] = '\0';
	return 0;
}

int
source_init(struct worker *w, struct source *source, const char *text, struct failure *f)
{
	struct uri uri;
	const char *key;
	char why[256];

	source->fd = -1;
	source->size = -1;
	object_info_init(&source->info);
	if (uri_parse(&uri, text, why, sizeof(why)) == -1)
		return failure_set(f, CLASS_PERMANENT, "source: %s", why);
	if (uri.is_url)
		return source_init_url(w, source, text, uri.store, f);
	source->store = session_store(w, uri.store);
	if (source->store == NULL)
		return failure_set(f, CLASS_PERMANENT, "source: there is no store \"%s\" in the configuration", uri.store);
	if (source->store->conf.kind == STORE_FILE) {
		source->is_file = true;
		source->key = memory_strdup(uri.path);
		return 0;
	}
	if (uri_split_bucket(&uri, source->bucket, sizeof(source->bucket), &key, why, sizeof(why)) == -1 ||
	    store_check_name(&source->store->conf, source->bucket, key, why, sizeof(why)) == -1)
		return failure_set(f, CLASS_PERMANENT, "source: %s", why);
	source->key = memory_strdup(key);
	return 0;
}

static int
source_open_file(struct source *source, struct failure *f)
{
	struct stat st;

	source->fd = file_open_source(&source->store->conf, source->key, f);
	if (source->fd == -1)
		return -1;
	if (fstat(source->fd, &st) == -1)
		return failure_errno(f, "source");
	if (!S_ISREG(st.st_mode))
		return failure_set(f, CLASS_PERMANENT, "source: not a regular file");
	source->size = st.st_size;
	source->ranges = true;
	snprintf(source->etag, sizeof(source->etag), "%" PRIuMAX "-%jd.%09ld", (uintmax_t)st.st_ino,
	    (intmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	return 0;
}

int
source_check_file(const struct source *source, struct failure *f)
{
	char etag[S3XML_ETAG_MAX];
	struct stat st;

	if (fstat(source->fd, &st) == -1)
		return failure_errno(f, "source");
	snprintf(etag, sizeof(etag), "%" PRIuMAX "-%jd.%09ld", (uintmax_t)st.st_ino, (intmax_t)st.st_mtim.tv_sec,
	    st.st_mtim.tv_nsec);
	if (st.st_size != source->size || strcmp(etag, source->etag) != 0)
		return failure_set(f, CLASS_SOURCE_CHANGED, "source changed: the file was written to while it was read");
	return 0;
}

static void
source_pin(struct source *source, const struct http_request *r)
{
	object_info_copy(&source->info, &r->info);
	source->size = r->info.size;
	if (text_is_plain(r->info.etag))
		strlcpy(source->etag, r->info.etag, sizeof(source->etag));
}

int
source_pin_answer(struct source *source, const struct http_request *r, struct failure *f)
{
	if (!source->is_url && r->info.size < 0)
		return failure_set(f, CLASS_TRANSIENT, "the answer does not say how large the object is");
	if (r->status == 206 && r->info.size >= 0 && r->info.range_first != 0)
		return failure_set(f, CLASS_TRANSIENT, "another range than the one asked for");
	source_pin(source, r);
	/* a range of what has no end is of no use */
	source->ranges = r->status == 206 && source->size >= 0;
	return 0;
}

static int
source_open_object(struct worker *w, struct source *source, struct failure *f)
{
	struct http_request r;
	int rc;

	http_prepare(&r, source->store, OP_HEAD);
	r.call.bucket = source->bucket;
	r.call.key = source->key;
	rc = http_call(w, &r, f);
	if (rc == 0 && r.info.size < 0)
		rc = http_failure(&r, f, CLASS_TRANSIENT, "the answer does not say how large the object is");
	if (rc == 0) {
		source_pin(source, &r);
		source->ranges = true;
	}
	http_release(&r);
	return rc;
}

static enum http_verdict
source_leave_body(struct http_request *r, const char *buf, size_t len)
{
	(void)buf;
	(void)len;
	/* of a 206 there is one byte; of a 200, the whole object would follow */
	return r->status == 206 ? HTTP_TAKEN : HTTP_ENOUGH;
}

int
source_follow(struct worker *w, struct source *source, const char *url, struct failure *f)
{
	char why[256];

	if (strlen(url) >= URI_MAX)
		return failure_set(f, CLASS_PERMANENT, "source: redirected to a URL of %zu bytes", strlen(url));
	if (guard_check_url(&w->setup->config.worker, url, why, sizeof(why)) == -1)
		return failure_set(f, CLASS_PERMANENT, "source: redirected: %s", why);
	memory_free(source->key);
	source->key = memory_strdup(url);
	source->key[strcspn(source->key, "#")] = '\0';
	return 0;
}

static bool
source_is_done(void *arg, int64_t *wake)
{
	(void)wake;
	return ((const struct http_request *)arg)->done;
}

/* One GET of the first byte.  Returns 1 if it leads elsewhere (the source then does too), 0, or -1. */
static int
source_probe(struct worker *w, struct source *source, struct http_request *r, struct failure *f)
{
	const char *url;

	http_prepare(r, source->store, OP_GET);
	r->call.key = source->key;
	r->call.range_first = r->call.range_last = 0;
	r->on_body = source_leave_body;
	r->guarded = source->guarded;
	if (http_start(w->http, r, f) == -1 || loop_wait(w, source_is_done, r, 0) == -1)
		return -1;
	if ((url = http_redirect(r)) != NULL)
		return source_follow(w, source, url, f) == -1 ? -1 : 1;
	if (http_result(r, f) == 0) {
		source_pin(source, r);
		/* a range of what has no end is of no use */
		source->ranges = r->status == 206 && source->size >= 0;
		return 0;
	}
	/* no first byte: an empty object */
	if (r->status != 416)
		return -1;
	failure_init(f);
	source_pin(source, r);
	source->size = 0;
	return 0;
}

/* By GET, since a pre-signed URL is signed for its method. */
static int
source_open_url(struct worker *w, struct source *source, struct failure *f)
{
	struct http_request *r = memory_alloc(sizeof(*r));
	int i, rc = 1;

	for (i = 0; i <= SOURCE_REDIRECTS_MAX && rc == 1; i++) {
		rc = source_probe(w, source, r, f);
		http_release(r);
	}
	memory_free(r);
	if (rc == 1)
		return failure_set(f, CLASS_PERMANENT, "source: more than %d redirects", SOURCE_REDIRECTS_MAX);
	return rc;
}

int
source_open(struct worker *w, struct source *source, struct failure *f)
{
	if (source->is_file)
		return source_open_file(source, f);
	if (source->is_url)
		return source_open_url(w, source, f);
	return source_open_object(w, source, f);
}

void
source_prepare_get(struct source *source, struct http_request *r, int64_t first, int64_t last)
{
	http_prepare(r, source->store, OP_GET);
	r->role = HTTP_READER;
	r->guarded = source->guarded;
	r->call.bucket = source->is_url ? NULL : source->bucket;
	r->call.key = source->key;
	r->call.if_match = source->etag;
	if (source->ranges) {
		r->call.range_first = first;
		r->call.range_last = last;
	}
}

int
source_check_answer(const struct source *source, const struct http_request *r, int64_t first, struct failure *f)
{
	const struct object_info *info = &r->info;

	if (source->etag[0] != '\0' && info->etag[0] != '\0' && strcmp(source->etag, info->etag) != 0)
		return failure_set(f, CLASS_SOURCE_CHANGED, "source changed: another ETag than when the transfer began");
	if (source->size >= 0 && info->size >= 0 && source->size != info->size)
		return failure_set(f, CLASS_SOURCE_CHANGED, "source changed: it has %" PRId64 " bytes, it had %" PRId64,
		    info->size, source->size);
	if (!source->ranges || r->status == 200) {
		/* the whole instead of a range is good where the range is the whole */
		if (!source->ranges || (first == 0 && r->call.range_last == source->size - 1))
			return 0;
		return failure_set(f, CLASS_TRANSIENT, "the whole object in answer to a range");
	}
	if (info->range_first != first)
		return failure_set(f, CLASS_TRANSIENT, "another range than the one asked for");
	return 0;
}

bool
source_is_same(const struct source *source, int64_t size, const char *etag)
{
	return source->size >= 0 && source->size == size && strcmp(source->etag, etag) == 0;
}

void
source_release(struct source *source)
{
	if (source->fd != -1)
		close(source->fd);
	source->fd = -1;
	memory_free(source->key);
	source->key = NULL;
}
