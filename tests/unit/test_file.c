/*
 * File stores: nothing leads out of the root, temporary names are only ever ours, and a file appears whole or not at all.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/tap.h"
#include "worker/file.h"

static char top[64];
static struct config_store store = { .kind = STORE_FILE, .name = "spool" };

static void
make_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd == -1 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		abort();
	close(fd);
}

static void
set_up(void)
{
	snprintf(top, sizeof(top), "/tmp/test_file.XXXXXX");
	if (mkdtemp(top) == NULL || chdir(top) == -1 || mkdir("root", 0700) == -1 || mkdir("outside", 0700) == -1 ||
	    symlink("../outside", "root/leads-out") == -1 || symlink("/etc", "root/absolute") == -1 ||
	    symlink("inside", "root/leads-in") == -1 || mkdir("root/inside", 0700) == -1 ||
	    symlink("/proc/self/root/etc/passwd", "root/magic") == -1 || mkfifo("root/fifo", 0600) == -1)
		abort();
	make_file("outside/secret", "secret");
	make_file("root/inside/plain", "plain");
	snprintf(store.root, sizeof(store.root), "%s/root", top);
}

static void
test_sources(void)
{
	static const struct {
		const char *path;
		bool good;
	} paths[] = {
		{ "inside/plain", true }, { "leads-in/plain", true }, { "inside/../inside/plain", true }, { "fifo", true },
		{ "../outside/secret", false }, { "inside/../../outside/secret", false }, { "leads-out/secret", false },
		{ "/etc/passwd", false }, { "absolute/passwd", false }, { "magic", false }, { "inside/absent", false },
	};
	struct failure f;
	size_t i;
	int fd;

	for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		failure_init(&f);
		fd = file_open_source(&store, paths[i].path, &f);
		ok((fd != -1) == paths[i].good, "%s %s %s", paths[i].path, paths[i].good ? "opens" : "does not open", f.text);
		ok((f.class == CLASS_PERMANENT) == !paths[i].good, "and is %s failure", paths[i].good ? "no" : "a permanent");
		if (fd != -1)
			close(fd);
	}
}

static void
test_targets(void)
{
	static const char *const bad[] = { "../outside/x", "leads-out/x", "leads-out/new/x", "/tmp/x", "absolute/x", "inside/",
		"inside/..", "new/../../outside/x" };
	struct failure f;
	struct file file;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		failure_init(&f);
		file_init(&file);
		ok(file_open_dir(&file, &store, bad[i], true, &f) == -1 && f.class == CLASS_PERMANENT, "%s is refused: %s", bad[i],
		    f.text);
		file_release(&file);
	}
	ok(access("outside/new", F_OK) == -1 && access("outside/x", F_OK) == -1, "nothing was made outside of the root");
}

static void
test_whole_or_not(void)
{
	struct failure f;
	struct file file;
	struct stat st;
	bool exists;

	failure_init(&f);
	file_init(&file);
	is_int(file_open_dir(&file, &store, "a/b/c/target", true, &f), 0, "parents are made %s", f.text);
	file_name_temp(&file, 42, 7);
	is_int(file_create_temp(&file, &f), 0, "a temporary file is made beside the target");
	is_int(access("root/a/b/c/.ferry-42-7.tmp", F_OK), 0, "under its name");
	is_int(file_write(&file, "hello", 5, 0, &f), 0, "and written");
	is_int(access("root/a/b/c/target", F_OK), -1, "the target is not there yet");
	is_int(file_commit(&file, false, &exists, &f), 0, "it is given its name");
	ok(!exists && stat("root/a/b/c/target", &st) == 0 && st.st_size == 5, "and is there, whole");

	file_name_temp(&file, 42, 8);
	is_int(file_create_temp(&file, &f), 0, "another one");
	is_int(file_commit(&file, false, &exists, &f), 0, "does not replace it");
	ok(exists && stat("root/a/b/c/target", &st) == 0 && st.st_size == 5, "and says so");
	is_int(file_abort(&file, &f), 0, "it is removed");
	is_int(access("root/a/b/c/.ferry-42-8.tmp", F_OK), -1, "without trace");
	is_int(file_abort(&file, &f), 0, "and removing it again is no failure");
	is_int(file_resume_temp(&file, ".ferry-42-8.tmp", &f), 1, "a temporary file that is gone is known as gone");
	is_int(file_resume_temp(&file, "target", &f), -1, "a row cannot name a file that is no temporary one");
	is_int(file_resume_temp(&file, ".ferry-/../../../outside/secret", &f), -1, "nor one elsewhere");
	file_release(&file);
}

static void
tear_down(void)
{
	pid_t pid;

	if (chdir("/") == -1 || (pid = fork()) == -1)
		return;
	if (pid == 0) {
		execlp("rm", "rm", "-rf", top, (char *)NULL);
		_exit(1);
	}
	waitpid(pid, NULL, 0);
}

int
main(void)
{
	/* valgrind of Debian 12 does not know the call */
	if (syscall(SYS_openat2, AT_FDCWD, ".", NULL, (size_t)0) == -1 && errno == ENOSYS) {
		puts("1..0 # SKIP no openat2 here");
		return 0;
	}
	set_up();
	test_sources();
	test_targets();
	test_whole_or_not();
	tear_down();
	return done_testing();
}
