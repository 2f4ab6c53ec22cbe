/*
 * From the source into the ring.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "worker/file.h"
#include "worker/reader.h"

#define READER_PAUSE_MAX_MS 50000 /* RGW cuts a reader off after 65 s */
#define READER_SLICE (512 << 10)  /* of a file, a turn */

void
reader_init(struct reader *r, struct worker *w, struct source *source, struct ring *ring, enum http_buffers buffers)
{
	memset(r, 0, offsetof(struct reader, get));
	r->w = w;
	r->source = source;
	r->ring = ring;
	r->buffers = buffers;
	http_prepare(&r->get, source->store, OP_GET);
}

void
reader_drop(struct reader *r)
{
	http_release(&r->get);
	r->reading = r->paused = false;
}

void
reader_open(struct reader *r, int64_t most, int64_t now)
{
	r->source->ranges = true; /* until the answer says otherwise */
	reader_begin(r, 0, most, now);
	r->opening = true;
}

/* What is known of the source now says where its first GET ends. */
static int
reader_pin(struct reader *r)
{
	struct http_request *get = &r->get;

	if (source_pin_answer(r->source, get, &get->refused) == -1)
		return -1;
	if (!r->source->ranges || r->source->size < r->end)
		r->end = r->source->size;
	r->get_end = r->end;
	r->opening = false;
	r->opened = true;
	return 0;
}

/* True if the GET that opened the source is also that of a part from first to end. */
static bool
reader_goes_on(struct reader *r, int64_t first, int64_t end)
{
	if (!r->opened || first != 0 || (r->source->ranges && end < r->end))
		return false;
	if (r->source->ranges)
		r->end = end;
	r->opened = false;
	return true;
}

void
reader_begin(struct reader *r, int64_t first, int64_t end, int64_t now)
{
	if (reader_goes_on(r, first, end)) {
		r->moved_at = now;
		return;
	}
	/* without ranges one GET serves all parts in turn */
	if (!r->source->ranges) {
		end = r->source->size;
		if ((r->reading || r->ended) && r->offset - (int64_t)ring_used(r->ring) == first) {
			r->moved_at = now;
			return;
		}
	}
	reader_drop(r);
	ring_clear(r->ring);
	r->offset = first;
	r->end = end;
	r->opened = false;
	r->ended = end >= 0 && first >= end;
	r->retry_at = 0;
	r->moved_at = now;
}

void
reader_again(struct reader *r, int64_t at)
{
	reader_drop(r);
	r->retry_at = at;
}

bool
reader_is_sure(const struct reader *r, int64_t until)
{
	return r->offset > until || (r->offset == until && r->ended);
}

/* How much room there should be before a server is asked for more: what one read may bring. */
static size_t
reader_want(const struct reader *r)
{
	static const size_t most_of[] = {
		[BUFFERS_NORMAL] = WORKER_RECV_BUFFER,
		[BUFFERS_LARGE] = 2 * WORKER_RECV_BUFFER,
		[BUFFERS_SMALL] = 64 << 10,
	};
	size_t most = most_of[r->buffers];

	return most < r->ring->size / 2 ? most : r->ring->size / 2;
}

/* Leaves out what was had before.  Returns what is left of len. */
static size_t
reader_leave_out(struct reader *r, size_t len)
{
	size_t n = (int64_t)len < r->skip ? len : (size_t)r->skip;

	r->skip -= (int64_t)n;
	return len - n;
}

/* Bytes are counted for the source's store, and for the queue, as they are read. */
static int64_t
reader_rate_wait(struct reader *r, int64_t now)
{
	int64_t store = rate_wait(&r->source->store->rate, now), queue = rate_wait(&r->w->queue_rate, now);

	return store > queue ? store : queue;
}

static void
reader_rate_spend(struct reader *r, int64_t bytes)
{
	rate_spend(&r->source->store->rate, bytes);
	rate_spend(&r->w->queue_rate, bytes);
}

static enum http_verdict
reader_on_body(struct http_request *get, const char *buf, size_t len)
{
	struct reader *r = get->arg;
	size_t wanted;

	if (!r->checked &&
	    (r->opening ? reader_pin(r) : source_check_answer(r->source, get, r->offset, &get->refused)) == -1)
		return HTTP_REFUSE;
	r->checked = true;
	r->moved_at = clock_ms();
	/* only as much as fits goes in, and it goes in whole: nothing may be left out twice */
	if (r->skip < (int64_t)len && len - (size_t)r->skip > ring_room(r->ring)) {
		r->paused = true;
		r->paused_at = r->moved_at;
		return HTTP_PAUSE;
	}
	wanted = reader_leave_out(r, len);
	if (r->get_end >= 0 && (int64_t)wanted > r->get_end - r->offset) {
		if (r->source->ranges)
			failure_set(&get->refused, CLASS_TRANSIENT, "more bytes than the range has");
		else
			failure_set(&get->refused, CLASS_SOURCE_CHANGED, "source changed: more bytes than it had");
		return HTTP_REFUSE;
	}
	ring_write(r->ring, buf + (len - wanted), wanted);
	r->offset += (int64_t)wanted;
	reader_rate_spend(r, (int64_t)len);
	/* the last bytes must not be held: libcurl would not come to the end */
	if (r->offset != r->get_end && (ring_room(r->ring) < reader_want(r) || reader_rate_wait(r, r->moved_at) != 0)) {
		r->paused = true;
		r->paused_at = r->moved_at;
		http_hold(get);
	}
	return HTTP_TAKEN;
}

