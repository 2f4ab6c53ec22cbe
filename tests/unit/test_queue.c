/*
 * A task's way through the master: what this node holds, when it claims, what it claims ahead, and
 * what follows from a worker's report.  The database is never there, so that each statement stays
 * in the handle's queue, where it is counted.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/db/private.h"
#include "master/limits/fair.h"
#include "master/limits/throttle.h"
#include "master/phase.h"
#include "master/pool/pool.h"
#include "master/queue/assign.h"
#include "master/queue/claim.h"
#include "master/queue/deaths.h"
#include "master/queue/done.h"
#include "master/queue/handout.h"
#include "master/queue/stock.h"
#include "master/reports.h"
#include "master/upkeep/prune.h"
#include "master/upkeep/reap.h"
#include "tests/unit/tap.h"

static struct master m;
static struct config conf;
static int worker_ends[CONFIG_WORKERS_MAX + 1];

/* A master that may claim, with no limits and so many idle workers. */
static void
set_up(int workers)
{
	struct slot *slot;
	int pair[2];

	memset(&m, 0, sizeof(m));
	memset(&conf, 0, sizeof(conf));
	conf.workers = workers;
	conf.poll_ms = 5000;
	conf.reap_interval_ms = 3600000;
	conf.nqueues = 2;
	strlcpy(conf.queues[0], "a", sizeof(conf.queues[0]));
	strlcpy(conf.queues[1], "b", sizeof(conf.queues[1]));
	conf.nstores = 1;
	strlcpy(conf.stores[0].name, "cos", sizeof(conf.stores[0].name));
	master_init(&m, &conf);
	m.state.phase = PHASE_RUNNING;
	pool_init(&m.pool);
	m.pool.lease.node = 1;
	m.node.link = LINK_READY;
	m.node.db = db_new("host=/nowhere", "test", NULL);
	m.limits.quotas.known = true;
	m.state.agenda.reap_at = clock_ms() + 3600000;
	POOL_FOREACH (slot, &m.pool) {
		if (slot->number > workers || channel_pair(pair) == -1)
			break;
		slot->pid = getpid();
		slot->channel = pair[0];
		worker_ends[slot->number] = pair[1];
		slot->state = SLOT_IDLE;
		slot->was_idle = true;
		slot->generation = (uint64_t)slot->number;
		slot->conf_generation = 1;
	}
}

static void
tear_down(void)
{
	struct slot *slot;

	POOL_FOREACH (slot, &m.pool) {
		if (slot->channel == -1)
			continue;
		slot_drop_task(slot);
		if (slot->next != NULL)
			free(slot_take_next(slot));
		outbox_discard(slot);
		close(slot->channel);
		close(worker_ends[slot->number]);
	}
	stock_discard(&m.queue);
	done_discard(&m.queue);
	deaths_discard(&m.queue);
	db_free(m.node.db);
}

static struct slot *
slot_of(int number)
{
	return &m.pool.slots[number - 1];
}

/* A task whose claim is its id plus 100. */
static struct task *
new_task(int64_t id)
{
	struct task *task = calloc(1, sizeof(*task));

	if (task == NULL)
		abort();
	task->id = id;
	task->claim = id + 100;
	strlcpy(task->source, "spool://a", sizeof(task->source));
	strlcpy(task->destination, "cos://b/k", sizeof(task->destination));
	strlcpy(task->queue, "a", sizeof(task->queue));
	return task;
}

/* Types of the messages to the worker, oldest first: "task 7, cancel". */
static const char *
told(int number)
{
	static struct msg msg;
	static char text[256];
	int fd, flags = fcntl(worker_ends[number], F_GETFL);
	size_t len = 0;

	fcntl(worker_ends[number], F_SETFL, flags | O_NONBLOCK);
	text[0] = '\0';
	while (channel_recv(worker_ends[number], &msg, &fd) == 1) {
		if (msg.type == MSG_RATE)
			continue;
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s", len > 0 ? ", " : "",
		    msg_type_name(msg.type));
		if (msg.type == MSG_TASK)
			len += (size_t)snprintf(
			    text + len, sizeof(text) - len, " %d", (int)msg.task.task.id);
	}
	return text;
}

