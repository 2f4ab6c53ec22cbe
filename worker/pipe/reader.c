#include "worker/pipe/reader.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "worker/http/answer.h"
#include "worker/http/request.h"
#include "worker/endpoint/file.h"

#define PAUSE_MAX_MS 50000 /* RGW cuts a reader off after 65 s */
#define SLICE (512 << 10) /* bytes of a file that one turn reads */

void
reader_init(struct reader *r, struct worker *w, struct source *source, struct ring *ring,
    enum http_buffers buffers)
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
	r->source->ranges = !r->source->whole; /* until the answer says otherwise */
	reader_begin(r, 0, most, now);
	r->opening = true;
}

/* The head of the first answer pins the source, and says where the range ends. */
static enum http_verdict
take_pin(struct reader *r)
{
	struct http_request *get = &r->get;

	switch (source_pin_answer(r->source, get, &get->refused)) {
	case SOURCE_PINNED:
		break;
	case SOURCE_FAILED:
		return HTTP_REFUSE;
	default:
		return HTTP_ENOUGH;
	}
	if (!r->source->ranges || r->source->pin.size < r->end)
		r->end = r->source->pin.size;
	r->get_end = r->end;
	r->opening = false;
	r->opened = true;
	return HTTP_TAKEN;
}

/* Holds the head of an answer against the pin, or makes the pin. */
static enum http_verdict
take_head(struct reader *r)
{
	struct http_request *get = &r->get;
	enum http_verdict verdict;

	if (r->opening)
		verdict = take_pin(r);
	else
		verdict = source_check_answer(r->source, get, &get->refused) == -1 ? HTTP_REFUSE
										   : HTTP_TAKEN;
	r->checked = verdict == HTTP_TAKEN;
	if (r->checked)
		r->redirects = 0;
	return verdict;
}

/* True if every byte of the GET under way has come. */
static bool
has_all(const struct reader *r)
{
	return r->get_end >= 0 && r->offset == r->get_end;
}

/* True if the GET that opened the source also serves a part from first to end. */
static bool
goes_on(struct reader *r, int64_t first, int64_t end)
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
	if (goes_on(r, first, end)) {
		r->moved_at = now;
		return;
	}
	/* without ranges, one GET serves all parts one after the other */
	if (!r->source->ranges) {
		end = r->source->pin.size;
		if ((r->reading || r->ended) && r->offset - (int64_t)ring_used(r->ring) == first) {
			r->moved_at = now;
			return;
		}
	}
	reader_drop(r);
	ring_clear(r->ring);
	r->offset = first;
	r->end = end;
	r->opened = r->overlong = false;
	r->ended = end >= 0 && first >= end;
	patience_begin(&r->patience, first);
	r->turned_at = -1;
	r->redirects = 0;
	r->retry_at = 0;
	r->moved_at = now;
}

void
reader_again(struct reader *r, int64_t at)
{
	if (r->offset == r->get_first)
		source_turn_back(r->source, r->asked);
	reader_drop(r);
	r->retry_at = at;
}

bool
reader_is_sure(const struct reader *r, int64_t until)
{
	return r->offset > until || (r->offset == until && r->ended);
}

/* The room that the ring must have before a GET goes on: one read may bring as much. */
static size_t
room_wanted(const struct reader *r)
{
	static const size_t most_of[] = {
		[BUFFERS_NORMAL] = WORKER_RECV_BUFFER,
		[BUFFERS_LARGE] = 2 * WORKER_RECV_BUFFER,
		[BUFFERS_SMALL] = 64 << 10,
	};
	size_t most = most_of[r->buffers];

	return most < r->ring->size / 2 ? most : r->ring->size / 2;
}

/* Leaves out bytes that were read before.  Returns how many of len remain. */
static size_t
leave_out(struct reader *r, size_t len)
{
	size_t n = (int64_t)len < r->skip ? len : (size_t)r->skip;

	r->skip -= (int64_t)n;
	return len - n;
}

