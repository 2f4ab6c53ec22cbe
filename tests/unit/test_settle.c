/*
 * The sentences that the log has for a worker's death, the settings that replace workers, and array literals.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "common/channel.h"
#include "master/reap.h"
#include "master/reload.h"
#include "master/settle.h"
#include "master/sqlarray.h"
#include "tests/unit/tap.h"

#define MIB ((int64_t)1 << 20)

static char text[2048];

static struct death
example(enum death_kind kind, const char *verdict)
{
	struct death d = {
		.kind = kind, .worker = 3, .pid = 4711, .task = 42, .bytes_done = 300 * MIB, .bytes_total = 1288490189,
		.source = "ceph://uploads/a.mp4",
	};

	snprintf(d.verdict, sizeof(d.verdict), "%s", verdict);
	return d;
}

static void
test_verdicts(void)
{
	reap_describe(text, sizeof(text), SIGKILL, true, 64 * MIB, 64 * MIB, MEMORY_CGROUP2);
	is_str(text, "killed: out of memory, peak 64.0 MiB of 64.0 MiB cap (cgroup v2)", "out of memory by the kernel");
	reap_describe(text, sizeof(text), WORKER_EXIT_MEMORY << 8, true, 63 * MIB, 64 * MIB, MEMORY_RLIMIT);
	is_str(text, "killed: out of memory, peak 63.0 MiB of 64.0 MiB cap (rlimit)", "out of memory by the worker's word");
	reap_describe(text, sizeof(text), SIGKILL, false, 1, 2, MEMORY_CGROUP1);
	is_str(text, "killed: signal 9 (Killed)", "killed by somebody");
	reap_describe(text, sizeof(text), SIGSEGV, false, 1, 2, MEMORY_CGROUP1);
	is_str(text, "killed: signal 11 (Segmentation fault)", "killed by a fault");
	reap_describe(text, sizeof(text), 1 << 8, false, 1, 2, MEMORY_CGROUP1);
	is_str(text, "exited: code 1", "ended by itself");
}

static void
test_sentences(void)
{
	struct death d = example(DEATH_MEMORY, "killed: out of memory, peak 64.0 MiB of 64.0 MiB cap (cgroup v2)");

	settle_format(text, sizeof(text), &d, "queued", 1, 2, 19);
	is_str(text,
	    "worker 3 (pid 4711) killed: out of memory, peak 64.0 MiB of 64.0 MiB cap (cgroup v2), task 42 "
	    "ceph://uploads/a.mp4 at 300.0 MiB of 1.2 GiB; task requeued, resumes at part 19, oom 1 of 2",
	    "out of memory, to be resumed");
	settle_format(text, sizeof(text), &d, "failed", 2, 2, 19);
	ok(strstr(text, "of 1.2 GiB; task failed, oom 2 of 2") != NULL, "out of memory too often");
	d = example(DEATH_CRASH, "killed: signal 9 (Killed)");
	settle_format(text, sizeof(text), &d, "queued", 1, 3, 0);
	is_str(text,
	    "worker 3 (pid 4711) killed: signal 9 (Killed), task 42 ceph://uploads/a.mp4 at 300.0 MiB of 1.2 GiB; "
	    "task requeued, starts over, crash 1 of 3",
	    "a crash with nothing to resume");
	d.bytes_total = -1;
	d.bytes_done = 0;
	settle_format(text, sizeof(text), &d, NULL, 0, 0, 0);
	is_str(text,
	    "worker 3 (pid 4711) killed: signal 9 (Killed), task 42 ceph://uploads/a.mp4 at 0 B of unknown size; "
	    "task will be requeued when the database is back",
	    "a crash while the database is away");
	d = example(DEATH_FORGIVEN, "killed: signal 9 (Killed)");
	settle_format(text, sizeof(text), &d, "queued", 0, 3, 4);
	ok(strstr(text, "; task requeued, resumes at part 4") != NULL && strstr(text, "crash") == NULL,
	    "a death of our own making counts nothing");
}

static void
test_recycling(void)
{
	static struct config a, b;

	a.nstores = b.nstores = 1;
	snprintf(a.stores[0].name, sizeof(a.stores[0].name), "ceph");
	b = a;
	b.workers = 8;
	b.lease_ms = 5000;
	ok(!reload_recycles(&a, &b), "another number of workers, another lease replace nobody");
	b.worker.memory = 1;
	ok(reload_recycles(&a, &b), "another cap does");
	b = a;
	b.nstores = 2;
	ok(reload_recycles(&a, &b), "so does another store");
	b = a;
	snprintf(b.stores[0].secret_key, sizeof(b.stores[0].secret_key), "new");
	ok(reload_recycles(&a, &b), "and another key of one");
}

static void
test_arrays(void)
{
	struct sqlarray a;

	sqlarray_init(&a);
	is_str(sqlarray_finish(&a), "{}", "an empty array");
	sqlarray_release(&a);
	sqlarray_init(&a);
	sqlarray_add_int(&a, -1);
	sqlarray_add_int(&a, INT64_MAX);
	is_str(sqlarray_finish(&a), "{-1,9223372036854775807}", "numbers");
	sqlarray_release(&a);
	sqlarray_init(&a);
	sqlarray_add_str(&a, "plain");
	sqlarray_add_str(&a, "a,b{c}\"d\\e");
	sqlarray_add_str(&a, "");
	is_str(sqlarray_finish(&a), "{\"plain\",\"a,b{c}\\\"d\\\\e\",\"\"}", "strings, quoted");
	sqlarray_release(&a);
}

int
main(void)
{
	test_verdicts();
	test_sentences();
	test_recycling();
	test_arrays();
	return done_testing();
}
