/*
 * File stores: nothing leads out of the root, temporary names are only ever ours, and a file
 * appears whole or not at all.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/tap.h"
#include "worker/endpoint/beneath.h"
#include "worker/endpoint/file.h"

static char top[64];
static struct config_store store = {
	.kind = STORE_FILE, .name = "spool", .file_mode = 0640, .directory_mode = 0751
};

/* What the file system cannot do: it answers with these errors. */
static int rename_error, link_error;

int
renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
	if (flags != 0 && rename_error != 0) {
		errno = rename_error;
		return -1;
	}
	return (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
}

int
linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
	if (link_error != 0) {
		errno = link_error;
		return -1;
	}
	return (int)syscall(SYS_linkat, from_dir, from, to_dir, to, flags);
}

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
	if (mkdtemp(top) == NULL || chdir(top) == -1 || mkdir("root", 0700) == -1 ||
	    mkdir("outside", 0700) == -1 || symlink("../outside", "root/leads-out") == -1 ||
	    symlink("/etc", "root/absolute") == -1 || symlink("inside", "root/leads-in") == -1 ||
	    mkdir("root/inside", 0700) == -1 ||
	    symlink("/proc/self/root/etc/passwd", "root/magic") == -1 ||
	    mkfifo("root/fifo", 0600) == -1 || mkdir("root/open", 0700) == -1 ||
	    chmod(top, 0755) == -1 || chmod("root", 0755) == -1 || chmod("root/open", 0777) == -1)
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
		{ "inside/plain", true },
		{ "leads-in/plain", true },
		{ "inside/../inside/plain", true },
		{ "fifo", true },
		{ "../outside/secret", false },
		{ "inside/../../outside/secret", false },
		{ "leads-out/secret", false },
		{ "/etc/passwd", false },
		{ "absolute/passwd", false },
		{ "magic", false },
		{ "inside/absent", false },
		{ ".ferry-1-2.tmp", false },
		{ "inside/.ferry-1-2.tmp", false },
		{ "inside/.FERRY-1-2.tmp", false },
		{ ".ferry-x/../inside/plain", false },
		{ "inside/.ferry", false },
		{ "inside/x.ferry-1", false },
	};
	struct failure f;
	size_t i;
	int fd;

	for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		failure_init(&f);
		fd = beneath_source(&store, paths[i].path, &f);
		ok((fd != -1) == paths[i].good, "%s %s %s", paths[i].path,
		    paths[i].good ? "opens" : "does not open", f.text);
		ok((f.class == CLASS_PERMANENT) == !paths[i].good, "and is %s failure",
		    paths[i].good ? "no" : "a permanent");
		if (fd != -1)
			close(fd);
	}
}

static void
test_destinations(void)
{
	static const char *const bad[] = { "../outside/x", "leads-out/x", "leads-out/new/x",
		"/tmp/x", "/x", "absolute/x", "inside/", "inside/..", "new/../../outside/x",
		".ferry-1-2.tmp", "inside/.ferry-1-2.tmp", ".ferry-new/x", "inside/.Ferry-x" };
	struct failure f;
	struct file file;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		failure_init(&f);
		file_init(&file);
		ok(file_open_dir(&file, &store, bad[i], true, &f) == -1 &&
			f.class == CLASS_PERMANENT,
		    "%s is refused: %s", bad[i], f.text);
		file_release(&file);
	}
	ok(access("outside/new", F_OK) == -1 && access("outside/x", F_OK) == -1,
	    "nothing was made outside of the root");
	ok(access("root/.ferry-new", F_OK) == -1, "nor a directory with a name of the daemon's");
}

/* Opens the directory of path for a new file of task 42. */
static int
begin(struct file *file, const char *path, int64_t claim, struct failure *f)
{
	failure_init(f);
	file_init(file);
	if (file_open_dir(file, &store, path, true, f) == -1)
		return -1;
	file_name_temp(file, 42, claim);
	return file_create_temp(file, f);
}