/* Bytes count against the rate of the source's store and of the queue as they are read. */
static int64_t
wait_for_rates(struct reader *r, int64_t now)
{
	int64_t store = rate_wait(&r->source->store->rate, now),
		queue = rate_wait(&r->w->queue_rate, now);

	return store > queue ? store : queue;
}

static void
spend_rates(struct reader *r, int64_t bytes)
{
	rate_spend(&r->source->store->rate, bytes);
	rate_spend(&r->w->queue_rate, bytes);
}

static enum http_verdict
on_body(struct http_request *get, const char *buf, size_t len)
{
	struct reader *r = get->arg;
	enum http_verdict verdict;
	size_t wanted;

	if (!r->checked && (verdict = take_head(r)) != HTTP_TAKEN)
		return verdict;
	r->moved_at = clock_ms();
	/* all of buf or nothing: after a pause it comes again, and skip must not count it twice */
	if (r->skip < (int64_t)len && len - (size_t)r->skip > ring_room(r->ring)) {
		r->paused = true;
		r->paused_at = r->moved_at;
		return HTTP_PAUSE;
	}
	wanted = leave_out(r, len);
	if (r->get_end >= 0 && (int64_t)wanted > r->get_end - r->offset) {
		r->overlong = true;
		if (r->source->ranges)
			failure_set(
			    &get->refused, CLASS_TRANSIENT, "more bytes than the range has");
		else
			failure_set(&get->refused, CLASS_SOURCE_CHANGED,
			    "source changed: more bytes than it had");
		return HTTP_REFUSE;
	}
	ring_write(r->ring, buf + (len - wanted), wanted);
	r->offset += (int64_t)wanted;
	spend_rates(r, (int64_t)len);
	/* after the last byte there is no pause: libcurl must see the end of the body */
	if (!has_all(r) &&
	    (ring_room(r->ring) < room_wanted(r) || wait_for_rates(r, r->moved_at) != 0)) {
		r->paused = true;
		r->paused_at = r->moved_at;
		http_hold(get);
	}
	return HTTP_TAKEN;
}

bool
reader_may_read(const struct reader *r, int64_t first)
{
	return first == 0 || pin_holds(&r->source->pin);
}

/*
 * Every byte has come, of answers that were the pinned object's: how the last of them ended does
 * not matter.  A GET of no bytes would be refused, as if the source had changed.
 */
static int
end_without_get(struct reader *r, struct failure *f)
{
	if (r->overlong)
		return failure_set(
		    f, CLASS_TRANSIENT, "source: the body of an answer was longer than its range");
	r->ended = true;
	return 0;
}

static int
start(struct reader *r, int64_t now, struct failure *f)
{
	if (r->end >= 0 && r->offset >= r->end)
		return end_without_get(r, f);
	if (!reader_may_read(r, r->offset))
		return failure_set(f, CLASS_TRANSIENT,
		    "source: nothing pins it, so that it "
		    "cannot be read on from the middle");
	source_prepare_get(r->source, &r->get, r->offset, r->end - 1);
	r->get.on_body = on_body;
	r->get.arg = r;
	r->get.buffers = r->buffers;
	r->get_first = r->offset;
	r->get_end = r->end;
	r->asked = r->source->moves;
	r->skip = r->source->ranges ? 0 : r->offset;
	r->checked = r->paused = false;
	r->retry_at = 0;
	r->moved_at = now;
	if (http_start(r->w->http, &r->get, f) == -1)
		return -1;
	r->reading = true;
	return 0;
}

/* The GET is done, and its answer leads to another URL. */
static int
follow(struct reader *r, struct failure *f)
{
	const struct source_hop hop = { r->w, r->source, &r->redirects };
	int rc = source_follow(&hop, &r->get, f);

	reader_drop(r);
	return rc;
}

/* True if the task's own URL is to be asked after this failure, at once. */
static bool
turns_back(struct reader *r, const struct failure *f)
{
	bool refused = f->status >= 400 && f->status < 500 &&
		       (f->class == CLASS_CREDENTIALS || f->class == CLASS_PERMANENT);

	if (!refused || r->turned_at == r->offset || !reader_may_read(r, r->offset) ||
	    !source_turn_back(r->source, r->asked))
		return false;
	r->turned_at = r->offset;
	return true;
}

