#include "worker/transfer/plan.h"

#include <inttypes.h>

#include "worker/transfer/destination.h"
#include "worker/transfer/limits.h"
#include "worker/transfer/parts.h"

#define ROUND (1 << 20)
#define WHOLE_MAX (16 << 20) /* one PUT saves the requests that begin and complete an upload */
#define SIZE_MIN (5 << 20)
#define SIZE_MAX_WANTED (80 << 20) /* a crash loses as much in each stream */
#define PARTS_WANTED 64 /* so many that all streams end at about the same time */

#define COPY_WHOLE_MAX (INT64_C(5) << 30) /* the largest object that one CopyObject takes */
#define COPY_TIMES 8 /* a copied part is larger than a sent one: it costs us no byte */

#define UNSIZED_BUFFERS (2 << 20) /* libcurl's, in bytes */

static const struct store_limits *
limits_of(const struct transfer *t)
{
	return store_limits(t->destination.store->conf.kind);
}

/*
 * Without a part size in the configuration: enough parts for many streams, each large enough that
 * its round trips and its row do not matter.  The same size always gives the same answer, since the
 * next attempt must decide alike.
 */
static int64_t
size_wanted(const struct config_worker *conf, int64_t size)
{
	int64_t wanted = SIZE_MIN;

	if (conf->part_size > 0)
		return conf->part_size;
	if (size <= WHOLE_MAX)
		return WHOLE_MAX;
	while (wanted < SIZE_MAX_WANTED && size / wanted > PARTS_WANTED)
		wanted *= 2;
	return wanted;
}

int64_t
plan_part_least(const struct transfer *t)
{
	const struct config_worker *conf = &t->w->setup->config.worker;
	int64_t least = limits_part_min(t->destination.store);
	int64_t most = limits_body_max(t->destination.store);
	int64_t size = conf->part_size > 0 ? conf->part_size : SIZE_MIN;

	if (size > most)
		size = most;
	return size > least ? size : least;
}

/* The part size within the limits of the store, where a part has most bytes; -1 with a failure. */
static int64_t
size_within(struct transfer *t, int64_t most)
{
	const struct store *store = t->destination.store;
	int64_t size = size_wanted(&t->w->setup->config.worker, t->size), least;
	int parts = limits_parts_max(store);

	if (t->size > limits_of(t)->object_max)
		return failure_set(&t->failure, CLASS_PERMANENT,
		    "%" PRId64 " bytes are more than store %s takes (%" PRId64 ")", t->size,
		    store->conf.name, limits_of(t)->object_max);
	least = (t->size + parts - 1) / parts;
	least = (least + ROUND - 1) / ROUND * ROUND;
	if (least < limits_part_min(store))
		least = limits_part_min(store);
	if (size > most)
		size = most;
	if (size < least)
		size = least;
	if (size > most)
		return failure_set(&t->failure, CLASS_PERMANENT,
		    "%" PRId64 " bytes in %d parts at most are parts of %" PRId64
		    " bytes, more than store %s takes (%" PRId64 ")",
		    t->size, parts, size, store->conf.name, most);
	return size;
}

/* The part size for bytes that pass here, or -1 with a failure. */
static int64_t
sent_size(struct transfer *t)
{
	int64_t size = size_within(t, limits_body_max(t->destination.store));

	/* one part: only a checksum of the whole can tell whether the object there is ours */
	if (size != -1 && t->destination.doubtful && t->size > size)
		size = t->size;
	return size;
}

static bool
copies_whole(const struct transfer *t)
{
	return t->size <= COPY_WHOLE_MAX && t->task->if_exists == IF_EXISTS_OVERWRITE;
}

static int64_t
copied_size(struct transfer *t)
{
	int64_t most = limits_of(t)->part_max, size = size_within(t, most);

	if (size == -1)
		return -1;
	if (copies_whole(t))
		return t->size;
	return size * COPY_TIMES < most ? size * COPY_TIMES : most;
}

/* The largest part: of as many bytes more as the store takes fewer parts than its documents say. */
static int64_t
unsized_most(const struct transfer *t)
{
	const struct store *store = t->destination.store;
	int64_t most = size_wanted(&t->w->setup->config.worker, -1) *
		       (limits_of(t)->parts_max / limits_parts_max(store));

	return most < limits_body_max(store) ? most : limits_body_max(store);
}

/*
 * A part and PLAN_SPARE fit into a ring.  The ring's size is the largest power of two that memory
 * has room for, and no larger than the configured part unless the store's smallest part needs it.
 */
static int64_t
unsized_size(struct transfer *t)
{
	const struct config_worker *conf = &t->w->setup->config.worker;
	int64_t least = limits_part_min(t->destination.store) + PLAN_SPARE;
	int64_t room = conf->memory - WORKER_BASE_MEMORY - UNSIZED_BUFFERS;
	int64_t most = unsized_most(t);
	int64_t ring = 2 * PLAN_SPARE;

	while (ring * 2 <= room && (ring * 2 <= most || ring < least))
		ring *= 2;
	if (ring >= least && ring <= room)
		return ring - PLAN_SPARE;
	return failure_set(&t->failure, CLASS_PERMANENT,
	    "the source does not say its length, and a part of %" PRId64
	    " bytes does not fit in the worker's memory",
	    limits_part_min(t->destination.store));
}

static int64_t
choose_size(struct transfer *t, enum plan what)
{
	switch (what) {
	case PLAN_SEND:
		return sent_size(t);
	case PLAN_COPY:
		return copied_size(t);
	case PLAN_RESUME:
		return t->checkpoint.part_size;
	case PLAN_UNSIZED:
		return unsized_size(t);
	case PLAN_ENDED:
		break;
	}
	return t->part_size;
}

/* One PUT would overwrite an object that may be our own earlier PUT; an upload leaves it alone. */
static enum way
choose_sent_way(const struct transfer *t)
{
	bool needs_parts = t->destination.doubtful || destination_wants_upload(t);

	return t->size > t->part_size || needs_parts ? WAY_PARTS : WAY_PUT;
}

static enum way
choose_way(const struct transfer *t, enum plan what)
{
	bool file = transfer_to_file(t);

	switch (what) {
	case PLAN_SEND:
		return file ? WAY_FILE : choose_sent_way(t);
	case PLAN_COPY:
		return copies_whole(t) ? WAY_COPY : WAY_COPY_PARTS;
	case PLAN_RESUME:
		return file ? WAY_FILE : transfer_is_copy(t) ? WAY_COPY_PARTS : WAY_PARTS;
	case PLAN_UNSIZED:
		break;
	case PLAN_ENDED:
		return file ? WAY_FILE : t->upload_id[0] != '\0' ? WAY_PARTS : WAY_PUT;
	}
	return WAY_UNSIZED;
}

int
plan_make(struct transfer *t, enum plan what)
{
	int64_t size = choose_size(t, what);

	if (size == -1)
		return -1;
	t->part_size = size;
	t->way = choose_way(t, what);
	if (what != PLAN_ENDED)
		parts_lay_out(t);
	return 0;
}