static struct msg
result_of(int number, const struct task *task, enum task_result result)
{
	struct msg msg = { .type = MSG_RESULT, .slot = number, .generation = (uint64_t)number };

	msg.result.task = task->id;
	msg.result.claim = task->claim;
	msg.result.result = (int)result;
	strlcpy(msg.result.verified_by, "none", sizeof(msg.result.verified_by));
	return msg;
}

static void
report(struct msg msg)
{
	if (channel_send(worker_ends[msg.slot], &msg, -1) == -1)
		abort();
	reports_receive(&m, slot_of(msg.slot));
}

/* Gives the worker the task, and forgets what it was told. */
static const struct task *
carry(int number, int64_t id)
{
	assign_task(&m.queue, slot_of(number), new_task(id));
	told(number);
	return slot_of(number)->task;
}

static void
add_death(int64_t id)
{
	struct death *death = calloc(1, sizeof(*death));

	if (death == NULL)
		abort();
	death->kind = DEATH_CRASH;
	death->task = id;
	death->claim = id + 100;
	death->bytes_total = death->peak = -1;
	deaths_add(&m.queue, death);
}

static const char *
held(void)
{
	static char text[256];
	struct sqlarray ids, claims;

	sqlarray_init(&ids);
	sqlarray_init(&claims);
	held_list(&m.queue, &ids, &claims);
	snprintf(text, sizeof(text), "%s %s", sqlarray_finish(&ids), sqlarray_finish(&claims));
	sqlarray_release(&claims);
	sqlarray_release(&ids);
	return text;
}

/* Reconciling requeues what is not listed here: a place left out means a task carried twice. */
static void
test_held(void)
{
	set_up(2);
	is_str(held(), "{} {}", "a node without tasks holds none");
	carry(1, 1);
	assign_next(&m.queue, slot_of(1), new_task(2));
	add_death(3);
	report(result_of(2, carry(2, 4), TASK_DONE));
	stock_put(&m.queue, new_task(5));
	is_str(held(), "{1,2,3,4,5} {101,102,103,104,105}",
	    "it holds tasks in work, next ones, those of dead workers, those that are done and not "
	    "settled, and those claimed ahead");
	assign_cancel_next(slot_of(1));
	is_str(held(), "{1,3,4,5} {101,103,104,105}",
	    "a next task that its worker was told to drop is not held");
	assign_cancel(slot_of(1));
	is_str(
	    held(), "{1,3,4,5} {101,103,104,105}", "one in work is, until the worker has ended it");
	tear_down();
}

/* Lets the master claim.  Returns how the claim looks for tasks. */
static enum claim_kind
claim(void)
{
	m.queue.claim.asked.kind = CLAIM_NONE;
	m.state.agenda.claim = true;
	claim_run(&m.queue);
	return m.queue.claim.asked.kind;
}

