/*
 * What pins a source, and which later answers speak of the pinned bytes.
 */
#include "tests/unit/tap.h"
#include "worker/base/memory.h"
#include "worker/endpoint/pin.h"
#include "worker/store/answer.h"

#define DATE "Thu, 26 Nov 2026 10:00:"
#define SIZE "Content-Length: 10\n"

static struct store store = { .conf = { .kind = STORE_HTTP, .name = "http" } };
static struct http_request r;
static struct pin pin;
static struct failure f;

/* Takes lines "Name: value\n" as the head of an answer. */
static void
take(const char *head)
{
	char text[512], *rest = text, *line, *value;

	http_prepare(&r, &store, OP_GET);
	r.status = 200;
	strlcpy(text, head, sizeof(text));
	while ((line = strsep(&rest, "\n")) != NULL && *line != '\0') {
		value = strstr(line, ": ");
		*value = '\0';
		store_take_header(&store.conf, &r.info, line, value + 2);
	}
}

static void
test_what_pins(void)
{
	static const struct {
		const char *head;
		const char *text; /* the pin as a checkpoint keeps it; "": nothing pins */
		const char *if_match;
		const char *if_unmodified_since;
	} cases[] = {
		{ SIZE "ETag: \"a\"\n", "a", "a", NULL },
		{ "ETag: \"a\"\n", "a", "a", NULL },
		{ SIZE "ETag: \"a\"\nLast-Modified: " DATE "00 GMT\nDate: " DATE "00 GMT\n", "a",
		    "a", NULL },
		{ SIZE "ETag: W/\"a\"\n", "", NULL, NULL },
		{ SIZE, "", NULL, NULL },
		{ SIZE "Last-Modified: " DATE "00 GMT\nDate: " DATE "02 GMT\n",
		    "modified " DATE "00 GMT", NULL, DATE "00 GMT" },
		{ SIZE "ETag: W/\"a\"\nLast-Modified: " DATE "00 GMT\nDate: " DATE "59 GMT\n",
		    "modified " DATE "00 GMT W/a", NULL, DATE "00 GMT" },
		{ SIZE "Last-Modified: " DATE "00 GMT\nDate: " DATE "01 GMT\n", "", NULL, NULL },
		{ SIZE "Last-Modified: " DATE "59 GMT\nDate: " DATE "00 GMT\n", "", NULL, NULL },
		{ SIZE "Last-Modified: " DATE "00 GMT\n", "", NULL, NULL },
		{ SIZE "Last-Modified: yesterday, perhaps\nDate: " DATE "30 GMT\n", "", NULL,
		    NULL },
		{ "Last-Modified: " DATE "00 GMT\nDate: " DATE "30 GMT\n", "", NULL, NULL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct store_call call = { .op = OP_GET };
		char text[PIN_TEXT_MAX];

		take(cases[i].head);
		pin_take(&pin, &r.info);
		pin_demand(&pin, &call);
		is_str(pin_text(&pin, text), cases[i].text, "pin %zu", i);
		is_int(pin_holds(&pin), cases[i].text[0] != '\0', "whether it holds");
		is_int(pin_is_strong(&pin), cases[i].if_match != NULL, "by the ETag");
		is_str(call.if_match != NULL ? call.if_match : "",
		    cases[i].if_match != NULL ? cases[i].if_match : "", "If-Match");
		is_str(call.if_unmodified_since != NULL ? call.if_unmodified_since : "",
		    cases[i].if_unmodified_since != NULL ? cases[i].if_unmodified_since : "",
		    "If-Unmodified-Since");
	}
}

static void
test_later_answers(void)
{
	static const char strong[] =
	    SIZE "ETag: \"a\"\nLast-Modified: " DATE "00 GMT\nDate: " DATE "30 GMT\n",
			  dated[] = SIZE "Last-Modified: " DATE "00 GMT\nDate: " DATE "30 GMT\n",
			  weak[] = SIZE "ETag: W/\"a\"\nLast-Modified: " DATE "00 GMT\nDate: " DATE
					"30 GMT\n",
			  young[] = SIZE "ETag: W/\"a\"\nLast-Modified: " DATE "30 GMT\nDate: " DATE
					 "30 GMT\n",
			  nothing[] = SIZE;
	static const struct {
		const char *pinned, *head;
		enum error_class class;
	} cases[] = {
		{ strong, "ETag: \"a\"\n", CLASS_NONE },
		{ strong, "ETag: \"a\"\nLast-Modified: " DATE "09 GMT\n", CLASS_NONE },
		{ strong, "ETag: \"b\"\nLast-Modified: " DATE "00 GMT\n", CLASS_SOURCE_CHANGED },
		{ strong, "ETag: W/\"a\"\n", CLASS_NONE },
		{ strong, "ETag: W/\"b\"\n", CLASS_SOURCE_CHANGED },
		{ strong, "Content-Length: 11\nETag: \"a\"\n", CLASS_SOURCE_CHANGED },
		{ strong, "Last-Modified: " DATE "00 GMT\n", CLASS_TRANSIENT },
		{ dated, "Last-Modified: " DATE "00 GMT\n", CLASS_NONE },
		{ dated, "Last-Modified: " DATE "01 GMT\n", CLASS_SOURCE_CHANGED },
		{ dated, SIZE, CLASS_TRANSIENT },
		{ dated, "Content-Length: 9\nLast-Modified: " DATE "00 GMT\n",
		    CLASS_SOURCE_CHANGED },
		{ weak, "ETag: W/\"a\"\nLast-Modified: " DATE "00 GMT\n", CLASS_NONE },
		{ weak, "ETag: \"a\"\nLast-Modified: " DATE "00 GMT\n", CLASS_NONE },
		{ weak, "ETag: \"a\"\nLast-Modified: " DATE "01 GMT\n", CLASS_SOURCE_CHANGED },
		{ weak, "ETag: W/\"b\"\nLast-Modified: " DATE "00 GMT\n", CLASS_SOURCE_CHANGED },
		{ weak, "ETag: W/\"a\"\nLast-Modified: " DATE "01 GMT\n", CLASS_SOURCE_CHANGED },
		{ weak, "Last-Modified: " DATE "00 GMT\n", CLASS_TRANSIENT },
		{ weak, "ETag: W/\"a\"\n", CLASS_TRANSIENT },
		{ young, "ETag: W/\"b\"\n", CLASS_SOURCE_CHANGED },
		{ young, "Last-Modified: " DATE "31 GMT\n", CLASS_SOURCE_CHANGED },
		{ young, SIZE, CLASS_NONE },
		{ nothing, SIZE "ETag: \"a\"\n", CLASS_NONE },
		{ nothing, "Content-Length: 11\n", CLASS_SOURCE_CHANGED },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int rc;

		take(cases[i].pinned);
		pin_take(&pin, &r.info);
		take(cases[i].head);
		failure_init(&f);
		rc = pin_check(&pin, &r, &f);
		ok(f.class == cases[i].class && rc == (f.class == CLASS_NONE ? 0 : -1),
		    "answer %zu: %s", i, f.text);
	}
}

static void
test_texts_of_checkpoints(void)
{
#define OLD "Last-Modified: " DATE "00 GMT\nDate: " DATE "59 GMT\n"
	static const struct {
		const char *head, *text;
		bool same;
	} cases[] = {
		{ SIZE "ETag: \"a\"\n", "a", true },
		{ SIZE "ETag: \"a\"\n", "b", false },
		{ SIZE "ETag: \"a\"\n", "", false },
		{ SIZE "ETag: \"a\"\n" OLD, "modified " DATE "00 GMT W/a", true },
		{ SIZE "ETag: \"a\"\n" OLD, "modified " DATE "00 GMT W/b", false },
		{ SIZE "ETag: \"a\"\n" OLD, "modified " DATE "01 GMT W/a", false },
		{ SIZE "ETag: \"a\"\n" OLD, "modified " DATE "00 GMT", false },
		{ SIZE "ETag: W/\"a\"\n" OLD, "a", true },
		{ SIZE "ETag: W/\"a\"\n" OLD, "b", false },
		{ SIZE "ETag: W/\"a\"\n" OLD, "modified " DATE "00 GMT W/a", true },
		{ SIZE "ETag: W/\"a\"\n" OLD, "modified " DATE "00 GMT", false },
		{ SIZE "ETag: W/\"a\"\n", "a", false },
		{ SIZE "ETag: W/\"a\"\n", "", false },
		{ SIZE OLD, "modified " DATE "00 GMT", true },
		{ SIZE OLD, "modified " DATE "01 GMT", false },
		{ SIZE OLD, "", false },
		{ SIZE, "", false },
	};
#undef OLD

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		take(cases[i].head);
		pin_take(&pin, &r.info);
		is_int(pin_is_text(&pin, cases[i].text), cases[i].same, "text %zu: %s", i,
		    cases[i].text);
	}
}

int
main(void)
{
	memory_init();
	test_what_pins();
	test_later_answers();
	test_texts_of_checkpoints();
	return done_testing();
}
