/*
 * The policy of the pool: which worker retires first, when a slot backs off, when a worker counts
 * as hung.  Slots that need a process have a real child and a real channel, but no ferry-worker.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "master/pool/pool.h"
#include "master/queue/done.h"
#include "master/queue/assign.h"
#include "master/reports.h"
#include "tests/unit/tap.h"

static struct master m; /* reports and tasks need all of it */
static struct config conf;
static int worker_ends[CONFIG_WORKERS_MAX + 1];

static void
new_pool(int workers)
{
	struct cap_wish wish = { "/nonexistent", MEMORY_RLIMIT, "x", getpid() };
	char why[1024];

	memset(&m, 0, sizeof(m));
	memset(&conf, 0, sizeof(conf));
	conf.workers = workers;
	master_init(&m, &conf);
	m.state.phase = PHASE_RUNNING;
	m.pool.cap = cap_open(&wish, why, sizeof(why));
	pool_init(&m.pool);
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
	/* After the fork, so that the child has no end of the channel. */
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
	pool_vacate(&m.pool, slot, clean);
	close(worker_ends[slot->number]);
}

static void
end_pool(void)
{
	struct slot *slot;

	POOL_FOREACH (slot, &m.pool)
		if (slot_is_live(slot))
			end_worker(slot, true);
	cap_close(m.pool.cap);
}

static void
say(int number, int type)
{
	struct msg msg = { .type = type, .slot = number, .generation = (uint64_t)number };

	if (channel_send(worker_ends[number], &msg, -1) == -1)
		abort();
}

/* The type of the next message to the worker; 0: none. */
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
	is_int(last, POOL_DELAY_MAX_MS, "the delay stays at the limit");
}

static void
test_bad_start(void)
{
	struct slot *slot;

	new_pool(2);
	slot = new_worker(1, SLOT_STARTING);
	end_worker(slot, false);
	is_int(
	    slot->state, SLOT_BACKOFF, "a worker that dies before it is idle makes its slot wait");
	is_int(slot->delay_ms, POOL_DELAY_MIN_MS, "for the shortest time");
	ok(pool_deadline(&m.pool) == 0, "nothing starts while the node is not registered");
	m.pool.lease.node = 1;
	is_int(pool_deadline(&m.pool), slot->start_at,
	    "once the node is registered, the worker starts when the delay is over");

	slot = new_worker(1, SLOT_STARTING);
	end_worker(slot, false);
	is_int(slot->delay_ms, 2 * POOL_DELAY_MIN_MS, "the second time it waits longer");

	slot = new_worker(1, SLOT_IDLE);
	slot->ntasks = 1;
	end_worker(slot, false);
	is_int(slot->state, SLOT_EMPTY, "a worker that dies over a task is replaced at once");
	slot = new_worker(1, SLOT_IDLE);
	end_worker(slot, false);
	is_int(slot->state, SLOT_BACKOFF, "a worker that dies without a task makes its slot wait");
	slot = new_worker(1, SLOT_IDLE);
	slot->started_at -= 5000;
	end_worker(slot, true);
	is_int(slot->state, SLOT_EMPTY, "a clean end is no bad start");
	slot = new_worker(1, SLOT_IDLE);
	end_worker(slot, true);
	is_int(slot->state, SLOT_BACKOFF, "a clean end just after the start makes the slot wait");
	slot_praise(slot);
	is_int(slot->delay_ms, 0, "after a task that ended well the delay begins anew");
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
	pool_resize(&m.pool, 2);
	pool_run(&m.pool);
	is_int(waiting->state, SLOT_EMPTY, "a slot without a process goes first");
	ok(!slot_is_retiring(idle) && !slot_is_retiring(busy), "no worker has to retire as well");
	pool_resize(&m.pool, 1);
	idle->reserved = true;
	pool_run(&m.pool);
	ok(!slot_is_retiring(idle) && !slot_is_retiring(busy),
	    "an idle worker that may get a task is not retired yet");
	idle->reserved = false;
	pool_run(&m.pool);
	is_int(idle->state, SLOT_STOPPING, "an idle worker goes next");
	is_int(told(1), MSG_RETIRE, "it is told to retire");
	ok(idle->kill_at != 0, "and has a deadline");
	ok(!slot_is_retiring(busy), "a busy worker stays");
	pool_resize(&m.pool, 0);
	pool_run(&m.pool);
	is_int(told(3), MSG_RETIRE, "a busy worker goes last: it is told to end after its task");
	is_int(busy->state, SLOT_BUSY, "and stays busy");
	pool_run(&m.pool);
	is_int(told(3), 0, "it is told once");
	say(3, MSG_READY);
	reports_receive(&m, busy);
	is_int(busy->state, SLOT_STOPPING, "once idle, it gets no task any more");
	end_pool();
}

