#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/memory.h"
#include "master/exporter/page.h"

/* jansson gives NULL for want of memory alone: what we give it are numbers and names in ASCII. */
static json_t *
made(json_t *value)
{
	if (value == NULL)
		memory_exhausted(0);
	return value;
}

static json_t *
array(void)
{
	return made(json_array());
}

static void
append(json_t *list, json_t *value)
{
	if (json_array_append_new(list, made(value)) == -1)
		memory_exhausted(0);
}

static void
set(json_t *object, const char *name, json_t *value)
{
	if (json_object_set_new(object, name, made(value)) == -1)
		memory_exhausted(0);
}

/* Names of stores and classes; what has other bytes than UTF-8 is no name. */
static json_t *
name(const char *text)
{
	json_t *value = json_string(text);

	return value != NULL ? value : json_string("?");
}

/* Ids do not fit into the numbers of JavaScript. */
static json_t *
id(int64_t number)
{
	return json_sprintf("%" PRId64, number);
}

static json_t *
id_or_null(int64_t number, int has)
{
	return has != 0 ? id(number) : json_null();
}

static json_t *
list_workers(const struct figures *f)
{
	json_t *list = array();
	const struct figures_worker *w;

	for (w = f->workers; w < f->workers + f->nworkers; w++)
		append(
		    list, json_pack("{si ss si sI sI sI so sI sI}", "number", w->number, "state",
			      f->states[w->state].name, "pid", w->pid, "memory",
			      (json_int_t)w->memory, "peak", (json_int_t)w->peak, "cap",
			      (json_int_t)w->cap, "task", id_or_null(w->task, w->has_task), "done",
			      (json_int_t)w->bytes_done, "total", (json_int_t)w->bytes_total));
	return list;
}

static uint64_t
sum_of(const struct figures_sums *sums, const char *store)
{
	uint64_t value = 0;
	int i;

	for (i = 0; i < sums->n; i++)
		if (strcmp(sums->list[i].name, store) == 0)
			value += sums->list[i].value;
	return value;
}

static json_int_t
requests_of(const struct figures *f, const char *store)
{
	const struct figures_request *r;
	json_int_t sum = 0;

	for (r = f->requests.list; r < f->requests.list + f->requests.n; r++)
		if (strcmp(r->store, store) == 0)
			sum += (json_int_t)r->requests;
	return sum;
}

/* Until when the store's certificate is valid, in seconds since 1970. */
static json_t *
certificate_of(const struct figures *f, const char *store)
{
	uint64_t expires = sum_of(&f->certificates, store);

	return expires > 0 ? json_integer((json_int_t)expires) : json_null();
}

static json_t *
list_stores(const struct figures *f)
{
	json_t *list = array(), *store;
	const struct figures_store *s;

	for (s = f->stores; s < f->stores + f->nstores; s++) {
		store = made(json_pack("{so sb ss sb sI sI}", "store", name(s->name), "throttled",
		    s->throttled, "trouble", s->trouble, "no_keys", s->no_keys, "throttles",
		    (json_int_t)sum_of(&f->throttles, s->name), "damaged",
		    (json_int_t)sum_of(&f->damages, s->name)));
		set(store, "clock_ahead",
		    s->has_clock != 0 ? json_integer(s->clock_ahead_s) : json_null());
		set(store, "requests", json_integer(requests_of(f, s->name)));
		set(store, "certificate", certificate_of(f, s->name));
		append(list, store);
	}
	return list;
}

/* The names of sums, in the places that the ticks use. */
static json_t *
list_names(const struct figures_sums *sums)
{
	json_t *list = array();
	int i;

	for (i = 0; i < sums->n; i++)
		append(list,
		    json_pack("[oo]", name(sums->list[i].name), name(sums->list[i].other_name)));
	return list;
}

static json_t *
list_deaths(const struct history *h)
{
	static const char *const causes[DEATHS] = {
		[DIED_OUT_OF_MEMORY] = "out_of_memory",
		[DIED_MACHINE_OUT_OF_MEMORY] = "machine_out_of_memory",
		[DIED_SIGNAL] = "signal",
		[DIED_EXIT] = "exit",
		[DIED_HUNG] = "hung",
	};
	json_t *list = array();
	const struct figures_end *end;
	uint64_t n = h->nends > HISTORY_ENDS ? h->nends - HISTORY_ENDS : 0;

	for (; (end = history_end(h, n)) != NULL; n++)
		if (end->at > clock_wall_ms() - HISTORY_MS)
			append(list, json_pack("{sI si ss sI sI so}", "at", (json_int_t)end->at,
					 "worker", end->number, "cause", causes[end->cause], "peak",
					 (json_int_t)end->peak, "cap", (json_int_t)end->cap, "task",
					 id_or_null(end->task, end->has_task)));
	return list;
}

/* Pairs of place and value, of what is not 0. */
static json_t *
list_values(const uint64_t *values, int n)
{
	json_t *list = array();
	int i;

	for (i = 0; i < n; i++)
		if (values[i] != 0)
			append(list, json_pack("[iI]", i, (json_int_t)values[i]));
	return list;
}

/* Each tick: its time, and pairs for memory (number less 1, bytes), bytes and failures. */
static json_t *
list_ticks(const struct history *h, int64_t since)
{
	json_t *list = array();
	const struct tick *t;
	int64_t serial = since + 1;

	if (serial <= h->serial - HISTORY_TICKS || since > h->serial)
		serial = h->serial - HISTORY_TICKS + 1;
	for (; serial <= h->serial; serial++) {
		t = history_tick(h, serial);
		if (t != NULL)
			append(
			    list, json_pack("[Iooo]", (json_int_t)t->at,
				      list_values((const uint64_t *)t->memory, CONFIG_WORKERS_MAX),
				      list_values(t->bytes, h->bytes.n),
				      list_values(t->failures, h->failures.n)));
	}
	return list;
}

void
page_write_node(const struct exporter *e, int64_t since, FILE *out)
{
	const struct figures *f = &e->figures;
	json_t *page = made(json_object());

	set(page, "now", json_integer(clock_wall_ms()));
	set(page, "version", json_string(FERRY_VERSION));
	set(page, "heard", json_boolean(exporter_hears(e)));
	set(page, "heard_at", json_integer(e->heard_at));
	set(page, "node", id(f->node));
	set(page, "running", json_boolean(f->running != 0));
	set(page, "database_up", json_boolean(f->database_up != 0));
	set(page, "lease_ms", json_integer(f->lease_ms));
	set(page, "workers", list_workers(f));
	set(page, "stores", list_stores(f));
	set(page, "pairs", list_names(&f->bytes));
	set(page, "failures", list_names(&f->failures));
	set(page, "deaths", list_deaths(&e->history));
	set(page, "started", json_integer(e->started));
	set(page, "serial", json_integer(e->history.serial));
	set(page, "ticks", list_ticks(&e->history, since));
	if (json_dumpf(page, out, JSON_COMPACT) == -1)
		memory_exhausted(0);
	json_decref(page);
}
