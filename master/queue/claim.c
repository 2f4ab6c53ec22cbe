#include "master/queue/claim.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/memory.h"
#include "common/db/params.h"
#include "master/limits/fair.h"
#include "master/limits/health.h"
#include "master/limits/quota.h"
#include "master/limits/throttle.h"
#include "master/node/planner.h"
#include "master/node/sqlarray.h"
#include "master/node/unique.h"
#include "master/queue/assign.h"
#include "master/queue/behind.h"
#include "master/queue/careful.h"
#include "master/queue/claim_row.h"
#include "master/queue/done.h"
#include "master/queue/due.h"
#include "master/queue/handout.h"
#include "master/queue/held.h"
#include "master/queue/putoff.h"
#include "master/queue/stock.h"
#include "master/queue/wake.h"

#define RETRY_MS 1000 /* after the database has refused a claim */
#define CLASHES_MAX 20

/* Claims from the start take at most this part of the time. */
#define START_OVER_SHARE 10
/* They are at least so far apart while claims from the last place find enough tasks. */
#define START_OVER_MS 200

/*
 * A claim in the order of all tasks that takes so long and finds too few walks over tasks that it
 * may not have: claims are by lanes for a while.
 */
#define IN_VAIN_MS 25
#define BY_LANES_MS 60000

static const struct place start = { .rank = "-2147483648", .run_at = "-infinity", .id = "0" };

/* The worker may have died, or been told to end, since we asked. */
static bool
may_take(const struct slot *slot)
{
	return slot->state == SLOT_IDLE && slot->reserved && slot->ending == ENDING_NOT &&
	       slot->channel != -1;
}

/*
 * The task goes to the slot that it was claimed for, else to the next worker that is free.  The
 * stock requeues it if no worker may have it.
 */
static void
take_row(struct queue *q, const struct asked *asked, const PGresult *res, int row)
{
	struct task *task = memory_buffer(sizeof(*task));
	int number = claim_read_task(res, row, task);
	struct slot *slot = NULL;

	if (asked->kind == CLAIM_PROBE)
		health_probed(q->limits, task);
	if (putoff_take(q, task))
		return;
	if (number >= 1 && number <= CONFIG_WORKERS_MAX)
		slot = &q->pool->slots[number - 1];
	if (slot != NULL && may_take(slot) && !state_is_ending(q->state) &&
	    asked->node == node_id(q->node))
		assign_task(q, slot, task);
	else
		stock_put(q, task);
}

/* What a claim has brought. */
struct brought {
	int claimed;
	int marked; /* tasks that wait for others */
};

/* Decides when the next claim is submitted, and from where. */
static void
plan_next(struct queue *q, const struct asked *asked, const struct brought *brought)
{
	struct claim *c = &q->claim;
	int64_t now = clock_ms(), took = now - asked->at, at = now + START_OVER_SHARE * took;
	bool enough = brought->claimed >= asked->wish || brought->marked >= CLAIM_MARKS_MAX ||
		      brought->claimed + brought->marked >= asked->look;

	if (asked->kind == CLAIM_IN_ORDER && !enough && took >= IN_VAIN_MS)
		c->by_lanes_until = now + BY_LANES_MS;
	if (enough && asked->from_start && at < now + START_OVER_MS)
		at = now + START_OVER_MS;
	/* the claim after one from the start walks from what that one found to the old place */
	if (asked->from_start || (c->after_start && at > c->start_over_at))
		c->start_over_at = at;
	c->after_start = asked->from_start;
	c->again_at = 0;
	if (enough)
		agenda_claim(&q->state->agenda);
	else if (!asked->from_start)
		c->again_at = c->start_over_at > now ? c->start_over_at : now;
	else
		due_ask(q);
}

/* Counts the claimed tasks, and those of each queue if there are weights. */
static void
charge_queues(struct queue *q, const PGresult *res, int claimed)
{
	const struct config *conf = q->state->conf;
	int counts[CONFIG_QUEUES_MAX] = { 0 }, i, row;

	fair_note_claimed(q->limits, claimed);
	if (claimed == 0 || !fair_has_weights(q->limits))
		return;
	for (row = 0; row < PQntuples(res); row++)
		for (i = 0; i < conf->nqueues; i++)
			if (!claim_row_is_behind(res, row) &&
			    strcmp(PQgetvalue(res, row, CLAIM_QUEUE), conf->queues[i]) == 0)
				counts[i]++;
	fair_charge(q->limits, counts);
}

static void
take_rows(struct queue *q, const struct asked *asked, const PGresult *res)
{
	struct brought brought = { 0 };
	int i;

	refusals_relieve(&q->node->refusals, WORK_CLAIM);
	for (i = 0; i < PQntuples(res); i++) {
		if (claim_row_is_behind(res, i)) {
			brought.marked++;
			continue;
		}
		take_row(q, asked, res, i);
		brought.claimed++;
	}
	charge_queues(q, res, brought.claimed);
	if (asked->woken)
		wake_note(q, brought.claimed + brought.marked > 0);
	q->claim.meets_behind = brought.marked > 0;
	if (brought.marked > 0)
		behind_look_soon(q);
	if (asked->kind == CLAIM_STARVING || asked->kind == CLAIM_PROBE) {
		agenda_claim(&q->state->agenda); /* it tells nothing about other tasks */
		return;
	}
	claim_read_place(res, &q->claim.place);
	plan_next(q, asked, &brought);
}

