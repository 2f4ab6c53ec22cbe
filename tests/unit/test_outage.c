/*
 * How often a failure is logged that repeats.
 */
#include "common/base/outage.h"

#include "tests/unit/tap.h"

#define START 5000

/* A failure each second, from second `from` to second `to`; the number of lines that are logged. */
static int
fail_each_second(struct outage *o, int from, int to)
{
	int lines = 0;

	for (int s = from; s <= to; s++) {
		lines += outage_failed(o, START + s * 1000) != OUTAGE_SILENT;
		lines += outage_run(o, START + s * 1000) != OUTAGE_SILENT;
	}
	return lines;
}

static void
test_outage_without_gaps(void)
{
	struct outage o = { 0 };

	is_int(outage_run(&o, START), OUTAGE_SILENT, "without a failure there are no news");
	is_int(outage_deadline(&o), 0, "and none are to be expected");
	outage_succeeded(&o, START);
	is_int(outage_deadline(&o), 0, "a success without a failure is no news");

	is_int(outage_failed(&o, START), OUTAGE_BEGINS, "the first failure is logged");
	is_int(fail_each_second(&o, 1, 59), 0, "the next ones are not, for a minute");
	is_int(outage_failed(&o, START + 60000), OUTAGE_LASTS, "after a minute one is logged");
	is_int(o.failures, 61, "with their number");
	is_int(o.lasted_ms, 60000, "and the time since the first");
	is_int(fail_each_second(&o, 61, 119), 0, "the next ones are not");
	is_int(fail_each_second(&o, 120, 600), 9, "ten minutes have ten lines");
	is_int(outage_deadline(&o), 0, "nothing ends without a success");
	is_int(outage_run(&o, START + 900000), OUTAGE_SILENT, "however long no failure comes");

	outage_succeeded(&o, START + 901000);
	outage_succeeded(&o, START + 902000);
	is_int(outage_deadline(&o), START + 600000 + OUTAGE_QUIET_MS,
	    "it ends so long after the last failure, which is past");
	is_int(outage_run(&o, START + 902000), OUTAGE_ENDS, "its end is logged");
	is_int(o.failures, 601, "with the number of failures");
	is_int(o.lasted_ms, 901000, "and the time from the first failure to the first success");
	is_int(outage_run(&o, START + 903000), OUTAGE_SILENT, "the end is logged once");
	is_int(outage_deadline(&o), 0, "nothing more is to be expected");
}

static void
test_outage_with_gaps(void)
{
	struct outage o = { 0 };
	int lines = 0;

	for (int s = 0; s < 50; s++) {
		lines += outage_failed(&o, START + s * 1000) != OUTAGE_SILENT;
		outage_succeeded(&o, START + s * 1000 + 500);
		lines += outage_run(&o, START + s * 1000 + 999) != OUTAGE_SILENT;
	}
	is_int(lines, 1, "successes between failures do not end an outage");
	is_int(outage_deadline(&o), START + 49000 + OUTAGE_QUIET_MS,
	    "it ends so long after the last failure");
	is_int(outage_run(&o, START + 49000 + OUTAGE_QUIET_MS - 1), OUTAGE_SILENT, "not before");
	is_int(outage_failed(&o, START + 58000), OUTAGE_SILENT, "a failure in time belongs to it");
	is_int(outage_deadline(&o), 0, "and takes the end back");
	outage_succeeded(&o, START + 58100);
	is_int(outage_run(&o, START + 58000 + OUTAGE_QUIET_MS), OUTAGE_ENDS, "then it ends");
	is_int(o.lasted_ms, 58100, "with the recovery after the last failure");
	is_int(outage_failed(&o, START + 90000), OUTAGE_BEGINS, "the next outage is a new one");
	is_int(o.failures, 1, "which counts from one");
}

int
main(void)
{
	test_outage_without_gaps();
	test_outage_with_gaps();
	return done_testing();
}
