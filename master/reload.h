/*
 * HUP and USR1: another configuration, other log files, while transfers go on.
 */
#ifndef MASTER_RELOAD_H
#define MASTER_RELOAD_H

#include "master/ferryd.h"

/* Reads the configuration again.  If it is bad, that is logged and the old one stays. */
void reload_configuration(struct master *m);

/* Opens the log's path again, for us and for every worker. */
void reload_log(struct master *m);

/* True if workers that were started with a have to be replaced when b comes into force. */
bool reload_recycles(const struct config *a, const struct config *b);

#endif