/* The claim is over, with rows or without. */
static void
end_claim(struct queue *q)
{
	struct claim *c = &q->claim;
	struct slot *slot;

	if (c->asked.node != node_id(q->node))
		stock_release(q); /* our lease has lapsed since we asked */
	c->asked.kind = CLAIM_NONE;
	health_probed(q->limits, NULL); /* unless it has brought the task for the probe */
	putoff_run(q);
	POOL_FOREACH (slot, q->pool)
		slot_unreserve(slot);
	handout_run(q);
	c->poll_at = clock_ms() + q->state->conf->poll_ms;
}

static void
hold_off(struct queue *q, const PGresult *res)
{
	refusals_add(&q->node->refusals, WORK_CLAIM, res);
	q->claim.not_before = clock_ms() + RETRY_MS;
}

/* Nothing was claimed. */
static void
refused(struct queue *q, const PGresult *res)
{
	struct claim *c = &q->claim;

	agenda_claim(&q->state->agenda);
	if (careful_is_clash(res) && c->clashes++ < CLASHES_MAX)
		return;
	if (!careful_begin(q, res))
		hold_off(q, res);
}

/* A row that was claimed by its numbers was read. */
static void
was_read(void *arg, enum db_status status, PGresult *res)
{
	struct queue *q = arg;

	if (status == DB_OK)
		take_rows(q, &q->claim.asked, res);
	else
		agenda_claim(&q->state->agenda);
	if (status == DB_ERROR && careful_is_about_data(res)) {
		careful_refuse(q, res);
	} else if (status == DB_ERROR) {
		hold_off(q, res);
		q->state->agenda.reconcile = true; /* requeues the task */
	}
	end_claim(q);
}

static void
claimed(void *arg, enum db_status status, PGresult *res)
{
	struct queue *q = arg;
	struct claim *c = &q->claim;

	if (status == DB_ERROR)
		refused(q, res);
	if (status == DB_OK) {
		histogram_add(&q->state->figures.claims, histogram_of_statements,
		    (double)(clock_ms() - c->asked.at) / 1000);
		c->clashes = 0;
		if (c->asked.reading == CLAIM_READS_NUMBERS && careful_read(q, res, was_read))
			return;
		take_rows(q, &c->asked, res);
	}
	end_claim(q);
}

/* Reserves idle slots, at most so many, and lists their numbers.  Returns how many. */
static int
reserve(struct queue *q, struct sqlarray *slots, int most)
{
	struct slot *slot;
	int n = 0;

	POOL_FOREACH (slot, q->pool) {
		if (n == most)
			break;
		if (!slot_is_available(q->pool, slot))
			continue;
		slot_reserve(slot);
		sqlarray_add_int(slots, slot->number);
		n++;
	}
	return n;
}

static bool
needs_lanes(const struct queue *q)
{
	const char *throttled[CONFIG_STORES_MAX];

	return quota_limits_claims(q->limits) || throttle_list(q->limits, throttled) > 0 ||
	       health_shuns(q->limits) || clock_ms() < q->claim.by_lanes_until;
}

/* Decides what the claim asks for: tasks for idle workers, and so many ahead. */
static void
plan(struct queue *q, struct sqlarray *slots, int ahead)
{
	struct claim *c = &q->claim;
	struct asked *asked = &c->asked;
	int turns = fair_turns(q->limits), most;

	asked->at = clock_ms();
	asked->woken = wake_take(q);
	asked->node = node_id(q->node);
	asked->from_start = c->place.id[0] == '\0' || c->start_over_at <= asked->at;
	asked->reading = c->careful > 0 ? CLAIM_READS_NUMBERS : CLAIM_READS_ALL;
	most = c->careful > 0 ? 1 : turns > 0 ? turns : CONFIG_WORKERS_MAX;
	if (c->careful == 0 && health_due(q->limits) != NULL) {
		asked->kind = CLAIM_PROBE;
		asked->from_start = true;
		asked->wish = asked->look = 1;
		reserve(q, slots, 1);
		return;
	}
	asked->wish = reserve(q, slots, most) + ahead;
	if (c->careful > 0)
		asked->wish = 1;
	if (turns > 0) {
		asked->kind = CLAIM_STARVING;
		if (asked->wish > turns)
			asked->wish = turns;
		fair_take_turns(q->limits, asked->wish);
	} else {
		asked->kind = needs_lanes(q) ? CLAIM_BY_LANES : CLAIM_IN_ORDER;
	}
	/* many tasks for one destination are marked by few claims */
	asked->look = asked->wish + (c->meets_behind && c->careful == 0 ? CLAIM_MARKS_MAX : 0);
}

