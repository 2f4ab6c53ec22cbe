/*
 * The process title for ps(1), and the status line of the service manager: "4 workers, 2 busy".
 */
#ifndef MASTER_TITLE_H
#define MASTER_TITLE_H

#include "master/master.h"

/* Shows the present numbers if they have changed since the last call. */
void title_update(const struct master *m);

#endif
