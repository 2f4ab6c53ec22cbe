/*
 * What the exporter may do, kept by the kernel.  It answers strangers.
 */
#ifndef MASTER_EXPORTER_CONFINE_H
#define MASTER_EXPORTER_CONFINE_H

/*
 * Restricts this process for good: it may read files and write none (Landlock), listens nowhere
 * else, sends no signals, and a call that only an intruder makes ends it with SIGSYS (seccomp).
 * Where the kernel lacks one of them, that part does not happen; ferryd says so when it starts.
 */
void confine_exporter(void);

#endif