/* p holds the parameters that both claims have. */
static void
submit_in_order(struct queue *q, struct params *p)
{
	const struct place *from = q->claim.asked.from_start ? &start : &q->claim.place;

	params_text(p, from->rank);
	params_text(p, from->run_at);
	params_text(p, from->id);
	params_int(p, q->claim.asked.look);
	db_submit(q->node->db, claim_stmt_in_order[q->claim.asked.reading], p->values, DB_ONCE,
	    claimed, q);
}

static void
submit_by_lanes(struct queue *q, struct params *p)
{
	const struct asked *asked = &q->claim.asked;
	const char *throttled[CONFIG_STORES_MAX];
	struct sqlarray stores, starts, ours, claims;
	int i, n = throttle_list(q->limits, throttled);

	sqlarray_init(&stores);
	sqlarray_init(&starts);
	sqlarray_init(&ours);
	sqlarray_init(&claims);
	for (i = 0; i < n; i++)
		sqlarray_add_str(&stores, throttled[i]);
	if (asked->kind == CLAIM_PROBE)
		health_list_probe(q->limits->probing, &stores);
	else
		health_list(q->limits, &stores);
	fair_list_starts(q->limits, &starts);
	held_list(q, &ours, &claims);
	params_text(p, sqlarray_finish(&stores));
	params_text(p, sqlarray_finish(&starts));
	params_bool(p, asked->kind == CLAIM_STARVING);
	params_bool(p, asked->from_start);
	params_text(p, sqlarray_finish(&ours));
	db_submit(q->node->db, claim_stmt_by_lanes[asked->reading], p->values, DB_ONCE, claimed, q);
	sqlarray_release(&claims);
	sqlarray_release(&ours);
	sqlarray_release(&starts);
	sqlarray_release(&stores);
}

static void
submit(struct queue *q, int ahead)
{
	const struct config *conf = q->state->conf;
	struct sqlarray slots, queues;
	struct params p = { .n = 0 };
	int i;

	sqlarray_init(&slots);
	sqlarray_init(&queues);
	plan(q, &slots, ahead);
	q->state->agenda.claim = false;
	for (i = 0; i < conf->nqueues; i++)
		sqlarray_add_str(&queues, conf->queues[i]);
	params_int(&p, q->claim.asked.node);
	params_text(&p, sqlarray_finish(&slots));
	params_text(&p, sqlarray_finish(&queues));
	params_int(&p, q->claim.asked.wish);
	params_int(&p, unique_draw());
	if (q->claim.asked.kind == CLAIM_IN_ORDER)
		submit_in_order(q, &p);
	else
		submit_by_lanes(q, &p);
	sqlarray_release(&queues);
	sqlarray_release(&slots);
}

/* Claims for idle workers and for the stock.  If there is no need, the next idle worker asks. */
static void
claim(struct queue *q)
{
	const struct slot *slot;
	int ahead = stock_wish(q);

	if (done_is_full(q))
		return; /* the database does not keep up, or is away */
	POOL_FOREACH (slot, q->pool)
		if (slot_is_available(q->pool, slot) || ahead > 0) {
			submit(q, ahead);
			return;
		}
}

static bool
is_open(const struct queue *q)
{
	return link_is_ready(q->node) && !state_is_ending(q->state);
}

static bool
is_due(int64_t at, int64_t now)
{
	return at != 0 && at <= now;
}

/* Whether the clock demands a claim. */
static bool
run_clock(struct queue *q, int64_t now)
{
	struct claim *c = &q->claim;
	bool demands = throttle_run(q->limits);

	if (health_run(q->limits))
		demands = true;
	if (is_due(c->poll_at, now)) {
		c->poll_at = now + q->state->conf->poll_ms;
		demands = true;
	}
	if (is_due(q->due.at, now)) {
		q->due.at = 0;
		agenda_wake(&q->state->agenda); /* all nodes know that time */
	}
	if (is_due(c->again_at, now)) {
		c->again_at = 0;
		demands = true;
	}
	return demands;
}

void
claim_run(struct queue *q)
{
	struct agenda *a = &q->state->agenda;
	int64_t now = clock_ms();

	if (!is_open(q))
		return;
	if (run_clock(q, now))
		agenda_claim(a);
	wake_run(q);
	if (a->claim && q->claim.asked.kind == CLAIM_NONE && q->claim.not_before <= now)
		claim(q);
}

int64_t
claim_deadline(const struct queue *q)
{
	const struct claim *c = &q->claim;
	int64_t at;

	if (!is_open(q))
		return 0;
	at = clock_earlier(throttle_deadline(q->limits), clock_earlier(c->poll_at, q->due.at));
	at = clock_earlier(at, wake_deadline(q));
	at = clock_earlier(at, clock_earlier(c->again_at, health_deadline(q->limits)));
	if (q->state->agenda.claim && c->asked.kind == CLAIM_NONE && c->not_before > clock_ms())
		at = clock_earlier(at, c->not_before);
	return at;
}
