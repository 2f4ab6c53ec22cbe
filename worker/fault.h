/*
 * The last words of a worker that dies of a signal: what the kernel told it about the signal goes
 * to the master, which only sees the signal's number.
 */
#ifndef WORKER_FAULT_H
#define WORKER_FAULT_H

#include <stdint.h>

/* From now on a signal that ends this process is reported over the channel first. */
void fault_watch(int channel, int slot, uint64_t generation);

#endif
