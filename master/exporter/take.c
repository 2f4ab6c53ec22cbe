#include <stdlib.h>
#include <string.h>

#include "master/exporter/exporter.h"
#include "master/exporter/questions.h"

static const char *
text(const PGresult *res, int row, int column)
{
	return PQgetvalue(res, row, column);
}

static int64_t
integer(const PGresult *res, int row, int column)
{
	return strtoll(PQgetvalue(res, row, column), NULL, 10);
}

/* NULL counts as 0. */
static double
number(const PGresult *res, int row, int column)
{
	return strtod(PQgetvalue(res, row, column), NULL);
}

/*
 * The index of a queue among n entries of size bytes that begin with the queue's name.  A new name
 * gets a place, or the last one, "other".
 */
static int
find_queue(void *list, size_t size, int *n, const char *queue)
{
	char *entry = list;
	int i;

	for (i = 0; i < *n; i++, entry += size)
		if (strncmp(entry, queue, CONFIG_NAME_MAX) == 0)
			return i;
	if (*n >= QUEUES_MAX - 1)
		queue = "other";
	if (*n == QUEUES_MAX)
		return QUEUES_MAX - 1;
	memset(entry, 0, size);
	strlcpy(entry, queue, CONFIG_NAME_MAX);
	return (*n)++;
}

/* A queue that has no task any more keeps its place, with zeros, so that its series goes on. */
void
take_live(struct answers *a, const PGresult *res)
{
	struct live *l;
	double oldest;
	int i;

	for (l = a->live; l < a->live + a->nlive; l++)
		l->queued = l->running = 0, l->oldest_s = 0;
	for (i = 0; i < PQntuples(res); i++) {
		l = &a->live[find_queue(a->live, sizeof(*l), &a->nlive, text(res, i, LIVE_QUEUE))];
		l->queued += integer(res, i, LIVE_QUEUED);
		l->running += integer(res, i, LIVE_RUNNING);
		oldest = number(res, i, LIVE_OLDEST);
		if (oldest > l->oldest_s)
			l->oldest_s = oldest;
	}
}

static enum ended_state
state_of(const char *word)
{
	if (strcmp(word, "done") == 0)
		return ENDED_DONE;
	return strcmp(word, "failed") == 0 ? ENDED_FAILED : ENDED_CANCELLED;
}

/* A bucket that is NULL belongs to tasks that were never claimed. */
static void
add_times(struct histogram *h, const PGresult *res, int row, int bucket, int sum)
{
	int64_t i = integer(res, row, bucket);

	if (PQgetisnull(res, row, bucket) || i < 0 || i > HISTOGRAM_BOUNDS)
		return;
	h->counts[i] += (uint64_t)integer(res, row, ENDED_TASKS);
	h->sum += number(res, row, sum);
}

void
take_ended(struct answers *a, const PGresult *res)
{
	struct ended *e;
	int i;

	for (i = 0; i < PQntuples(res); i++) {
		strlcpy(a->counted_until, text(res, i, ENDED_UNTIL), sizeof(a->counted_until));
		if (PQgetisnull(res, i, ENDED_QUEUE))
			continue; /* none has ended */
		e = &a->ended[find_queue(
		    a->ended, sizeof(*e), &a->nended, text(res, i, ENDED_QUEUE))];
		e->tasks[state_of(text(res, i, ENDED_STATE))] +=
		    (uint64_t)integer(res, i, ENDED_TASKS);
		add_times(&e->waits, res, i, ENDED_WAIT_BUCKET, ENDED_WAIT_SUM);
		add_times(&e->durations, res, i, ENDED_DURATION_BUCKET, ENDED_DURATION_SUM);
	}
}

void
take_database(struct answers *a, const PGresult *res)
{
	a->connections = integer(res, 0, DATABASE_CONNECTIONS);
	a->dead_rows = integer(res, 0, DATABASE_DEAD_ROWS);
	a->oldest_transaction_s = number(res, 0, DATABASE_OLDEST);
	a->uploads_abandoned = integer(res, 0, DATABASE_ABANDONED);
}
