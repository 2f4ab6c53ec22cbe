/*
 * When to log a failure that repeats: once when the outage begins, once a minute while it lasts,
 * and once when it is over.  An outage may have gaps: on a full disk some statements succeed
 * between those that fail.  So it is over when something has succeeded and nothing has failed for a
 * while.
 */
#ifndef COMMON_BASE_OUTAGE_H
#define COMMON_BASE_OUTAGE_H

#include <stdint.h>

#define OUTAGE_QUIET_MS 10000 /* an outage is over so long after its last failure */
#define OUTAGE_REPEAT_MS 60000 /* between two lines of an outage that lasts */

/* All zero: there has been no outage.  Times are those of clock_ms(). */
struct outage {
	int64_t began_at; /* 0: there is none */
	int64_t failed_at; /* the latest failure */
	int64_t recovered_at; /* the first success after the latest failure; 0: none yet */
	int64_t told_at; /* the latest line */

	/* What a line can say, of the outage under way or the last one. */
	int64_t failures;
	int64_t lasted_ms; /* from the first failure to the recovery, or to the latest failure */
};

/* What the caller is to log. */
enum outage_news { OUTAGE_SILENT, OUTAGE_BEGINS, OUTAGE_LASTS, OUTAGE_ENDS };

/* Notes a failure: SILENT, BEGINS or LASTS. */
enum outage_news outage_failed(struct outage *o, int64_t now);

/* Notes a success. */
void outage_succeeded(struct outage *o, int64_t now);

/* ENDS, once, when the outage is over; else SILENT.  To be called at outage_deadline(). */
enum outage_news outage_run(struct outage *o, int64_t now);
int64_t outage_deadline(const struct outage *o); /* 0: none */

#endif
