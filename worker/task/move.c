#include "worker/task/move.h"

#include <inttypes.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "worker/base/memory.h"
#include "worker/http/send.h"
#include "worker/event/loop.h"
#include "worker/transfer/blame.h"
#include "worker/transfer/checkpoint.h"
#include "worker/transfer/parts.h"
#include "worker/pipe/pipe.h"
#include "worker/task/bounds.h"

int64_t
move_in_flight(const struct transfer *t)
{
	int64_t bytes = 0;
	int i;

	for (i = 0; i < t->npipes; i++) {
		if (t->pipes[i]->state == PIPE_BUSY)
			bytes += t->pipes[i]->writer.taken;
	}
	return bytes;
}

/* The number of the next part that is left, 0 if there is none. */
static int
next_left(struct transfer *t)
{
	while (t->next_part <= t->nparts && t->parts[t->next_part - 1].state != PART_LEFT)
		t->next_part++;
	return t->next_part <= t->nparts ? t->next_part : 0;
}

static int
count_busy(const struct transfer *t)
{
	int i, busy = 0;

	for (i = 0; i < t->npipes; i++)
		busy += t->pipes[i]->state == PIPE_BUSY;
	return busy;
}

static void
feed(struct transfer *t, struct pipe *p, int number, int64_t now)
{
	t->parts[number - 1].state = PART_BUSY;
	pipe_begin(p, transfer_has_parts(t) ? number : 0, transfer_part_offset(t, number),
	    transfer_part_size(t, number), now);
}

static void
finish_part(struct transfer *t, struct pipe *p)
{
	bool numbered = transfer_has_parts(t);
	int number = numbered ? p->number : 1;

	p->state = PIPE_IDLE;
	blame_served(t);
	parts_take(t, number, p->writer.crc64, p->writer.etag);
	if (p->writer.framed)
		parts_take_crc32c(t, number, p->writer.crc32c);
	if (numbered)
		checkpoint_part(t, number);
	else if (p->writer.has_server_crc64)
		t->outcome.has_server_crc64 = true;
}

/* Breaks a part off; another pipe begins it again later. */
static void
give_back(struct transfer *t, struct pipe *p)
{
	pipe_return(p);
	t->parts[p->number - 1].state = PART_LEFT;
	if (p->number < t->next_part)
		t->next_part = p->number;
	p->state = PIPE_IDLE;
}

/*
 * A store has throttled this pipe: from now on fewer parts are in flight.  If there is one too many
 * now, this one is given back.
 */
static void
slow_down(struct transfer *t, struct pipe *p, int64_t now)
{
	int busy = count_busy(t) + (p->state == PIPE_FAILED), limit = t->parallel.limit;

	p->throttled = 0;
	parallel_throttled(&t->parallel, busy, p->begun_at, now);
	if (t->parallel.limit < limit)
		task_log(t->task, LOG_INFO, ": throttled with %d parts in flight, now %d at most",
		    busy, t->parallel.limit);
	if (busy <= t->parallel.limit || !transfer_has_parts(t))
		return;
	/* only the source throttles: what was sent of the part so far is worth keeping */
	if (p->state == PIPE_BUSY && p->retry_at == 0 && p->writer.taken > 0)
		return;
	give_back(t, p);
}

/* Makes a pipe only when a part is left for it.  Frees idle pipes above the limit. */
static void
fill(struct transfer *t, int64_t now)
{
	int busy = count_busy(t), number, i;

	for (i = 0; i < t->npipes; i++) {
		if (t->pipes[i]->state != PIPE_IDLE)
			continue;
		if (busy < t->parallel.limit && (number = next_left(t)) != 0) {
			feed(t, t->pipes[i], number, now);
			busy++;
		} else if (t->npipes > t->parallel.limit) {
			pipe_release(t->pipes[i]);
			memory_free(t->pipes[i]);
			t->pipes[i--] = t->pipes[--t->npipes];
		}
	}
	while (busy < t->parallel.limit && t->npipes < t->parallel.max &&
	       (number = next_left(t)) != 0) {
		t->pipes[t->npipes] = memory_buffer(sizeof(*t->pipes[0]));
		pipe_init(t->pipes[t->npipes], t);
		feed(t, t->pipes[t->npipes++], number, now);
		busy++;
	}
	if (busy > t->most_in_flight)
		t->most_in_flight = busy;
}

