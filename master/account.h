/*
 * Whether the account that ferryd runs as can do what the configuration asks of the machine: read
 * and write the roots of file stores, read its own file and the files of keys and certificates,
 * write log and pid file.
 */
#ifndef MASTER_ACCOUNT_H
#define MASTER_ACCOUNT_H

#include "common/config/config.h"

enum account_weight {
	ACCOUNT_NOTE, /* as it may be meant */
	ACCOUNT_WARNING, /* does not stop a start; a reload or some tasks will fail */
	ACCOUNT_FAULT, /* does not work, and will not until somebody acts */
};

/* Takes one finding: what is wrong, and what would be right. */
typedef void account_tell(void *arg, enum account_weight weight, const char *text);

/* Judges as the account that this process is, at a start and for ferryd -t. */
void account_check(const struct config *conf, account_tell *tell, void *arg);

/* For ferryd -t: judges what a start would open.  In the foreground that is no log. */
void account_check_opened(
    const struct config *conf, bool foreground, account_tell *tell, void *arg);

#endif
