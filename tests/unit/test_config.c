/*
 * Configurations.  Each config/NAME.conf has a NAME.out: its dump, or the line that refuses it.  An
 * argument names another folder of such pairs.  The tests of files and their modes make their own.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/config/private.h"
#include "tests/unit/tap.h"

#define SECRET "wJalrXUtnFEMI"

static char dir[] = "/tmp/ferry-config-XXXXXX";

static void
write_file(const char *path, mode_t mode, const char *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd == -1 || write(fd, data, len) != (ssize_t)len || fchmod(fd, mode) == -1)
		perror(path);
	close(fd);
}

static char *
read_file(const char *path)
{
	static char buf[65536];
	int fd = open(path, O_RDONLY);
	ssize_t n = fd == -1 ? -1 : read(fd, buf, sizeof(buf) - 1);

	if (fd != -1)
		close(fd);
	buf[n > 0 ? n : 0] = '\0';
	return strdup(buf);
}

/* The dump of file, or the line that refuses it, as a heap string. */
static char *
load_and_dump(const char *file)
{
	char why[1024] = "", *text = NULL;
	struct config *conf = config_load(file, why, sizeof(why));
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (conf != NULL)
		config_dump(conf, out);
	else
		fprintf(out, "%s\n", why);
	fclose(out);
	config_free(conf);
	return text;
}

static int
is_conf(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return len > 5 && strcmp(entry->d_name + len - 5, ".conf") == 0;
}

static void
check_pair(const char *name)
{
	char path[PATH_MAX], *got = load_and_dump(name), *want, *again;

	snprintf(path, sizeof(path), "%.*s.out", (int)strlen(name) - 5, name);
	want = read_file(path);
	is_str(got, want, "%s", name);
	if (strncmp(got, "database = ", 11) == 0) {
		snprintf(path, sizeof(path), "%s/dump.conf", dir);
		write_file(path, 0600, got, strlen(got));
		again = load_and_dump(path);
		is_str(again, got, "%s: reading its dump gives the same dump", name);
		free(again);
		unlink(path);
	}
	ok(strstr(got, "geheim") == NULL, "%s: shows no secret", name);
	free(want);
	free(got);
}

static void
test_pairs(const char *folder)
{
	struct dirent **names;
	int i, n, here = open(".", O_RDONLY | O_DIRECTORY);

	if (chdir(folder) == -1 || (n = scandir(".", &names, is_conf, alphasort)) == -1) {
		ok(false, "%s: %s", folder, strerror(errno));
		return;
	}
	ok(n > 90, "%d pairs in %s", n, folder);
	for (i = 0; i < n; i++) {
		check_pair(names[i]->d_name);
		free(names[i]);
	}
	free(names);
	if (fchdir(here) == -1)
		perror("fchdir");
	close(here);
}

/* A configuration with one store, whose secrets are in these files.  NULL leaves one out. */
static struct config *
load_store(const char *access, const char *secret, const char *token, char *why, size_t why_size)
{
	char path[64], text[2048];
	int n;

	snprintf(path, sizeof(path), "%s/store.conf", dir);
	n = snprintf(text, sizeof(text),
	    "database = \"dbname=ferry\"\nstore \"s\" {\nkind = \"s3\"\nendpoint = \"http://h\"\n"
	    "%s%s%s\n%s%s%s\n%s%s%s\n}\n",
	    access ? "access_key_file = \"" : "access_key = \"a\"", access ? access : "",
	    access ? "\"" : "", secret ? "secret_key_file = \"" : "", secret ? secret : "",
	    secret ? "\"" : "", token ? "session_token_file = \"" : "", token ? token : "",
	    token ? "\"" : "");
	write_file(path, 0600, text, (size_t)n);
	why[0] = '\0';
	return config_load(path, why, why_size);
}

