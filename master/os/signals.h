/*
 * Signals as a readable descriptor: they arrive one at a time, and never interrupt a handler.
 */
#ifndef MASTER_OS_SIGNALS_H
#define MASTER_OS_SIGNALS_H

/*
 * Blocks the signals that the master acts upon, and ignores SIGPIPE.  Returns the descriptor, or -1
 * with errno.
 */
int signals_open(void);

/* The next signal that has come; 0: none. */
int signals_next(int fd);

/*
 * In a child between fork and exec: gives every signal its default and blocks none.
 * Async-signal-safe.  Returns 0, or -1 with errno.
 */
int signals_reset(void);

#endif
