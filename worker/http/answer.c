#include "worker/http/answer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/memory.h"
#include "worker/http/mend.h"
#include "worker/http/private.h"
#include "worker/session/keys.h"
#include "worker/session/session.h"
#include "worker/session/notes.h"
#include "worker/store/answer.h"
#include "worker/store/classify.h"
#include "worker/store/judge.h"
#include "worker/store/presigned.h"

/* bytes */
#define HEADERS_MAX (64 << 10)
#define USUAL_LINE 2048 /* a longer one is copied to the heap */

/* A difference between the store's clock and ours that is acted upon. */
#define SKEW_MIN_S 30
#define SKEW_MAX_S 86400

static const char *const op_names[] = {
	[OP_HEAD] = "HEAD",
	[OP_GET] = "GET",
	[OP_PUT] = "PUT",
	[OP_INITIATE] = "InitiateMultipartUpload",
	[OP_UPLOAD_PART] = "UploadPart",
	[OP_COMPLETE] = "CompleteMultipartUpload",
	[OP_ABORT] = "AbortMultipartUpload",
	[OP_LIST_PARTS] = "ListParts",
	[OP_LIST_UPLOADS] = "ListMultipartUploads",
	[OP_DELETE] = "DELETE",
	[OP_COPY] = "CopyObject",
	[OP_COPY_PART] = "UploadPartCopy",
};

/*
 * Notes the server's response time, for requests without a body.  The value falls at once, and
 * rises slowly.
 */
static void
note_answer(struct http_request *r)
{
	curl_off_t sent = 0, first = 0;
	int64_t *known = &r->store->answer_us;

	if (r->role == HTTP_WRITER || r->call.op == OP_COMPLETE)
		return;
	if (curl_easy_getinfo(r->easy, CURLINFO_PRETRANSFER_TIME_T, &sent) != CURLE_OK ||
	    curl_easy_getinfo(r->easy, CURLINFO_STARTTRANSFER_TIME_T, &first) != CURLE_OK ||
	    first <= sent)
		return;
	if (*known == 0 || first - sent < *known)
		*known = first - sent;
	else
		*known += (first - sent - *known) / 8;
}

/* Takes a status line.  Headers that came before it belong to an interim answer. */
static void
take_status(struct http_request *r, const char *line, size_t len)
{
	char text[64];
	const char *blank;

	if (len >= sizeof(text))
		len = sizeof(text) - 1;
	memcpy(text, line, len);
	text[len] = '\0';
	blank = strchr(text, ' ');
	r->status = blank != NULL ? (int)strtol(blank, NULL, 10) : 0;
	object_info_clear(&r->info);
	r->head_over = false;
	note_answer(r);
}

/* Returns false if the connection must be given up. */
static bool
end_head(struct http_request *r)
{
	r->head_over = true;
	if (r->info.date != -1 && r->store->conf.kind != STORE_HTTP)
		notes_clock(r->http->worker, r->store, r->info.date - clock_wall());
	if (!http_is_success(r))
		return true;
	r->foreign = store_judge_head(r->store->conf.kind, &r->call, r->status, &r->info);
	return r->foreign == NULL || !store_is_misframed(&r->info);
}

/* Takes apart a line of len bytes: "Name: value".  line has room for the NUL. */
static void
take_line(struct http_request *r, char *line, size_t len)
{
	char *colon = memchr(line, ':', len), *value, *end;

	if (colon == NULL)
		return;
	/* no header may hold a NUL, and what stands behind it must not be lost unseen */
	for (end = line + len; end > line; end--)
		if (end[-1] == '\0')
			end[-1] = '\x01';
	line[len] = '\0';
	for (value = colon + 1; *value == ' ' || *value == '\t'; value++)
		continue;
	for (end = colon; end > line && (end[-1] == ' ' || end[-1] == '\t'); end--)
		continue;
	*end = '\0';
	store_take_header(&r->store->conf, &r->info, line, value);
}

