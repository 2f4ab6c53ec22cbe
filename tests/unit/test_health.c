/*
 * The health of stores: what the master makes of what its workers report.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "master/limits/admit.h"
#include "master/limits/health.h"
#include "master/pool/pool.h"
#include "tests/unit/tap.h"

static struct state state;
static struct pool pool;
static struct node node;
static struct limits limits;
static struct config conf;

static void
set_up(void)
{
	memset(&conf, 0, sizeof(conf));
	memset(&limits, 0, sizeof(limits));
	state.conf = &conf;
	limits.state = &state;
	limits.pool = &pool;
	limits.node = &node;
	strlcpy(conf.stores[conf.nstores++].name, "ceph", CONFIG_NAME_MAX);
	strlcpy(conf.stores[conf.nstores++].name, "cos", CONFIG_NAME_MAX);
}

static const struct task *
task_of(int64_t id, const char *source, const char *destination)
{
	static struct task task;

	memset(&task, 0, sizeof(task));
	task.id = id;
	task.claim = id + 1000;
	strlcpy(task.source, source, sizeof(task.source));
	strlcpy(task.destination, destination, sizeof(task.destination));
	return &task;
}

static const struct task *
task(int64_t id)
{
	return task_of(id, "ceph://a/b", "cos://c/d");
}

/* The task fails at the end, for a trouble of the store.  Returns whether the store is held now. */
static bool
fail(const struct task *failing, enum task_end end, enum error_class class)
{
	static struct msg_result result;

	memset(&result, 0, sizeof(result));
	result.result = TASK_POSTPONED;
	result.trouble = TROUBLE_STORE;
	result.end = (int)end;
	result.error_class = (int)class;
	strlcpy(result.store, end == END_SOURCE ? "ceph" : "cos", sizeof(result.store));
	strlcpy(result.error, "it does not answer", sizeof(result.error));
	return health_failed(&limits, failing, &result);
}

static const char *
shunned(void)
{
	static char text[512];
	struct sqlarray list;

	sqlarray_init(&list);
	health_list(&limits, &list);
	strlcpy(text, sqlarray_finish(&list), sizeof(text));
	sqlarray_release(&list);
	return text;
}

static void
let_time_pass(void)
{
	struct health *h;

	for (h = limits.health; h < limits.health + HEALTH_MAX; h++)
		if (h->probe_at != 0)
			h->probe_at = clock_ms();
}

static void
hold(enum task_end end)
{
	fail(task(1), end, CLASS_TRANSIENT);
	fail(task(2), end, CLASS_TRANSIENT);
	fail(task(3), end, CLASS_TRANSIENT);
}

static void
test_patience(void)
{
	set_up();
	is_int(health_seen(&limits, task(1), END_SOURCE), SEEN_NOTHING,
	    "of a new store nothing is known");
	health_served(&limits, task(1), END_SOURCE, false);
	is_int(
	    health_seen(&limits, task(2), END_SOURCE), SEEN_SERVING, "a store has served a task");
	is_int(health_seen(&limits, task(2), END_DESTINATION), SEEN_NOTHING,
	    "which says nothing of the other end");
	ok(!fail(task(1), END_SOURCE, CLASS_TRANSIENT) &&
		!fail(task(2), END_SOURCE, CLASS_TRANSIENT),
	    "two failures hold nothing");
	is_int(health_seen(&limits, task(1), END_SOURCE), SEEN_NOTHING,
	    "and the store may be to blame");
	health_served(&limits, task(4), END_SOURCE, false);
	ok(!fail(task(1), END_SOURCE, CLASS_TRANSIENT) &&
		!fail(task(2), END_SOURCE, CLASS_TRANSIENT),
	    "a task that is served makes them forgotten");
	ok(fail(task(3), END_SOURCE, CLASS_TRANSIENT), "the third in a row holds the store");
	is_str(shunned(), "{\"ceph://\"}", "claims do not read from it");
	ok(!fail(task(5), END_SOURCE, CLASS_TRANSIENT), "a further failure is no news");
	health_served(&limits, task(6), END_SOURCE, false);
	is_str(shunned(), "{}", "a task that it serves ends the hold");
}

static void
test_one_task_alone(void)
{
	set_up();
	fail(task(7), END_DESTINATION, CLASS_TRANSIENT);
	is_int(health_seen(&limits, task(7), END_DESTINATION), SEEN_ONE_FAIL,
	    "a store has failed one task alone");
	is_int(health_seen(&limits, task(8), END_DESTINATION), SEEN_NOTHING, "and not this one");
	fail(task(8), END_DESTINATION, CLASS_TRANSIENT);
	ok(health_seen(&limits, task(7), END_DESTINATION) == SEEN_NOTHING &&
		health_seen(&limits, task(8), END_DESTINATION) == SEEN_NOTHING,
	    "once it has failed two tasks it is to blame");
}