static void
test_claim(void)
{
	set_up(2);
	is_int(claim(), CLAIM_IN_ORDER, "idle workers make the master claim");
	is_int(m.queue.claim.asked.wish, 2, "a task for each");
	ok(m.queue.claim.asked.from_start, "the first claim looks from the start");
	is_int(db_pending(m.node.db), 1, "by one statement");
	ok(slot_of(1)->reserved && slot_of(2)->reserved, "the workers are kept free for them");
	is_int(claim(), CLAIM_NONE, "no claim without a free worker");
	slot_unreserve(slot_of(2));
	m.queue.claim.asked.kind = CLAIM_IN_ORDER;
	m.state.agenda.claim = true;
	claim_run(&m.queue);
	is_int(db_pending(m.node.db), 1, "no second claim while the first is under way");
	m.queue.claim.not_before = clock_ms() + 60000;
	is_int(claim(), CLAIM_NONE, "none until a refused one may be repeated");
	is_int(claim_deadline(&m.queue), m.queue.claim.not_before, "when the clock says so");
	m.queue.claim.not_before = 0;
	m.state.phase = PHASE_DRAINING;
	is_int(claim(), CLAIM_NONE, "none while the master drains");
	m.state.phase = PHASE_RUNNING;
	m.node.link = LINK_ROW;
	is_int(claim(), CLAIM_NONE, "none before our row is there");
	m.node.link = LINK_READY;
	m.queue.done.n = DONE_MAX;
	is_int(claim(), CLAIM_NONE, "none while too many results wait for the database");
	m.queue.done.n = DONE_MAX - 1;
	is_int(claim(), CLAIM_IN_ORDER, "one result fewer, and there is one");
	is_int(m.queue.claim.asked.wish, 1, "for the one free worker");
	m.queue.done.n = 0;
	tear_down();
}

static void
test_claim_by_lanes(void)
{
	set_up(1);
	m.limits.quotas.known = false;
	is_int(claim(), CLAIM_BY_LANES, "limits that are not known may be there");
	slot_unreserve(slot_of(1));
	m.limits.quotas.known = true;
	m.limits.quotas.n = 1;
	is_int(claim(), CLAIM_BY_LANES, "a limit or a weight is heeded lane by lane");
	slot_unreserve(slot_of(1));
	m.limits.quotas.n = 0;
	throttle_store(&m.limits, "cos");
	is_int(claim(), CLAIM_BY_LANES, "and so is a store that has asked to slow down");
	slot_unreserve(slot_of(1));
	m.limits.throttles[0].until = 0;
	m.queue.claim.by_lanes_until = clock_ms() + 60000;
	is_int(claim(), CLAIM_BY_LANES, "and a walk that was in vain");
	slot_unreserve(slot_of(1));
	m.queue.claim.by_lanes_until = 0;
	is_int(claim(), CLAIM_IN_ORDER, "without all that, the order of all tasks counts");
	slot_unreserve(slot_of(1));
	fair_note_claimed(&m.limits, FAIR_TURN);
	is_int(claim(), CLAIM_STARVING, "after ten tasks there is a turn for a starving one");
	is_int(m.queue.claim.asked.wish, 1, "for one");
	slot_unreserve(slot_of(1));
	is_int(claim(), CLAIM_IN_ORDER, "then for the others again");
	tear_down();
}

static void
test_claim_by_the_clock(void)
{
	set_up(1);
	m.queue.claim.poll_at = clock_ms() + 60000;
	claim_run(&m.queue);
	is_int(m.queue.claim.asked.kind, CLAIM_NONE, "no claim without a reason");
	is_int(claim_deadline(&m.queue), m.queue.claim.poll_at, "until the poll");
	m.queue.due.at = clock_ms() + 50000;
	is_int(claim_deadline(&m.queue), m.queue.due.at, "or until a task is due");
	m.queue.due.at = clock_ms();
	claim_run(&m.queue);
	is_int(m.queue.claim.asked.kind, CLAIM_IN_ORDER, "a task is due: there is a claim");
	is_int(m.queue.due.at, 0, "once");
	m.queue.claim.asked.kind = CLAIM_NONE;
	slot_unreserve(slot_of(1));
	m.queue.claim.poll_at = clock_ms();
	claim_run(&m.queue);
	is_int(m.queue.claim.asked.kind, CLAIM_IN_ORDER,
	    "a notification may be lost: the poll claims");
	m.queue.claim.asked.kind = CLAIM_NONE;
	slot_unreserve(slot_of(1));
	throttle_store(&m.limits, "cos");
	m.limits.throttles[0].until = clock_ms();
	claim_run(&m.queue);
	is_int(m.queue.claim.asked.kind, CLAIM_IN_ORDER,
	    "a throttled store is free: there is a claim");
	tear_down();
}