static void
test_shrink_among_equals(void)
{
	struct slot *first, *second;

	new_pool(2);
	first = new_worker(1, SLOT_IDLE);
	second = new_worker(2, SLOT_IDLE);
	pool_resize(&m.pool, 1);
	pool_run(&m.pool);
	ok(first->state == SLOT_IDLE && second->state == SLOT_STOPPING,
	    "of two idle workers the one with the higher number goes");
	end_pool();
}

static void
test_memory_total(void)
{
	struct slot *slot;

	new_pool(2);
	conf.worker.memory = 64 << 20;
	conf.memory_total = (8 + 64 + 64) << 20;
	m.pool.lease.node = 1;
	slot = new_worker(1, SLOT_BUSY);
	slot->memory = 65 << 20; /* by an older configuration */
	slot = &m.pool.slots[1];
	slot->state = SLOT_BACKOFF;
	slot->start_at = clock_ms() - 1;
	pool_run(&m.pool);
	is_int(slot->state, SLOT_BACKOFF,
	    "no worker starts that memory_total does not hold beside those that live");
	is_int(pool_deadline(&m.pool), m.pool.slots[0].heard_at + m.pool.slots[0].silence_ms,
	    "and the clock does not demand one");
	conf.memory_total += 1 << 20;
	is_int(pool_deadline(&m.pool), slot->start_at, "where there is room, it does");
	slot->state = SLOT_EMPTY;
	ok(!pool_resize(&m.pool, 3), "the pool does not grow beyond memory_total");
	is_int(m.pool.target, 2, "but as far as that");
	end_pool();
}

static void
test_kill_after_hang_up(void)
{
	struct slot *slot;

	new_pool(1);
	slot = new_worker(1, SLOT_BUSY);
	slot->kill_at = clock_ms();
	pool_run(&m.pool);
	ok(slot_is_killed(slot), "a worker that should have ended by now is killed");
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
	m.state.conf_generation = 2;
	ok(!slot_is_available(&m.pool, idle), "a worker of an old configuration gets no new task");
	pool_run(&m.pool);
	is_int(idle->state, SLOT_STOPPING, "it retires");
	is_int(reserved->state, SLOT_IDLE,
	    "a worker that may get a task from the claim under way stays");
	reserved->reserved = false;
	pool_run(&m.pool);
	is_int(reserved->state, SLOT_STOPPING, "it retires after that claim");
	end_pool();
}

/* The caller owns the task. */
static struct task *
new_task(void)
{
	struct task *task = calloc(1, sizeof(*task));

	if (task == NULL)
		abort();
	*task =
	    (struct task){ .id = 42, .claim = 7, .source = "a://b/c", .destination = "d://e/f" };
	return task;
}

