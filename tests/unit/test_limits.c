/*
 * Shares of a rate, and waiting after a store has asked to slow down.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "master/limits/fair.h"
#include "master/limits/shares.h"
#include "master/limits/throttle.h"
#include "master/pool/pool.h"
#include "master/queue/assign.h"
#include "tests/unit/tap.h"

static struct state state;
static struct pool pool;
static struct node node;
static struct limits limits;
static struct queue queue = { .state = &state, .pool = &pool, .limits = &limits };
static struct config conf;
static int worker_ends[CONFIG_WORKERS_MAX + 1];
static const char *excluded[CONFIG_STORES_MAX];
static int nexcluded;

static void
add_store(const char *name, int max_transfers, int64_t rate)
{
	struct config_store *store = &conf.stores[conf.nstores++];

	snprintf(store->name, sizeof(store->name), "%s", name);
	store->max_transfers = max_transfers;
	store->rate = rate;
}

static void
set_up(void)
{
	memset(&state, 0, sizeof(state));
	memset(&pool, 0, sizeof(pool));
	memset(&conf, 0, sizeof(conf));
	state.conf = &conf;
	state.conf_generation = 1;
	pool.state = &state;
	limits = (struct limits){ .state = &state, .pool = &pool, .node = &node };
	pool_init(&pool);
}

static struct slot *
carry(int number, const char *source, const char *destination)
{
	struct slot *slot = &pool.slots[number - 1];
	struct task *task = calloc(1, sizeof(*task));
	int pair[2];

	if (task == NULL || channel_pair(pair) == -1)
		abort();
	fcntl(pair[1], F_SETFL, O_NONBLOCK);
	slot->channel = pair[0];
	worker_ends[number] = pair[1];
	slot->state = SLOT_IDLE;
	snprintf(task->source, sizeof(task->source), "%s", source);
	snprintf(task->destination, sizeof(task->destination), "%s", destination);
	assign_task(&queue, slot, task);
	return slot;
}

static void
finish(int number)
{
	struct slot *slot = &pool.slots[number - 1];

	slot_drop_task(slot);
	shares_divide(&limits);
	close(slot->channel);
	close(worker_ends[number]);
	slot->channel = -1;
}

/* The store's rate in the next message to the worker; -1: the next message is another. */
static int64_t
told_rate(int number, const char *store)
{
	static struct msg msg;
	int fd;

	if (channel_recv(worker_ends[number], &msg, &fd) != 1 || msg.type != MSG_RATE ||
	    strcmp(msg.rate.store, store) != 0)
		return -1;
	return msg.rate.rate;
}

static bool
told_task(int number)
{
	static struct msg msg;
	int fd;

	return channel_recv(worker_ends[number], &msg, &fd) == 1 && msg.type == MSG_TASK;
}

static void
test_rates(void)
{
	set_up();
	add_store("cos", 0, 90);
	add_store("ceph", 0, 0);
	carry(1, "ceph://b/k", "cos://b/k");
	is_int(told_rate(1, "ceph"), 0, "a store without a rate has no limit");
	is_int(told_rate(1, "cos"), 90, "the only worker gets the whole rate");
	ok(told_task(1), "its task comes after its rates");
	carry(2, "ceph://b/k", "cos://b/l");
	is_int(told_rate(1, "cos"), 45, "with two, the first is told of its half");
	is_int(told_rate(2, "cos"), 45, "the second is told of the other half");
	is_int(told_rate(2, "ceph"), 0, "and that the other store has no limit");
	carry(3, "ceph://b/k", "ceph://b/l");
	is_int(told_rate(1, "cos"), -1, "a third that does not use the store changes nothing");
	finish(2);
	is_int(told_rate(1, "cos"), 90,
	    "when the second has ended, the first gets the whole rate again");
	conf.stores[0].rate = 0;
	shares_divide(&limits);
	is_int(told_rate(1, "cos"), 0, "when the limit is lifted, the worker is told at once");
	finish(1);
	finish(3);

	set_up();
	add_store("cos", 0, 1);
	carry(1, "cos://b/k", "cos://b/l");
	told_rate(1, "cos");
	carry(2, "cos://b/k", "cos://b/l");
	is_int(told_rate(2, "cos"), 1, "a share is never 0, which would mean no limit");
	finish(1);
	finish(2);
}

