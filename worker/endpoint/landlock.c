#include "worker/endpoint/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"

#define YOUNG_MS 10000

/* Of later kernels than the headers that we are built with: landlock(7). */
#define FS_REFER (1ULL << 13) /* ABI 2 */
#define FS_TRUNCATE (1ULL << 14) /* ABI 3 */
#define FS_IOCTL_DEV (1ULL << 15) /* ABI 5 */
#define NET_BIND_TCP (1ULL << 0) /* ABI 4 */
#define SCOPE_SIGNAL (1ULL << 1) /* ABI 6 */

#define READ_RIGHTS (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define STORE_RIGHTS                                                                   \
	(READ_RIGHTS | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | \
	    LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |             \
	    LANDLOCK_ACCESS_FS_MAKE_REG | FS_REFER | FS_TRUNCATE)

/* The kernel's struct landlock_ruleset_attr; a kernel that knows less of it takes its begin. */
struct ruleset {
	uint64_t fs;
	uint64_t net;
	uint64_t scoped;
};

/* A file store as it was when this process was restricted. */
static struct root {
	char store[CONFIG_NAME_MAX];
	char path[CONFIG_PATH_MAX];
	dev_t dev; /* dev and ino are 0 if there was no such directory */
	ino_t ino;
} roots[CONFIG_STORES_MAX];
static int nroots;
static int64_t restricted_at; /* on clock_ms(); 0: not restricted */

/* Ruleset and its size for that ABI of the kernel. */
static struct ruleset
handled(int abi, size_t *size)
{
	struct ruleset r = { .fs = (FS_REFER - 1) };

	*size = sizeof(r.fs);
	if (abi >= 2)
		r.fs |= FS_REFER;
	if (abi >= 3)
		r.fs |= FS_TRUNCATE;
	if (abi >= 4) {
		r.net = NET_BIND_TCP;
		*size = offsetof(struct ruleset, scoped);
	}
	if (abi >= 5)
		r.fs |= FS_IOCTL_DEV;
	if (abi >= 6) {
		r.scoped = SCOPE_SIGNAL;
		*size = sizeof(r);
	}
	return r;
}

/* Allows the rights below a directory.  st gets what that directory is. */
static void
allow(int ruleset, const char *path, uint64_t rights, struct stat *st)
{
	struct landlock_path_beneath_attr rule = { .allowed_access = rights };

	memset(st, 0, sizeof(*st));
	rule.parent_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (rule.parent_fd == -1)
		return; /* the store's tasks say so */
	if (fstat(rule.parent_fd, st) == -1 ||
	    syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == -1)
		fatal(EX_OSERR, "Landlock: a rule for %s: %s", path, strerror(errno));
	close(rule.parent_fd);
}

static void
allow_store(int ruleset, const struct config_store *conf, uint64_t fs)
{
	struct root *root = &roots[nroots++];
	struct stat st;

	allow(ruleset, conf->root, STORE_RIGHTS & fs, &st);
	strlcpy(root->store, conf->name, sizeof(root->store));
	strlcpy(root->path, conf->root, sizeof(root->path));
	root->dev = st.st_dev;
	root->ino = st.st_ino;
}

void
landlock_restrict(const struct setup *setup)
{
	int abi =
	    (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct ruleset rules;
	struct stat st;
	size_t size;
	int fd, i;

	if (abi < 1)
		return;
	rules = handled(abi, &size);
	fd = (int)syscall(SYS_landlock_create_ruleset, &rules, size, 0);
	if (fd == -1)
		fatal(EX_OSERR, "Landlock: a ruleset: %s", strerror(errno));
	allow(fd, "/", READ_RIGHTS, &st);
	for (i = 0; i < setup->config.nstores; i++)
		if (setup->stores[i].conf.kind == STORE_FILE)
			allow_store(fd, &setup->stores[i].conf, rules.fs);
	if (syscall(SYS_landlock_restrict_self, fd, 0) == -1)
		fatal(EX_OSERR, "Landlock: %s", strerror(errno));
	close(fd);
	restricted_at = clock_ms();
}

static bool
names(const char *uri, const char *store)
{
	size_t len = strlen(store);

	return strncmp(uri, store, len) == 0 && strncmp(uri + len, "://", 3) == 0;
}

bool
landlock_is_outdated(const struct task *task)
{
	bool young = clock_ms() - restricted_at < YOUNG_MS;
	const struct root *root;
	struct stat st;

	for (root = roots; root < roots + nroots; root++)
		if ((names(task->source, root->store) || names(task->destination, root->store)) &&
		    (root->ino == 0 || !young) && stat(root->path, &st) == 0 &&
		    (st.st_dev != root->dev || st.st_ino != root->ino))
			return true;
	return false;
}