/* The bits of a file's mode, and its size; -1 if it is not there. */
static int
mode_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? (int)(st.st_mode & 07777) : -1;
}

static int
size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? (int)st.st_size : -1;
}

/* Each makes the failure that it names impossible to take for another one. */
static void
test_whose_trouble(void)
{
	static const struct {
		const char *root, *path, *names;
		enum error_class class;
	} cases[] = {
		{ "gone", "x", "(store spool, ", CLASS_TRANSIENT },
		{ "root/inside/plain", "x", "/root/inside/plain): Not a directory",
		    CLASS_TRANSIENT },
		{ "root", "missing/x", "/root/missing): No such file", CLASS_TRANSIENT },
		{ "root", "missing/deep/x", "/root/missing/deep): No such file", CLASS_TRANSIENT },
		{ "root", "inside/plain/x", "/root/inside/plain/x): Not a directory",
		    CLASS_PERMANENT },
		{ "root", "inside/absent", "/root/inside/absent): No such file", CLASS_PERMANENT },
	};
	struct config_store other = store;
	struct failure f;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(other.root, sizeof(other.root), "%s/%s", top, cases[i].root);
		failure_init(&f);
		is_int(beneath_source(&other, cases[i].path, &f), -1, "%s/%s does not open",
		    cases[i].root, cases[i].path);
		is_int(f.class, cases[i].class, "and is %s trouble: %s",
		    cases[i].class == CLASS_TRANSIENT ? "the store's" : "the task's", f.text);
		ok(strstr(f.text, cases[i].names) != NULL && strstr(f.text, "spool") != NULL &&
			strcmp(f.store, "spool") == 0,
		    "which names store and path");
	}
}

static void
test_errors_of_destinations(void)
{
	static const struct {
		int err;
		enum error_class class;
	} errors[] = {
		{ EROFS, CLASS_TRANSIENT },
		{ EACCES, CLASS_TRANSIENT },
		{ EPERM, CLASS_TRANSIENT },
		{ ENOENT, CLASS_TRANSIENT },
		{ ENODEV, CLASS_TRANSIENT },
		{ EIO, CLASS_TRANSIENT },
		{ ESTALE, CLASS_TRANSIENT },
		{ ENOSPC, CLASS_FULL },
		{ EDQUOT, CLASS_FULL },
		{ EXDEV, CLASS_PERMANENT },
		{ EFBIG, CLASS_PERMANENT },
		{ ENOTDIR, CLASS_PERMANENT },
	};
	struct failure f;
	size_t i;

	for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		failure_init(&f);
		errno = errors[i].err;
		is_int(beneath_fail(&store, "a/b", "destination", &f), -1, "%s", f.text);
		is_int(f.class, errors[i].class, "has its class");
		ok(strncmp(f.text, "destination (store spool, /", 27) == 0 &&
			strstr(f.text, "/root/a/b): ") != NULL,
		    "and names store and path");
	}
}

static void
test_modes(void)
{
	struct failure f;
	struct file file;
	mode_t mask = umask(077);

	is_int(begin(&file, "m/n/new", 1, &f), 0, "a file in new directories %s", f.text);
	is_int(mode_of("root/m"), 0751, "the outer directory has the store's directory_mode");
	is_int(mode_of("root/m/n"), 0751, "and so has the inner one");
	is_int(file_sync(NULL, &file, 0, NULL, &f), 0, "the file is on the disk");
	is_int(file_commit(&file, true, &f), FILE_MADE, "and gets its name");
	is_int(mode_of("root/m/n/new"), 0640, "with the store's file_mode, whatever the umask");
	file_release(&file);

	umask(mask);
}

