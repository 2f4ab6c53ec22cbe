/*
 * The division of rates.  Of a limit over all nodes, this node gets what its part is of the tasks under it; of that, each of its
 * workers gets as much as the others, but what one does not use, because its other end is slower or because it verifies, goes
 * to those that could use more.  Looked at once a second, and whenever a task begins or ends.
 */
#ifndef MASTER_SHARES_H
#define MASTER_SHARES_H

#include "master/ferryd.h"

/* The slot's task begins: what it will use is not known yet. */
void shares_begin(struct slot *slot);

/* It has moved so many bytes a second of late. */
void shares_note(struct slot *slot, int64_t use);

/* Divides, and tells workers their shares where they have changed. */
void shares_divide(struct master *m);

/* Does so if it is time to. */
void shares_run(struct master *m);
int64_t shares_deadline(const struct master *m);

#endif
