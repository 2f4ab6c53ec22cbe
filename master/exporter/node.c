/*
 * The figures of this node.
 */
#include <string.h>

#include "common/base/clock.h"
#include "master/exporter/exporter.h"

bool
exporter_hears(const struct exporter *e)
{
	return e->figures_at != 0 && clock_ms() - e->figures_at < FIGURES_OLD_MS;
}

static void
write_workers(struct exposition *p, const struct figures *f)
{
	const struct figures_worker *w;
	char number[16];
	int i;
	static const struct {
		const char *name, *help;
	} kinds[] = {
		{ "ferry_worker_memory_bytes", "Memory of a worker now." },
		{ "ferry_worker_memory_peak_bytes", "Most memory that the process has had." },
		{ "ferry_worker_memory_cap_bytes", "The memory that a worker may have." },
	};

	for (i = 0; i < 3; i++) {
		expose_family(p, kinds[i].name, "gauge", kinds[i].help);
		for (w = f->workers; w < f->workers + f->nworkers; w++) {
			int64_t bytes = i == 0 ? w->memory : i == 1 ? w->peak : w->cap;

			snprintf(number, sizeof(number), "%d", w->number);
			if (bytes >= 0)
				expose_sample(
				    p, kinds[i].name, LABELS("worker", number), (double)bytes);
		}
	}
	expose_family(p, "ferry_workers", "gauge", "Workers in each state.");
	for (i = 0; i < FIGURES_STATES; i++)
		expose_sample(
		    p, "ferry_workers", LABELS("state", f->states[i].name), f->states[i].workers);
}

static void
write_deaths(struct exposition *p, const struct figures *f)
{
	static const char *const causes[DEATHS] = {
		[DIED_OUT_OF_MEMORY] = "out_of_memory",
		[DIED_MACHINE_OUT_OF_MEMORY] = "machine_out_of_memory",
		[DIED_SIGNAL] = "signal",
		[DIED_EXIT] = "exit",
		[DIED_HUNG] = "hung",
	};
	int i;

	expose_family(p, "ferry_worker_deaths", "counter",
	    "Workers that died, by cause; hung: ferryd killed them for a fault of theirs.");
	for (i = 0; i < DEATHS; i++)
		expose_sample(p, "ferry_worker_deaths_total", LABELS("cause", causes[i]),
		    (double)f->deaths[i]);
	expose_family(p, "ferry_worker_starts_failed", "counter",
	    "Workers that died before they were ever idle.");
	expose_sample(p, "ferry_worker_starts_failed_total", NO_LABELS, (double)f->starts_failed);
}

static void
write_traffic(struct exposition *p, const struct figures *f)
{
	const struct figures_sum *s;

	expose_family(p, "ferry_bytes", "counter",
	    "Bytes that the workers of this node have carried; those sent again count again.");
	for (s = f->bytes.list; s < f->bytes.list + f->bytes.n; s++)
		expose_sample(p, "ferry_bytes_total",
		    LABELS("source_store", s->name, "destination_store", s->other_name),
		    (double)s->value);
	expose_family(p, "ferry_task_attempts_failed", "counter",
	    "Attempts that failed, by class; store is empty where no store is known to be the "
	    "cause.");
	for (s = f->failures.list; s < f->failures.list + f->failures.n; s++)
		expose_sample(p, "ferry_task_attempts_failed_total",
		    LABELS("class", s->name, "store", s->other_name), (double)s->value);
	expose_family(p, "ferry_store_throttled", "counter",
	    "How often this node held a store since it asked to slow down.");
	for (s = f->throttles.list; s < f->throttles.list + f->throttles.n; s++)
		expose_sample(
		    p, "ferry_store_throttled_total", LABELS("store", s->name), (double)s->value);
	expose_family(p, "ferry_parts_damaged", "counter",
	    "Parts of which a store got other bytes than were sent; they were sent again.");
	for (s = f->damages.list; s < f->damages.list + f->damages.n; s++)
		expose_sample(
		    p, "ferry_parts_damaged_total", LABELS("store", s->name), (double)s->value);
}

/* Stores that have left the configuration are left out. */
static bool
is_store(const struct figures *f, const char *name)
{
	const struct figures_store *s;

	for (s = f->stores; s < f->stores + f->nstores; s++)
		if (strcmp(s->name, name) == 0)
			return true;
	return false;
}

