/*
 * The pool's policy: who retires first, when a slot backs off, what a hung worker is.  Slots that need a process have a
 * real child and a real channel; only ferry-worker is not there.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "master/dispatch.h"
#include "master/pool.h"
#include "tests/unit/tap.h"

static struct master m;
static struct config conf;
static int worker_ends[CONFIG_WORKERS_MAX + 1];

static void
new_pool(int workers)
{
	char why[1024];

	memset(&m, 0, sizeof(m));
	memset(&conf, 0, sizeof(conf));
	conf.workers = workers;
	m.conf = &conf;
	m.conf_generation = 1;
	m.phase = PHASE_RUNNING;
	m.cap = cap_open("/nonexistent", MEMORY_RLIMIT, "x", getpid(), why, sizeof(why));
	TAILQ_INIT(&m.deaths);
	pool_init(&m);
}

/* A slot whose process waits for its end. */
static struct slot *
new_worker(int number, enum slot_state state)
{
	struct slot *slot = &m.pool.slots[number - 1];
	int pair[2];

	slot->pid = fork();
	if (slot->pid == 0) {
		pause();
		_exit(0);
	}
	/* After the fork, so that the child holds no end of it. */
	if (channel_pair(pair) == -1)
		abort();
	slot->pidfd = pidfd_open(slot->pid, 0);
	slot->channel = pair[0];
	worker_ends[number] = pair[1];
	slot->state = state;
	slot->was_idle = state != SLOT_STARTING;
	slot->generation = (uint64_t)number;
	slot->conf_generation = 1;
	slot->silence_ms = 60000;
	slot->started_at = slot->heard_at = clock_ms();
	return slot;
}

static void
end_worker(struct slot *slot, bool clean)
{
	kill(slot->pid, SIGKILL);
	waitpid(slot->pid, NULL, 0);
	pool_vacate(&m, slot, clean);
	close(worker_ends[slot->number]);
}

static void
end_pool(void)
{
	struct slot *slot;

	POOL_FOREACH (slot, &m)
		if (pool_is_live(slot))
			end_worker(slot, true);
	cap_close(m.cap);
}

static void
say(int number, int type)
{
	struct msg msg = { .type = type, .slot = number, .generation = (uint64_t)number };

	if (channel_send(worker_ends[number], &msg, -1) == -1)
		abort();
}

/* The type of the next message that the worker got, 0 if none. */
static int
told(int number)
{
	static struct msg msg;
	int fd, flags = fcntl(worker_ends[number], F_GETFL);

	fcntl(worker_ends[number], F_SETFL, flags | O_NONBLOCK);
	return channel_recv(worker_ends[number], &msg, &fd) == 1 ? msg.type : 0;
}

static void
test_delay(void)
{
	int64_t delay = 0, last = 0;
	int i;

	is_int(pool_next_delay(0), POOL_DELAY_MIN_MS, "the first bad start waits a little");
	is_int(pool_next_delay(100), 200, "the next one twice as long");
	for (i = 0; i < 20; i++) {
		last = delay;
		delay = pool_next_delay(delay);
	}
	is_int(delay, POOL_DELAY_MAX_MS, "there is an upper limit");
	is_int(last, POOL_DELAY_MAX_MS, "at which it stays");
}

