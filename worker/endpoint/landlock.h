/*
 * What a worker may do to files, kept by the kernel (Landlock): it may read what its account may
 * read, write below the roots of file stores only, and run nothing.  So it cannot write to the
 * files of its own memory cgroup, which belong to its account, too.
 */
#ifndef WORKER_ENDPOINT_LANDLOCK_H
#define WORKER_ENDPOINT_LANDLOCK_H

#include <stdbool.h>

#include "worker/worker.h"

/*
 * Restricts this process for good, to the file stores of its configuration.  Where the kernel has
 * no Landlock, nothing happens; ferryd says so when it starts.
 */
void landlock_restrict(const struct setup *setup);

/*
 * Whether the root of a file store that the task names is another directory than the one that this
 * process was restricted to: it was mounted since then.  Then a new process must carry the task.
 * Soon after the restriction this is not looked at, so that no two processes hand a task to and
 * fro.
 */
bool landlock_is_outdated(const struct task *task);

#endif
