/*
 * What the log says while the database refuses statements, as on a full disk.  Each cause has an
 * outage of its own.  A cause is a work and an SQLSTATE: an old task that cannot be deleted must
 * not silence a claim that is refused, and a full disk must not silence a right that is missing.
 */
#ifndef COMMON_DB_REFUSED_H
#define COMMON_DB_REFUSED_H

#include <stdint.h>

#include "common/base/outage.h"

#define REFUSED_MAX 24 /* causes; a further one replaces the one that was seen longest ago */

struct refused_cause {
	char work[64];
	char state[6]; /* SQLSTATE */
	struct outage outage;
};

/* All zero: nothing is refused. */
struct refused {
	int n;
	struct refused_cause of[REFUSED_MAX];
};

/*
 * The database has refused a statement with this SQLSTATE and message.  Logs that, if the log has
 * not said it of late.  "then" says what follows, "will try again" for example.
 */
void refused_add(
    struct refused *r, const char *work, const char *state, const char *message, const char *then);

/* The database has carried out a statement of this work. */
void refused_relieve(struct refused *r, const char *work);

/* Logs the ends of outages.  To be called at refused_deadline(), on clock_ms(); 0: never. */
void refused_run(struct refused *r);
int64_t refused_deadline(const struct refused *r);

#endif