static void
test_secret_files(void)
{
	char access[64], secret[64], token[64], why[1024], *dump = NULL;
	struct config *conf;
	size_t size;
	FILE *out;

	snprintf(access, sizeof(access), "%s/access", dir);
	snprintf(secret, sizeof(secret), "%s/secret", dir);
	snprintf(token, sizeof(token), "%s/token", dir);
	write_file(access, 0640, "AKID\r\n", 6);
	write_file(secret, 0600, SECRET "\n", strlen(SECRET) + 1);
	write_file(token, 0400, "token", 5);
	conf = load_store(access, secret, token, why, sizeof(why));
	if (ok(conf != NULL, "secrets from files%s", why)) {
		is_str(conf->stores[0].access_key, "AKID", "access key, without its CR LF");
		is_str(conf->stores[0].secret_key, SECRET, "secret key, without its newline");
		is_str(conf->stores[0].session_token, "token", "session token, without newline");
		ok(config_find_store(conf, "s") == &conf->stores[0],
		    "the store is found by its name");
		ok(config_find_store(conf, "x") == NULL, "another name is not found");
		out = open_memstream(&dump, &size);
		config_dump(conf, out);
		fclose(out);
		ok(strstr(dump, secret) != NULL && strstr(dump, access) != NULL &&
			strstr(dump, token) != NULL,
		    "the dump names the files");
		ok(strstr(dump, SECRET) == NULL && strstr(dump, "AKID") == NULL,
		    "the dump shows no secret");
		free(dump);
	}
	config_free(conf);
	unlink(access);
	unlink(secret);
	unlink(token);
}

static void
test_credentials_file(void)
{
	static const char good[] =
	    "[p]\nsecret_id = AKID\nsecret_key = " SECRET "\nexpiration = 2026-11-23T22:30:05Z\n";
	char path[64], keys[64], text[512], why[1024], *dump;
	struct config *conf;

	snprintf(path, sizeof(path), "%s/store.conf", dir);
	snprintf(keys, sizeof(keys), "%s/keys", dir);
	snprintf(text, sizeof(text),
	    "database = \"dbname=ferry\"\nstore \"s\" {\nkind = \"cos\"\nendpoint = "
	    "\"http://h\"\ncredentials_file = \"%s\"\ncredentials_profile = \"p\"\n}\n",
	    keys);
	write_file(path, 0600, text, strlen(text));
	write_file(keys, 0600, good, sizeof(good) - 1);
	conf = config_load(path, why, sizeof(why));
	if (ok(conf != NULL, "a credentials file")) {
		is_str(conf->stores[0].access_key, "AKID", "its access key");
		is_str(conf->stores[0].secret_key, SECRET, "its secret key");
		is_int(conf->stores[0].keys_expire, 1795473005, "its end");
	}
	config_free(conf);
	dump = load_and_dump(path);
	ok(strstr(dump, keys) != NULL && strstr(dump, SECRET) == NULL &&
		strstr(dump, "AKID") == NULL,
	    "the dump names the file and shows no key");
	free(dump);
	write_file(keys, 0644, good, sizeof(good) - 1);
	ok(config_load(path, why, sizeof(why)) == NULL &&
		strstr(why, "(mode 0644); chmod o=") != NULL,
	    "one that others may read: %s", why);
	write_file(keys, 0600, "[p]\nsecret_id = AKID\n\0", 22);
	ok(config_load(path, why, sizeof(why)) == NULL && strstr(why, "holds a NUL") != NULL,
	    "one with a NUL: %s", why);
	write_file(keys, 0600, good, 4);
	ok(config_load(path, why, sizeof(why)) == NULL &&
		strstr(why, "/keys:1: the profile [p] has no access key") != NULL &&
		strstr(why, "/store.conf:5: ") != NULL,
	    "one cut short: %s", why);
	unlink(keys);
	unlink(path);
}