/* Workers 1 and 2 carry to cos under a rate of cos, and have been told their shares. */
static void
set_up_two(int64_t rate)
{
	set_up();
	add_store("cos", 0, rate);
	carry(1, "spool://a", "cos://b/k");
	carry(2, "spool://a", "cos://b/l");
	told_rate(1, "cos");
	told_task(1);
	told_rate(1, "cos");
	told_rate(2, "cos");
	told_task(2);
}

static void
test_between_nodes(void)
{
	set_up_two(1200);
	limits.quotas.list[0] = (struct quota){ .name = "cos", .rate = 1200, .others = 1 };
	limits.quotas.n = 1;
	shares_divide(&limits);
	is_int(told_rate(1, "cos"), 400, "a task of another node has its share too");
	is_int(told_rate(2, "cos"), 400, "and so has each task of ours");
	limits.quotas.list[0].rate = 300;
	shares_divide(&limits);
	is_int(told_rate(1, "cos"), 100, "the smaller limit, of another node, holds");
	told_rate(2, "cos");
	limits.quotas.list[0].rate = 9000;
	shares_divide(&limits);
	is_int(told_rate(1, "cos"), 400, "our own limit holds if it is smaller");
	told_rate(2, "cos");
	limits.quotas.list[1] = (struct quota){ .is_queue = true, .name = "default", .rate = 90 };
	limits.quotas.n = 2;
	snprintf(pool.slots[0].uses[USE_QUEUE].name, CONFIG_NAME_MAX, "default");
	shares_divide(&limits);
	is_int(told_rate(1, ""), 90, "the queue's rate goes to its only worker");
	finish(1);
	finish(2);
}

static void
test_idle_share(void)
{
	set_up_two(1000);
	shares_note(&pool.slots[0], 100);
	shares_note(&pool.slots[1], 500);
	shares_divide(&limits);
	is_int(told_rate(1, "cos"), -1, "the first report changes nothing");
	shares_note(&pool.slots[0], 100);
	shares_note(&pool.slots[1], 500);
	shares_divide(&limits);
	is_int(
	    told_rate(1, "cos"), 125, "a worker that uses little keeps a little more than it uses");
	is_int(told_rate(2, "cos"), 875, "a worker that could use more gets the rest");
	shares_note(&pool.slots[0], 120);
	shares_note(&pool.slots[1], 870);
	shares_divide(&limits);
	is_int(told_rate(1, "cos"), 500,
	    "a worker that uses all of its share gets an equal share again");
	is_int(told_rate(2, "cos"), 500, "and so does the other, at once");
	shares_note(&pool.slots[0], 0);
	shares_note(&pool.slots[1], 490);
	shares_divide(&limits);
	is_int(told_rate(1, "cos"), 15, "a worker that uses nothing keeps a small share");
	finish(1);
	finish(2);
}

static void
test_throttle(void)
{
	struct slot *slot;
	int64_t first, before;

	set_up();
	add_store("cos", 0, 0);
	throttle_store(&limits, "");
	is_int(throttle_deadline(&limits), 0, "an empty name throttles no store");
	throttle_store(&limits, "invented");
	is_int(throttle_deadline(&limits), 0, "nor does one that is not configured");
	before = clock_ms();
	throttle_store(&limits, "cos");
	first = throttle_deadline(&limits);
	ok(first >= before + 1000 && first <= clock_ms() + 1000,
	    "a store that asks to slow down is left alone for a second");
	throttle_store(&limits, "cos");
	is_int(
	    throttle_deadline(&limits), first, "a second request within that time changes nothing");
	nexcluded = throttle_list(&limits, excluded);
	ok(nexcluded == 1 && strcmp(excluded[0], "cos") == 0, "claims leave it alone");
	ok(!throttle_run(&limits), "the wait is not over");
	limits.throttles[0].until = clock_ms();
	ok(throttle_run(&limits), "the wait is over");
	nexcluded = throttle_list(&limits, excluded);
	is_int(nexcluded, 0, "and the store may be used");
	before = clock_ms();
	throttle_store(&limits, "cos");
	ok(throttle_deadline(&limits) >= before + 2000,
	    "after the next request the wait is twice as long");
	limits.throttles[0].until = clock_ms();
	throttle_run(&limits);
	slot = carry(1, "cos://b/k", "cos://b/l");
	throttle_relax(&limits, slot);
	throttle_store(&limits, "cos");
	ok(throttle_deadline(&limits) <= clock_ms() + 1000,
	    "after a transfer that went well the wait is short again");
	finish(1);
}