/* What both stores take to answer, in ms. */
static int64_t
latency(const struct transfer *t)
{
	return (t->source.store->answer_us + t->destination.store->answer_us) / 1000;
}

/*
 * Bytes that the destination has.  Bytes in the buffers of our connections do not count: more
 * connections fill more buffers, and that is no throughput.
 */
static int64_t
count_arrived(const struct transfer *t)
{
	bool file = transfer_to_file(t);
	int64_t bytes = t->bytes_done;
	int i;

	for (i = 0; i < t->npipes; i++) {
		if (t->pipes[i]->state == PIPE_BUSY)
			bytes += file ? t->pipes[i]->writer.taken
				      : http_arrived(&t->pipes[i]->writer.put);
	}
	return bytes;
}

static void
adapt(struct transfer *t, int64_t now, int64_t *wake)
{
	struct parallel_sample sample = {
		.now = now, .idle_us = t->w->idle_us, .latency = latency(t), .busy = count_busy(t)
	};

	if (t->parallel.phase == PARALLEL_FIXED)
		return;
	/*
	 * count_arrived() asks the kernel, so not in each turn.  A number in flight other than the
	 * limit is reported at once.
	 */
	if (now >= t->sample_at || sample.busy != t->parallel.limit) {
		sample.bytes = count_arrived(t);
		if (parallel_take(&t->parallel, &sample))
			task_log(t->task, LOG_DEBUG,
			    ": %d parts in flight at most; %" PRId64 " KiB/s with %d",
			    t->parallel.limit, (int64_t)(t->parallel.good_rate * 1000 / 1024),
			    t->parallel.good);
		t->sample_at = parallel_due(&t->parallel, now);
	}
	*wake = clock_earlier(*wake, t->sample_at);
}

/* Moves all pipes along.  True when no part is left, or a pipe has failed. */
static bool
turn(void *arg, int64_t *wake)
{
	struct transfer *t = arg;
	int64_t now = clock_ms();
	struct pipe *p;
	int i;

	fill(t, now);
	for (i = 0; i < t->npipes; i++) {
		p = t->pipes[i];
		pipe_run(p, now, wake);
		if (p->throttled > 0)
			slow_down(t, p, now);
		if (p->state == PIPE_DONE)
			finish_part(t, p);
		if (p->state == PIPE_FAILED) {
			t->failure = p->failure;
			return true;
		}
	}
	if (bounds_check_pace(t, t->bytes_done + move_in_flight(t), now, wake) == -1)
		return true;
	adapt(t, now, wake);
	if (count_busy(t) < t->parallel.limit && next_left(t) != 0)
		*wake = now;
	return t->parts_done == t->nparts;
}

/*
 * One stream after a worker was killed for memory, and for a source without ranges, which can only
 * be read from its beginning.
 */
static void
begin(struct transfer *t, const struct parallel_link *link)
{
	const struct config_worker *conf = &t->w->setup->config.worker;
	bool one = t->task->frugal || !t->source.ranges;

	if (one || conf->streams > 0)
		parallel_init_fixed(&t->parallel, one ? 1 : conf->streams);
	else
		parallel_init(
		    &t->parallel, config_streams_most(conf), &t->w->parallel, link, clock_ms());
	t->pipes = memory_alloc((size_t)t->parallel.max * sizeof(struct pipe *));
}

static void
release_pipes(struct transfer *t)
{
	while (t->npipes > 0) {
		pipe_release(t->pipes[--t->npipes]);
		memory_free(t->pipes[t->npipes]);
	}
	memory_free(t->pipes);
	t->pipes = NULL;
}

int
move_parts(struct transfer *t)
{
	const struct parallel_link link = {
		.source = t->source.store->conf.name,
		.destination = t->destination.store->conf.name,
		.latency = latency(t),
	};
	enum loop_end end;

	if (t->parts_done == t->nparts)
		return 0;
	begin(t, &link);
	end = loop_wait(t->w, turn, t, 0);
	parallel_remember(&t->parallel, &t->w->parallel, &link, clock_ms());
	release_pipes(t);
	return end == LOOP_INTERRUPTED || t->failure.class != CLASS_NONE ? -1 : 0;
}
