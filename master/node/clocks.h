/*
 * Whose clock is wrong: this machine's, the database's or a store's.  The stores' times are the
 * Dates of their answers (RFC 9110, 6.6.1), the database's comes with each renewal of the lease.
 *
 * Every clock has one vote, and this machine's has one too.  A clock is wrong if it is more than a
 * minute off the median, and most clocks are near that.  Leases do not depend on the wall clock,
 * but signatures do: a store refuses those that are off by 15 minutes, as a rule.
 */
#ifndef MASTER_NODE_CLOCKS_H
#define MASTER_NODE_CLOCKS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/config/config.h"

#define CLOCKS_MAX (CONFIG_STORES_MAX + 1)
#define CLOCKS_DATABASE "" /* the name of the database's clock; stores have longer ones */
#define CLOCKS_FAR_S 60

struct clock {
	char name[CONFIG_NAME_MAX];
	int64_t epoch; /* its time when this machine booted, so that our own may be set meanwhile */
	int64_t said_s; /* how far it was off the others, as logged; 0: it was not */
};

/* All zero: no clock is known. */
struct clocks {
	int n;
	struct clock list[CLOCKS_MAX];
	int64_t
	    said_s; /* how far this machine's was ahead of the others, as logged; 0: it was not */
};

/*
 * A clock was that far ahead of this machine's, whose own "epoch" is clocks_epoch().  Logs what is
 * wrong, if that is new.
 */
void clocks_note(struct clocks *c, const char *name, int64_t ahead_s, int64_t epoch);

/* The time of this machine's clock when it booted: it changes only when the clock is set. */
int64_t clocks_epoch(void);

#endif