static void
test_recycling(void)
{
	struct slot *slot;

	new_pool(1);
	slot = new_worker(1, SLOT_IDLE);
	slot->max_tasks = 1;
	pool_run(&m.pool);
	is_int(slot->state, SLOT_IDLE, "a worker with tasks left to it stays");
	assign_task(&m.queue, slot, new_task());
	pool_run(&m.pool);
	is_int(slot->state, SLOT_BUSY, "it carries its last one to the end");
	pool_idle(&m.pool, slot);
	pool_run(&m.pool);
	is_int(slot->state, SLOT_STOPPING, "then it retires");
	end_worker(slot, true);
	is_int(slot->state, SLOT_EMPTY, "and is replaced at once");

	slot = new_worker(1, SLOT_IDLE);
	slot->max_tasks = 0;
	slot->expires_at = clock_ms() + 5000;
	pool_run(&m.pool);
	is_int(slot->state, SLOT_IDLE, "a young worker stays");
	is_int(pool_deadline(&m.pool), slot->expires_at, "the clock says when it is old");
	slot->expires_at = clock_ms();
	pool_run(&m.pool);
	is_int(slot->state, SLOT_STOPPING, "an old worker retires while it is idle");
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
	reports_receive(&m, slot);
	is_int(slot->state, SLOT_STARTING, "a message of another generation is dropped");
	say(1, MSG_TASK);
	reports_receive(&m, slot);
	is_int(slot->state, SLOT_STARTING, "a message that only the master may send is dropped");
	say(1, MSG_READY);
	reports_receive(&m, slot);
	is_int(slot->state, SLOT_IDLE, "READY makes it idle");
	ok(m.state.agenda.claim, "and asks for a task");
	end_pool();
}

/* Runs the pool once.  Returns what it has logged. */
static const char *
log_of_run(void)
{
	static char text[4096];
	char path[] = "/tmp/ferry-pool-XXXXXX";
	int fd = mkstemp(path);
	ssize_t n;

	log_open(path);
	pool_run(&m.pool);
	log_open("stderr");
	n = read(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	close(fd);
	unlink(path);
	return text;
}

static void
test_silence(void)
{
	struct slot *slot;
	const char *said;
	int status;

	new_pool(1);
	slot = new_worker(1, SLOT_BUSY);
	pool_run(&m.pool);
	ok(!slot_is_killed(slot), "a worker that has just sent a message is not hung");
	is_int(pool_deadline(&m.pool), slot->heard_at + slot->silence_ms,
	    "it is looked at when its silence would be too long");
	slot->heard_at -= slot->silence_ms;
	kill(slot->pid, SIGSTOP);
	waitpid(slot->pid, &status, WUNTRACED);
	said = log_of_run();
	if (!ok(slot_is_killed(slot), "then it is killed"))
		kill(slot->pid, SIGTERM);
	ok(strstr(said, "is hung, silent for 60 s: killed\"") != NULL &&
		strstr(said, " state=T") != NULL && strstr(said, " cpu_ms=") != NULL,
	    "and the log tells what it was doing: %s", said);
	ok(geteuid() != 0 || access("/proc/self/syscall", R_OK) == -1 ||
		strstr(said, " syscall=") != NULL,
	    "in which system call, if we may know");
	waitpid(slot->pid, &status, 0);
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "with SIGKILL");
	pool_vacate(&m.pool, slot, false);
	close(worker_ends[1]);

	slot = new_worker(1, SLOT_REAPING);
	slot->heard_at -= slot->silence_ms;
	pool_run(&m.pool);
	ok(!slot_is_killed(slot), "a worker that reaps may be silent for longer");
	slot->state = SLOT_IDLE;
	pool_run(&m.pool);
	ok(!slot_is_killed(slot), "an idle worker may be silent");
	end_pool();
}

static void
test_task_unreported(void)
{
	struct slot *slot;

	new_pool(1);
	slot = new_worker(1, SLOT_IDLE);
	assign_task(&m.queue, slot, new_task());
	is_int(told(1), MSG_TASK, "a task is handed over");
	is_int(slot->state, SLOT_BUSY, "its worker is busy");
	assign_cancel(slot);
	assign_cancel(slot);
	is_int(told(1), MSG_CANCEL, "it can be cancelled");
	is_int(told(1), 0, "once");
	say(1, MSG_READY);
	reports_receive(&m, slot);
	ok(slot_is_killed(slot),
	    "a worker that is idle without having said how its task ended is killed");
	ok(slot->task != NULL, "its task is kept, to be settled with its death");
	end_pool();
}

