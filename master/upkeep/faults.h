/*
 * Faults of the database that harm single tasks.  They are looked for and logged whenever a
 * connection is made, since it may lead to a database that was restored.
 */
#ifndef MASTER_UPKEEP_FAULTS_H
#define MASTER_UPKEEP_FAULTS_H

#include "master/upkeep/upkeep.h"

void faults_look(struct upkeep *u);

#endif