size_t
http_on_header(char *buf, size_t size, size_t n, void *arg)
{
	struct http_request *r = arg;
	size_t len = size * n;
	char usual[USUAL_LINE], *line = usual;

	r->header_bytes += len;
	if (r->header_bytes > HEADERS_MAX) {
		failure_set(&r->refused, CLASS_TRANSIENT,
		    "the server sends response headers of more than %d KiB", HEADERS_MAX >> 10);
		return 0;
	}
	while (len > 0 && strchr("\r\n \t", buf[len - 1]) != NULL)
		len--;
	if (len >= 5 && strncasecmp(buf, "HTTP/", 5) == 0) {
		take_status(r, buf, len);
		return size * n;
	}
	if (len == 0 && !r->head_over && !end_head(r))
		return 0;
	if (r->head_over)
		return size * n;
	if (len >= sizeof(usual))
		line = memory_alloc(len + 1);
	memcpy(line, buf, len);
	take_line(r, line, len);
	if (line != usual)
		memory_free(line);
	return size * n;
}

int
http_failure(
    const struct http_request *r, struct failure *f, enum error_class class, const char *fmt, ...)
{
	bool is_part = r->call.op == OP_UPLOAD_PART || r->call.op == OP_COPY_PART;
	char text[TASK_ERROR_MAX], op[64];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (is_part)
		snprintf(op, sizeof(op), "%s %d", op_names[r->call.op], r->call.part_number);
	else
		strlcpy(op, op_names[r->call.op], sizeof(op));
	strlcpy(f->store, r->store->conf.name, sizeof(f->store));
	f->writes = http_writes(r);
	f->status = r->status;
	f->part = is_part ? r->call.part_number : 0;
	f->body = r->role == HTTP_WRITER ? r->call.content_length : 0;
	failure_set(f, class, "%s: %s: %s", r->store->conf.name, op, text);
	return failure_suspect(f);
}

/* The length of the sample up to the query of an URL, which may hold a signature. */
static int
sample_length(const struct http_request *r)
{
	int i;

	for (i = 0; i < r->nsample; i++)
		if (r->sample[i] == '?' && (i == 0 || r->sample[i - 1] != '<'))
			break;
	return i;
}

int
http_foreign(
    const struct http_request *r, struct failure *f, enum error_class class, const char *why)
{
	const struct object_info *info = &r->info;
	const char *framing = info->coding[0] != '\0' ? info->coding : info->bad_length;
	const char *type = object_info_text(info, INFO_CONTENT_TYPE);

	return http_failure(r, f, class,
	    "the answer %s: HTTP %d, %s%sContent-Type %.64s, Server %s, body \"%.*s\"", why,
	    r->status, framing, framing[0] != '\0' ? ", " : "", type[0] != '\0' ? type : "none",
	    info->server[0] != '\0' ? info->server : "none", sample_length(r), r->sample);
}

/*
 * A limit of libcurl's: 100 KiB for a line of the answer's head (CURL_MAX_HTTP_HEADER).  Our
 * allocators never fail, and so libcurl before 8.6 says nothing else by CURLE_OUT_OF_MEMORY.
 */
static bool
is_too_large(CURLcode result)
{
#if LIBCURL_VERSION_NUM >= 0x080600
	if (result == CURLE_TOO_LARGE)
		return true;
#endif
	return result == CURLE_OUT_OF_MEMORY;
}

/* libcurl from 8.7 on refuses a coding that we have not asked for before we see the header. */
static bool
is_coded(const struct http_request *r)
{
	static const char refusal[] = "Unsolicited Transfer-Encoding";

	return r->result == CURLE_BAD_CONTENT_ENCODING &&
	       strncmp(r->error, refusal, strlen(refusal)) == 0;
}