static void
test_stock(void)
{
	struct task *task;
	int i;

	set_up(2);
	is_int(stock_wish(&m.queue), 0, "no task is claimed ahead while none end");
	for (i = 0; i < 8; i++)
		stock_note_end(&m.queue);
	is_int(stock_wish(&m.queue), 8, "as many are as end in a tenth of a second");
	m.limits.quotas.n = 1;
	m.limits.quotas.list[0] = (struct quota){ .name = "cos", .max_transfers = 9 };
	is_int(stock_wish(&m.queue), 0, "none under a limit");
	m.limits.quotas.list[0] = (struct quota){ .name = "cos", .rate = 9 };
	is_int(stock_wish(&m.queue), 0, "nor under a rate");
	m.limits.quotas.known = false;
	m.limits.quotas.n = 0;
	is_int(stock_wish(&m.queue), 0, "nor where the limits are not known");
	m.limits.quotas.known = true;
	m.limits.quotas.n = 1;
	m.limits.quotas.list[0] = (struct quota){ .is_queue = true, .name = "a", .weight = 9 };
	is_int(stock_wish(&m.queue), 8, "a weight is no limit");
	m.limits.quotas.n = 0;
	throttle_store(&m.limits, "cos");
	is_int(stock_wish(&m.queue), 0, "none while a store wants to be left alone");
	m.limits.throttles[0].until = 0;
	m.state.phase = PHASE_DRAINING;
	is_int(stock_wish(&m.queue), 0, "none while the master drains");
	m.state.phase = PHASE_RUNNING;
	stock_put(&m.queue, new_task(1));
	stock_put(&m.queue, new_task(2));
	is_int(stock_wish(&m.queue), 6, "what is there already is not claimed again");
	stock_drop(&m.queue, 1, 99);
	stock_drop(&m.queue, 2, 101);
	is_int(m.queue.stock.n, 2, "another claim's task is not dropped");
	task = stock_take(&m.queue);
	is_int(task->id, 1, "the oldest task goes first");
	free(task);
	stock_drop(&m.queue, 2, 102);
	is_int(m.queue.stock.n, 0, "a task whose claim is revoked is dropped");
	ok(stock_take(&m.queue) == NULL, "an empty stock gives none");
	tear_down();
}

static void
test_stock_is_given_back(void)
{
	set_up(1);
	stock_put(&m.queue, new_task(1));
	stock_run(&m.queue);
	is_int(m.queue.stock.n, 1, "a task may be held for a while");
	ok(stock_deadline(&m.queue) > clock_ms() &&
		stock_deadline(&m.queue) <= clock_ms() + STOCK_HOLD_MS,
	    "the clock says for how long");
	usleep(1000 * (useconds_t)clock_until(stock_deadline(&m.queue)) + 2000);
	stock_run(&m.queue);
	is_int(m.queue.stock.n, 0, "then it is given back");
	is_int(db_pending(m.node.db), 1, "by one statement");
	stock_put(&m.queue, new_task(2));
	stock_put(&m.queue, new_task(3));
	throttle_store(&m.limits, "cos");
	stock_run(&m.queue);
	is_int(
	    m.queue.stock.n, 0, "all are given back at once when a store wants to be left alone");
	is_int(db_pending(m.node.db), 2, "by one statement");
	tear_down();
}

