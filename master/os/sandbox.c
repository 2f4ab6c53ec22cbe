#include "master/os/sandbox.h"

#include <linux/landlock.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/log.h"

void
sandbox_log(void)
{
	bool filters = prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != -1;
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	if (filters && abi >= 1)
		log_info("workers are confined by seccomp and Landlock (version %ld)", abi);
	if (!filters)
		log_warn("this kernel has no seccomp: a worker may make every system call");
	if (abi < 1)
		log_warn("this kernel has no Landlock, or it is not switched on: a worker may "
			 "write wherever its account may, its own memory cap included");
}
