/*
 * What the database knows of stores that are held: ferry.hold, from which the view ferry.store
 * tells producers and operators.  Each node keeps its own rows.  When one goes, the trigger of the
 * table tells all nodes by NOTIFY ferry_limit, "well STORE".
 */
#ifndef MASTER_LIMITS_HOLDS_H
#define MASTER_LIMITS_HOLDS_H

#include "master/limits/limits.h"

/*
 * Makes the rows of this node those of the stores that are held now, or wait for their first keys.
 */
void holds_write(struct limits *l);

/* Logs that a store is not held any more, for how long it was, and how many tasks waited. */
void holds_log_over(struct limits *l, const struct health *h);

#endif
