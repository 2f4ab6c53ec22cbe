/*
 * A second connection to the database, while tasks end so fast that settling them and claiming the next ones should go on side by
 * side.  It is nothing but a shortcut: made when batches of results are large, given up when they are not, when it fails, and when
 * the first one does, so that both always lead to the same server.  What was sent over it and not answered goes over the first.
 */
#ifndef MASTER_SECOND_H
#define MASTER_SECOND_H

#include "master/ferryd.h"

/* So many results have just been sent at once. */
void second_note_batch(struct master *m, int rows);

/* The handle, if it can be used now, else NULL. */
struct db *second_db(const struct master *m);

/* For the loop. */
int second_fd(const struct master *m);
short second_poll_events(const struct master *m);
bool second_receive(struct master *m);
void second_run(struct master *m);
int64_t second_deadline(const struct master *m);

/* Gives it up at once. */
void second_close(struct master *m);

#endif
