/*
 * This machine: what can cap a worker's memory, how much memory there is, how many descriptors.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/units.h"
#include "master/ctl/doctor.h"

#define CGROUP2_CONTROLLERS "/sys/fs/cgroup/cgroup.controllers"
#define CGROUP1_LIMIT "/sys/fs/cgroup/memory/memory.limit_in_bytes"

/* Descriptors that a process has besides those of its workers or streams. */
#define FDS_MASTER 64
#define FDS_WORKER 64

/* Reads the first line of a file.  Returns whether there is one. */
static bool
read_line(const char *path, char *line, size_t size)
{
	FILE *in = fopen(path, "re");
	bool found = in != NULL && fgets(line, (int)size, in) != NULL;

	if (in != NULL)
		fclose(in);
	line[found ? strcspn(line, "\n") : 0] = '\0';
	return found;
}

/* The best mechanism of the kernel as it is mounted here; who may use it is another question. */
static enum memory_backend
find_backend(void)
{
	char line[1024];

	if (read_line(CGROUP2_CONTROLLERS, line, sizeof(line)) && strstr(line, "memory") != NULL)
		return MEMORY_CGROUP2;
	return access(CGROUP1_LIMIT, F_OK) == 0 ? MEMORY_CGROUP1 : MEMORY_RLIMIT;
}

static void
check_backend(struct doctor *d)
{
	enum memory_backend wanted = d->conf->memory_backend, best = find_backend();
	char cap[32];

	units_exact_size(cap, sizeof(cap), d->conf->worker.memory);
	if (wanted == MEMORY_AUTO)
		wanted = best;
	if ((wanted == MEMORY_CGROUP2 || wanted == MEMORY_CGROUP1) && wanted != best)
		doctor_tell(d, DOCTOR_FAIL, "memory caps",
		    "memory_backend wants %s, and this machine has %s; set memory_backend = "
		    "\"auto\"",
		    memory_backend_name(wanted), memory_backend_name(best));
	else if (wanted == MEMORY_RLIMIT && best == MEMORY_RLIMIT)
		doctor_tell(d, DOCTOR_WARN, "memory caps",
		    "there is no memory cgroup, so that rlimit caps a worker's data alone at %s; "
		    "mount cgroup v2 with its memory controller",
		    cap);
	else
		doctor_tell(d, DOCTOR_OK, "memory caps",
		    "%s can cap each worker at %s; the log of ferryd says which is in use",
		    memory_backend_name(wanted), cap);
}

static int
count_workers(const struct config *conf)
{
	int most = config_workers_most(conf);

	return most < conf->workers ? most : conf->workers;
}

static void
check_memory(struct doctor *d)
{
	int64_t there = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
	int64_t need = MASTER_MEMORY + count_workers(d->conf) * d->conf->worker.memory;
	char has[32], needs[32], total[32];

	units_exact_size(total, sizeof(total), d->conf->memory_total);
	units_exact_size(has, sizeof(has), there >> 20 << 20);
	units_exact_size(needs, sizeof(needs), need);
	if (d->conf->memory_total > there)
		doctor_tell(d, DOCTOR_WARN, "memory",
		    "memory_total is %s, and the machine has %s; lower memory_total", total, has);
	else if (need > there)
		doctor_tell(d, DOCTOR_WARN, "memory",
		    "the workers may use %s, and the machine has %s; lower workers or "
		    "worker.memory, or set memory_total",
		    needs, has);
	else
		doctor_tell(d, DOCTOR_OK, "memory", "the workers may use %s of %s", needs, has);
}

/* The soft limit of descriptors of the ferryd that runs, or -1.  *pid is its pid. */
static int64_t
read_limit(const char *pidfile, int *pid)
{
	static const char name[] = "Max open files";
	char path[64], line[256];
	int64_t limit = -1;
	FILE *in;

	if (!read_line(pidfile, line, sizeof(line)) || (*pid = (int)strtol(line, NULL, 10)) <= 0)
		return -1;
	snprintf(path, sizeof(path), "/proc/%d/limits", *pid);
	if ((in = fopen(path, "re")) == NULL)
		return -1;
	while (fgets(line, sizeof(line), in) != NULL)
		if (strncmp(line, name, strlen(name)) == 0)
			limit = strtoll(line + strlen(name), NULL, 10);
	fclose(in);
	return limit;
}

/* The master has a channel and a pidfd for each worker, a worker two sockets or files a stream. */
static void
check_descriptors(struct doctor *d)
{
	int master = FDS_MASTER + 4 * count_workers(d->conf);
	int worker = FDS_WORKER + 4 * config_streams_most(&d->conf->worker);
	int need = master > worker ? master : worker, pid = 0;
	struct rlimit own = { 0, 0 };
	int64_t limit = read_limit(d->conf->pidfile, &pid);
	const char *whose = "of the ferryd that runs";

	if (limit == -1) {
		getrlimit(RLIMIT_NOFILE, &own);
		limit = (int64_t)own.rlim_cur;
		whose = "of this shell, since no ferryd runs";
	}
	if (limit < need)
		doctor_tell(d, DOCTOR_WARN, "descriptors",
		    "the limit %s is %" PRId64 ", and a process may need %d; set LimitNOFILE= in "
		    "the unit, or ulimit -n",
		    whose, limit, need);
	else
		doctor_tell(d, DOCTOR_OK, "descriptors",
		    "the limit %s is %" PRId64 ", and a process needs %d at most", whose, limit,
		    need);
}

void
doctor_machine(struct doctor *d)
{
	check_backend(d);
	check_memory(d);
	check_descriptors(d);
}
