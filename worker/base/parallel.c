#include "worker/base/parallel.h"

#include <string.h>

#define FIRST_MAX 16
#define LATENCY_EACH_MS 10 /* latency that one more part hides at first */
#define WARM_UP_MS 30 /* before a window opens, besides the latency */

/* How long a window is, and how many bytes of each part must have moved: buffers may hold less. */
#define WINDOW_MS 100
#define WINDOW_MAX_MS 10000
#define WINDOW_BYTES (1 << 20)

#define TRY_MS 1000
#define TRY_MAX_MS 60000
#define HALVED_MS 400 /* until no more parts are in flight than allowed */
#define CEILING_MS 10000
#define CEILING_MAX_MS 60000
#define FADE_MS 60000 /* what was learned is worth half as much after each of these */

/* A worker that waits for less than this share of the time is its own limit. */
#define IDLE_MIN 0.10

/*
 * The share of the rate that more parts must gain to stay: a fixed one for the noise of a shared
 * link, and one in proportion to the parts added, for their cost.
 */
#define GAIN_MIN 0.03
#define GAIN_EACH 0.08

/* The share of the rate that fewer parts may lose. */
#define LOSS_MAX 0.02

void
parallel_init_fixed(struct parallel *p, int limit)
{
	memset(p, 0, sizeof(*p));
	p->phase = PARALLEL_FIXED;
	p->limit = p->max = limit;
}

static int
highest(const struct parallel *p, int64_t now)
{
	return now < p->ceiling_until && p->ceiling < p->max ? p->ceiling : p->max;
}

static int
bound(const struct parallel *p, int limit, int64_t now)
{
	int most = highest(p, now);

	return limit < 1 ? 1 : limit > most ? most : limit;
}

/* Returns the place of the link in the book, or -1. */
static int
find(const struct parallel_book *book, const struct parallel_link *link)
{
	int i;

	for (i = 0; i < PARALLEL_PAIRS; i++) {
		if (strcmp(book->pairs[i].source, link->source) == 0 &&
		    strcmp(book->pairs[i].destination, link->destination) == 0)
			return i;
	}
	return -1;
}

static int
oldest(const struct parallel_book *book)
{
	int i, at = 0;

	for (i = 1; i < PARALLEL_PAIRS; i++) {
		if (book->pairs[i].at < book->pairs[at].at)
			at = i;
	}
	return at;
}

/* Begins with what was learned; its worth fades. */
static void
recall(struct parallel *p, const struct parallel_pair *pair, int64_t now)
{
	int64_t age = (now - pair->at) / FADE_MS;

	p->ceiling = pair->ceiling;
	p->ceiling_until = pair->ceiling_until;
	p->ceiling_ms = pair->ceiling_ms;
	if (age == 0)
		p->limit = pair->good;
	else if (age < 6 && p->limit < pair->good >> age)
		p->limit = pair->good >> age;
	if (age == 0 && pair->grown)
		p->phase = PARALLEL_HOLD;
}

void
parallel_init(struct parallel *p, int max, const struct parallel_book *book,
    const struct parallel_link *link, int64_t now)
{
	int64_t first = 1 + link->latency / LATENCY_EACH_MS;
	int i = find(book, link);

	memset(p, 0, sizeof(*p));
	p->max = max;
	p->phase = PARALLEL_GROW;
	p->try_after = TRY_MS;
	p->limit = first < FIRST_MAX ? (int)first : FIRST_MAX;
	if (i != -1 && book->pairs[i].good > 0)
		recall(p, &book->pairs[i], now);
	p->limit = bound(p, p->limit, now);
	p->try_at = now + p->try_after;
}

/* Closes the window.  The next opens when parts have had time to start or to end. */
static void
reopen(struct parallel *p, const struct parallel_sample *sample)
{
	p->from.now = 0;
	p->open_at = sample->now + sample->latency + WARM_UP_MS;
}

/*
 * Returns true when the window is long enough to tell: *rate, in bytes a ms, and whether the worker
 * was its own limit (*saturated).
 */
static bool
measure(struct parallel *p, const struct parallel_sample *sample, double *rate, bool *saturated)
{
	int64_t elapsed = sample->now - p->from.now, bytes = sample->bytes - p->from.bytes;
	int64_t least = 2 * sample->latency > WINDOW_MS ? 2 * sample->latency : WINDOW_MS;

	if (sample->busy != p->limit || bytes < 0 || p->open_at == 0) {
		reopen(p, sample);
		return false;
	}
	if (p->from.now == 0) {
		if (sample->now >= p->open_at)
			p->from = *sample;
		return false;
	}
	if (elapsed < least ||
	    (bytes < (int64_t)p->limit * WINDOW_BYTES && elapsed < WINDOW_MAX_MS))
		return false;
	*rate = (double)bytes / (double)elapsed;
	*saturated =
	    (double)(sample->idle_us - p->from.idle_us) / 1000.0 < IDLE_MIN * (double)elapsed;
	p->from = *sample;
	return true;
}

static void
set_limit(struct parallel *p, int limit, const struct parallel_sample *sample)
{
	p->limit = limit;
	reopen(p, sample);
}

static void
note_good(struct parallel *p, double rate)
{
	p->good = p->limit;
	p->good_rate = rate;
}

