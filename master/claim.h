/*
 * The queue as seen by an idle pool: claiming tasks, knowing when the next one is due, and noticing that a running one was
 * cancelled.
 */
#ifndef MASTER_CLAIM_H
#define MASTER_CLAIM_H

#include "master/ferryd.h"

#define CLAIM_CHECK_MS 1000 /* between looks at whether running tasks are still ours */

/* Claims, checks and reaps if it is time to. */
void claim_run(struct master *m);
int64_t claim_deadline(const struct master *m);

/* Whoever is idle gets what was claimed ahead. */
void claim_hand_out(struct master *m);

/* Notifications: there are new tasks; some task was cancelled. */
void claim_wake(struct master *m);
void claim_check(struct master *m);

#endif
