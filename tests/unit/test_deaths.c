/*
 * The sentences of the log about a worker's death, the settings whose change replaces workers, and
 * array literals.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "common/channel.h"
#include "master/reload.h"
#include "master/queue/deaths.h"
#include "master/node/sqlarray.h"
#include "master/verdict.h"
#include "tests/unit/tap.h"

#define MIB ((int64_t)1 << 20)

static char text[2048];

static struct death
example(enum death_kind kind, const char *verdict)
{
	struct death d = {
		.kind = kind,
		.worker = 3,
		.pid = 4711,
		.task = 42,
		.bytes_done = 300 * MIB,
		.bytes_total = 1288490189,
		.source = "ceph://uploads/a.mp4",
	};

	snprintf(d.verdict, sizeof(d.verdict), "%s", verdict);
	return d;
}

static struct verdict
judged(enum verdict_cause cause, int status)
{
	return (struct verdict){
		.cause = cause,
		.status = status,
		.cap = 64 * MIB,
		.backend = MEMORY_CGROUP2,
		.memory = { .peak = 64 * MIB },
	};
}

static const char *
words(struct verdict v)
{
	static struct verdict described;

	described = v;
	verdict_describe(&described);
	return described.text;
}

static void
test_verdicts(void)
{
	struct verdict v = judged(CAUSE_MEMORY, SIGKILL);

	is_str(words(v), "killed: out of memory, peak 64.0 MiB of 64.0 MiB cap (cgroup v2)",
	    "out of memory by the kernel");
	v = judged(CAUSE_MEMORY, WORKER_EXIT_MEMORY << 8);
	v.backend = MEMORY_RLIMIT;
	v.memory.peak = 63 * MIB;
	is_str(words(v), "killed: out of memory, peak 63.0 MiB of 64.0 MiB cap (rlimit)",
	    "out of memory by the worker's exit code");
	v = judged(CAUSE_SHORTAGE, SIGKILL);
	v.memory = (struct cap_verdict){ CAP_SHORT_ABOVE, 30 * MIB, "/system.slice", 200 * MIB,
		200 * MIB };
	is_str(words(v),
	    "killed by the shortage of memory of a cgroup above its own, /system.slice: peak 200.0 "
	    "MiB of 200.0 MiB limit; its own peak was 30.0 MiB of 64.0 MiB cap (cgroup v2)",
	    "killed for a cgroup above");
	v.memory = (struct cap_verdict){ CAP_SHORT_MACHINE, 30 * MIB, "", 5 * MIB, 1024 * MIB };
	is_str(words(v),
	    "killed by the machine's shortage of memory: 5.0 MiB of its 1.0 GiB are available "
	    "after "
	    "the kill; its own peak was 30.0 MiB of 64.0 MiB cap (cgroup v2)",
	    "killed for the machine");
	v.backend = MEMORY_RLIMIT;
	ok(strncmp(words(v), "killed, as it seems, by the machine's", 37) == 0,
	    "without a cgroup that is not certain");
	v.status = WORKER_EXIT_REFUSED << 8;
	ok(strncmp(words(v), "ended by the machine's", 22) == 0, "or it was refused memory");
	is_str(words(judged(CAUSE_SIGNAL, SIGKILL)),
	    "killed by SIGKILL, by someone outside; nothing says that memory was short",
	    "killed by someone");
	v = judged(CAUSE_US, SIGKILL);
	v.killed_for = "it was hung";
	is_str(words(v), "killed by ferryd: it was hung", "killed by us");
	is_str(words(judged(CAUSE_EXIT, 1 << 8)), "exited: code 1", "exited by itself");
	is_str(words(judged(CAUSE_EXIT, WORKER_EXIT_REFUSED << 8)),
	    "exited: code 98, the system gave it no memory though it was below its cap",
	    "refused memory");
}

static void
test_signals(void)
{
	struct verdict v = judged(CAUSE_SIGNAL, SIGSEGV);

	is_str(words(v), "killed: signal 11 (Segmentation fault)", "killed by a fault");
	v.fault = (struct msg_fault){ .signo = SIGSEGV, .code = SEGV_MAPERR, .address = 16 };
	is_str(words(v), "killed: signal 11 (Segmentation fault), SEGV_MAPERR at address 0x10",
	    "by a fault that the worker has told of");
	v.fault.code = 77;
	is_str(words(v), "killed: signal 11 (Segmentation fault), fault at address 0x10",
	    "by one of an unknown kind");
	v.fault = (struct msg_fault){ .signo = SIGSEGV, .code = SI_TKILL, .itself = 1 };
	is_str(words(v), "killed: signal 11 (Segmentation fault), sent by itself",
	    "by a signal of its own");
	v.fault = (struct msg_fault){ .signo = SIGTERM, .code = SI_USER, .pid = 12, .uid = 3 };
	is_str(words(v), "killed: signal 11 (Segmentation fault)",
	    "what it said of another signal does not count");
	v.status = SIGTERM;
	is_str(words(v), "killed: signal 15 (Terminated), sent by pid 12 of uid 3",
	    "by a signal of another process");
	v.status = SIGSYS;
	v.fault = (struct msg_fault){ .signo = SIGSYS, .code = 1, .system_call = 59 };
	is_str(words(v), "killed: signal 31 (Bad system call), its filter forbids system call 59",
	    "by its filter of system calls");
}

static void
test_sentences(void)
{
	struct death d = example(
	    DEATH_MEMORY, "killed: out of memory, peak 64.0 MiB of 64.0 MiB cap (cgroup v2)");
	struct death_row row = { .count = 1, .limit = 2, .next_part = 19 };

	deaths_format(text, sizeof(text), &d, &row);
	is_str(text,
	    "worker 3 (pid 4711) killed: out of memory, peak 64.0 MiB of 64.0 MiB cap (cgroup v2), "
	    "task 42 "
	    "ceph://uploads/a.mp4 at 300.0 MiB of 1.2 GiB; task requeued, resumes at part 19, oom "
	    "1 of 2",
	    "out of memory, to be resumed");
	row = (struct death_row){ .failed = true, .count = 2, .limit = 2, .next_part = 19 };
	deaths_format(text, sizeof(text), &d, &row);
	ok(strstr(text, "of 1.2 GiB; task failed, oom 2 of 2") != NULL, "out of memory too often");
	d = example(DEATH_CRASH, "killed: signal 9 (Killed)");
	row = (struct death_row){ .count = 1, .limit = 3 };
	deaths_format(text, sizeof(text), &d, &row);
	is_str(text,
	    "worker 3 (pid 4711) killed: signal 9 (Killed), task 42 ceph://uploads/a.mp4 at 300.0 "
	    "MiB of 1.2 GiB; "
	    "task requeued, starts over, crash 1 of 3",
	    "a crash with nothing to resume");
	d.bytes_total = -1;
	d.bytes_done = 0;
	deaths_format(text, sizeof(text), &d, NULL);
	is_str(text,
	    "worker 3 (pid 4711) killed: signal 9 (Killed), task 42 ceph://uploads/a.mp4 at 0 B of "
	    "unknown size; "
	    "task will be requeued when the database is back",
	    "a crash while the database is away");
	d = example(DEATH_FORGIVEN, "killed: signal 9 (Killed)");
	row = (struct death_row){ .limit = 3, .next_part = 4 };
	deaths_format(text, sizeof(text), &d, &row);
	ok(strstr(text, "; task requeued, resumes at part 4") != NULL &&
		strstr(text, "crash") == NULL,
	    "a death that we caused is not counted");
	d = example(DEATH_SHORTAGE, "killed by the machine's shortage of memory");
	deaths_format(text, sizeof(text), &d, &row);
	ok(strstr(text, "; task requeued, resumes at part 4 in 5 s, not counted") != NULL,
	    "nor is one for the machine's shortage: %s", text);
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
	ok(!reload_recycles(&a, &b),
	    "another number of workers or another lease replaces no worker");
	b.worker.memory = 1;
	ok(reload_recycles(&a, &b), "another cap replaces workers");
	b = a;
	b.nstores = 2;
	ok(reload_recycles(&a, &b), "another store replaces workers");
	b = a;
	snprintf(b.stores[0].secret_key, sizeof(b.stores[0].secret_key), "new");
	ok(!reload_recycles(&a, &b), "another key of a store replaces none: they are sent it");
	b = a;
	strlcpy(b.log_level, "debug", sizeof(b.log_level));
	ok(reload_recycles(&a, &b), "another level of the log replaces workers");
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
	test_signals();
	test_sentences();
	test_recycling();
	test_arrays();
	return done_testing();
}