/* Only an account that is not root is kept out by a mode. */
static void
test_resuming_what_nobody_may_write(void)
{
	struct failure f;
	struct file file;

	make_file("root/open/.ferry-42-2.tmp", "all and more");
	chmod("root/open/.ferry-42-2.tmp", 0444);
	if (geteuid() == 0 &&
	    (chown("root/open/.ferry-42-2.tmp", 4711, 4711) == -1 || seteuid(4711) == -1))
		abort();
	failure_init(&f);
	file_init(&file);
	is_int(file_open_dir(&file, &store, "open/new", true, &f), 0, "a directory %s", f.text);
	is_int(file_resume_temp(&file, ".ferry-42-2.tmp", &f), FILE_FOUND,
	    "a file that has the mode 0444 of another one already can be resumed %s", f.text);
	is_int(file_sync(NULL, &file, 3, NULL, &f), 0, "and synced");
	is_int(file_commit(&file, true, &f), FILE_MADE, "and gets its name");
	is_int(size_of("root/open/new"), 3, "what an attempt with more bytes has left is cut off");
	file_release(&file);
	if (geteuid() == 4711 && seteuid(0) == -1)
		abort();
}

static void
test_kept_mode_and_owner(void)
{
	struct failure f;
	struct file file;
	struct stat st;

	make_file("root/kept", "old");
	chmod("root/kept", 04664);
	if (geteuid() == 0 && chown("root/kept", 4711, 4712) == -1)
		abort();
	is_int(begin(&file, "kept", 1, &f), 0, "a file that replaces one of mode 04664");
	is_int(file_write(&file, "new!", 4, 0, &f), 0, "is written");
	is_int(file_sync(NULL, &file, 4, NULL, &f), 0, "and synced");
	is_int(file_commit(&file, true, &f), FILE_MADE, "and takes its place");
	is_int(mode_of("root/kept"), 0664, "it has the mode, without the setuid bit");
	is_int(size_of("root/kept"), 4, "and the new bytes");
	ok(geteuid() != 0 ||
		(stat("root/kept", &st) == 0 && st.st_uid == 4711 && st.st_gid == 4712),
	    "and the owner, where root may give it away");
	file_release(&file);

	if (symlink("kept", "root/link") == -1)
		abort();
	is_int(begin(&file, "link", 1, &f), 0, "a file that replaces a link");
	is_int(file_sync(NULL, &file, 0, NULL, &f), 0, "is synced");
	is_int(file_commit(&file, true, &f), FILE_MADE, "and takes its place");
	is_int(mode_of("root/link"), 0640, "with the store's file_mode");
	is_int(size_of("root/kept"), 4, "what the link led to is as it was");
	file_release(&file);
}

/* Another program, or a daemon of another history of the database, uses our names. */
/* As NFS and some file systems of FUSE do. */
static void
test_renames_that_would_replace(void)
{
	struct failure f;
	struct file file;

	rename_error = EINVAL;
	is_int(begin(&file, "renamed", 1, &f), 0, "a file where renames always replace %s", f.text);
	is_int(file_commit(&file, false, &f), FILE_MADE, "gets its name by a link");
	is_int(size_of("root/renamed"), 0, "which is there");
	ok(access("root/.ferry-42-1.tmp", F_OK) == -1, "and the temporary name is gone");
	file_release(&file);

	is_int(begin(&file, "renamed", 1, &f), 0, "another file for that name %s", f.text);
	is_int(file_commit(&file, false, &f), FILE_EXISTS, "does not replace the first");
	is_int(file_commit(&file, true, &f), FILE_MADE, "unless it may");
	if (link("root/renamed", "root/.ferry-42-1.tmp") == -1)
		abort();
	is_int(file_commit(&file, false, &f), FILE_MADE,
	    "an attempt that died between link and unlink is finished");
	ok(access("root/.ferry-42-1.tmp", F_OK) == -1, "and its temporary name is gone");
	file_release(&file);
	unlink("root/renamed");

	link_error = EPERM;
	is_int(begin(&file, "renamed", 1, &f), 0, "a file where no links are made, either");
	is_int(file_commit(&file, false, &f), FILE_LEFT, "is left: %s", f.text);
	ok(f.class == CLASS_PERMANENT && strstr(f.text, "store spool") != NULL &&
		strstr(f.text, "if_exists") != NULL,
	    "which says why");
	is_int(file_commit(&file, true, &f), FILE_MADE, "if it may replace, it gets its name");
	rename_error = link_error = 0;
	file_release(&file);
	unlink("root/renamed");
}