static void
classify_curl(struct http_request *r, struct failure *f)
{
	enum error_class class = CLASS_TRANSIENT;
	const char *mend;
	char moved[HTTP_MOVED_MAX];

	if (is_too_large(r->result)) {
		http_failure(r, f, CLASS_TRANSIENT,
		    "the server sends more than libcurl takes, such as a header line of more than "
		    "100 KiB");
		return;
	}
	mend = http_mend_broken(r);
	if (r->result == CURLE_URL_MALFORMAT || is_coded(r))
		class = CLASS_PERMANENT;
	http_failure(r, f, class, "%s%s%s%s",
	    r->error[0] != '\0' ? r->error : curl_easy_strerror(r->result),
	    http_describe_moved(r, moved), mend != NULL ? "; " : "", mend != NULL ? mend : "");
	if (class == CLASS_TRANSIENT)
		http_blame_curl(r, f);
}

/*
 * Redirects of a store are not followed: each request would be sent twice, and signed for another
 * place.  The store's section must name that place.
 */
static bool
is_sent_elsewhere(const struct http_request *r)
{
	return r->store->conf.kind != STORE_HTTP &&
	       (r->status == 301 || r->status == 302 || r->status == 307 || r->status == 308);
}

/*
 * Signatures carry the time, and stores accept some minutes of difference.  A 403 whose Date is far
 * from ours is retried, signed by the store's clock.  The error code is not asked for, since the
 * answer to a HEAD has no document.  If the keys were wrong, the store refuses again.  A difference
 * of more than a day is not believed.
 */
static bool
learn_skew(struct http_request *r)
{
	int64_t skew = r->info.date - clock_wall();

	if (r->status != 403 || r->info.date < 0 || r->store->conf.access_key[0] == '\0' ||
	    llabs(skew) > SKEW_MAX_S || llabs(skew - r->store->skew_s) < SKEW_MIN_S)
		return false;
	r->store->skew_s = skew;
	log_warn("store %s: its clock is %" PRId64 " s %s ours; requests are signed by its clock",
	    r->store->conf.name, skew < 0 ? -skew : skew, skew < 0 ? "behind" : "ahead of");
	return true;
}

/* What the answer's error document says.  Many errors have none, or one that is no S3 error. */
struct said {
	const char *code;
	const char *message;
};

static struct said
read_error(struct http_request *r)
{
	char why[128];

	if (r->xml_open && s3xml_finish(&r->xml, why, sizeof(why)) == 0 &&
	    r->xml.root == S3XML_ERROR)
		return (struct said){ r->xml.code, r->xml.message };
	return (struct said){ "", "" };
}

/*
 * A URL whose time is over is refused by each attempt.  The server says so, or the query does and
 * the server refuses.  Returns true with the failure.
 */
static bool
is_expired(const struct http_request *r, const char *code, const char *message, struct failure *f)
{
	bool refused = r->status == 400 || r->status == 401 || r->status == 403 || r->status == 410;
	bool said = strcasestr(message, "expired") != NULL || strcasestr(code, "expired") != NULL ||
		    strcasestr(r->sample, "expired") != NULL;
	char when[PRESIGNED_WHEN_MAX];
	bool over =
	    presigned_is_over(r->wire.url, r->info.date != -1 ? r->info.date : clock_wall(), when);

	if (r->store->conf.kind != STORE_HTTP || !refused || (!said && !over))
		return false;
	/* store/xml.c has given these words the code that they mean for a signed request */
	if (strcmp(message, "Request has expired") == 0)
		code = "AccessDenied";
	http_failure(r, f, CLASS_PERMANENT,
	    "HTTP %d%s%s%s%s: the URL expired%s: insert a row with another", r->status,
	    code[0] != '\0' ? " " : "", code, message[0] != '\0' ? ": " : "", message, when);
	strlcpy(f->code, code, sizeof(f->code));
	return true;
}

