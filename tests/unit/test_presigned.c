/*
 * Until when a pre-signed URL is good, by its query.
 */
#include "tests/unit/tap.h"
#include "worker/store/presigned.h"

#define END 1577840400 /* 2020-01-01T01:00:00Z */

static void
test_ends(void)
{
	static const struct {
		const char *query;
		int64_t end; /* -1: not said */
	} cases[] = {
		{ "X-Amz-Date=20200101T000000Z&X-Amz-Expires=3600&X-Amz-Signature=s", END },
		{ "x-amz-expires=3600&x-amz-date=20200101T000000Z", END },
		{ "X-Goog-Date=20200101T000000Z&X-Goog-Expires=3600", END },
		{ "q-sign-time=1577836800;1577840400&q-key-time=1577836800;1577840401", END },
		{ "q-sign-time=1577836800%3b1577840401&q-key-time=1577836800%3B1577840400", END },
		{ "a=b&Expires=1577840400", END },
		{ "Expires=1577840400#Expires=1", END },
		{ "X-Amz-Date=20200101T000000Z", -1 },
		{ "X-Amz-Expires=3600", -1 },
		{ "X-Amz-Date=yesterday&X-Amz-Expires=3600", -1 },
		{ "X-Amz-Date=20200101T000000Z1&X-Amz-Expires=3600", -1 },
		{ "X-Amz-Date=20200101T000000Z&X-Amz-Expires=-3600", -1 },
		{ "q-sign-time=1577836800", -1 },
		{ "q-sign-time=;&q-key-time=", -1 },
		{ "Expires=", -1 },
		{ "Expires=99999999999999999999", -1 },
		{ "Expires=1577840400x", -1 },
		{ "NotExpires=1577840400", -1 },
		{ "", -1 },
	};
	char url[256], when[PRESIGNED_WHEN_MAX];
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(url, sizeof(url), "https://h/k?%s", cases[i].query);
		ok(!presigned_is_over(url, END, when), "%s: good to the end", cases[i].query);
		is_str(when, cases[i].end == -1 ? "" : " at 2020-01-01T01:00:00Z", "which is");
		is_int(presigned_is_over(url, END + 1, when), cases[i].end != -1, "and no longer");
	}
	ok(!presigned_is_over("https://h/Expires=1", END, when), "the path says nothing");
}

int
main(void)
{
	test_ends();
	return done_testing();
}
