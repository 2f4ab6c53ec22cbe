#include "master/exits.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/base/uri.h"
#include "master/limits/health.h"
#include "master/limits/shares.h"
#include "master/pool/pool.h"
#include "master/pool/spawn.h"
#include "master/queue/deaths.h"
#include "master/queue/handout.h"
#include "master/reports.h"
#include "master/verdict.h"

#define RENEW_WITHIN_MS 1000 /* the row of this node lists its workers */

/*
 * A worker that was told to stop and could not tell the database is as little to blame as one that
 * we killed because it did not stop in time.
 */
static enum death_kind
kind_of(const struct state *s, const struct slot *slot, const struct verdict *v)
{
	if (v->cause == CAUSE_MEMORY)
		return DEATH_MEMORY;
	if (v->cause == CAUSE_SHORTAGE)
		return DEATH_SHORTAGE;
	if (slot->ending == ENDING_FORGIVEN || (s->phase == PHASE_STOPPING && WIFEXITED(v->status)))
		return DEATH_FORGIVEN;
	return DEATH_CRASH;
}

/* Counts the end for the metrics. */
static void
count(struct figures *f, const struct slot *slot, const struct verdict *v)
{
	static const enum figures_death deaths[] = {
		[CAUSE_EXIT] = DIED_EXIT,
		[CAUSE_SIGNAL] = DIED_SIGNAL,
		[CAUSE_US] = DIED_HUNG,
		[CAUSE_MEMORY] = DIED_OUT_OF_MEMORY,
		[CAUSE_SHORTAGE] = DIED_MACHINE_OUT_OF_MEMORY,
	};
	bool memory = v->cause == CAUSE_MEMORY || v->cause == CAUSE_SHORTAGE;

	f->ends[f->nends++ % FIGURES_ENDS] = (struct figures_end){
		.at = clock_wall_ms(),
		.number = slot->number,
		.cause = (int)deaths[v->cause],
		.peak = v->memory.peak,
		.cap = v->cap,
		.task = slot->task != NULL ? slot->task->id : 0,
		.has_task = slot->task != NULL,
	};
	f->deaths[deaths[v->cause]]++;
	if (!slot->was_idle)
		f->starts_failed++;
	if (slot->task != NULL)
		figures_add(
		    &f->failures, error_class_name(memory ? CLASS_MEMORY : CLASS_CRASH), "", 1);
}

static void
bury_with_task(struct master *m, const struct slot *slot, const struct verdict *v)
{
	struct death *death = memory_alloc(sizeof(*death));

	death->kind = kind_of(&m->state, slot, v);
	death->worker = slot->number;
	death->pid = slot->pid;
	death->task = slot->task->id;
	death->claim = slot->task->claim;
	death->bytes_done = slot->bytes_done;
	death->bytes_total = slot->bytes_total;
	death->peak = v->memory.peak;
	death->cap = v->cap;
	death->cause = verdict_cause_name(v);
	strlcpy(death->verdict, v->text, sizeof(death->verdict));
	uri_redact(death->source, sizeof(death->source), slot->task->source);
	uri_redact(death->destination, sizeof(death->destination), slot->task->destination);
	deaths_add(&m->queue, death);
}

/*
 * Whether the log has told this reason already.  A worker that dies before it is ever idle is
 * replaced with backoff, and its successors may die of the same all night.
 */
static bool
is_told(struct pool *p, const struct slot *slot, const struct verdict *v, const char *report)
{
	char why[sizeof(p->bad_start)];

	if (slot->was_idle || slot->state != SLOT_STARTING || slot->ending != ENDING_NOT)
		return false;
	/* two deaths for memory differ in their figures */
	snprintf(why, sizeof(why), "%s, %s",
	    v->cause >= CAUSE_MEMORY ? verdict_cause_name(v) : v->text,
	    report != NULL ? report : "");
	return !pool_note_bad_start(p, why);
}

static const char *
describe_work(const struct slot *slot, bool clean)
{
	if (slot->state == SLOT_REAPING)
		return slot_state_name(slot->state);
	if (slot_is_retiring(slot))
		return "retired";
	if (clean && slot->ntasks > 0)
		return "recycled";
	return slot_state_name(slot->state);
}

static void
log_end_without_task(struct pool *p, struct slot *slot, const struct verdict *v, bool clean)
{
	const char *step;
	struct log_line line;
	char report[160];
	int priority = clean ? LOG_INFO : LOG_WARNING;

	step = spawn_report(slot, report, sizeof(report));
	if (!clean && is_told(p, slot, v, step))
		priority = LOG_DEBUG;
	log_begin(&line, priority, "worker %d (pid %d) %s, %s", slot->number, (int)slot->pid,
	    v->text, describe_work(slot, clean));
	log_int(&line, "worker", slot->number);
	log_int(&line, "pid", slot->pid);
	log_str(&line, "cause", verdict_cause_name(v));
	log_str(&line, "step", step);
	log_end(&line);
}

/* Until it is waited for, the process keeps its pid: a signal to it hits no other process. */
static bool
has_ended(pid_t pid)
{
	siginfo_t info = { .si_pid = 0 };

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	       info.si_pid == pid;
}

/* A line of its own, since the line about the death is long. */
static void
log_facts(const struct slot *slot, const struct verdict *v)
{
	struct log_line line;

	log_begin(&line, LOG_INFO, "worker %d (pid %d): facts about its end", slot->number,
	    (int)slot->pid);
	if (slot->task != NULL)
		log_int(&line, "task", slot->task->id);
	log_int(&line, "worker", slot->number);
	log_int(&line, "pid", slot->pid);
	verdict_add_facts(v, &line);
	log_end(&line);
}

void
exits_take(struct master *m, struct slot *slot)
{
	struct verdict v;
	struct rusage usage;
	bool clean;
	int status;

	if (!has_ended(slot->pid))
		return;
	/* The reports that it sent before it died count. */
	while (slot->channel != -1 && reports_receive(m, slot))
		continue;
	/* what it has left behind in its process group; its own pid is taken until it is waited for
	 */
	kill(-slot->pid, SIGKILL);
	if (wait4(slot->pid, &status, WNOHANG, &usage) != slot->pid)
		return;
	verdict_judge(&v, m->pool.cap, slot, status, &usage);
	clean = status == 0 && (slot->was_idle || slot_is_retiring(slot));
	if (!clean && slot->ending != ENDING_FORGIVEN)
		count(&m->state.figures, slot, &v);
	if (slot->task != NULL)
		health_ended(&m->limits, slot->task);
	if (slot->task != NULL)
		bury_with_task(m, slot, &v);
	else
		log_end_without_task(&m->pool, slot, &v, clean || slot->ending == ENDING_FORGIVEN);
	if (!clean && slot->ending != ENDING_FORGIVEN && slot->was_idle)
		log_facts(slot, &v);
	handout_returned(&m->queue, slot);
	agenda_renew_by(&m->state.agenda, clock_ms() + RENEW_WITHIN_MS);
	pool_vacate(&m->pool, slot, clean);
	shares_divide(&m->limits);
}
