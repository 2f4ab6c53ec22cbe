/*
 * The table's constraints keep every value within its field.  A longer one would be cut here.
 */
#include "master/queue/claim_row.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static int64_t
integer(const PGresult *res, int row, int column)
{
	return strtoll(PQgetvalue(res, row, column), NULL, 10);
}

/* PQgetvalue() returns "" for NULL, and so do we. */
static void
text(char *out, size_t size, const PGresult *res, int row, int column)
{
	strlcpy(out, PQgetvalue(res, row, column), size);
}

static enum if_exists
if_exists(const char *word)
{
	if (strcmp(word, "skip") == 0)
		return IF_EXISTS_SKIP;
	return strcmp(word, "fail") == 0 ? IF_EXISTS_FAIL : IF_EXISTS_OVERWRITE;
}

int
claim_read_task(const PGresult *res, int row, struct task *task)
{
	memset(task, 0, offsetof(struct task, source));
	task->id = integer(res, row, CLAIM_ID);
	task->claim = integer(res, row, CLAIM_CLAIM);
	task->first_claim = integer(res, row, CLAIM_FIRST_CLAIM);
	task->attempt = (int)integer(res, row, CLAIM_ATTEMPT);
	task->crashes = (int)integer(res, row, CLAIM_CRASHES);
	task->ooms = (int)integer(res, row, CLAIM_OOMS);
	task->max_attempts = (int)integer(res, row, CLAIM_MAX_ATTEMPTS);
	task->frugal = task->ooms > 0;
	task->if_exists = if_exists(PQgetvalue(res, row, CLAIM_IF_EXISTS));
	task->has_expect_size = !PQgetisnull(res, row, CLAIM_EXPECT_SIZE);
	task->has_expect_crc64 = !PQgetisnull(res, row, CLAIM_EXPECT_CRC64);
	task->expect_size = integer(res, row, CLAIM_EXPECT_SIZE);
	task->expect_crc64 = strtoull(PQgetvalue(res, row, CLAIM_EXPECT_CRC64), NULL, 10);
	text(task->source, sizeof(task->source), res, row, CLAIM_SOURCE);
	text(task->destination, sizeof(task->destination), res, row, CLAIM_DESTINATION);
	text(task->content_type, sizeof(task->content_type), res, row, CLAIM_CONTENT_TYPE);
	text(task->storage_class, sizeof(task->storage_class), res, row, CLAIM_STORAGE_CLASS);
	text(task->metadata, sizeof(task->metadata), res, row, CLAIM_METADATA);
	text(task->queue, sizeof(task->queue), res, row, CLAIM_QUEUE);
	return (int)integer(res, row, CLAIM_SLOT);
}

bool
claim_row_is_behind(const PGresult *res, int row)
{
	return PQgetvalue(res, row, CLAIM_BEHIND)[0] == 't';
}

void
claim_read_name(const PGresult *res, int64_t *task, int64_t *claim)
{
	*task = integer(res, 0, CLAIM_ID);
	*claim = integer(res, 0, CLAIM_CLAIM);
}

void
claim_read_place(const PGresult *res, struct place *place)
{
	int last = PQntuples(res) - 1;

	if (last < 0)
		return;
	text(place->rank, sizeof(place->rank), res, last, CLAIM_RANK);
	text(place->run_at, sizeof(place->run_at), res, last, CLAIM_RUN_AT);
	text(place->id, sizeof(place->id), res, last, CLAIM_ID);
}