/* The answer has ended well. */
static int
take_end(struct reader *r, struct failure *f)
{
	if (!r->checked && source_check_answer(r->source, &r->get, f) == -1)
		return -1;
	if (r->get_end >= 0 && r->offset < r->get_end)
		return http_failure(&r->get, f, CLASS_TRANSIENT,
		    "the body ended %" PRId64 " bytes early", r->get_end - r->offset);
	/* the range of the GET that opened the source may be smaller than a part: read on */
	if (r->end < 0 || r->offset == r->end) {
		r->end = r->offset;
		r->ended = true;
	}
	return 0;
}

/* The GET is done.  Unless the reader has ended, another one follows. */
static int
finish_get(struct reader *r, struct failure *f)
{
	int rc;

	if (r->source->is_url && http_redirect(&r->get) != NULL)
		return follow(r, f);
	rc = http_result(&r->get, f);
	r->reading = r->paused = false;
	if (rc == 0)
		rc = take_end(r, f);
	else if (turns_back(r, f))
		rc = 0;
	http_release(&r->get);
	return rc;
}

bool
reader_watch_pause(struct reader *r, int64_t now)
{
	if (!r->reading || !r->paused || http_is_done(&r->get) || !r->source->ranges ||
	    has_all(r) || now - r->paused_at <= PAUSE_MAX_MS)
		return false;
	reader_drop(r);
	return true;
}

static void
go_on(struct reader *r, int64_t now, int64_t *wake)
{
	r->paused = false;
	r->moved_at = now;
	http_unpause(&r->get);
	/* unpausing itself may have ended the request */
	if (http_is_done(&r->get))
		*wake = now;
}

static void
unpause(struct reader *r, int64_t now, int64_t *wake)
{
	int64_t at = wait_for_rates(r, now);

	/*
	 * libcurl gives a body in slices, and the last slices come although an earlier slice has
	 * paused the GET.  Only the end of the answer is missing, which needs no room.
	 */
	if (has_all(r)) {
		go_on(r, now, wake);
		return;
	}
	/* then another GET continues once there is room */
	if (reader_watch_pause(r, now))
		return;
	*wake = clock_earlier(*wake, r->paused_at + PAUSE_MAX_MS + 1);
	if (ring_room(r->ring) < room_wanted(r))
		return;
	if (at != 0) {
		r->moved_at = now;
		*wake = clock_earlier(*wake, at);
		return;
	}
	go_on(r, now, wake);
}

static int
run_file(struct reader *r, int64_t now, int64_t *wake, struct failure *f)
{
	int64_t left = r->end - r->offset, due = wait_for_rates(r, now);
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
	if (room > SLICE)
		room = SLICE;
	if ((int64_t)room > left)
		room = (size_t)left;
	n = left > 0 ? pread(r->source->fd, at, room, r->offset) : 0;
	if (n == -1)
		return errno == EINTR ? 0 : source_fail_file(r->source, f);
	if (n == 0 && left > 0)
		return failure_set(
		    f, CLASS_SOURCE_CHANGED, "source changed: the file is shorter than it was");
	ring_produce(r->ring, (size_t)n);
	r->offset += n;
	spend_rates(r, n);
	/* the pages would count as our memory until the kernel needs them */
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
	if (r->reading) {
		if (http_is_done(&r->get) && finish_get(r, f) == -1)
			return -1;
		if (r->ended)
			return 0;
		if (r->paused)
			unpause(r, now, wake);
		if (r->reading)
			return 0;
	}
	if (r->retry_at > now) {
		r->moved_at = now;
		*wake = clock_earlier(*wake, r->retry_at);
		return 0;
	}
	if (r->source->is_file)
		return run_file(r, now, wake, f);
	if (ring_room(r->ring) < room_wanted(r) && r->offset != r->end)
		return 0;
	return start(r, now, f);
}
