#include "master/believe.h"

#include <string.h>

#include "common/base/text.h"

/*
 * Bytes.  A worker without a cgroup states its resident set, which has the libraries in it, and the
 * kernel charges some memory beyond a cgroup's limit.
 */
#define PEAK_SLACK ((int64_t)128 << 20)

/* Of one kind, from one report to the next. */
#define REQUESTS_BELIEVED 10000000

/* The end of the year 9999, in seconds since 1970. */
#define TIME_BELIEVED INT64_C(253402300799)

/* The values of the column verified_by: ferry(7). */
static bool
is_proof(const char *word)
{
	static const char *const words[] = { "crc64", "crc32c", "md5", "etag", "size", "none",
		"skipped" };
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(word, words[i]) == 0)
			return true;
	return false;
}

const char *
believe_progress(const struct msg_progress *progress)
{
	if (progress->bytes_done < 0 || progress->bytes_total < -1)
		return "a size below 0";
	return NULL;
}

/* The name of a store that there is, or the scheme of a URL. */
static bool
is_store(const struct config *conf, const char *name)
{
	int i;

	for (i = 0; i < conf->nstores; i++)
		if (strcmp(conf->stores[i].name, name) == 0)
			return true;
	return strcmp(name, "http") == 0 || strcmp(name, "https") == 0;
}

const char *
believe_requests(const struct config *conf, const struct msg_requests *requests)
{
	const struct msg_request *r;

	for (r = requests->list; r < requests->list + requests->n; r++) {
		if (!is_store(conf, r->store))
			return "requests to a store that does not exist";
		if (r->op < 0 || r->op >= REQUEST_OPS)
			return "requests of a kind that does not exist";
		if (r->status != 0 && (r->status < 100 || r->status > 999))
			return "a status that does not exist";
		if (r->requests < 1 || r->requests > REQUESTS_BELIEVED)
			return "more requests than it can send";
	}
	return NULL;
}

const char *
believe_certificate(const struct config *conf, const struct msg_certificate *certificate)
{
	if (!is_store(conf, certificate->store))
		return "the certificate of a store that does not exist";
	if (certificate->expires < 0 || certificate->expires > TIME_BELIEVED)
		return "a certificate of another age";
	return NULL;
}

/* What is written to the row of a task that is done. */
static const char *
believe_done(const struct msg_result *result)
{
	if (result->bytes_total == -1 && result->result == TASK_DONE)
		return "an object of unknown size";
	if (result->bytes_total != -1 && result->bytes > result->bytes_total)
		return "more bytes than the object has";
	if (!is_proof(result->verified_by))
		return "a verification that does not exist";
	if (!text_is_plain(result->etag))
		return "an ETag with control characters";
	if (!text_is_plain(result->warning))
		return "a warning with control characters";
	return NULL;
}

const char *
believe_result(const struct slot *slot, const struct msg_result *result)
{
	if (result->bytes < 0 || result->bytes_total < -1)
		return "a size below 0";
	if (result->peak_memory < 0 || result->peak_memory > slot->memory + PEAK_SLACK)
		return "a peak of memory that its cap forbids";
	if (result->elapsed_ms < 0 || result->resumed < 0)
		return "a time or a number of parts below 0";
	if (result->error_class == CLASS_CRASH || result->error_class == CLASS_MEMORY)
		return "its own death";
	if (result->result == TASK_DONE || result->result == TASK_SKIPPED)
		return believe_done(result);
	return NULL;
}
