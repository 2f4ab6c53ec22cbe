/*
 * What stores allow: transfers at once, shares of a rate, waiting after a store has asked to slow down.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "master/dispatch.h"
#include "master/limits.h"
#include "master/pool.h"
#include "master/shares.h"
#include "tests/unit/tap.h"

static struct master m;
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
	memset(&m, 0, sizeof(m));
	memset(&conf, 0, sizeof(conf));
	m.conf = &conf;
	m.conf_generation = 1;
	pool_init(&m);
}

static struct slot *
carry(int number, const char *source, const char *destination)
{
	struct slot *slot = &m.pool.slots[number - 1];
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
	dispatch_task(&m, slot, task);
	return slot;
}

static void
finish(int number)
{
	struct slot *slot = &m.pool.slots[number - 1];

	pool_drop_task(slot);
	shares_divide(&m);
	close(slot->channel);
	close(worker_ends[number]);
	slot->channel = -1;
}

/* The rate that the worker is told next of that store; -1 if the next message is another. */
static int64_t
told_rate(int number, const char *store)
{
	static struct msg msg;
	int fd;

	if (channel_recv(worker_ends[number], &msg, &fd) != 1 || msg.type != MSG_RATE || strcmp(msg.rate.store, store) != 0)
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
	ok(told_task(1), "before its task");
	carry(2, "ceph://b/k", "cos://b/l");
	is_int(told_rate(1, "cos"), 45, "with two, the first is told of its half");
	is_int(told_rate(2, "cos"), 45, "the second of its own");
	is_int(told_rate(2, "ceph"), 0, "and of what has none");
	carry(3, "ceph://b/k", "ceph://b/l");
	is_int(told_rate(1, "cos"), -1, "a third that does not use the store changes nothing");
	finish(2);
	is_int(told_rate(1, "cos"), 90, "what one leaves the other gets");
	conf.stores[0].rate = 0;
	shares_divide(&m);
	is_int(told_rate(1, "cos"), 0, "a limit that is lifted is lifted at once");
	finish(1);
	finish(3);

	set_up();
	add_store("cos", 0, 1);
	carry(1, "cos://b/k", "cos://b/l");
	told_rate(1, "cos");
	carry(2, "cos://b/k", "cos://b/l");
	is_int(told_rate(2, "cos"), 1, "a share is never nothing, which would be no limit");
	finish(1);
	finish(2);
}

/* Workers 1 and 2 carry from ceph to cos under a rate of cos and have heard their shares. */
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
	m.quotas.list[0] = (struct quota){ .name = "cos", .rate = 1200, .others = 1 };
	m.quotas.n = 1;
	shares_divide(&m);
	is_int(told_rate(1, "cos"), 400, "a task of another node has its share too");
	is_int(told_rate(2, "cos"), 400, "as each of ours");
	m.quotas.list[0].rate = 300;
	shares_divide(&m);
	is_int(told_rate(1, "cos"), 100, "the smaller limit, of another node, holds");
	told_rate(2, "cos");
	m.quotas.list[0].rate = 9000;
	shares_divide(&m);
	is_int(told_rate(1, "cos"), 400, "our own holds against a greater one");
	told_rate(2, "cos");
	m.quotas.list[1] = (struct quota){ .is_queue = true, .name = "default", .rate = 90 };
	m.quotas.n = 2;
	snprintf(m.pool.slots[0].uses[USE_QUEUE].name, CONFIG_NAME_MAX, "default");
	shares_divide(&m);
	is_int(told_rate(1, ""), 90, "the queue's rate goes to its only worker");
	finish(1);
	finish(2);
}

static void
test_idle_share(void)
{
	set_up_two(1000);
	shares_note(&m.pool.slots[0], 0);
	shares_note(&m.pool.slots[1], 0);
	shares_divide(&m);
	is_int(told_rate(1, "cos"), -1, "a first word changes nothing");
	shares_note(&m.pool.slots[0], 100);
	shares_note(&m.pool.slots[1], 500);
	shares_divide(&m);
	is_int(told_rate(1, "cos"), 125, "who uses little keeps a little more than that");
	is_int(told_rate(2, "cos"), 875, "who could use more gets the rest");
	shares_note(&m.pool.slots[0], 120);
	shares_note(&m.pool.slots[1], 870);
	shares_divide(&m);
	is_int(told_rate(1, "cos"), 500, "who has come to use its share gets an equal one again");
	is_int(told_rate(2, "cos"), 500, "at once");
	shares_note(&m.pool.slots[0], 0);
	shares_note(&m.pool.slots[1], 490);
	shares_divide(&m);
	is_int(told_rate(1, "cos"), 15, "who uses nothing keeps enough to show when it does");
	finish(1);
	finish(2);
}

static void
test_throttle(void)
{
	struct slot *slot;
	int64_t first;

	set_up();
	add_store("cos", 0, 0);
	limits_throttle(&m, "");
	is_int(limits_deadline(&m), 0, "nobody in particular is not throttled");
	limits_throttle(&m, "cos");
	first = limits_deadline(&m);
	ok(first >= clock_ms() + 900 && first <= clock_ms() + 1000, "a store that asks to slow down is left alone for a second");
	limits_throttle(&m, "cos");
	is_int(limits_deadline(&m), first, "a second voice within that time changes nothing");
	nexcluded = limits_throttled(&m, excluded);
	ok(nexcluded == 1 && strcmp(excluded[0], "cos") == 0, "no new transfers with it");
	ok(!limits_run(&m), "the wait is not over");
	m.throttles[0].until = clock_ms();
	ok(limits_run(&m), "then it is");
	nexcluded = limits_throttled(&m, excluded);
	is_int(nexcluded, 0, "and the store may be used");
	limits_throttle(&m, "cos");
	ok(limits_deadline(&m) >= clock_ms() + 1900, "asked again, the wait is twice as long");
	m.throttles[0].until = clock_ms();
	limits_run(&m);
	slot = carry(1, "cos://b/k", "cos://b/l");
	limits_relax(&m, slot);
	limits_throttle(&m, "cos");
	ok(limits_deadline(&m) <= clock_ms() + 1000, "a transfer that went well starts it anew");
	finish(1);
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
	return done_testing();
}