static void
hold(struct parallel *p, const struct parallel_sample *sample)
{
	p->phase = PARALLEL_HOLD;
	p->try_at = sample->now + p->try_after;
}

static bool
gained(const struct parallel *p, double rate)
{
	double more = (double)(p->limit - p->good) / (double)p->good;

	return rate >= p->good_rate * (1.0 + GAIN_MIN + GAIN_EACH * more);
}

static void
grow(struct parallel *p, const struct parallel_sample *sample, double rate, bool saturated)
{
	int next;

	if (p->good_rate > 0 && p->limit > p->good && !gained(p, rate)) {
		p->down = true;
		set_limit(p, p->good, sample);
		hold(p, sample);
		return;
	}
	note_good(p, rate);
	next = bound(p, 2 * p->limit, sample->now);
	if (saturated || next <= p->limit)
		hold(p, sample);
	else
		set_limit(p, next, sample);
}

static void
try(struct parallel *p, const struct parallel_sample *sample, bool saturated)
{
	int step = p->limit / 4 > 0 ? p->limit / 4 : 1;
	int up = bound(p, p->limit + step, sample->now),
	    down = bound(p, p->limit - step, sample->now);
	int next = p->down ? down : up;

	/* if there is no way down, try up, and the other way round */
	if (p->down && down == p->limit && !saturated)
		next = up;
	else if (!p->down && (saturated || up == p->limit))
		next = down;
	if (next == p->limit) {
		hold(p, sample);
		return;
	}
	p->phase = PARALLEL_TRY;
	set_limit(p, next, sample);
}

static void
tried(struct parallel *p, const struct parallel_sample *sample, double rate)
{
	bool down = p->limit < p->good;

	if (down ? rate >= p->good_rate * (1.0 - LOSS_MAX) : gained(p, rate)) {
		note_good(p, rate);
		p->down = down;
		p->try_after = TRY_MS;
	} else {
		set_limit(p, bound(p, p->good, sample->now), sample);
		p->down = !down;
		p->try_after = p->try_after * 2 < TRY_MAX_MS ? p->try_after * 2 : TRY_MAX_MS;
	}
	hold(p, sample);
}

bool
parallel_take(struct parallel *p, const struct parallel_sample *sample)
{
	int limit = p->limit;
	bool saturated;
	double rate;

	if (p->phase == PARALLEL_FIXED || !measure(p, sample, &rate, &saturated))
		return false;
	switch (p->phase) {
	case PARALLEL_FIXED:
		break;
	case PARALLEL_GROW:
		grow(p, sample, rate, saturated);
		break;
	case PARALLEL_HOLD:
		/* links change, so the latest windows count most */
		note_good(
		    p, p->good_rate > 0 && p->good == p->limit ? (p->good_rate + rate) / 2 : rate);
		if (sample->now >= p->try_at)
			try(p, sample, saturated);
		break;
	case PARALLEL_TRY:
		tried(p, sample, rate);
		break;
	}
	return p->limit != limit;
}

int64_t
parallel_due(const struct parallel *p, int64_t now)
{
	int64_t at = p->from.now == 0 ? p->open_at : p->from.now + WINDOW_MS;

	if (p->phase == PARALLEL_FIXED)
		return 0;
	/* look again at a window that holds too little yet */
	return at > now ? at : now + WINDOW_MS / 2;
}

void
parallel_throttled(struct parallel *p, int busy, int64_t begun, int64_t now)
{
	int had = busy < p->limit ? busy : p->limit;

	if (p->phase == PARALLEL_FIXED || (p->halved_at != 0 && begun <= p->halved_at))
		return;
	if (p->ceiling_ms == 0 || now > p->ceiling_until + CEILING_MAX_MS)
		p->ceiling_ms = CEILING_MS;
	else if (now >= p->ceiling_until)
		p->ceiling_ms =
		    p->ceiling_ms * 2 < CEILING_MAX_MS ? p->ceiling_ms * 2 : CEILING_MAX_MS;
	p->ceiling = had > 1 ? had - 1 : 1;
	p->ceiling_until = now + p->ceiling_ms;
	p->halved_at = now;
	p->limit = had > 1 ? had / 2 : 1;
	p->good = p->limit;
	p->good_rate = 0;
	p->phase = PARALLEL_HOLD;
	p->down = false;
	p->try_after = TRY_MS;
	p->try_at = now + p->try_after;
	p->from.now = 0;
	p->open_at = now + HALVED_MS;
}

void
parallel_remember(const struct parallel *p, struct parallel_book *book,
    const struct parallel_link *link, int64_t now)
{
	struct parallel_pair *pair;
	int i = find(book, link);

	if (p->phase == PARALLEL_FIXED || p->good == 0)
		return;
	pair = &book->pairs[i != -1 ? i : oldest(book)];
	strlcpy(pair->source, link->source, sizeof(pair->source));
	strlcpy(pair->destination, link->destination, sizeof(pair->destination));
	pair->good = p->good;
	pair->grown = p->phase != PARALLEL_GROW;
	pair->ceiling = p->ceiling;
	pair->ceiling_until = p->ceiling_until;
	pair->ceiling_ms = p->ceiling_ms;
	pair->at = now;
}
