/*
 * Renewing keys: runs of a command, files that change, and what a worker makes of a refusal.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "master/keys/keys.h"
#include "master/keys/rights.h"
#include "tests/unit/tap.h"
#include "worker/session/keys.h"

#define GOOD "echo '{\"Version\":1,\"AccessKeyId\":\"ID\",\"SecretAccessKey\":\"S\"}'"
#define PATIENCE_MS 60000

static char dir[] = "/tmp/ferry-keys-XXXXXX";
static int null_fd;
static char why[640];

static void
make_command(struct config_store *store, const char *script)
{
	memset(store, 0, sizeof(*store));
	strlcpy(store->name, "s", sizeof(store->name));
	strlcpy(store->credentials_command[0], "/bin/sh", CONFIG_WORD_MAX);
	strlcpy(store->credentials_command[1], "-c", CONFIG_WORD_MAX);
	strlcpy(store->credentials_command[2], script, CONFIG_WORD_MAX);
	store->ncredentials_command = 3;
}

/* Runs a script as a store's command, until it has ended; late: its time is over at once. */
static enum command_end
run(const char *script, bool late, struct store_keys *keys)
{
	static struct config_store store;
	struct command c = { .pid = 0 };
	enum command_end end;
	int64_t until = clock_ms() + PATIENCE_MS;

	make_command(&store, script);
	why[0] = '\0';
	if (command_start(&c, &store, null_fd, why, sizeof(why)) == -1)
		return COMMAND_FAILED;
	if (late)
		c.ends_at = clock_ms();
	while (
	    (end = command_look(&c, keys, why, sizeof(why))) == COMMAND_RUNS && clock_ms() < until)
		poll(&(struct pollfd){ .fd = command_fd(&c), .events = POLLIN }, 1, 10);
	return end;
}

/* Waits until there is no such process, or a dead one whose parent has not waited for it. */
static bool
is_gone(pid_t pid)
{
	int64_t until = clock_ms() + PATIENCE_MS;
	char path[64], text[256];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	for (; clock_ms() < until; poll(NULL, 0, 5)) {
		fd = open(path, O_RDONLY);
		n = fd == -1 ? 0 : read(fd, text, sizeof(text) - 1);
		if (fd != -1)
			close(fd);
		text[n > 0 ? n : 0] = '\0';
		if (text[0] == '\0' || strstr(text, ") Z") != NULL)
			return true;
	}
	return false;
}

static void
test_command(void)
{
	static const struct {
		const char *what, *script;
		bool late;
		const char *word;
	} cases[] = {
		{ "exits with 1", GOOD "; exit 1", false, "exited with code 1" },
		{ "prints nothing", "exit 0", false, "printed no JSON" },
		{ "prints garbage", "echo GEHEIM", false, "printed no JSON" },
		{ "prints 1 MB", "head -c 1000000 /dev/zero", false, "more than 64 KiB" },
		{ "never stops printing", "yes", false, "more than 64 KiB" },
		{ "hangs", "sleep 600", true, "longer than 30 s" },
		{ "hangs without output", "exec >&-; sleep 600", true, "longer than 30 s" },
		{ "is killed", "kill -9 $$", false, "signal 9" },
	};
	struct store_keys keys;
	size_t i;

	is_int(run(GOOD, false, &keys), COMMAND_DONE, "a command that gives keys");
	ok(strcmp(keys.access_key, "ID") == 0 && strcmp(keys.secret_key, "S") == 0, "these");
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		is_int(run(cases[i].script, cases[i].late, &keys), COMMAND_FAILED,
		    "a command that %s: %s", cases[i].what, why);
		ok(strstr(why, cases[i].word) != NULL && strstr(why, "GEHEIM") == NULL, "says so");
	}
	is_int(run("sleep 600 & echo '{\"Version\":1,\"SecretAccessKey\":\"S\",\"AccessKeyId\":"
		   "\"'$!'\"}'",
		   false, &keys),
	    COMMAND_DONE,
	    "a command that leaves a process with its output behind is not waited for");
	ok(is_gone((pid_t)strtol(keys.access_key, NULL, 10)), "that process is killed");
	ok(waitpid(-1, NULL, WNOHANG) == -1, "no zombie is left");
}

/* What the program is born with; it puts each fact into the place of a key. */
static void
test_birth(void)
{
	struct store_keys keys;
	int zero = open("/dev/zero", O_RDONLY), stray = fcntl(zero, F_DUPFD, 40);

	close(zero);
	setenv("PGPASSWORD", "GEHEIM", 1);
	signal(SIGPIPE, SIG_IGN);
	is_int(run("for f in /proc/$$/fd/*; do [ -e $f ] && fds=$fds${f##*/},; done; "
		   "echo \"{\\\"Version\\\":1,\\\"AccessKeyId\\\":\\\"$fds"
		   "\\\",\\\"SecretAccessKey\\\":\\\"$(env | grep -v ^_= | cut -d= -f1 | sort | "
		   "tr '\\n' ,)\\\"}\"",
		   false, &keys),
	    COMMAND_DONE, "a command that looks around: %s", why);
	is_str(keys.access_key, "0,1,2,", "it has the standard descriptors only");
	ok(strstr(keys.secret_key, "PG") == NULL && strstr(keys.secret_key, "PATH,") != NULL &&
		strstr(keys.secret_key, "HOME,") != NULL,
	    "its environment is small: %s", keys.secret_key);
	is_int(run("grep -q 'NoNewPrivs:.1' /proc/self/status && "
		   "grep -q 'SigIgn:.0000000000000000' /proc/self/status && "
		   "[ $(ps -o pgid= -p $$) = $$ ] && [ $PWD = / ] && " GOOD,
		   false, &keys),
	    COMMAND_DONE, "no privileges to gain, no ignored signals, a group of its own: %s", why);
	close(stray);
	unsetenv("PGPASSWORD");
}