static void
test_probes(void)
{
	struct health *h;
	int64_t delay;

	set_up();
	hold(END_DESTINATION);
	is_str(shunned(), "{\"://cos\"}", "a store that is written to in vain is not written to");
	ok(health_due(&limits) == NULL, "nothing tries it at once");
	let_time_pass();
	ok(health_run(&limits), "a probe is due after a while");
	h = health_due(&limits);
	ok(h != NULL && strcmp(h->name, "cos") == 0, "of the store that is held");
	is_int(
	    health_deadline(&limits), 0, "no clock demands it once more while no worker is free");
	health_probed(&limits, NULL);
	ok(health_due(&limits) == NULL && health_deadline(&limits) > clock_ms(),
	    "if there is no task to try it with, the next look is later");
	let_time_pass();
	health_due(&limits);
	health_probed(&limits, task(9));
	ok(health_due(&limits) == NULL, "there is one probe at a time");
	delay = h->delay_ms;
	fail(task(9), END_DESTINATION, CLASS_TRANSIENT);
	is_int(h->delay_ms, 2 * delay, "a probe that fails doubles the delay");
	let_time_pass();
	health_due(&limits);
	health_probed(&limits, task(9));
	health_ended(&limits, task(9));
	is_int(h->delay_ms, 2 * delay, "one that ends otherwise does not");
	ok(h->state == HEALTH_HELD && h->probe_at > clock_ms(), "and another one follows");
	health_due(&limits);
	let_time_pass();
	health_due(&limits);
	health_probed(&limits, task(10));
	let_time_pass();
	health_run(&limits);
	ok(h->state == HEALTH_HELD, "a probe that no worker has is over");
	h->probe_at = clock_ms() + 60000;
	health_hear(&limits, "cos");
	ok(health_due(&limits) == h, "news of another node make a probe due at once");
	h->probe_at = clock_ms() + 60000;
	state.agenda.probe = true;
	ok(health_run(&limits) && health_due(&limits) == h, "so do new keys");
}

static void
test_full(void)
{
	set_up();
	fail(task(1), END_DESTINATION, CLASS_FULL);
	fail(task(2), END_DESTINATION, CLASS_FULL);
	fail(task(3), END_DESTINATION, CLASS_FULL);
	health_served(&limits, task(4), END_DESTINATION, false);
	ok(health_shuns(&limits), "a full store that takes a part may be full still");
	health_served(&limits, task(4), END_DESTINATION, true);
	ok(!health_shuns(&limits), "one that takes an object is not");
	fail(task(1), END_DESTINATION, CLASS_THROTTLED);
	fail(task(2), END_DESTINATION, CLASS_THROTTLED);
	fail(task(3), END_DESTINATION, CLASS_THROTTLED);
	ok(!health_shuns(&limits), "a store that asks to slow down is not held");
}

static void
test_unknown_stores(void)
{
	struct admission answer;

	set_up();
	admit(&limits, task(1), &answer);
	is_int(answer.verdict, ADMIT_GO, "a task with known stores begins");
	admit(&limits, task_of(2, "ceph://a/b", "new://c/d"), &answer);
	ok(answer.verdict == ADMIT_NOT_HERE && answer.delay_ms == 0,
	    "one with a store that is not here is for other nodes, at once");
	is_str(shunned(), "{\"://new\"}", "the next ones are not claimed");
	let_time_pass();
	health_run(&limits);
	ok(health_due(&limits) == NULL && health_deadline(&limits) == 0,
	    "nothing tries such a store");
	strlcpy(conf.stores[conf.nstores++].name, "new", CONFIG_NAME_MAX);
	health_reload(&limits);
	is_str(shunned(), "{}", "a configuration that has it ends this");
}

static void
test_hosts(void)
{
	const struct task *away, *other;
	struct admission answer;
	struct msg_result result = { .trouble = TROUBLE_STORE,
		.error_class = CLASS_TRANSIENT,
		.store = "https",
		.error = "no route" };
	int i;

	set_up();
	for (i = 1; i <= 3; i++)
		health_failed(&limits,
		    task_of(i, "https://me:secret@Away.example:8443/x?y", "cos://c/d"), &result);
	is_str(shunned(), "{}", "claims cannot tell hosts apart");
	away = task_of(4, "https://away.example:8443/z", "cos://c/d");
	admit(&limits, away, &answer);
	ok(answer.verdict == ADMIT_LATER && answer.delay_ms > 0, "a task with the host is put off");
	is_str(answer.why, "no route", "and told why");
	let_time_pass();
	admit(&limits, away, &answer);
	is_int(answer.verdict, ADMIT_GO, "after a while one is let through");
	admit(&limits, task_of(5, "https://away.example:8443/z", "cos://c/d"), &answer);
	is_int(answer.verdict, ADMIT_LATER, "and no second one");
	other = task_of(6, "https://away.example/z", "cos://c/d");
	admit(&limits, other, &answer);
	is_int(answer.verdict, ADMIT_GO, "another host or port is not held");
}

int
main(void)
{
	log_init("test_health", -1);
	log_set_max_priority(LOG_ERR);
	test_patience();
	test_one_task_alone();
	test_probes();
	test_full();
	test_unknown_stores();
	test_hosts();
	return done_testing();
}
