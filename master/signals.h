/*
 * Signals arrive as a readable descriptor, one at a time, between events and never within one.
 */
#ifndef MASTER_SIGNALS_H
#define MASTER_SIGNALS_H

/* Blocks the signals that the master acts upon, ignores SIGPIPE.  Returns the descriptor, or -1 with errno. */
int signals_open(void);

/* The next signal that came, or 0. */
int signals_next(int fd);

#endif
