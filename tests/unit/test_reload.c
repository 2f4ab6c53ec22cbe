/*
 * HUP: what a new configuration changes at once, what it cannot change, and what a bad one does.
 */
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "master/pool/pool.h"
#include "master/reload.h"
#include "tests/unit/tap.h"

#define STORE "store \"s\" { kind = \"s3\" endpoint = \"http://h\" }\n"

static struct master m;
static char path[] = "/tmp/ferry-reload-XXXXXX";

static void
write_file(const char *text)
{
	FILE *f = fopen(path, "w");

	if (f == NULL || fputs(text, f) == EOF || fclose(f) != 0)
		abort();
}

/* A master in the foreground, started with this configuration. */
static void
start(const char *text)
{
	char why[1024];
	struct config *conf;

	write_file(text);
	conf = config_load(path, why, sizeof(why));
	if (conf == NULL)
		abort();
	memset(&m, 0, sizeof(m));
	master_init(&m, conf);
	m.state.foreground = true;
	m.state.phase = PHASE_RUNNING;
	pool_init(&m.pool);
}

static void
reload(const char *text)
{
	write_file(text);
	reload_configuration(&m);
}

static void
test_change(void)
{
	start("database = \"dbname=a\"\nworkers = 2\n" STORE);
	m.state.agenda.renew_at = clock_ms() + 60000;
	reload("database = \"dbname=a\"\nworkers = 5\nlease = \"9s\"\n" STORE);
	is_int(m.pool.target, 5, "the number of workers changes at once");
	is_int(m.state.conf->lease_ms, 9000, "so does the lease");
	ok(m.state.agenda.renew_at <= clock_ms(), "which is renewed, to be as long as it says");
	is_int((int64_t)m.state.conf_generation, 1, "no worker is replaced for that");
	m.state.agenda.claim = false;
	reload("database = \"dbname=a\"\nqueues = \"new\"\n" STORE);
	ok(m.state.agenda.claim, "a new queue may have tasks");
	is_int((int64_t)m.state.conf_generation, 1, "no worker is replaced for that, either");
	reload("database = \"dbname=a\"\nworker { memory = \"96M\" }\n" STORE);
	is_int((int64_t)m.state.conf_generation, 2, "workers with another cap are replaced");
	reload(
	    "database = \"dbname=a\"\nlog_level = \"debug\"\nworker { memory = \"96M\" }\n" STORE);
	is_int((int64_t)m.state.conf_generation, 3, "and those that log too little");
	config_free(m.state.conf);
}

#define KEYED(key)                                                                \
	"store \"s\" { kind = \"s3\" endpoint = \"http://h\" access_key = \"" key \
	"\" secret_key_env = \"HOME\" }\n"

static void
test_keys(void)
{
	start("database = \"dbname=a\"\n" KEYED("one"));
	reload("database = \"dbname=a\"\n" KEYED("two"));
	is_str(m.state.conf->stores[0].access_key, "two", "new keys are in force");
	is_int((int64_t)m.state.conf_generation, 1, "no worker is replaced for them");
	reload("database = \"dbname=a\"\n" STORE);
	is_int((int64_t)m.state.conf_generation, 2, "workers are, for keys from another place");
	config_free(m.state.conf);
}

static void
test_fixed(void)
{
	start("database = \"dbname=a\"\nuser = \"a\"\npidfile = \"/a\"\ncgroup = \"a\"\n"
	      "worker_program = \"/a\"\nmemory_backend = \"rlimit\"\n");
	reload("database = \"dbname=b\"\nuser = \"b\"\npidfile = \"/b\"\ncgroup = \"b\"\n"
	       "worker_program = \"/b\"\nmemory_backend = \"cgroup1\"\nworkers = 7\n");
	is_str(m.state.conf->worker.database, "dbname=a", "the database stays until a restart");
	is_str(m.state.conf->user, "a", "so does the account");
	is_str(m.state.conf->pidfile, "/a", "and the pid file");
	is_str(m.state.conf->cgroup, "a", "and the cgroup");
	is_str(m.state.conf->worker_program, "/a", "and the worker's program");
	is_int(m.state.conf->memory_backend, MEMORY_RLIMIT, "and the way to keep the caps");
	is_int(m.pool.target, 7, "the other keys change");
	is_int(
	    (int64_t)m.state.conf_generation, 1, "no worker is replaced for what did not change");
	config_free(m.state.conf);
}

static void
test_bad(void)
{
	struct config *before;

	start("database = \"dbname=a\"\nworkers = 2\n");
	before = m.state.conf;
	reload("database = \"dbname=a\"\nworkers = 5\nwrokers = 9\n");
	ok(m.state.conf == before && m.pool.target == 2, "a bad file changes nothing");
	unlink(path);
	reload_configuration(&m);
	ok(m.state.conf == before && m.pool.target == 2, "nor does one that is gone");
	config_free(m.state.conf);
}

int
main(void)
{
	int fd = mkstemp(path);

	log_init("test_reload", -1);
	log_open("/dev/null");
	close(fd);
	test_change();
	test_keys();
	test_fixed();
	test_bad();
	log_open("stderr");
	unlink(path);
	return done_testing();
}