static void
test_stolen_names(void)
{
	struct failure f;
	struct file file;

	make_file("root/.ferry-42-1.tmp", "a leftover of another history");
	if (link("root/.ferry-42-1.tmp", "root/linked") == -1)
		abort();
	is_int(begin(&file, "stolen", 1, &f), 0, "a name that is taken is made free %s", f.text);
	is_int(size_of("root/.ferry-42-1.tmp"), 0, "the new file is empty");
	is_int(size_of("root/linked"), 29, "and no other name leads to it");

	unlink("root/.ferry-42-1.tmp");
	is_int(
	    file_commit(&file, true, &f), FILE_STOLEN, "a temporary file that is gone: %s", f.text);
	is_int(f.class, CLASS_TRANSIENT, "is tried again");
	ok(access("root/stolen", F_OK) == -1, "and nothing was made");

	make_file("root/.ferry-42-1.tmp", "foreign");
	failure_init(&f);
	is_int(file_commit(&file, true, &f), FILE_STOLEN, "another file of its name: %s", f.text);
	ok(access("root/stolen", F_OK) == -1, "did not become the destination");
	is_int(file_abort(&file, &f), 0, "aborting");
	is_int(size_of("root/.ferry-42-1.tmp"), 7, "leaves what is not ours");
	unlink("root/.ferry-42-1.tmp");
	file_release(&file);
}

static void
test_whole_or_not(void)
{
	struct failure f;
	struct file file;
	struct stat st;

	failure_init(&f);
	file_init(&file);
	is_int(file_open_dir(&file, &store, "a/b/c/target", true, &f), 0, "parents are made %s",
	    f.text);
	file_name_temp(&file, 42, 7);
	is_int(file_create_temp(&file, &f), 0, "a temporary file is made beside the destination");
	is_int(access("root/a/b/c/.ferry-42-7.tmp", F_OK), 0, "under its name");
	is_int(file_write(&file, "hello", 5, 0, &f), 0, "and written");
	is_int(access("root/a/b/c/target", F_OK), -1, "the destination is not there yet");
	is_int(file_commit(&file, false, &f), FILE_MADE, "it is given its name");
	ok(stat("root/a/b/c/target", &st) == 0 && st.st_size == 5, "and is there, whole");

	close(file.fd);
	file_name_temp(&file, 42, 8);
	is_int(file_create_temp(&file, &f), 0, "another one");
	is_int(file_commit(&file, false, &f), FILE_EXISTS, "does not replace it, and says so");
	ok(stat("root/a/b/c/target", &st) == 0 && st.st_size == 5, "which is as it was");
	is_int(file_abort(&file, &f), 0, "it is removed");
	is_int(access("root/a/b/c/.ferry-42-8.tmp", F_OK), -1, "without trace");
	is_int(file_abort(&file, &f), 0, "and removing it again is no failure");
	is_int(file_resume_temp(&file, ".ferry-42-8.tmp", &f), FILE_ABSENT,
	    "a temporary file that is gone is known as gone");
	is_int(file_resume_temp(&file, "target", &f), FILE_FAILED,
	    "a row cannot name a file that is no temporary one");
	is_int(file_resume_temp(&file, ".ferry-/../../../outside/secret", &f), FILE_FAILED,
	    "nor one elsewhere");
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
	test_destinations();
	test_whole_or_not();
	test_whose_trouble();
	test_errors_of_destinations();
	test_modes();
	test_resuming_what_nobody_may_write();
	test_kept_mode_and_owner();
	test_stolen_names();
	test_renames_that_would_replace();
	tear_down();
	return done_testing();
}
