/*
 * The controller of parts in flight.
 */
#include <string.h>

#include "worker/streams.h"

#define STREAMS_FIRST_MAX 16
#define STREAMS_LATENCY_EACH 10 /* ms of latency that one stream more hides at first */
#define STREAMS_SETTLE_MS 30	/* besides the latency, before a window opens */
#define STREAMS_WINDOW_MS 100
#define STREAMS_WINDOW_MAX_MS 10000
#define STREAMS_WINDOW_BYTES (1 << 20) /* of each stream: less may be what buffers swallow at once */
#define STREAMS_TRY_MS 1000
#define STREAMS_TRY_MAX_MS 60000
#define STREAMS_HALVED_MS 400 /* until what is in flight is what is allowed */
#define STREAMS_CEILING_MS 10000
#define STREAMS_CEILING_MAX_MS 60000
#define STREAMS_FADE_MS 60000 /* what was learned is worth half as much after each of these */

/* Waiting for less than that share of the time, a worker is its own limit. */
#define STREAMS_IDLE_MIN 0.10

/* What more streams must gain to stay, in shares of what there is: some for the noise of a shared link, and for the cost. */
#define STREAMS_GAIN_MIN 0.03
#define STREAMS_GAIN_EACH 0.08
#define STREAMS_LOSS_MAX 0.02

void
streams_init_fixed(struct streams *s, int limit)
{
	memset(s, 0, sizeof(*s));
	s->phase = STREAMS_FIXED;
	s->limit = s->max = limit;
}

static int
streams_most(const struct streams *s, int64_t now)
{
	return now < s->ceiling_until && s->ceiling < s->max ? s->ceiling : s->max;
}

static int
streams_bound(const struct streams *s, int limit, int64_t now)
{
	int most = streams_most(s, now);

	return limit < 1 ? 1 : limit > most ? most : limit;
}

/* The pair's place in the book, or the one to be given up for it; -1 without create. */
static int
streams_find(const struct streams_book *book, const char *source, const char *destination, bool create)
{
	int i, oldest = 0;

	for (i = 0; i < STREAMS_PAIRS; i++) {
		if (strcmp(book->pairs[i].source, source) == 0 && strcmp(book->pairs[i].destination, destination) == 0)
			return i;
		if (book->pairs[i].at < book->pairs[oldest].at)
			oldest = i;
	}
	return create ? oldest : -1;
}

void
streams_init(struct streams *s, int max, int64_t latency, const struct streams_book *book, const char *source,
    const char *destination, int64_t now)
{
	int64_t first = 1 + latency / STREAMS_LATENCY_EACH, age;
	int i = streams_find(book, source, destination, false);

	memset(s, 0, sizeof(*s));
	s->max = max;
	s->phase = STREAMS_GROW;
	s->try_after = STREAMS_TRY_MS;
	s->limit = first < STREAMS_FIRST_MAX ? (int)first : STREAMS_FIRST_MAX;
	if (i != -1 && book->pairs[i].good > 0) {
		age = (now - book->pairs[i].at) / STREAMS_FADE_MS;
		s->ceiling = book->pairs[i].ceiling;
		s->ceiling_until = book->pairs[i].ceiling_until;
		s->ceiling_ms = book->pairs[i].ceiling_ms;
		if (age == 0)
			s->limit = book->pairs[i].good;
		else if (age < 6 && s->limit < book->pairs[i].good >> age)
			s->limit = book->pairs[i].good >> age;
		if (age == 0 && book->pairs[i].grown)
			s->phase = STREAMS_HOLD;
	}
	s->limit = streams_bound(s, s->limit, now);
	s->try_at = now + s->try_after;
}

/* The window that was open is void; the next opens when streams have had time to start or to end. */
static void
streams_reopen(struct streams *s, const struct streams_sample *sample)
{
	s->from.now = 0;
	s->open_at = sample->now + sample->latency + STREAMS_SETTLE_MS;
}

/* True once the window is long enough to say something; *rate, and whether the worker was its own limit. */
static bool
streams_measure(struct streams *s, const struct streams_sample *sample, double *rate, bool *saturated)
{
	int64_t elapsed = sample->now - s->from.now, bytes = sample->bytes - s->from.bytes;
	int64_t least = 2 * sample->latency > STREAMS_WINDOW_MS ? 2 * sample->latency : STREAMS_WINDOW_MS;

	if (sample->busy != s->limit || bytes < 0 || s->open_at == 0) {
		streams_reopen(s, sample);
		return false;
	}
	if (s->from.now == 0) {
		if (sample->now >= s->open_at)
			s->from = *sample;
		return false;
	}
	if (elapsed < least || (bytes < (int64_t)s->limit * STREAMS_WINDOW_BYTES && elapsed < STREAMS_WINDOW_MAX_MS))
		return false;
	*rate = (double)bytes / (double)elapsed;
	*saturated = (double)(sample->idle_us - s->from.idle_us) / 1000.0 < STREAMS_IDLE_MIN * (double)elapsed;
	s->from = *sample;
	return true;
}

static void
streams_set(struct streams *s, int limit, const struct streams_sample *sample)
{
	s->limit = limit;
	streams_reopen(s, sample);
}

static void
streams_is_good(struct streams *s, double rate)
{
	s->good = s->limit;
	s->good_rate = rate;
}

static void
streams_hold(struct streams *s, const struct streams_sample *sample)
{
	s->phase = STREAMS_HOLD;
	s->try_at = sample->now + s->try_after;
}