static struct config conf;
static struct state state = { .conf = &conf };
static struct pool pool = { .state = &state };
static struct keys k = { .state = &state, .pool = &pool };

static void
write_text(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd == -1 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) ||
	    fchmod(fd, mode) == -1)
		abort();
	close(fd);
}

/* Turns the master's loop until the store has this secret, or its renewal this complaint. */
static bool
turn_until(const char *secret, const char *complaint)
{
	int64_t until = clock_ms() + PATIENCE_MS;
	const struct renewal *r;

	for (; clock_ms() < until; poll(NULL, 0, 5)) {
		keys_run(&k);
		r = TAILQ_FIRST(&k.list);
		if (secret != NULL && strcmp(conf.stores[0].secret_key, secret) == 0)
			return true;
		if (complaint != NULL && r != NULL && strstr(r->complaint, complaint) != NULL)
			return true;
	}
	return false;
}

static void
test_files(void)
{
	struct config_store *store = &conf.stores[0];
	char path[64];

	snprintf(path, sizeof(path), "%s/keys", dir);
	memset(&conf, 0, sizeof(conf));
	conf.nstores = 1;
	strlcpy(store->name, "s", sizeof(store->name));
	strlcpy(store->credentials_file, path, sizeof(store->credentials_file));
	write_text(path, "[default]\nsecret_id = I\nsecret_key = one\n", 0600);
	keys_follow(&k, NULL);
	ok(turn_until("one", NULL), "keys of a file");
	write_text(path, "[default]\nsecret_id = I\nsecret_key = two\n", 0600);
	ok(turn_until("two", NULL), "a file that changes is read again");
	write_text(path, "[default]\nsecret_id = I\n", 0600);
	ok(turn_until(NULL, "keys:1: the profile [default] has no secret key"),
	    "a bad one is told");
	is_str(store->secret_key, "two", "and the old keys stay");
	write_text(path, "[default]\nsecret_id = I\nsecret_key = three\n", 0644);
	ok(turn_until(NULL, "is open to everybody (mode 0644)"), "so is one that others may read");
	chmod(path, 0600);
	ok(turn_until("three", NULL), "until its mode is mended");
	unlink(path);
	ok(turn_until(NULL, "No such file"), "so is one that is gone");
	is_str(store->secret_key, "three", "and the old keys stay");
	keys_release(&k);
}

/* A new access key is never in force with the old secret, which stands in another file. */
static void
test_pair_of_files(void)
{
	struct config_store *store = &conf.stores[0];
	bool mixed = false;

	memset(&conf, 0, sizeof(conf));
	conf.nstores = 1;
	strlcpy(store->name, "s", sizeof(store->name));
	snprintf(store->access_key_file, sizeof(store->access_key_file), "%s/access", dir);
	snprintf(store->secret_key_file, sizeof(store->secret_key_file), "%s/secret", dir);
	write_text(store->access_key_file, "one", 0600);
	write_text(store->secret_key_file, "one", 0600);
	keys_follow(&k, NULL);
	ok(turn_until("one", NULL), "keys of two files");
	write_text(store->access_key_file, "two", 0600);
	keys_refused(&k, "s");
	keys_run(&k);
	mixed = strcmp(store->access_key, store->secret_key) != 0;
	write_text(store->secret_key_file, "two", 0600);
	ok(turn_until("two", NULL), "files that change one after the other are read again");
	ok(!mixed && strcmp(store->access_key, "two") == 0, "and taken up together");
	unlink(store->access_key_file);
	unlink(store->secret_key_file);
	keys_release(&k);
}

