/*
 * What a worker does to itself before it reads anything from outside.
 */
#ifndef WORKER_CONFINE_H
#define WORKER_CONFINE_H

/* The leak check of the sanitizers makes a process, which attaches to ours. */
#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define CONFINE_TRACED
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define CONFINE_TRACED
#endif

/*
 * Closes every descriptor above keep; forbids core dumps, ptrace by other processes and new
 * privileges; sets umask 077.  Exits if this process runs as root and the master at the other end
 * of channel does not.
 */
void confine(int slot, int channel, int keep);

/*
 * Makes sure that this process does not outlive the master.  A timer checks whether the other end
 * of channel is closed, and ends the process within two more seconds, even in a system call or a
 * callback that takes long.  Usually the loop sees the end of file first and hands the task back.
 * (SIGIO would be quicker, but it would come with every message.)
 */
void confine_watch_master(int channel);

#endif