static void
test_handout(void)
{
	set_up(2);
	stock_put(&m.queue, new_task(1));
	m.node.link = LINK_ROW;
	handout_run(&m.queue);
	is_str(told(1), "", "no task is given out before our row is there");
	m.node.link = LINK_READY;
	m.queue.done.n = DONE_MAX;
	handout_run(&m.queue);
	is_str(told(1), "", "nor while too many results wait for the database");
	m.queue.done.n = 0;
	handout_run(&m.queue);
	is_str(told(1), "TASK 1", "an idle worker gets the oldest task");
	stock_put(&m.queue, new_task(2));
	stock_put(&m.queue, new_task(3));
	stock_put(&m.queue, new_task(4));
	stock_put(&m.queue, new_task(5));
	handout_run(&m.queue);
	is_str(told(2), "TASK 2, TASK 4", "idle workers come before busy ones");
	is_str(told(1), "TASK 3", "a busy one gets one more, which it may begin next");
	handout_returned(&m.queue, slot_of(1));
	is_int(m.queue.stock.n, 2, "a task that a worker returns is in stock again");
	handout_run(&m.queue);
	is_str(told(1), "", "a worker that has returned one is slow, and gets no other");
	assign_cancel_next(slot_of(2));
	is_str(told(2), "CANCEL", "a next task can be cancelled");
	handout_returned(&m.queue, slot_of(2));
	is_int(m.queue.stock.n, 2, "and is not given to another worker then");
	tear_down();
}

static void
test_reaping_comes_first(void)
{
	set_up(1);
	stock_put(&m.queue, new_task(1));
	m.state.agenda.reap_at = clock_ms();
	handout_run(&m.queue);
	is_str(told(1), "REAP", "when reaping is due, it comes before the next task");
	ok(m.state.agenda.reap_at > clock_ms() + 3000000, "the next round is an interval away");
	slot_of(1)->state = SLOT_IDLE;
	handout_run(&m.queue);
	is_str(told(1), "TASK 1", "then the task has its turn");
	stock_put(&m.queue, new_task(2));
	m.state.agenda.reap_at = clock_ms();
	handout_run(&m.queue);
	is_str(told(1), "", "a busy worker gets no next task while reaping waits for one");
	agenda_reap_later(&m.state.agenda);
	m.state.agenda.reap_at = clock_ms();
	report(result_of(1, slot_of(1)->task, TASK_RETRY));
	slot_of(1)->state = SLOT_IDLE;
	handout_run(&m.queue);
	is_int(m.state.agenda.reap_at, m.state.agenda.reap_again_at,
	    "after a cancel there is another round in a minute");
	conf.reap_interval_ms = 1000;
	handout_run(&m.queue);
	ok(m.state.agenda.reap_at <= clock_ms() + 1000, "a shorter interval holds at once");
	tear_down();
}

static void
test_results(void)
{
	const struct task *task;
	struct msg msg;

	set_up(1);
	task = carry(1, 7);
	msg = result_of(1, task, TASK_DONE);
	msg.result.claim++;
	report(msg);
	ok(slot_of(1)->task == task && done_count(&m.queue) == 0,
	    "a result under another claim is no result");
	msg = result_of(1, task, TASK_DONE);
	msg.result.task++;
	report(msg);
	ok(slot_of(1)->task == task && done_count(&m.queue) == 0, "nor is one of another task");
	msg = result_of(1, task, TASK_DONE);
	msg.generation++;
	report(msg);
	ok(slot_of(1)->task == task && done_count(&m.queue) == 0,
	    "nor one of an earlier process in the same slot");
	report(result_of(1, task, TASK_RETRY));
	ok(slot_of(1)->task == NULL && done_count(&m.queue) == 0,
	    "a worker settles a failure itself");
	report(result_of(1, carry(1, 8), TASK_SKIPPED));
	is_int(done_count(&m.queue), 1, "the master settles what was skipped");
	msg = result_of(1, carry(1, 9), TASK_DONE);
	msg.result.ready = 1;
	m.state.agenda.claim = false;
	report(msg);
	is_int(done_count(&m.queue), 2, "and what is done");
	is_int(slot_of(1)->state, SLOT_IDLE, "a result that says so makes the worker idle");
	ok(m.state.agenda.claim, "and asks for a task");
	is_int(done_deadline(&m.queue), 0, "results wait while the database is away");
	tear_down();
}