static int
reader_start(struct reader *r, int64_t now, struct failure *f)
{
	source_prepare_get(r->source, &r->get, r->offset, r->end - 1);
	r->get.on_body = reader_on_body;
	r->get.arg = r;
	r->get.buffers = r->buffers;
	r->get_end = r->end;
	r->skip = r->source->ranges ? 0 : r->offset;
	r->checked = r->paused = false;
	r->retry_at = 0;
	r->moved_at = now;
	if (http_start(r->w->http, &r->get, f) == -1)
		return -1;
	r->reading = true;
	return 0;
}

/* The GET is over. */
static int
reader_finish(struct reader *r, struct failure *f)
{
	int rc = http_result(&r->get, f);

	r->reading = r->paused = false;
	if (rc == 0 && !r->checked && (rc = source_check_answer(r->source, &r->get, r->offset, f)) == -1)
		http_failure(&r->get, f, f->class, "%s", f->text);
	if (rc == 0 && r->get_end >= 0 && r->offset < r->get_end)
		rc = http_failure(&r->get, f, CLASS_TRANSIENT, "the body ended %" PRId64 " bytes early",
		    r->get_end - r->offset);
	/* a part may be larger than the range that opened the source; then another GET brings the rest */
	if (rc == 0 && (r->end < 0 || r->offset == r->end)) {
		r->end = r->offset;
		r->ended = true;
	}
	http_release(&r->get);
	return rc;
}

bool
reader_watch_pause(struct reader *r, int64_t now)
{
	if (!r->reading || !r->paused || r->get.done || !r->source->ranges || now - r->paused_at <= READER_PAUSE_MAX_MS)
		return false;
	reader_drop(r);
	return true;
}

static void
reader_resume(struct reader *r, int64_t now, int64_t *wake)
{
	int64_t at = reader_rate_wait(r, now);

	/* taken up by another GET once there is room */
	if (reader_watch_pause(r, now))
		return;
	*wake = clock_earlier(*wake, r->paused_at + READER_PAUSE_MAX_MS + 1);
	if (ring_room(r->ring) < reader_want(r))
		return;
	if (at != 0) {
		r->moved_at = now;
		*wake = clock_earlier(*wake, at);
		return;
	}
	r->paused = false;
	r->moved_at = now;
	http_unpause(&r->get);
	/* it may have been done by the unpausing itself */
	if (r->get.done)
		*wake = now;
}

static int
reader_run_file(struct reader *r, int64_t now, int64_t *wake, struct failure *f)
{
	int64_t left = r->end - r->offset, due = reader_rate_wait(r, now);
	size_t room;
	ssize_t n;
	char *at;

	at = ring_space(r->ring, &room);
	if (room == 0)
		return 0;
	if (due != 0) {
		r->moved_at = now;
		*wake = clock_earlier(*wake, due);
		return 0;
	}
	room = rate_portion(&r->source->store->rate, rate_portion(&r->w->queue_rate, room));
	if (room > READER_SLICE)
		room = READER_SLICE;
	if ((int64_t)room > left)
		room = (size_t)left;
	n = pread(r->source->fd, at, room, r->offset);
	if (n == -1)
		return errno == EINTR ? 0 : failure_errno(f, "source");
	if (n == 0)
		return failure_set(f, CLASS_SOURCE_CHANGED, "source changed: the file is shorter than it was");
	ring_produce(r->ring, (size_t)n);
	r->offset += n;
	reader_rate_spend(r, n);
	/* it is read once, and would be charged to us until somebody needs the memory */
	file_forget_read(r->source->fd, r->offset);
	r->moved_at = now;
	if (r->offset == r->end) {
		if (source_check_file(r->source, f) == -1)
			return -1;
		r->ended = true;
	}
	*wake = now;
	return 0;
}

int
reader_run(struct reader *r, int64_t now, int64_t *wake, struct failure *f)
{
	if (r->ended)
		return 0;
	if (r->source->is_file)
		return reader_run_file(r, now, wake, f);
	if (r->reading) {
		if (r->get.done && reader_finish(r, f) == -1)
			return -1;
		if (r->ended)
			return 0;
		if (r->paused)
			reader_resume(r, now, wake);
		if (r->reading)
			return 0;
	}
	if (r->retry_at > now) {
		r->moved_at = now;
		*wake = clock_earlier(*wake, r->retry_at);
		return 0;
	}
	if (ring_room(r->ring) < reader_want(r))
		return 0;
	return reader_start(r, now, f);
}