/* A worker with a task sends this; is it killed, and its task kept? */
static void
check_lie(const struct msg *msg, bool killed, const char *what)
{
	struct slot *slot;
	struct msg sent = *msg;

	new_pool(1);
	slot = new_worker(1, SLOT_IDLE);
	assign_task(&m.queue, slot, new_task());
	sent.slot = slot->number;
	sent.generation = slot->generation;
	sent.result.task = slot->task->id; /* the first two of each of these messages */
	sent.result.claim = slot->task->claim;
	if (channel_send(worker_ends[1], &sent, -1) == -1)
		abort();
	reports_receive(&m, slot);
	if (killed)
		ok(slot_is_killed(slot) && slot->task != NULL && m.queue.done.n == 0, "%s", what);
	else
		ok(!slot_is_killed(slot), "%s", what);
	done_discard(&m.queue);
	end_pool();
}

static struct msg
honest(void)
{
	struct msg msg = { .type = MSG_RESULT };

	msg.result.bytes = msg.result.bytes_total = 7;
	msg.result.peak_memory = 64 << 20;
	strlcpy(msg.result.verified_by, "crc64", sizeof(msg.result.verified_by));
	strlcpy(msg.result.etag, "\"abc-2\"", sizeof(msg.result.etag));
	return msg;
}

#define CHECK_LIE(change, what)              \
	do {                                 \
		msg = honest();              \
		change;                      \
		check_lie(&msg, true, what); \
	} while (0)

static void
test_lies(void)
{
	struct msg msg = honest();

	check_lie(&msg, false, "an honest result is taken");
	CHECK_LIE(msg.result.bytes = -1, "fewer bytes than none are not believed");
	CHECK_LIE(msg.result.bytes = 8, "nor more than the object has");
	CHECK_LIE(msg.result.bytes_total = INT64_MIN, "nor a size below 0");
	CHECK_LIE(msg.result.bytes_total = -1, "nor an object that is done and has no size");
	CHECK_LIE(msg.result.peak_memory = INT64_MAX, "nor a peak that the cap forbids");
	CHECK_LIE(msg.result.peak_memory = -5, "nor one below 0");
	CHECK_LIE(msg.result.elapsed_ms = -1, "nor a time below 0");
	CHECK_LIE(msg.result.resumed = -1, "nor parts below 0");
	CHECK_LIE(msg.result.verified_by[0] = 'C', "nor a word that the column does not have");
	CHECK_LIE(msg.result.etag[1] = '\n', "nor an ETag with a newline");
	CHECK_LIE(msg.result.warning[0] = '\x1b', "nor a warning with an escape character");
	CHECK_LIE(msg.result.error_class = CLASS_MEMORY;
		  msg.result.result = TASK_FAILED, "nor a worker that tells of its own death");
	msg = (struct msg){ .type = MSG_PROGRESS };
	check_lie(&msg, false, "honest progress is taken");
	msg.progress.bytes_done = -1;
	check_lie(&msg, true, "progress below 0 is not");
	msg.progress.bytes_done = 0;
	msg.progress.bytes_total = -2;
	check_lie(&msg, true, "nor towards a size below 0");
}

static void
test_eof(void)
{
	struct slot *slot;

	new_pool(1);
	slot = new_worker(1, SLOT_IDLE);
	close(worker_ends[1]);
	worker_ends[1] = -1;
	reports_receive(&m, slot);
	is_int(slot->channel, -1, "a channel that ends is closed");
	ok(!slot_is_available(&m.pool, slot), "its worker gets no task");
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
	test_shrink_among_equals();
	test_memory_total();
	test_kill_after_hang_up();
	test_generation();
	test_recycling();
	test_first_words();
	test_silence();
	test_task_unreported();
	test_lies();
	test_eof();
	return done_testing();
}