static void
test_bad_secret_files(void)
{
	static char text[CONFIG_SECRET_MAX + 1];
	static const struct {
		const char *what, *data;
		size_t len;
		mode_t mode;
		const char *word;
	} cases[] = {
		{ "readable by everybody", SECRET, 13, 0604, "(mode 0604); chmod o=" },
		{ "writable by everybody", SECRET, 13, 0602, "(mode 0602); chmod o=" },
		{ "empty", "", 0, 0600, "is empty" },
		{ "a newline", "\n", 1, 0600, "is empty" },
		{ "two lines", SECRET "\n" SECRET "\n", 28, 0600, "second line" },
		{ "two newlines", SECRET "\n\n", 15, 0600, "second line" },
		{ "a NUL", SECRET "\0x", 15, 0600, "control characters" },
		{ "too long", text, CONFIG_SECRET_MAX, 0600, "too long" },
	};
	char path[64], why[1024];
	struct config *conf;
	size_t i;

	memset(text, 'x', sizeof(text));
	snprintf(path, sizeof(path), "%s/secret", dir);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		write_file(path, cases[i].mode, cases[i].data, cases[i].len);
		conf = load_store(NULL, path, NULL, why, sizeof(why));
		ok(conf == NULL && strstr(why, "/store.conf:6: ") != NULL,
		    "a secret file that is %s: %s", cases[i].what, why);
		ok(strstr(why, path) != NULL && strstr(why, cases[i].word) != NULL &&
			strstr(why, "wJalr") == NULL,
		    "names the file and the reason, not the secret");
		config_free(conf);
	}
	write_file(path, 0600, text, CONFIG_SECRET_MAX - 1);
	conf = load_store(NULL, path, NULL, why, sizeof(why));
	ok(conf != NULL && strlen(conf->stores[0].secret_key) == CONFIG_SECRET_MAX - 1,
	    "the longest secret");
	config_free(conf);
	unlink(path);
	ok(load_store(NULL, dir, NULL, why, sizeof(why)) == NULL &&
		strstr(why, "is not a file") != NULL,
	    "a directory");
	ok(mkfifo(path, 0600) == 0 && load_store(NULL, path, NULL, why, sizeof(why)) == NULL,
	    "a FIFO does not wait");
	unlink(path);
}

static void
test_files(void)
{
	char path[64], why[1024], small[8];
	static char huge[(1 << 20) + 10];

	ok(config_load("/nonexistent/ferryd.conf", why, sizeof(why)) == NULL, "a missing file");
	is_str(why,
	    "/nonexistent/ferryd.conf: No such file or directory; make it, or name another with -f",
	    "says so");
	ok(config_load("/", why, sizeof(why)) == NULL && strstr(why, "not a regular file") != NULL,
	    "a directory");
	snprintf(path, sizeof(path), "%s/huge.conf", dir);
	memset(huge, '\n', sizeof(huge));
	write_file(path, 0600, huge, sizeof(huge));
	ok(config_load(path, why, sizeof(why)) == NULL && strstr(why, "more than") != NULL,
	    "a file of more than a MiB");
	ok(config_load(path, small, sizeof(small)) == NULL && strlen(small) == 7,
	    "a small buffer for the reason");
	unlink(path);
	if (getuid() == 0)
		return;
	write_file(path, 0, "x", 1);
	ok(config_load(path, why, sizeof(why)) == NULL && strstr(why, "Permission denied") != NULL,
	    "no permission");
	unlink(path);
}

/* Removes the "#" from each "#key = value" of the example.  Prose and deeper lines stay comments.
 */
static void
uncomment(char *text)
{
	char *line, *key, *end;

	for (line = text; line != NULL && *line != '\0';
	     line = strchr(line, '\n'), line += line != NULL) {
		key = line + (*line == '\t');
		end = key + 1 + strspn(key + 1, "abcdefghijklmnopqrstuvwxyz_");
		if (*key == '#' && end > key + 1 && end[strspn(end, " ")] == '=')
			*key = ' ';
	}
}

static void
test_example(const char *file)
{
	char *text = read_file(file), *dump = load_and_dump(file), *effective, path[64];

	if (!ok(strncmp(dump, "database = ", 11) == 0, "the example is valid"))
		printf("# %s", dump);
	snprintf(path, sizeof(path), "%s/example.conf", dir);
	uncomment(text);
	write_file(path, 0600, text, strlen(text));
	effective = load_and_dump(path);
	is_str(effective, dump, "the example's comments show the defaults");
	free(effective);
	free(dump);
	free(text);
	unlink(path);
}

/* The manual has an item for each key. */
static void
test_manual(const char *file)
{
	char *text = read_file(file), *line, *rest = text, items[8192] = " ", word[64];
	size_t i, missing = 0;

	while ((line = strsep(&rest, "\n")) != NULL)
		if (strncmp(line, ".It Ic ", 7) == 0) {
			strlcat(items, line + 7, sizeof(items));
			strlcat(items, " ", sizeof(items));
		}
	for (i = 0; i < CONFIG_KEYS; i++) {
		snprintf(word, sizeof(word), " %s ", config_keys[i].name);
		if (config_keys[i].type != TYPE_REFUSED && strstr(items, word) == NULL) {
			printf("# no item for %s\n", config_keys[i].name);
			missing++;
		}
	}
	is_int(missing, 0, "the manual has every key");
	free(text);
}

