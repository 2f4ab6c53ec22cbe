/*
 * The system calls that a worker may make.  A worker reads what strangers send; if one of them
 * takes it over, it cannot run programs, make processes, reach into other processes, or change
 * mounts and namespaces.
 */
#ifndef WORKER_FILTER_H
#define WORKER_FILTER_H

/*
 * Installs the filter, for good.  A call that only an intruder makes ends the process with SIGSYS,
 * which the master reports with the call's number.  Any other call that is not known to be needed
 * fails with ENOSYS, as on an older kernel: libraries have another way then.  Where the kernel has
 * no seccomp, nothing happens; ferryd says so when it starts.
 */
void filter_install(void);

#endif
