/*
 * Times in which this process did not run: it was stopped by a signal, or its machine was, or
 * slept. The loop turns at least every PAUSE_TURN_MS, so a later turn shows such a time.
 */
#ifndef MASTER_OS_PAUSE_H
#define MASTER_OS_PAUSE_H

#include <stdint.h>

#define PAUSE_TURN_MS 1000
#define PAUSE_MIN_MS 5000 /* less may be a busy machine */

/* All zero: the loop has not turned yet. */
struct pause {
	int64_t boot_at; /* the last turn, on clock_boot_ms() */
	int64_t at; /* the same, on clock_ms(), which stands still while the machine sleeps */
};

/* Notes a turn of the loop, at both times.  Logs a pause before it.  Returns its length, 0: none.
 */
int64_t pause_turn(struct pause *p, int64_t boot, int64_t now);

/* When the next turn has to come, on clock_ms(). */
int64_t pause_deadline(const struct pause *p);

#endif