static void
test_throttle_limit(void)
{
	int i;

	set_up();
	add_store("cos", 0, 0);
	add_store("ceph", 0, 0);
	for (i = 0; i < 10; i++) {
		limits.throttles[0].until = 0;
		throttle_store(&limits, "cos");
	}
	is_int(limits.throttles[0].delay_ms, THROTTLE_DELAY_MAX_MS, "a wait has an upper limit");
	throttle_store(&limits, "ceph");
	is_int(limits.throttles[1].delay_ms, THROTTLE_DELAY_MIN_MS, "another store has its own");
	is_int(throttle_deadline(&limits), limits.throttles[1].until,
	    "the clock waits for the first that ends");
}

/* The starts of the queues, after a claim that brought so many tasks of each. */
static const char *
starts_after(int a, int b)
{
	static char text[256];
	struct sqlarray starts;
	const int counts[] = { a, b };

	fair_charge(&limits, counts);
	sqlarray_init(&starts);
	fair_list_starts(&limits, &starts);
	snprintf(text, sizeof(text), "%s", sqlarray_finish(&starts));
	sqlarray_release(&starts);
	return text;
}

static void
test_weights(void)
{
	set_up();
	conf.nqueues = 2;
	strlcpy(conf.queues[0], "a", sizeof(conf.queues[0]));
	strlcpy(conf.queues[1], "b", sizeof(conf.queues[1]));
	limits.quotas.list[0] = (struct quota){ .is_queue = true, .name = "a", .rate = 7 };
	limits.quotas.n = 1;
	ok(!fair_has_weights(&limits), "a rate is no weight");
	limits.quotas.list[0].weight = 4;
	ok(fair_has_weights(&limits), "a queue has a weight");
	is_str(starts_after(4, 1), "{\"0.000000000\",\"0.000000000\"}",
	    "four tasks by weight 4 count as much as one by weight 1");
	is_str(starts_after(6, 1), "{\"0.250000000\",\"0.000000000\"}",
	    "a queue that has had more than its share is ahead");
	is_str(starts_after(0, 3), "{\"0.000000000\",\"1.000000000\"}",
	    "a queue that was empty catches up with the last start: it gets no credit");
	strlcpy(conf.queues[1], "c", sizeof(conf.queues[1]));
	is_str(starts_after(0, 0), "{\"0.000000000\",\"0.000000000\"}",
	    "with other queues, all start alike");
}

static void
test_turns(void)
{
	set_up();
	is_int(fair_turns(&limits), 0, "starving tasks have no turn before others have had some");
	fair_note_claimed(&limits, FAIR_TURN - 1);
	is_int(fair_turns(&limits), 0, "nine tasks give none");
	fair_note_claimed(&limits, 1 + 2 * FAIR_TURN);
	is_int(fair_turns(&limits), 3, "each ten give one");
	fair_take_turns(&limits, 2);
	is_int(fair_turns(&limits), 0, "there is one look in a second");
	limits.fair.look_at = clock_ms();
	is_int(fair_turns(&limits), 1, "what was not taken stays");
	fair_note_claimed(&limits, 1000000);
	is_int(fair_turns(&limits), 1000, "turns do not add up for ever");
}

int
main(void)
{
	log_init("test_limits", -1);
	log_set_max_priority(LOG_ERR);
	test_between_nodes();
	test_idle_share();
	test_rates();
	test_throttle();
	test_throttle_limit();
	test_weights();
	test_turns();
	return done_testing();
}