/* A bad file leaves a state in libConfuse's scanner, which must not reach the next load. */
static void
test_reload(void)
{
	static const char *const bad[] = { "database = \"x", "worker {", "database = ${x", "/* x",
		"queues = {\"a\",", "a=1" };
	char path[64], good[64], why[1024], *first, *now;
	size_t i;

	snprintf(path, sizeof(path), "%s/bad.conf", dir);
	snprintf(good, sizeof(good), "%s/good.conf", dir);
	write_file(good, 0600, "database = \"dbname=ferry\" # c\nworkers = 9\n", 42);
	first = load_and_dump(good);
	ok(strstr(first, "workers = 9\n") != NULL, "a good file");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		write_file(path, 0600, bad[i], strlen(bad[i]));
		ok(config_load(path, why, sizeof(why)) == NULL, "a bad file: %s", why);
		now = load_and_dump(good);
		is_str(now, first, "the good one again");
		free(now);
	}
	free(first);
	unlink(path);
	unlink(good);
}

/* Whether a configuration with this value is read.  section: NULL for a global key. */
static bool
takes(const char *section, const char *key, const char *value)
{
	char path[64], text[512], why[1024];
	bool store = section != NULL && strcmp(section, "store") == 0;
	struct config *conf;

	snprintf(path, sizeof(path), "%s/range.conf", dir);
	snprintf(text, sizeof(text), "database = \"dbname=ferry\"\n%s%s%s = \"%s\"%s\n",
	    store             ? "store \"s\" { kind = \"s3\" endpoint = \"http://h\" "
	    : section != NULL ? section
			      : "",
	    section != NULL && !store ? " { " : "", key, value, section != NULL ? " }" : "");
	write_file(path, 0600, text, strlen(text));
	conf = config_load(path, why, sizeof(why));
	config_free(conf);
	unlink(path);
	return conf != NULL;
}

/* What ferryd.conf(5) promises of the numbers.  A value that another key forbids is left out. */
static void
test_ranges(void)
{
	static const struct {
		const char *section, *key, *below, *least, *most, *beyond;
	} ranges[] = {
		{ NULL, "workers", "0", "1", "256", "257" },
		{ NULL, "memory_total", "71M", "72M", "1T", "1025G" },
		{ NULL, "lease", "1999ms", "2s", "1h", "3601s" },
		{ NULL, "grace", "-1", "0", "1h", "3601s" },
		{ NULL, "poll", "99ms", "100ms", "1h", "3601s" },
		{ NULL, "reap_interval", "999ms", "1s", "30d", "31d" },
		{ NULL, "retention", "-1", "0", "3650d", "3651d" },
		{ NULL, "transaction_warning", "999ms", "1s", "1d", "25h" },
		{ NULL, "wait_notice", "999ms", "1s", "1d", "25h" },
		{ NULL, "max_crashes", "0", "1", "1000", "1001" },
		{ NULL, "max_ooms", "0", "1", "1000", "1001" },
		{ NULL, "database_max_age", "999ms", "1s", "30d", "31d" },
		{ NULL, "database_idle", "99ms", "100ms", "30d", "31d" },
		{ NULL, "database_connections", "-1", "0", "256", "257" },
		{ NULL, "retry_delay", "9ms", "10ms", "15m", "901s" },
		{ NULL, "retry_delay_max", "999ms", "1s", "30d", "31d" },
		{ "worker", "memory", "13M", "14M", "1T", "1025G" },
		{ "worker", "streams", "0", "1", "22", "65" },
		{ "worker", "part_size", "5119K", "5M", "5G", "6G" },
		{ "worker", "max_tasks", "-1", "0", "1000000000", "1000000001" },
		{ "worker", "max_age", "-1", "0", "365d", "366d" },
		{ "worker", "max_size", "0", "1", "1024T", "1025T" },
		{ "worker", "max_duration", "999ms", "1s", "365d", "366d" },
		{ "worker", "min_rate", "0", "1", "1T", "1025G" },
		{ "worker", "stall_timeout", "9999ms", "10s", "1h", "3601s" },
		{ "worker", "answer_timeout", "999ms", "1s", "1d", "25h" },
		{ "worker", "connect_timeout", "99ms", "100ms", "1m", "61s" },
		{ "store", "parts_max", "0", "1", "10000", "10001" },
		{ "store", "max_transfers", "-1", "0", "100000", "100001" },
		{ "store", "rate", "-1", "0", "1T", "1025G" },
	};
	size_t i;

	for (i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		ok(!takes(ranges[i].section, ranges[i].key, ranges[i].below) &&
			takes(ranges[i].section, ranges[i].key, ranges[i].least),
		    "%s is %s at least", ranges[i].key, ranges[i].least);
		ok(takes(ranges[i].section, ranges[i].key, ranges[i].most) &&
			!takes(ranges[i].section, ranges[i].key, ranges[i].beyond),
		    "%s is %s at most", ranges[i].key, ranges[i].most);
	}
}

