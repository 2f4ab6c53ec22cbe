/*
 * The end of a worker with a task: whose fault it was, and what the log shows of the task's source.
 * The workers are real processes that end in the ways that matter.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/channel.h"
#include "master/exits.h"
#include "master/pool/pool.h"
#include "master/queue/deaths.h"
#include "master/queue/stock.h"
#include "tests/unit/tap.h"

#define SIGNED "https://h/p?X-Amz-Signature=SECRET"

static struct master m;
static struct config conf;
static char log_path[] = "/tmp/ferry-exits-XXXXXX";

static void
set_up(void)
{
	struct cap_wish wish = { "/nonexistent", MEMORY_RLIMIT, "x", getpid() };
	char why[1024];

	memset(&m, 0, sizeof(m));
	conf.workers = 1;
	conf.worker.memory = 64 << 20;
	master_init(&m, &conf);
	m.state.phase = PHASE_RUNNING;
	m.pool.cap = cap_open(&wish, why, sizeof(why));
	pool_init(&m.pool);
	m.node.db = db_new("host=/nowhere", "test", NULL);
}

static void
tear_down(void)
{
	stock_discard(&m.queue);
	deaths_discard(&m.queue);
	db_free(m.node.db);
	cap_close(m.pool.cap);
}

static struct task *
new_task(int64_t id)
{
	struct task *task = calloc(1, sizeof(*task));

	if (task == NULL)
		abort();
	task->id = id;
	task->claim = id + 100;
	strlcpy(task->source, SIGNED, sizeof(task->source));
	strlcpy(task->destination, "cos://b/k", sizeof(task->destination));
	return task;
}

/* A worker that carries task 7 and exits with the code, or is killed by the signal if code is -1.
 */
static struct slot *
worker_that_ends(int code, int signo)
{
	struct slot *slot = &m.pool.slots[0];
	siginfo_t info;

	slot->pid = fork();
	if (slot->pid == 0) {
		if (code != -1)
			_exit(code);
		signal(signo, SIG_DFL); /* a sanitizer has its own ways */
		kill(getpid(), signo);
		pause();
	}
	slot->pidfd = pidfd_open(slot->pid, 0);
	slot->was_idle = true;
	slot->memory = 64 << 20;
	slot_begin(slot, new_task(7));
	if (waitid(P_PID, (id_t)slot->pid, &info, WEXITED | WNOWAIT) != 0)
		abort();
	return slot;
}

/* The death of the worker's task; NULL if there is none. */
static const struct death *
bury(struct slot *slot)
{
	exits_take(&m, slot);
	return TAILQ_FIRST(&m.queue.deaths);
}

static void
check_kind(int code, int signo, enum death_kind kind, const char *what)
{
	const struct death *death;

	set_up();
	death = bury(worker_that_ends(code, signo));
	ok(death != NULL && death->kind == kind && death->task == 7 && death->claim == 107, "%s",
	    what);
	is_int(m.pool.slots[0].state, SLOT_EMPTY, "its slot is free at once");
	tear_down();
}

static void
test_blame(void)
{
	const struct death *death;
	struct slot *slot;

	check_kind(-1, SIGKILL, DEATH_CRASH, "a worker that is killed has crashed");
	check_kind(-1, SIGSEGV, DEATH_CRASH, "and so has one that faults");
	check_kind(1, 0, DEATH_CRASH, "or exits with a task in work");
	check_kind(0, 0, DEATH_CRASH, "even if it says that all is well");
	check_kind(WORKER_EXIT_MEMORY, 0, DEATH_MEMORY,
	    "one that got no memory says so with its exit code");
	set_up();
	slot = worker_that_ends(-1, SIGKILL);
	slot_kill_forgiven(slot);
	death = bury(slot);
	ok(death != NULL && death->kind == DEATH_FORGIVEN, "what we killed to stop is not counted");
	tear_down();
	set_up();
	slot = worker_that_ends(1, 0);
	m.state.phase = PHASE_STOPPING;
	death = bury(slot);
	ok(death != NULL && death->kind == DEATH_FORGIVEN,
	    "nor one that ended because it was told to stop");
	tear_down();
	set_up();
	slot = worker_that_ends(-1, SIGSEGV);
	m.state.phase = PHASE_STOPPING;
	death = bury(slot);
	ok(death != NULL && death->kind == DEATH_CRASH, "a fault counts at a stop, too");
	tear_down();
}

static void
test_next_task(void)
{
	struct slot *slot;

	set_up();
	slot = worker_that_ends(-1, SIGKILL);
	slot_set_next(slot, new_task(8));
	bury(slot);
	is_int(m.queue.stock.n, 1, "the next task of a dead worker was never begun");
	ok(TAILQ_FIRST(&m.queue.deaths) != NULL &&
		TAILQ_NEXT(TAILQ_FIRST(&m.queue.deaths), entry) == NULL,
	    "and is not charged with the death");
	tear_down();
}

static void
test_log(void)
{
	static char text[65536];
	FILE *f;

	set_up();
	log_set_max_priority(LOG_DEBUG);
	bury(worker_that_ends(-1, SIGKILL));
	log_set_max_priority(LOG_EMERG);
	f = fopen(log_path, "r");
	if (f == NULL || fread(text, 1, sizeof(text) - 1, f) == 0)
		abort();
	fclose(f);
	ok(strstr(text, "nothing says that memory was short, task 7 https://h/p?…") != NULL,
	    "the log tells of the death: %s", text);
	ok(strstr(text, "SECRET") == NULL, "and shows no signature");
	ok(strstr(text, "will be requeued when the database is back") != NULL,
	    "and what will happen when there is a database");
	tear_down();
}

static void
test_running(void)
{
	struct slot *slot;

	set_up();
	slot = &m.pool.slots[0];
	slot->pid = fork();
	if (slot->pid == 0) {
		pause();
		_exit(0);
	}
	slot_begin(slot, new_task(7));
	ok(bury(slot) == NULL && slot->task != NULL, "a worker that runs is not buried");
	slot_kill(slot, "it was hung");
	waitpid(slot->pid, NULL, 0);
	slot_drop_task(slot);
	tear_down();
}

int
main(void)
{
	int fd = mkstemp(log_path);

	log_init("test_exits", -1);
	log_open(log_path);
	log_set_max_priority(LOG_EMERG);
	close(fd);
	test_blame();
	test_next_task();
	test_log();
	test_running();
	log_open("stderr");
	unlink(log_path);
	return done_testing();
}
