/*
 * The figures of the whole queue.
 */
#include "master/exporter/exporter.h"

static void
write_live(struct exposition *p, const struct answers *a)
{
	const struct live *l, *end = a->live + a->nlive;

	expose_family(p, "ferry_tasks", "gauge", "Tasks that wait or run.");
	for (l = a->live; l < end; l++) {
		expose_sample(p, "ferry_tasks", LABELS("queue", l->queue, "state", "queued"),
		    (double)l->queued);
		expose_sample(p, "ferry_tasks", LABELS("queue", l->queue, "state", "running"),
		    (double)l->running);
	}
	expose_family(p, "ferry_queue_oldest_waiting_seconds", "gauge",
	    "The longest that a task has waited which could run.");
	for (l = a->live; l < end; l++)
		expose_sample(p, "ferry_queue_oldest_waiting_seconds", LABELS("queue", l->queue),
		    l->oldest_s);
}

static void
write_ended(struct exposition *p, const struct answers *a)
{
	static const char *const states[ENDED_STATES] = { "done", "failed", "cancelled" };
	const struct ended *q, *end = a->ended + a->nended;
	int i;

	expose_family(p, "ferry_tasks_ended", "counter", "Tasks that have ended.");
	for (q = a->ended; q < end; q++)
		for (i = 0; i < ENDED_STATES; i++)
			expose_sample(p, "ferry_tasks_ended_total",
			    LABELS("queue", q->queue, "state", states[i]), (double)q->tasks[i]);
	expose_family(p, "ferry_task_wait_seconds", "histogram",
	    "The time that ended tasks had waited until they were first claimed.");
	for (q = a->ended; q < end; q++)
		expose_histogram(p, "ferry_task_wait_seconds", LABELS("queue", q->queue), &q->waits,
		    histogram_of_tasks);
	expose_family(p, "ferry_task_duration_seconds", "histogram",
	    "The time of ended tasks from their first claim to their end.");
	for (q = a->ended; q < end; q++)
		expose_histogram(p, "ferry_task_duration_seconds", LABELS("queue", q->queue),
		    &q->durations, histogram_of_tasks);
}

static void
write_database(struct exposition *p, const struct answers *a)
{
	expose_family(p, "ferry_database_connections", "gauge", "Sessions with the database.");
	expose_sample(p, "ferry_database_connections", NO_LABELS, (double)a->connections);
	expose_family(p, "ferry_database_dead_rows", "gauge",
	    "Rows of ferry's tables that wait for a vacuum, as the statistics have it.");
	expose_sample(p, "ferry_database_dead_rows", NO_LABELS, (double)a->dead_rows);
	expose_family(p, "ferry_database_oldest_transaction_seconds", "gauge",
	    "Age of the oldest open transaction that our role may see.");
	expose_sample(
	    p, "ferry_database_oldest_transaction_seconds", NO_LABELS, a->oldest_transaction_s);
	expose_family(
	    p, "ferry_uploads_abandoned", "gauge", "Uploads that wait for their removal.");
	expose_sample(p, "ferry_uploads_abandoned", NO_LABELS, (double)a->uploads_abandoned);
}

void
whole_write(struct exposition *p, const struct answers *a)
{
	expose_family(p, "ferry_exporter_speaks", "gauge",
	    "Whether this node gives the figures of the whole queue; one node does at a time.");
	expose_sample(p, "ferry_exporter_speaks", NO_LABELS, a->speaks && a->whole);
	if (!a->speaks || !a->whole)
		return;
	write_live(p, a);
	write_ended(p, a);
	write_database(p, a);
}
