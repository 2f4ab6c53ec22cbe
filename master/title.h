/*
 * The process title and the service manager's status line: "4 workers, 2 busy".
 */
#ifndef MASTER_TITLE_H
#define MASTER_TITLE_H

#include "master/ferryd.h"

/* Shows the numbers if they have changed since the last call. */
void title_update(const struct master *m);

#endif
