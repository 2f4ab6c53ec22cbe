/*
 * The plan of a transfer: how the object is made, and how large its parts are.
 */
#include "tests/unit/tap.h"
#include "worker/transfer/parts.h"
#include "worker/transfer/plan.h"

#define MIB ((int64_t)1 << 20)
#define GIB ((int64_t)1 << 30)

static struct setup setup = { .config.worker.memory = 64 * MIB };
static struct worker w = { .setup = &setup };
static struct task task;
static struct store store = { .conf.name = "store" };
static struct transfer t = { .w = &w, .task = &task };

static void
begin(enum store_kind kind, int64_t size, enum if_exists if_exists)
{
	parts_release(&t);
	memset(&t.destination, 0, sizeof(t.destination));
	memset(&t.checkpoint, 0, sizeof(t.checkpoint));
	failure_init(&t.failure);
	store.conf.kind = kind;
	t.destination.store = &store;
	t.size = size;
	t.way = WAY_UNDECIDED;
	t.upload_id[0] = '\0';
	task.if_exists = if_exists;
}

static void
is_plan(enum way way, int64_t part_size, int nparts, const char *what)
{
	is_int(t.way, way, "%s: the way", what);
	is_int(t.part_size, part_size, "%s: the part size", what);
	is_int(t.nparts, nparts, "%s: the number of parts", what);
}

static void
test_sent(void)
{
	begin(STORE_S3, 0, IF_EXISTS_OVERWRITE);
	is_int(plan_make(&t, PLAN_SEND), 0, "an empty object");
	is_plan(WAY_PUT, 16 * MIB, 1, "an empty object");

	begin(STORE_S3, 16 * MIB + 1, IF_EXISTS_OVERWRITE);
	is_int(plan_make(&t, PLAN_SEND), 0, "a little more than one PUT takes");
	is_plan(WAY_PARTS, 5 * MIB, 4, "a little more than one PUT takes");

	begin(STORE_S3, 2048 * GIB, IF_EXISTS_OVERWRITE);
	is_int(plan_make(&t, PLAN_SEND), 0, "2 TiB");
	ok(t.part_size > 80 * MIB && t.nparts <= 10000, "2 TiB: no more parts than S3 takes");

	begin(STORE_S3, store_limits(STORE_S3)->object_max, IF_EXISTS_OVERWRITE);
	is_int(plan_make(&t, PLAN_SEND), 0, "the largest object of the store %s", t.failure.text);

	begin(STORE_S3, store_limits(STORE_S3)->object_max + 1, IF_EXISTS_OVERWRITE);
	is_int(
	    plan_make(&t, PLAN_SEND), -1, "an object that is too large for the store is refused");
	is_int(t.failure.class, CLASS_PERMANENT, "for good: %s", t.failure.text);

	begin(STORE_FILE, MIB, IF_EXISTS_OVERWRITE);
	is_int(plan_make(&t, PLAN_SEND), 0, "a file");
	is_plan(WAY_FILE, 16 * MIB, 1, "a file");

	begin(STORE_S3, MIB, IF_EXISTS_SKIP);
	t.destination.doubtful = true;
	is_int(plan_make(&t, PLAN_SEND), 0, "an object that may be there already");
	is_plan(WAY_PARTS, 16 * MIB, 1, "an object that may be there already");

	begin(STORE_S3, 100 * MIB, IF_EXISTS_SKIP);
	t.destination.doubtful = true;
	is_int(plan_make(&t, PLAN_SEND), 0, "a large object that may be there already");
	is_plan(WAY_PARTS, 100 * MIB, 1, "a large object that may be there already");

	store.put_lacks_condition = true;
	begin(STORE_S3, 0, IF_EXISTS_SKIP);
	is_int(plan_make(&t, PLAN_SEND), 0, "an empty object, and no conditional PUT");
	is_plan(WAY_PARTS, 16 * MIB, 1, "an empty object, and no conditional PUT");
	begin(STORE_S3, MIB, IF_EXISTS_OVERWRITE);
	is_int(plan_make(&t, PLAN_SEND), 0, "an object that may be replaced");
	is_plan(WAY_PUT, 16 * MIB, 1, "an object that may be replaced");
	store.put_lacks_condition = false;
}