static void
test_what_follows_a_result(void)
{
	struct msg msg;

	set_up(1);
	report(result_of(1, carry(1, 1), TASK_FAILED));
	ok(m.state.agenda.reap_at <= clock_ms() + 1000, "a failed task may leave an upload");
	m.state.agenda.reap_at = clock_ms() + 3600000;
	report(result_of(1, carry(1, 2), TASK_CANCELLED));
	ok(m.state.agenda.reap_again_at > clock_ms() + 60000 &&
		m.state.agenda.reap_at <= m.state.agenda.reap_again_at,
	    "what a cancelled task leaves is reaped after a minute");
	msg = result_of(1, carry(1, 3), TASK_RETRY);
	msg.result.error_class = CLASS_THROTTLED;
	strlcpy(msg.result.store, "cos", sizeof(msg.result.store));
	report(msg);
	ok(throttle_deadline(&m.limits) != 0, "a store that asks to slow down is left alone");
	m.limits.throttles[0].until = 0;
	report(result_of(1, carry(1, 4), TASK_DONE));
	is_str(m.limits.throttles[0].store, "", "a transfer with it that goes well is forgiving");
	carry(1, 5);
	assign_next(&m.queue, slot_of(1), new_task(6));
	msg = result_of(1, slot_of(1)->task, TASK_DONE);
	msg.result.goes_on = 1;
	report(msg);
	ok(slot_of(1)->task != NULL && slot_of(1)->task->id == 6 && slot_of(1)->next == NULL,
	    "a worker that goes on has begun its next task");
	is_int(slot_of(1)->state, SLOT_BUSY, "and stays busy");
	assign_next(&m.queue, slot_of(1), new_task(7));
	assign_cancel_next(slot_of(1));
	report(result_of(1, slot_of(1)->task, TASK_RETRY));
	ok(slot_of(1)->task == NULL && slot_of(1)->next != NULL,
	    "a worker that does not go on has not");
	tear_down();
}

/* The last statement requeues all that the table says we run: results must be in before it. */
static void
test_leaving(void)
{
	set_up(1);
	slot_of(1)->pid = 0;
	m.node.db->state = DB_UP;
	m.node.db->ready = true;
	m.state.phase = PHASE_LEAVING;
	m.grace_ends = clock_ms() + 60000;
	m.queue.done.n = 1;
	phase_run(&m);
	is_int(m.queue.requeue.leave, LEAVE_NOT,
	    "a node does not leave before its results are settled");
	m.queue.done.n = 0;
	phase_run(&m);
	is_int(m.queue.requeue.leave, LEAVE_ASKED, "then it does");
	is_int(db_pending(m.node.db), 1, "by one statement");
	phase_run(&m);
	is_int(m.state.phase, PHASE_LEAVING, "it waits for the answer");
	m.queue.requeue.leave = LEAVE_DONE;
	phase_run(&m);
	is_int(m.state.phase, PHASE_GONE, "and is gone");
	m.node.db->state = DB_AWAY;
	tear_down();
}

static void
test_upkeep(void)
{
	set_up(1);
	m.upkeep.prune.at = clock_ms();
	is_int(prune_deadline(&m.upkeep), 0, "without retention no task is deleted");
	prune_run(&m.upkeep);
	is_int(db_pending(m.node.db), 0, "and no statement is sent");
	conf.retention_ms = 1000;
	m.state.phase = PHASE_DRAINING;
	prune_run(&m.upkeep);
	is_int(db_pending(m.node.db), 0, "nor while the master drains");
	m.state.phase = PHASE_RUNNING;
	prune_run(&m.upkeep);
	is_int(db_pending(m.node.db), 1, "else old ones are");
	prune_run(&m.upkeep);
	is_int(db_pending(m.node.db), 1, "by one statement at a time");
	tear_down();
}

int
main(void)
{
	log_init("test_queue", -1);
	log_set_max_priority(LOG_EMERG);
	test_held();
	test_claim();
	test_claim_by_lanes();
	test_claim_by_the_clock();
	test_stock();
	test_stock_is_given_back();
	test_handout();
	test_reaping_comes_first();
	test_results();
	test_what_follows_a_result();
	test_leaving();
	test_upkeep();
	return done_testing();
}