static void
write_requests(struct exposition *p, const struct figures *f)
{
	const struct figures_request *r;
	const struct figures_sum *s;

	expose_family(p, "ferry_store_requests", "counter",
	    "Requests to stores by operation and status of the answer; none: there was no answer.");
	for (r = f->requests.list; r < f->requests.list + f->requests.n; r++)
		expose_sample(p, "ferry_store_requests_total",
		    LABELS("store", r->store, "operation", r->operation, "status", r->status),
		    (double)r->requests);
	expose_family(p, "ferry_store_certificate_expiry_timestamp_seconds", "gauge",
	    "Until when the store's certificate is valid, as of the newest connection.");
	for (s = f->certificates.list; s < f->certificates.list + f->certificates.n; s++)
		if (is_store(f, s->name))
			expose_sample(p, "ferry_store_certificate_expiry_timestamp_seconds",
			    LABELS("store", s->name), (double)s->value);
}

static void
write_stores(struct exposition *p, const struct figures *f)
{
	const struct figures_store *s, *end = f->stores + f->nstores;

	expose_family(p, "ferry_store_up", "gauge", "Whether this node begins tasks of the store.");
	for (s = f->stores; s < end; s++)
		expose_sample(p, "ferry_store_up", LABELS("store", s->name),
		    s->throttled == 0 && s->no_keys == 0 && s->trouble[0] == '\0');
	expose_family(p, "ferry_store_held", "gauge",
	    "Whether the store gets no new tasks: it asked to slow down, has no keys yet, or fails "
	    "so.");
	for (s = f->stores; s < end; s++) {
		expose_sample(p, "ferry_store_held",
		    LABELS("store", s->name, "reason", "throttled"), s->throttled);
		expose_sample(p, "ferry_store_held", LABELS("store", s->name, "reason", "no_keys"),
		    s->no_keys);
		if (s->trouble[0] != '\0')
			expose_sample(p, "ferry_store_held",
			    LABELS("store", s->name, "reason", s->trouble), 1);
	}
	expose_family(p, "ferry_store_clock_skew_seconds", "gauge",
	    "How far the store's clock is ahead of this machine's.");
	for (s = f->stores; s < end; s++)
		if (s->has_clock != 0)
			expose_sample(p, "ferry_store_clock_skew_seconds", LABELS("store", s->name),
			    (double)s->clock_ahead_s);
}

static void
write_statements(struct exposition *p, const struct figures *f)
{
	expose_family(p, "ferry_claim_seconds", "histogram",
	    "The time from a claim's statement to its answer.");
	expose_histogram(p, "ferry_claim_seconds", NO_LABELS, &f->claims, histogram_of_statements);
	expose_family(p, "ferry_settle_seconds", "histogram",
	    "The time from the statement that settles tasks to its answer.");
	expose_histogram(
	    p, "ferry_settle_seconds", NO_LABELS, &f->settles, histogram_of_statements);
	expose_family(
	    p, "ferry_database_up", "gauge", "Whether ferryd is connected to the database.");
	expose_sample(p, "ferry_database_up", NO_LABELS, f->database_up);
}

/* What is left of the lease, by what the master said when it was last heard. */
static double
lease_left(const struct exporter *e)
{
	int64_t left = e->figures.lease_ms - (clock_ms() - e->figures_at);

	return left > 0 ? (double)left / 1000 : 0;
}

void
node_write(struct exposition *p, const struct exporter *e)
{
	bool hears = exporter_hears(e);

	expose_family(p, "ferry_up", "gauge", "Whether ferryd has been heard within 10 seconds.");
	expose_sample(p, "ferry_up", NO_LABELS, hears);
	expose_family(p, "ferry_build_info", "gauge", "The version of ferryd.");
	expose_sample(p, "ferry_build_info", LABELS("version", FERRY_VERSION), 1);
	if (!hears)
		return;
	expose_family(p, "ferry_lease_remaining_seconds", "gauge",
	    "Time until the lease of this node ends; it is renewed long before that.");
	expose_sample(p, "ferry_lease_remaining_seconds", NO_LABELS, lease_left(e));
	write_workers(p, &e->figures);
	write_deaths(p, &e->figures);
	write_traffic(p, &e->figures);
	write_stores(p, &e->figures);
	write_requests(p, &e->figures);
	write_statements(p, &e->figures);
}
