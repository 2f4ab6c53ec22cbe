/*
 * The progress of one task as a line: a map of its parts, bytes, rate, and the time that is left.
 */
#ifndef MASTER_CTL_BAR_H
#define MASTER_CTL_BAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BAR_SAMPLES 32
#define BAR_CELLS_MAX 60

struct bar {
	/* What the bar shows. */
	const char *id;
	const char *state;
	int64_t done; /* bytes of finished parts and of parts in flight */
	int64_t total; /* -1: not known */
	int64_t part_size; /* 0: the task has no parts, or this role may not see them */
	int nparts;
	unsigned char *recorded; /* nparts flags: the part is finished */
	int64_t attempt; /* from 1 */
	bool colours;

	/* Of late: a ring of moments on clock_ms(), and the bytes then. */
	struct bar_sample {
		int64_t at;
		int64_t done;
	} samples[BAR_SAMPLES];
	int nsamples; /* all that were taken */
};

/* Notes the bytes of this moment.  Bytes that went down begin the rate anew. */
void bar_sample(struct bar *bar, int64_t now);

/* Bytes a second over the last ten seconds; -1: not known yet. */
int64_t bar_rate(const struct bar *bar, int64_t now);

/*
 * Writes the line for a terminal of so many columns; without colours it is a plain text.  With 0
 * columns there is no map.  Returns buf.
 */
char *bar_draw(const struct bar *bar, int64_t now, size_t columns, char *buf, size_t size);

#endif
