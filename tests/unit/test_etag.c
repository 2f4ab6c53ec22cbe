/*
 * The forms of ETags, and ETags that are weak in one answer and strong in another.
 */
#include "tests/unit/tap.h"
#include "worker/store/etag.h"

#define MD5 "0123456789abcdef0123456789ABCDEF"

static void
test_forms(void)
{
	static const struct {
		const char *etag;
		int nparts;
		bool has;
	} cases[] = {
		{ MD5, 0, true },
		{ "W/" MD5, 0, true },
		{ MD5 "-3", 3, true },
		{ "W/" MD5 "-3", 3, true },
		{ MD5, 3, false },
		{ MD5 "-3", 0, false },
		{ MD5 "-4", 3, false },
		{ MD5 "-33", 3, false },
		{ MD5 "-03", 3, false },
		{ MD5 "0", 0, false },
		{ "0123456789abcdef0123456789ABCDE", 0, false },
		{ "0123456789abcdef0123456789ABCDEg", 0, false },
		{ "CKih16GjycICEAE=", 0, false },
		{ "", 0, false },
		{ "W/", 0, false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		is_int(store_etag_has_form(cases[i].etag, cases[i].nparts), cases[i].has,
		    "%s of %d parts", cases[i].etag, cases[i].nparts);
}

static void
test_sameness(void)
{
	ok(store_etag_is_same("a", "a") && store_etag_is_same("W/a", "a") &&
		store_etag_is_same("a", "W/a") && store_etag_is_same("W/a", "W/a"),
	    "W/ makes no difference");
	ok(!store_etag_is_same("a", "b") && !store_etag_is_same("W/a", "W/b") &&
		!store_etag_is_same("W/a", "") && !store_etag_is_same("w/a", "a"),
	    "anything else does");
	is_str(store_etag_opaque("W/a"), "a", "a weak one");
	is_str(store_etag_opaque("a"), "a", "a strong one");
}

int
main(void)
{
	test_forms();
	test_sameness();
	return done_testing();
}
