/*
 * What workers report.  A report is checked against what the slot is about; nonsense is logged once
 * and dropped.
 */
#ifndef MASTER_REPORTS_H
#define MASTER_REPORTS_H

#include "master/master.h"

/* Takes in some of what the worker says.  Returns whether there may be more. */
bool reports_receive(struct master *m, struct slot *slot);

#endif
