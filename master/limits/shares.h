/*
 * The division of rates.  Of a rate over all nodes, this node gets a part in proportion to its
 * tasks under that rate.  Its workers get equal shares of that part.  A worker that uses less,
 * because its other end is slower or because it verifies, leaves the rest to those that could use
 * more.  The shares are computed anew once a second, and whenever a task begins or ends.
 */
#ifndef MASTER_LIMITS_SHARES_H
#define MASTER_LIMITS_SHARES_H

#include "master/limits/limits.h"

/* The slot's task begins: notes which stores and which queue it uses. */
void shares_begin(struct slot *slot);

/* The slot's task has moved so many bytes a second of late. */
void shares_note(struct slot *slot, int64_t use);

/* Divides, and tells workers the shares that have changed. */
void shares_divide(struct limits *l);

/* Divides if that is due. */
void shares_run(struct limits *l);
int64_t shares_deadline(const struct limits *l);

#endif
