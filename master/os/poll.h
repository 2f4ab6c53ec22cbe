/*
 * poll() that goes on when the kernel refuses it.  poll() refuses more descriptors than
 * RLIMIT_NOFILE is at that time, which may have been lowered since they were opened, and it needs
 * the kernel's memory.  While poll() refuses, all descriptors count as ready now and then: handlers
 * never wait, so they can all be tried.
 */
#ifndef MASTER_OS_POLL_H
#define MASTER_OS_POLL_H

#include <poll.h>
#include <stdbool.h>

/* Waits for at most timeout ms (-1: no limit).  Returns false if no descriptor can be ready. */
bool poll_wait(struct pollfd *fds, nfds_t n, int timeout);

#endif