static void
test_command_of_store(void)
{
	static struct config next;
	char script[CONFIG_WORD_MAX], path[64];

	memset(&conf, 0, sizeof(conf));
	conf.nstores = 1;
	snprintf(path, sizeof(path), "%s/out", dir);
	snprintf(script, sizeof(script), "cat %s", path);
	make_command(&conf.stores[0], script);
	ok(config_awaits_keys(&conf.stores[0]), "a store waits for the first keys");
	keys_follow(&k, NULL);
	ok(turn_until(NULL, "exited with code 1"), "a command that fails is told");
	write_text(path, "{\"Version\":1,\"AccessKeyId\":\"I\",\"SecretAccessKey\":\"one\"}", 0600);
	ok(turn_until("one", NULL), "and run again");
	ok(!config_awaits_keys(&conf.stores[0]) && state.agenda.claim, "then tasks are claimed");
	is_int(keys_deadline(&k), 0, "keys without an end are not renewed by the clock");
	write_text(path,
	    "{\"Version\":1,\"AccessKeyId\":\"I\",\"SecretAccessKey\":\"two\","
	    "\"Expiration\":\"2001-01-01T00:00:00Z\"}",
	    0600);
	memcpy(&next, &conf, sizeof(next));
	next.stores[0].secret_key[0] = next.stores[0].access_key[0] = '\0';
	state.conf = &next;
	keys_follow(&k, &conf);
	is_str(next.stores[0].secret_key, "one", "a reload keeps the keys of a command");
	memcpy(&conf, &next, sizeof(conf));
	state.conf = &conf;
	ok(turn_until(NULL, "gave keys that expired at 2001-01-01T00:00:00Z"),
	    "and runs the command again: expired keys are refused");
	is_str(conf.stores[0].secret_key, "one", "and the old ones stay");
	memcpy(&next, &conf, sizeof(next));
	next.stores[0].secret_key[0] = next.stores[0].access_key[0] = '\0';
	strlcpy(next.stores[0].endpoint, "http://other", sizeof(next.stores[0].endpoint));
	state.conf = &next;
	keys_follow(&k, &conf);
	is_str(next.stores[0].secret_key, "", "but not if the store is another one now");
	state.conf = &conf;
	keys_follow(&k, &next);
	keys_refused(&k, "s");
	ok(!TAILQ_FIRST(&k.list)->asked, "a refusal right after a run is answered at once");
	keys_release(&k);
}

static void
test_worker(void)
{
	static struct store stores[1];
	struct setup setup = { .received = 1, .stores = stores };
	struct worker w = { .setup = &setup };
	struct msg_keys msg = { .store = "s" };
	int64_t now = clock_ms();

	strlcpy(stores[0].conf.name, "s", sizeof(stores[0].conf.name));
	is_int(keys_judge(&stores[0], 0, now), KEYS_REFUSED, "fixed keys are never renewed");
	strlcpy(stores[0].conf.secret_key_file, "/f", sizeof(stores[0].conf.secret_key_file));
	is_int(keys_judge(&stores[0], 0, now), KEYS_ASK, "the master is asked");
	stores[0].asked_at = now;
	is_int(keys_judge(&stores[0], 0, now + 30000), KEYS_AWAITED, "its answer is awaited");
	is_int(keys_judge(&stores[0], 0, now + 40000), KEYS_REFUSED, "but not for ever");
	keys_take(&w, &msg);
	is_int(keys_judge(&stores[0], 0, now), KEYS_REFUSED, "the same keys: there are no others");
	is_int(keys_judge(&stores[0], 0, now + 9000), KEYS_ASK, "later the master is asked again");
	strlcpy(msg.keys.secret_key, "new", sizeof(msg.keys.secret_key));
	keys_take(&w, &msg);
	is_str(stores[0].conf.secret_key, "new", "new keys are taken");
	is_int(
	    keys_judge(&stores[0], 0, now), KEYS_RENEWED, "a request of the old ones is repeated");
	is_int(keys_judge(&stores[0], 1, now), KEYS_ASK, "one of the new ones is not");
	strlcpy(msg.endpoint, "http://other", sizeof(msg.endpoint));
	strlcpy(msg.keys.secret_key, "other", sizeof(msg.keys.secret_key));
	keys_take(&w, &msg);
	is_str(stores[0].conf.secret_key, "new", "keys for another endpoint are not taken");
	is_int(keys_judge(&stores[0], 1, now), KEYS_REFUSED, "they are an answer nevertheless");
}

static void
test_rights(void)
{
	struct config_store store = { .name = "s", .credentials_file = "/nonexistent/keys" };

	ok(!rights_suffice(&store, "ferry", why, sizeof(why)) &&
		strstr(why, "the account ferry cannot read /nonexistent/keys") != NULL,
	    "a file that the account cannot read: %s", why);
	make_command(&store, "x");
	ok(rights_suffice(&store, "ferry", why, sizeof(why)), "a command that it can run");
	strlcpy(store.credentials_command[0], "/etc/passwd", CONFIG_WORD_MAX);
	ok(!rights_suffice(&store, "ferry", why, sizeof(why)) &&
		strstr(why, "cannot execute /etc/passwd") != NULL,
	    "one that it cannot: %s", why);
}

int
main(void)
{
	char path[64];

	log_init("test_keys", -1);
	log_open("/dev/null");
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (mkdtemp(dir) == NULL)
		return 1;
	keys_init(&k);
	test_command();
	test_birth();
	test_files();
	test_pair_of_files();
	test_command_of_store();
	test_worker();
	test_rights();
	log_open("stderr");
	snprintf(path, sizeof(path), "%s/out", dir);
	unlink(path);
	rmdir(dir);
	return done_testing();
}
