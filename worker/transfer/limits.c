#include "worker/transfer/limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/units.h"

#define MIB (INT64_C(1) << 20)
#define GROWTH 4 /* by which parts that were too small grow */
#define MANY 100 /* parts in order: then a refusal of the next one is no matter of its bytes */

static const struct store_limits *
documented(const struct store *store)
{
	return store_limits(store->conf.kind);
}

static int64_t
least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

int
limits_parts_max(const struct store *store)
{
	int max = documented(store)->parts_max;

	if (store->conf.parts_max > 0 && store->conf.parts_max < max)
		max = store->conf.parts_max;
	if (store->learned.parts_max > 0 && store->learned.parts_max < max)
		max = store->learned.parts_max;
	return max;
}

int64_t
limits_part_min(const struct store *store)
{
	int64_t min = documented(store)->part_min;

	return store->learned.part_min > min ? store->learned.part_min : min;
}

/* Half of what was refused, in whole MiB, but no less than the smallest part. */
int64_t
limits_body_max(const struct store *store)
{
	int64_t refused = store->learned.body_refused, min = limits_part_min(store), half;

	if (refused == 0)
		return documented(store)->part_max;
	half = refused / 2 / MIB * MIB;
	return half > min ? half : min;
}

void
limits_passed(struct store *store, int64_t body)
{
	if (body > store->learned.body_passed)
		store->learned.body_passed = body;
}

/* Says what is known of the limit, since nothing smaller can be tried. */
static void
explain(const struct store *store, struct failure *f)
{
	int64_t passed = store->learned.body_passed;
	char told[TASK_ERROR_MAX], size[32], went[32], min[32];

	strlcpy(told, f->text, sizeof(told));
	units_format_size(size, sizeof(size), f->body);
	units_format_size(went, sizeof(went), passed);
	units_format_size(min, sizeof(min), limits_part_min(store));
	failure_reword(f,
	    "%.300s; a request of %s was refused, %s%s, and a part has %s at least: raise the "
	    "limit "
	    "of the server that answered",
	    told, size, passed > 0 ? "the largest that went through had " : "none went through",
	    passed > 0 ? went : "", min);
}

static bool
learn_too_large(struct store *store, struct failure *f)
{
	struct learned *learned = &store->learned;

	if (f->body == 0 || (f->status != 413 && strcmp(f->code, "EntityTooLarge") != 0))
		return false;
	if (learned->body_passed >= f->body)
		learned->body_passed = 0; /* by a former limit */
	if (f->body <= limits_part_min(store)) {
		explain(store, f);
		return false;
	}
	learned->body_refused = f->body;
	return true;
}

static bool
learn_too_small(struct transfer *t)
{
	int64_t size = t->part_size * GROWTH, max = limits_body_max(t->destination.store);

	if (strcmp(t->failure.code, "EntityTooSmall") != 0 || t->part_size >= max)
		return false;
	t->destination.store->learned.part_min = least(size, max);
	return true;
}

/* The number of parts that the refusal states, as S3 and Swift word it; 0: it states none. */
static int
stated_parts(const struct failure *f)
{
	static const char before[] = "an integer between 1 and ";
	const char *at = strstr(f->text, before);
	long n = at != NULL ? strtol(at + strlen(before), NULL, 10) : 0;

	return n > 0 && n < f->part ? (int)n : 0;
}

/* How many parts before part number are done, from the first one on. */
static int
done_before(const struct transfer *t, int number)
{
	int n = 0;

	while (n < t->nparts && n < number - 1 && t->parts[n].state == PART_DONE)
		n++;
	return n;
}

/* True if the words of a refusal are about the number of a part. */
static bool
speaks_of_numbers(const struct failure *f)
{
	return strcmp(f->code, "TooManyParts") == 0 || strcmp(f->code, "InvalidPartNumber") == 0 ||
	       strcasestr(f->text, "part number") != NULL ||
	       strcasestr(f->text, "partnumber") != NULL ||
	       strcasestr(f->text, "max parts") != NULL;
}

static bool
learn_too_many(struct transfer *t)
{
	const struct failure *f = &t->failure;
	int max, done;

	if (f->part <= 1 || f->part > t->nparts || f->status != 400)
		return false;
	done = done_before(t, f->part);
	max = stated_parts(f);
	if (max == 0 && (speaks_of_numbers(f) || done >= MANY))
		max = done;
	if (max == 0 || max >= limits_parts_max(t->destination.store))
		return false;
	t->destination.store->learned.parts_max = max;
	log_warn("store %s: an upload may have %d parts at most, as far as its refusal tells; "
		 "parts_max = %d in its section saves the vain attempt",
	    t->destination.store->conf.name, max, max);
	return true;
}

bool
limits_learn(struct transfer *t)
{
	if (t->destination.store == NULL || transfer_to_file(t) || t->failure.class == CLASS_NONE)
		return false;
	if (learn_too_large(t->destination.store, &t->failure))
		return true;
	if (t->larger_parts)
		return false;
	t->larger_parts = learn_too_many(t) || learn_too_small(t);
	return t->larger_parts;
}
