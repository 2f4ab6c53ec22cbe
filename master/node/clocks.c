#include "master/node/clocks.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"

static struct clock *
find(struct clocks *c, const char *name)
{
	struct clock *clock;

	for (clock = c->list; clock < c->list + c->n; clock++)
		if (strcmp(clock->name, name) == 0)
			return clock;
	if (c->n == CLOCKS_MAX)
		return NULL;
	clock = &c->list[c->n++];
	memset(clock, 0, sizeof(*clock));
	strlcpy(clock->name, name, sizeof(clock->name));
	return clock;
}

static int
compare(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static bool
is_far(int64_t a, int64_t b)
{
	return llabs(a - b) > CLOCKS_FAR_S;
}

/*
 * The epoch of most clocks.  *agree counts the clocks near it, this machine's apart, whose epoch is
 * ours.  Returns false if there is no majority.
 */
static bool
find_majority(const struct clocks *c, int64_t ours, int64_t *median, int *agree)
{
	int64_t votes[CLOCKS_MAX + 1];
	int i;

	for (i = 0; i < c->n; i++)
		votes[i] = c->list[i].epoch;
	votes[c->n] = ours;
	qsort(votes, (size_t)c->n + 1, sizeof(votes[0]), compare);
	*median = votes[c->n / 2];
	*agree = 0;
	for (i = 0; i < c->n; i++)
		*agree += !is_far(c->list[i].epoch, *median);
	return 2 * (*agree + !is_far(ours, *median)) > c->n + 1;
}

static const char *
format_span(char *buf, size_t size, int64_t seconds)
{
	int64_t s = llabs(seconds);

	if (s >= 2 * 86400)
		snprintf(buf, size, "%" PRId64 " d", (s + 43200) / 86400);
	else if (s >= 2 * 3600 - 60)
		snprintf(buf, size, "%" PRId64 " h", (s + 1800) / 3600);
	else if (s >= 120)
		snprintf(buf, size, "%" PRId64 " min", (s + 30) / 60);
	else
		snprintf(buf, size, "%" PRId64 " s", s);
	return buf;
}

static const char *
clock_name(char *buf, size_t size, const struct clock *clock)
{
	if (strcmp(clock->name, CLOCKS_DATABASE) == 0)
		strlcpy(buf, "the database", size);
	else
		strlcpy(buf, "store ", size);
	strlcat(buf, clock->name, size);
	return buf;
}

/* Whether a difference has to be logged: it is not near the one that was logged last. */
static bool
is_news(int64_t *said, int64_t off)
{
	if (!is_far(off, 0))
		off = 0;
	if (!is_far(off, *said))
		return false;
	*said = off;
	return true;
}

static void
judge_ours(struct clocks *c, int64_t off, int agree)
{
	char span[32];

	if (!is_news(&c->said_s, off))
		return;
	if (c->said_s == 0)
		log_info("this machine's clock agrees with %d of %d clocks again", agree, c->n);
	else
		log_warn("%d of %d clocks, of stores and the database, agree that this machine's "
			 "clock is %s %s: set it right, or stores will refuse our signatures",
		    agree, c->n, format_span(span, sizeof(span), off), off > 0 ? "fast" : "slow");
}

static void
judge_other(struct clock *clock, int64_t off, int others)
{
	char span[32], name[CONFIG_NAME_MAX + 16];

	if (!is_news(&clock->said_s, off))
		return;
	clock_name(name, sizeof(name), clock);
	if (clock->said_s == 0)
		log_info("the clock of %s is right again", name);
	else
		log_warn("the clock of %s is %s %s, by those of %d others", name,
		    format_span(span, sizeof(span), off), off > 0 ? "fast" : "slow", others);
}

/* One clock against ours: nobody can say which is wrong. */
static void
judge_pair(struct clocks *c, int64_t ours)
{
	char span[32], name[CONFIG_NAME_MAX + 16];
	struct clock *clock = c->list;
	int64_t ahead = clock->epoch - ours;

	if (c->n != 1 || !is_news(&clock->said_s, ahead))
		return;
	clock_name(name, sizeof(name), clock);
	if (clock->said_s == 0)
		log_info("the clock of %s agrees with this machine's again", name);
	else
		log_warn("the clock of %s is %s %s this machine's: one of them is wrong", name,
		    format_span(span, sizeof(span), ahead), ahead > 0 ? "ahead of" : "behind");
}

void
clocks_note(struct clocks *c, const char *name, int64_t ahead_s, int64_t epoch)
{
	struct clock *clock = find(c, name);
	int64_t median;
	int agree;

	if (clock == NULL)
		return;
	clock->epoch = epoch + ahead_s;
	if (!find_majority(c, epoch, &median, &agree)) {
		judge_pair(c, epoch);
		return;
	}
	judge_ours(c, epoch - median, agree);
	for (clock = c->list; clock < c->list + c->n; clock++)
		judge_other(clock, clock->epoch - median, agree + !is_far(epoch, median));
}

int64_t
clocks_epoch(void)
{
	return (int64_t)clock_wall() - clock_boot_ms() / 1000;
}
