/*
 * HUP and USR1: a new configuration, a new log file, while transfers go on.  A worker keeps the
 * configuration that it was started with, but for keys, which are sent to it.
 */
#ifndef MASTER_RELOAD_H
#define MASTER_RELOAD_H

#include "master/master.h"

/* Reads the configuration again.  Logs what is wrong with a bad one, and keeps the old one. */
void reload_configuration(struct master *m);

/* Opens the path of the log again, for us and for every worker. */
void reload_log(struct master *m);

/* Whether workers that were started with a have to be replaced when b comes into force.  Other
 * keys of the same stores do not need that. */
bool reload_recycles(const struct config *a, const struct config *b);

#endif