static void
test_budget(void)
{
	static struct config conf;

	conf.worker.memory = 64 << 20;
	is_int(config_workers_most(&conf), CONFIG_WORKERS_MAX,
	    "without memory_total there is no limit");
	conf.memory_total = 200 << 20;
	is_int(config_workers_most(&conf), 3, "of 200 MiB, ferryd has 8 and three workers 64 each");
	conf.memory_total = (8 + 2 * 64) << 20;
	is_int(config_workers_most(&conf), 2, "workers that fit exactly do fit");
	conf.memory_total--;
	is_int(config_workers_most(&conf), 1, "one byte less, and one fewer does");
	conf.memory_total = (int64_t)1 << 40;
	is_int(config_workers_most(&conf), CONFIG_WORKERS_MAX, "there is a most in any case");
	conf.worker.streams = 7;
	is_int(config_streams_most(&conf.worker), 7, "streams that are configured are that many");
	conf.worker.streams = 0;
	is_int(config_streams_most(&conf.worker), 19, "else 7/8 of the cap hold them");
	is_int(config_large_pipes(&conf.worker), WORKER_LARGE_PIPES, "with four large pipes");
	conf.worker.memory = 14 << 20;
	is_int(config_streams_most(&conf.worker), 1, "there is one stream at least");
	is_int(config_large_pipes(&conf.worker), 0, "for which there is no large pipe");
}

static void
test_memory(void)
{
	is_int(config_memory_needed(1), 14 << 20, "memory for one stream");
	is_int(config_memory_needed(4), 20 << 20, "memory for four");
	is_str(memory_backend_name(MEMORY_CGROUP1), "cgroup v1", "the name of a backend");
	is_str(store_kind_name(STORE_HTTP), "http", "a kind");
	is_str(store_verify_name(VERIFY_CRC64), "crc64", "a verification");
	is_str(store_verify_name(VERIFY_CRC32C), "crc32c", "another");
	is_str(store_verify_name(VERIFY_NONE), "none", "the last");
	is_str(store_kind_name((enum store_kind)99), "unknown", "a kind that does not exist");
}

int
main(int argc, char **argv)
{
	char source[] = __FILE__, folder[PATH_MAX], path[PATH_MAX + 32], conf[64];

	if (mkdtemp(dir) == NULL)
		return 1;
	setenv("FERRY_TEST_SECRET", "geheim", 1);
	setenv("FERRY_TEST_DATABASE", "ferry", 1);
	unsetenv("FERRY_TEST_UNSET");
	snprintf(folder, sizeof(folder), "%s/config", dirname(source));
	if (argc > 1)
		strlcpy(folder, argv[1], sizeof(folder));
	test_pairs(folder);
	snprintf(path, sizeof(path), "%s/../../../etc/ferryd.conf", folder);
	test_example(path);
	snprintf(path, sizeof(path), "%s/../../../master/ferryd.conf.5", folder);
	test_manual(path);
	test_secret_files();
	test_credentials_file();
	test_bad_secret_files();
	test_files();
	test_reload();
	test_ranges();
	test_budget();
	test_memory();
	snprintf(conf, sizeof(conf), "%s/store.conf", dir);
	unlink(conf);
	rmdir(dir);
	return done_testing();
}