static void
test_limited(void)
{
	begin(STORE_S3, 100 * MIB, IF_EXISTS_OVERWRITE);
	store.conf.parts_max = 6;
	is_int(plan_make(&t, PLAN_SEND), 0, "a store that takes six parts");
	is_plan(WAY_PARTS, 17 * MIB, 6, "a store that takes six parts");
	store.learned.parts_max = 3;
	plan_make(&t, PLAN_SEND);
	is_plan(WAY_PARTS, 34 * MIB, 3, "and has refused the fourth");
	store.conf.parts_max = store.learned.parts_max = 0;

	store.learned.part_min = 20 * MIB;
	plan_make(&t, PLAN_SEND);
	is_plan(WAY_PARTS, 20 * MIB, 5, "a store that has refused smaller parts");
	store.learned.part_min = 0;

	begin(STORE_COS, 9 * MIB, IF_EXISTS_OVERWRITE);
	store.learned.body_refused = 9 * MIB;
	plan_make(&t, PLAN_SEND);
	is_plan(WAY_PARTS, 4 * MIB, 3, "a proxy that has refused 9 MiB");
	store.learned.body_refused = 3 * MIB / 2;
	plan_make(&t, PLAN_SEND);
	is_plan(WAY_PARTS, MIB, 9, "a proxy that has refused 1.5 MiB");
	is_int(plan_part_least(&t), MIB, "the first GET asks for no more");
	begin(STORE_COS, 9 * MIB, IF_EXISTS_OVERWRITE);
	store.conf.parts_max = 8;
	is_int(plan_make(&t, PLAN_SEND), -1, "and a store that takes too few of such parts");
	is_int(t.failure.class, CLASS_PERMANENT, "fail for good: %s", t.failure.text);
	memset(&store.learned, 0, sizeof(store.learned));
	store.conf.parts_max = 0;
}

static void
test_copied(void)
{
	begin(STORE_S3, GIB, IF_EXISTS_OVERWRITE);
	is_int(plan_make(&t, PLAN_COPY), 0, "a copy");
	is_plan(WAY_COPY, GIB, 1, "a copy");

	begin(STORE_S3, MIB, IF_EXISTS_FAIL);
	is_int(plan_make(&t, PLAN_COPY), 0, "a copy that must replace nothing");
	is_plan(WAY_COPY_PARTS, 128 * MIB, 1, "a copy that must replace nothing");

	begin(STORE_S3, 6 * GIB, IF_EXISTS_OVERWRITE);
	is_int(plan_make(&t, PLAN_COPY), 0, "a copy of more than one request takes");
	is_plan(WAY_COPY_PARTS, 640 * MIB, 10, "a copy of more than one request takes");
}

static void
test_resumed(void)
{
	begin(STORE_S3, 20 * MIB, IF_EXISTS_OVERWRITE);
	plan_make(&t, PLAN_SEND);
	t.checkpoint.part_size = 8 * MIB;
	is_int(plan_make(&t, PLAN_RESUME), 0, "a resumed upload");
	is_plan(WAY_PARTS, 8 * MIB, 3, "a resumed upload keeps its part size");

	begin(STORE_S3, 6 * GIB, IF_EXISTS_OVERWRITE);
	plan_make(&t, PLAN_COPY);
	t.checkpoint.part_size = GIB;
	is_int(plan_make(&t, PLAN_RESUME), 0, "a resumed copy");
	is_plan(WAY_COPY_PARTS, GIB, 6, "a resumed copy stays a copy");

	begin(STORE_FILE, 20 * MIB, IF_EXISTS_OVERWRITE);
	plan_make(&t, PLAN_SEND);
	t.checkpoint.part_size = 8 * MIB;
	is_int(plan_make(&t, PLAN_RESUME), 0, "a resumed file");
	is_plan(WAY_FILE, 8 * MIB, 3, "a resumed file stays a file");
}

static void
test_unsized(void)
{
	begin(STORE_S3, -1, IF_EXISTS_OVERWRITE);
	is_int(plan_make(&t, PLAN_UNSIZED), 0, "an unsized source");
	is_plan(WAY_UNSIZED, 15 * MIB, 0, "an unsized source");
	is_int(transfer_total(&t), -1, "its size is not known");
	t.size = 3 * MIB;
	is_int(plan_make(&t, PLAN_ENDED), 0, "it ends in the first part");
	is_int(t.way, WAY_PUT, "and goes in one PUT");
	is_int(transfer_total(&t), 3 * MIB, "its size is known");

	begin(STORE_S3, -1, IF_EXISTS_OVERWRITE);
	plan_make(&t, PLAN_UNSIZED);
	strlcpy(t.upload_id, "id", sizeof(t.upload_id));
	is_int(plan_make(&t, PLAN_ENDED), 0, "it ends after an upload was begun");
	is_int(t.way, WAY_PARTS, "and is completed as one");

	setup.config.worker.memory = 16 * MIB;
	begin(STORE_S3, -1, IF_EXISTS_OVERWRITE);
	is_int(plan_make(&t, PLAN_UNSIZED), -1, "memory that has no room for a part");
	is_int(t.failure.class, CLASS_PERMANENT, "fails for good: %s", t.failure.text);
}

int
main(void)
{
	test_sent();
	test_limited();
	test_copied();
	test_resumed();
	test_unsized();
	parts_release(&t);
	return done_testing();
}