static void
test_bad_start(void)
{
	struct slot *slot;

	new_pool(2);
	slot = new_worker(1, SLOT_STARTING);
	end_worker(slot, false);
	is_int(slot->state, SLOT_BACKOFF, "a worker that dies before it is idle makes its slot wait");
	is_int(slot->delay_ms, POOL_DELAY_MIN_MS, "for the shortest time");
	ok(pool_deadline(&m) == 0, "but nothing starts while the node is not registered");
	m.queue.node = 1;
	is_int(pool_deadline(&m), slot->start_at, "then the clock starts it");

	slot = new_worker(1, SLOT_STARTING);
	end_worker(slot, false);
	is_int(slot->delay_ms, 2 * POOL_DELAY_MIN_MS, "the second time it waits longer");

	slot = new_worker(1, SLOT_IDLE);
	slot->ntasks = 1;
	end_worker(slot, false);
	is_int(slot->state, SLOT_EMPTY, "one that dies over a task is replaced at once");
	slot = new_worker(1, SLOT_IDLE);
	end_worker(slot, false);
	is_int(slot->state, SLOT_BACKOFF, "one that dies without ever having had one is not");
	slot = new_worker(1, SLOT_IDLE);
	slot->started_at -= 5000;
	end_worker(slot, true);
	is_int(slot->state, SLOT_EMPTY, "a clean end is no bad start");
	slot = new_worker(1, SLOT_IDLE);
	end_worker(slot, true);
	is_int(slot->state, SLOT_BACKOFF, "unless it comes at once, which would go round in circles");
	pool_praise(slot);
	is_int(slot->delay_ms, 0, "a task carried forgives the past");
	end_pool();
}

static void
test_shrink(void)
{
	struct slot *idle, *busy, *waiting;

	new_pool(3);
	busy = new_worker(3, SLOT_BUSY);
	idle = new_worker(1, SLOT_IDLE);
	waiting = &m.pool.slots[1];
	waiting->state = SLOT_BACKOFF;
	pool_resize(&m, 2);
	pool_run(&m);
	is_int(waiting->state, SLOT_EMPTY, "a slot without a process goes first");
	ok(!idle->retiring && !busy->retiring, "and is enough");
	pool_resize(&m, 1);
	idle->reserved = true;
	pool_run(&m);
	ok(!idle->retiring && !busy->retiring, "one that a claim is under way for is waited for");
	idle->reserved = false;
	pool_run(&m);
	is_int(idle->state, SLOT_STOPPING, "then an idle worker");
	is_int(told(1), MSG_RETIRE, "which is told");
	ok(idle->kill_at != 0, "and has so long");
	ok(!busy->retiring, "a busy one stays");
	pool_resize(&m, 0);
	pool_run(&m);
	is_int(told(3), MSG_RETIRE, "until there is no other choice: it is told to end after its task");
	is_int(busy->state, SLOT_BUSY, "and stays busy");
	pool_run(&m);
	is_int(told(3), 0, "it is told once");
	say(3, MSG_READY);
	dispatch_receive(&m, busy);
	is_int(busy->state, SLOT_STOPPING, "idle, it gets nothing any more");
	end_pool();
}

static void
test_generation(void)
{
	struct slot *idle, *reserved;

	new_pool(2);
	idle = new_worker(1, SLOT_IDLE);
	reserved = new_worker(2, SLOT_IDLE);
	reserved->reserved = true;
	m.conf_generation = 2;
	ok(!pool_is_available(&m, idle), "a worker of an old configuration gets no new task");
	pool_run(&m);
	is_int(idle->state, SLOT_STOPPING, "it retires");
	is_int(reserved->state, SLOT_IDLE, "one that a claim under way may need does not yet");
	reserved->reserved = false;
	pool_run(&m);
	is_int(reserved->state, SLOT_STOPPING, "but then");
	end_pool();
}

/* Whoever is given it owns it. */
static struct task *
new_task(void)
{
	struct task *task = calloc(1, sizeof(*task));

	if (task == NULL)
		abort();
	*task = (struct task){ .id = 42, .claim = 7, .source = "a://b/c", .destination = "d://e/f" };
	return task;
}

