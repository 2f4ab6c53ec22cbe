/*
 * Tasks that are running as the table has it but that no worker carries: of nodes whose lease has lapsed, of ours when the
 * answer to a claim was lost, of ours when we leave.
 */
#ifndef MASTER_RECOVER_H
#define MASTER_RECOVER_H

#include "master/ferryd.h"
#include "master/sqlarray.h"

/* What this node has: what workers carry, and what they or dead ones had whose end is not written yet. */
void recover_list(const struct master *m, struct sqlarray *ids, struct sqlarray *claims);

/* Requeues what the table says we have and no worker has; waits for the answer to a claim that is under way. */
void recover_reconcile(struct master *m);
void recover_claim_answered(struct master *m);

/* Removes nodes whose lease has lapsed and requeues their tasks. */
void recover_rescue(struct master *m);

/*
 * The last statement: requeues what this node still has, removes its row, sets queue.left.  Returns false if there is
 * no row, or no database.
 */
bool recover_leave(struct master *m);

#endif