static void
fail_elsewhere(const struct http_request *r, struct failure *f)
{
	const char *there = object_info_text(&r->info, INFO_LOCATION);

	http_failure(r, f, CLASS_PERMANENT,
	    "HTTP %d: the bucket is elsewhere, at %.*s; set endpoint and region of store %s",
	    r->status, there[0] != '\0' ? (int)strcspn(there, "?") : 7,
	    there[0] != '\0' ? there : "unknown", r->store->conf.name);
}

static void
classify_status(struct http_request *r, struct failure *f)
{
	struct said said = read_error(r);
	enum error_class class;
	char mend[HTTP_MEND_MAX];

	r->foreign =
	    store_judge_error(r->store->conf.kind, r->status, &r->info, said.code[0] != '\0');
	if (r->foreign != NULL) {
		http_foreign(r, f, CLASS_TRANSIENT, r->foreign);
		f->status = 0;
		return;
	}
	class = learn_skew(r) ? CLASS_TRANSIENT : store_classify(r->status, said.code, r->call.op);
	if (is_sent_elsewhere(r)) {
		fail_elsewhere(r, f);
		return;
	}
	if (is_expired(r, said.code, said.message, f))
		return;
	http_mend_refusal(r, class, said.code, mend);
	http_failure(r, f, class, "%sHTTP %d%s%s%s%s%s",
	    class == CLASS_SOURCE_CHANGED ? "source changed: " : "", r->status,
	    said.code[0] != '\0' ? " " : "", said.code, said.message[0] != '\0' ? ": " : "",
	    said.message, mend);
	strlcpy(f->code, said.code, sizeof(f->code));
	http_explain(r, f);
	f->retry_after = r->info.retry_after;
	store_blame(f, r->store->conf.kind);
	if (f->class == CLASS_CREDENTIALS)
		http_await_keys(r, f);
}

void
http_await_keys(struct http_request *r, struct failure *f)
{
	struct store *store = r->store;
	int64_t now = clock_ms();

	switch (keys_judge(store, r->keys_serial, now)) {
	case KEYS_REFUSED:
		return;
	case KEYS_ASK:
		session_ask_keys(r->http->worker, store);
		break;
	case KEYS_AWAITED:
		break;
	case KEYS_RENEWED:
		f->renew_ms = 1;
		return;
	}
	f->renew_ms = keys_look_ms(store, now);
}

/* The document of a success. */
static void
check_document(struct http_request *r, struct failure *f)
{
	char why[128], text[192];
	const char *wrong;

	if (!r->xml_open) {
		http_foreign(r, f, CLASS_TRANSIENT, "is empty");
	} else if (s3xml_finish(&r->xml, why, sizeof(why)) == -1) {
		snprintf(text, sizeof(text), "is not the expected document (%s)", why);
		http_foreign(r, f, CLASS_TRANSIENT, text);
	} else if ((wrong = store_judge_document(&r->call, &r->xml)) != NULL) {
		http_foreign(r, f, CLASS_TRANSIENT, wrong);
	}
}

void
http_classify_result(struct http_request *r, struct failure *f)
{
	if (r->refused.store[0] != '\0') {
		*f = r->refused;
		return;
	}
	if (r->refused.class != CLASS_NONE) {
		http_failure(r, f, r->refused.class, "%s", r->refused.text);
		f->lapsed = r->refused.lapsed;
		if (r->refused.certain)
			failure_blame(f, r->refused.trouble);
		return;
	}
	/* an error's status counts, even if its document or our body broke off */
	if (r->status >= 300) {
		classify_status(r, f);
		return;
	}
	/* each attempt would meet the same coding; all else may come from something in between */
	if (r->foreign != NULL)
		http_foreign(r, f, r->info.coding[0] != '\0' ? CLASS_PERMANENT : CLASS_TRANSIENT,
		    r->foreign);
	else if (r->result != CURLE_OK && !r->enough)
		classify_curl(r, f);
	else if (http_wants_xml(r) && !r->enough)
		check_document(r, f);
}