static bool
streams_gained(const struct streams *s, double rate)
{
	double more = (double)(s->limit - s->good) / (double)s->good;

	return rate >= s->good_rate * (1.0 + STREAMS_GAIN_MIN + STREAMS_GAIN_EACH * more);
}

static void
streams_grow(struct streams *s, const struct streams_sample *sample, double rate, bool saturated)
{
	int next;

	if (s->good_rate > 0 && s->limit > s->good && !streams_gained(s, rate)) {
		s->down = true;
		streams_set(s, s->good, sample);
		streams_hold(s, sample);
		return;
	}
	streams_is_good(s, rate);
	next = streams_bound(s, 2 * s->limit, sample->now);
	if (saturated || next <= s->limit)
		streams_hold(s, sample);
	else
		streams_set(s, next, sample);
}

static void
streams_try(struct streams *s, const struct streams_sample *sample, bool saturated)
{
	int step = s->limit / 4 > 0 ? s->limit / 4 : 1;
	int up = streams_bound(s, s->limit + step, sample->now), down = streams_bound(s, s->limit - step, sample->now);
	int next = s->down ? down : up;

	/* where one way is closed the other is tried */
	if (s->down && down == s->limit && !saturated)
		next = up;
	else if (!s->down && (saturated || up == s->limit))
		next = down;
	if (next == s->limit) {
		streams_hold(s, sample);
		return;
	}
	s->phase = STREAMS_TRY;
	streams_set(s, next, sample);
}

static void
streams_tried(struct streams *s, const struct streams_sample *sample, double rate)
{
	bool down = s->limit < s->good;

	if (down ? rate >= s->good_rate * (1.0 - STREAMS_LOSS_MAX) : streams_gained(s, rate)) {
		streams_is_good(s, rate);
		s->down = down;
		s->try_after = STREAMS_TRY_MS;
	} else {
		streams_set(s, streams_bound(s, s->good, sample->now), sample);
		s->down = !down;
		s->try_after = s->try_after * 2 < STREAMS_TRY_MAX_MS ? s->try_after * 2 : STREAMS_TRY_MAX_MS;
	}
	streams_hold(s, sample);
}

bool
streams_take(struct streams *s, const struct streams_sample *sample)
{
	int limit = s->limit;
	bool saturated;
	double rate;

	if (s->phase == STREAMS_FIXED || !streams_measure(s, sample, &rate, &saturated))
		return false;
	switch (s->phase) {
	case STREAMS_FIXED:
		break;
	case STREAMS_GROW:
		streams_grow(s, sample, rate, saturated);
		break;
	case STREAMS_HOLD:
		/* a link changes: the latest windows count most */
		streams_is_good(s, s->good_rate > 0 && s->good == s->limit ? (s->good_rate + rate) / 2 : rate);
		if (sample->now >= s->try_at)
			streams_try(s, sample, saturated);
		break;
	case STREAMS_TRY:
		streams_tried(s, sample, rate);
		break;
	}
	return s->limit != limit;
}

int64_t
streams_due(const struct streams *s, int64_t now)
{
	int64_t at = s->from.now == 0 ? s->open_at : s->from.now + STREAMS_WINDOW_MS;

	if (s->phase == STREAMS_FIXED)
		return 0;
	/* a window that has too little in it yet is looked at again */
	return at > now ? at : now + STREAMS_WINDOW_MS / 2;
}

void
streams_throttled(struct streams *s, int busy, int64_t begun, int64_t now)
{
	int had = busy < s->limit ? busy : s->limit;

	if (s->phase == STREAMS_FIXED || (s->halved_at != 0 && begun <= s->halved_at))
		return;
	if (s->ceiling_ms == 0 || now > s->ceiling_until + STREAMS_CEILING_MAX_MS)
		s->ceiling_ms = STREAMS_CEILING_MS;
	else if (now >= s->ceiling_until)
		s->ceiling_ms = s->ceiling_ms * 2 < STREAMS_CEILING_MAX_MS ? s->ceiling_ms * 2 : STREAMS_CEILING_MAX_MS;
	s->ceiling = had > 1 ? had - 1 : 1;
	s->ceiling_until = now + s->ceiling_ms;
	s->halved_at = now;
	s->limit = had > 1 ? had / 2 : 1;
	s->good = s->limit;
	s->good_rate = 0;
	s->phase = STREAMS_HOLD;
	s->down = false;
	s->try_after = STREAMS_TRY_MS;
	s->try_at = now + s->try_after;
	s->from.now = 0;
	s->open_at = now + STREAMS_HALVED_MS;
}

void
streams_remember(const struct streams *s, struct streams_book *book, const char *source, const char *destination,
    int64_t now)
{
	int i;

	if (s->phase == STREAMS_FIXED || s->good == 0)
		return;
	i = streams_find(book, source, destination, true);
	strlcpy(book->pairs[i].source, source, sizeof(book->pairs[i].source));
	strlcpy(book->pairs[i].destination, destination, sizeof(book->pairs[i].destination));
	book->pairs[i].good = s->good;
	book->pairs[i].grown = s->phase != STREAMS_GROW;
	book->pairs[i].ceiling = s->ceiling;
	book->pairs[i].ceiling_until = s->ceiling_until;
	book->pairs[i].ceiling_ms = s->ceiling_ms;
	book->pairs[i].at = now;
}
