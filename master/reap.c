/*
 * Owns the verdict on a worker's death.
 */
#include "master/reap.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/units.h"
#include "common/uri.h"
#include "master/dispatch.h"
#include "master/pool.h"
#include "master/prefetch.h"
#include "master/settle.h"
#include "master/shares.h"
#include "master/spawn.h"

struct verdict {
	int status; /* of wait(2) */
	bool memory;
	int64_t peak; /* bytes */
	char text[160];
};

void
reap_describe(char *buf, size_t size, int status, bool memory, int64_t peak, int64_t cap, enum memory_backend backend)
{
	char most[24], limit[24];

	units_format_size(most, sizeof(most), peak);
	units_format_size(limit, sizeof(limit), cap);
	if (memory)
		snprintf(buf, size, "killed: out of memory, peak %s of %s cap (%s)", most, limit, memory_backend_name(backend));
	else if (WIFSIGNALED(status))
		snprintf(buf, size, "killed: signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(buf, size, "exited: code %d", WEXITSTATUS(status));
}

/*
 * Out of memory is certain: the kernel killed something in a leaf that this process alone has lived in, or, where the cap is a
 * limit on the process itself, the worker said so with its exit code.
 */
static void
judge(struct master *m, struct slot *slot, int status, const struct rusage *usage, struct verdict *v)
{
	int64_t kills;

	v->status = status;
	cap_leaf_read(m->cap, &slot->leaf, &kills, &v->peak);
	if (v->peak < 0)
		v->peak = (int64_t)usage->ru_maxrss * 1024;
	v->memory = (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && kills > 0) ||
		    (WIFEXITED(status) && WEXITSTATUS(status) == WORKER_EXIT_MEMORY);
	reap_describe(v->text, sizeof(v->text), status, v->memory, v->peak, slot->memory, cap_backend(m->cap));
}

static const char *
cause(const struct verdict *v)
{
	if (v->memory)
		return "out_of_memory";
	return WIFSIGNALED(v->status) ? "signal" : "exit";
}

/* A worker that was told to hand back and could not tell the database is no more to blame than one that we killed for it. */
static bool
is_forgiven(const struct master *m, const struct slot *slot, const struct verdict *v)
{
	return slot->forgiven || (m->phase == PHASE_STOPPING && WIFEXITED(v->status));
}

static void
bury_with_task(struct master *m, struct slot *slot, const struct verdict *v)
{
	struct death *death = calloc(1, sizeof(*death));

	if (death == NULL)
		fatal(71, "out of memory"); /* EX_OSERR: the lease brings the task back */
	death->kind = v->memory ? DEATH_MEMORY : is_forgiven(m, slot, v) ? DEATH_FORGIVEN : DEATH_CRASH;
	death->worker = slot->number;
	death->pid = slot->pid;
	death->task = slot->task->id;
	death->claim = slot->task->claim;
	death->bytes_done = slot->bytes_done;
	death->bytes_total = slot->bytes_total;
	death->peak = v->peak;
	death->cap = slot->memory;
	death->cause = cause(v);
	strlcpy(death->verdict, v->text, sizeof(death->verdict));
	uri_redact(death->source, sizeof(death->source), slot->task->source);
	settle_death(m, death);
}

/* One that died before it was ever idle is replaced with backoff, and may die of the same for a night: that is said once. */
static bool
is_told(struct master *m, const struct slot *slot, const struct verdict *v, const char *report)
{
	char why[sizeof(m->pool.bad_start)];

	if (slot->was_idle || slot->state != SLOT_STARTING || slot->retiring || slot->killed)
		return false;
	snprintf(why, sizeof(why), "%s, %s", v->memory ? cause(v) : v->text, report != NULL ? report : "");
	if (strcmp(why, m->pool.bad_start) == 0)
		return true;
	strlcpy(m->pool.bad_start, why, sizeof(m->pool.bad_start));
	return false;
}

static void
log_end_without_task(struct master *m, struct slot *slot, const struct verdict *v, bool clean)
{
	const char *doing = pool_state_name(slot->state), *step;
	struct log_line line;
	char report[160];
	int priority = clean ? LOG_INFO : LOG_WARNING;

	step = spawn_report(slot, report, sizeof(report));
	if (!clean && is_told(m, slot, v, step))
		priority = LOG_DEBUG;
	if (slot->reaping)
		doing = "reaping";
	else if (slot->retiring)
		doing = "retired";
	else if (clean && slot->ntasks > 0)
		doing = "recycled";
	log_begin(&line, priority, "worker %d (pid %d) %s, %s", slot->number, (int)slot->pid, v->text, doing);
	log_int(&line, "worker", slot->number);
	log_int(&line, "pid", slot->pid);
	log_str(&line, "cause", cause(v));
	log_str(&line, "step", step);
	log_end(&line);
}

void
reap_slot(struct master *m, struct slot *slot)
{
	struct verdict v;
	struct rusage usage;
	bool clean;
	int status;

	if (wait4(slot->pid, &status, WNOHANG, &usage) != slot->pid)
		return;
	slot->exited = true;
	/* What it said before it died counts. */
	while (slot->channel != -1 && dispatch_receive(m, slot))
		continue;
	judge(m, slot, status, &usage, &v);
	clean = WIFEXITED(status) && WEXITSTATUS(status) == 0 && (slot->was_idle || slot->retiring);
	if (slot->task != NULL)
		bury_with_task(m, slot, &v);
	else
		log_end_without_task(m, slot, &v, clean || slot->forgiven);
	prefetch_returned(m, slot);
	m->queue.renew_at = m->queue.renew_at == 0 ? 0 : clock_earlier(m->queue.renew_at, clock_ms() + 1000);
	pool_vacate(m, slot, clean);
	shares_divide(m);
}