static void
test_recycling(void)
{
	struct slot *slot;

	new_pool(1);
	slot = new_worker(1, SLOT_IDLE);
	slot->max_tasks = 1;
	pool_run(&m);
	is_int(slot->state, SLOT_IDLE, "a worker with tasks left to it stays");
	dispatch_task(&m, slot, new_task());
	pool_run(&m);
	is_int(slot->state, SLOT_BUSY, "it carries its last one to the end");
	pool_idle(&m, slot);
	pool_run(&m);
	is_int(slot->state, SLOT_STOPPING, "then it retires");
	end_worker(slot, true);
	is_int(slot->state, SLOT_EMPTY, "and is replaced at once");

	slot = new_worker(1, SLOT_IDLE);
	slot->max_tasks = 0;
	slot->expires_at = clock_ms() + 5000;
	pool_run(&m);
	is_int(slot->state, SLOT_IDLE, "a young worker stays");
	is_int(pool_deadline(&m), slot->expires_at, "the clock says when it is old");
	slot->expires_at = clock_ms();
	pool_run(&m);
	is_int(slot->state, SLOT_STOPPING, "then it retires, idle as it is");
	end_pool();
}

static void
test_first_words(void)
{
	struct slot *slot;
	struct msg stale = { .type = MSG_READY, .slot = 1, .generation = 77 };

	new_pool(1);
	slot = new_worker(1, SLOT_STARTING);
	if (channel_send(worker_ends[1], &stale, -1) == -1)
		abort();
	dispatch_receive(&m, slot);
	is_int(slot->state, SLOT_STARTING, "the word of another generation is dropped");
	say(1, MSG_TASK);
	dispatch_receive(&m, slot);
	is_int(slot->state, SLOT_STARTING, "so is what only the master may say");
	say(1, MSG_READY);
	dispatch_receive(&m, slot);
	is_int(slot->state, SLOT_IDLE, "READY makes it idle");
	ok(m.queue.claim_wanted, "and asks for a task");
	end_pool();
}

static void
test_silence(void)
{
	struct slot *slot;
	int status;

	new_pool(1);
	slot = new_worker(1, SLOT_BUSY);
	pool_run(&m);
	ok(!slot->killed, "a worker that was heard of just now is not hung");
	is_int(pool_deadline(&m), slot->heard_at + slot->silence_ms, "it is looked at when its silence would be too long");
	slot->heard_at -= slot->silence_ms;
	pool_run(&m);
	ok(slot->killed, "then it is killed");
	waitpid(slot->pid, &status, 0);
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "with SIGKILL");
	pool_vacate(&m, slot, false);
	close(worker_ends[1]);

	slot = new_worker(1, SLOT_BUSY);
	slot->reaping = true;
	slot->heard_at -= slot->silence_ms;
	pool_run(&m);
	ok(!slot->killed, "clearing away uploads may take longer");
	slot->state = SLOT_IDLE;
	slot->reaping = false;
	pool_run(&m);
	ok(!slot->killed, "an idle worker has nothing to say");
	end_pool();
}

static void
test_task_unreported(void)
{
	struct slot *slot;

	new_pool(1);
	slot = new_worker(1, SLOT_IDLE);
	dispatch_task(&m, slot, new_task());
	is_int(told(1), MSG_TASK, "a task is handed over");
	is_int(slot->state, SLOT_BUSY, "its worker is busy");
	dispatch_cancel(slot);
	dispatch_cancel(slot);
	is_int(told(1), MSG_CANCEL, "it can be cancelled");
	is_int(told(1), 0, "once");
	say(1, MSG_READY);
	dispatch_receive(&m, slot);
	ok(slot->killed, "a worker that is idle without having said how its task ended is killed");
	ok(slot->task != NULL, "and the task is settled with its death");
	end_pool();
}

static void
test_eof(void)
{
	struct slot *slot;

	new_pool(1);
	slot = new_worker(1, SLOT_IDLE);
	close(worker_ends[1]);
	worker_ends[1] = -1;
	dispatch_receive(&m, slot);
	is_int(slot->channel, -1, "a channel that ends is closed");
	ok(!pool_is_available(&m, slot), "its worker gets no task");
	ok(slot->kill_at != 0, "and has to end soon");
	end_pool();
}

int
main(void)
{
	log_init("test_pool", -1);
	log_set_max_priority(LOG_EMERG);
	test_delay();
	test_bad_start();
	test_shrink();
	test_generation();
	test_recycling();
	test_first_words();
	test_silence();
	test_task_unreported();
	test_eof();
	return done_testing();
}
