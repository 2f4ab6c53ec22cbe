/*
 * What a worker does to itself before it reads a word from anybody.
 */
#ifndef WORKER_CONFINE_H
#define WORKER_CONFINE_H

/*
 * Closes every descriptor above keep, forbids core dumps, ptrace by others and new privileges, sets umask 077.  Ends the
 * process if it runs as root although the master at the other end of channel does not.
 */
void confine(int slot, int channel, int keep);

/*
 * Makes the end of the master certain to end us: a timer looks whether the channel's other side has gone, and ends the process
 * less than two seconds later, even in the middle of a system call or a callback that does not come back in time.  Before that the
 * loop sees the same end of file and hands the task back.  (SIGIO would tell at once, and with every message.)
 */
void confine_watch_master(int channel);

#endif
