/*
 * Characters by the rules of ASCII, and the parameters of statements.
 */
#include <stdlib.h>

#include "common/base/text.h"
#include "common/db/params.h"
#include "tests/unit/tap.h"

static void
test_characters(void)
{
	char text[] = "A\tb\x7fZ\xc3\xa9~";

	ok(text_is_plain("a b~") && text_is_plain(""), "printable ASCII is plain");
	ok(!text_is_plain("a\tb") && !text_is_plain("\x7f") && !text_is_plain("\xc3\xa9"),
	    "control characters and UTF-8 are not");
	text_mask_controls(text);
	is_str(text, "A?b?Z\xc3\xa9~", "control characters are masked, UTF-8 stays");
	text_make_lower(text);
	is_str(text, "a?b?z\xc3\xa9~", "only capital letters of ASCII change");
	text_make_plain(text);
	is_str(text, "a?b?z??~", "each byte that is not printable ASCII is replaced");
}

static void
test_hex(void)
{
	const unsigned char bytes[] = { 0, 0x7f, 0xa5, 0xff };
	char hex[9];

	is_str(text_hex(hex, bytes, sizeof(bytes)), "007fa5ff", "bytes become hexadecimal digits");
	is_str(text_hex(hex, bytes, 0), "", "no bytes become no digits");
	ok(text_is_hex("00Ff", 4) && text_is_hex("", 0), "digits are recognised");
	ok(!text_is_hex("00Ff", 3) && !text_is_hex("00Ff", 5) && !text_is_hex("00Fg", 4),
	    "too many, too few and other characters are not");
}

static void
test_params(void)
{
	struct params p = { .n = 0 };

	params_text(&p, "word");
	params_int(&p, INT64_MIN);
	params_uint(&p, UINT64_MAX);
	params_bool(&p, true);
	params_null(&p);
	is_int(p.n, 5, "five parameters");
	is_str(p.values[0], "word", "a text");
	is_str(p.values[1], "-9223372036854775808", "a number with sign");
	is_str(p.values[2], "18446744073709551615", "a number without");
	is_str(p.values[3], "true", "a truth value");
	ok(p.values[4] == NULL, "NULL");
}

int
main(void)
{
	test_characters();
	test_hex();
	test_params();
	return done_testing();
}
