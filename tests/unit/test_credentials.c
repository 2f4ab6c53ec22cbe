/*
 * Keys as the tools of the vendors write them: credentials files, the JSON of a command, times.
 */
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/config/private.h"
#include "master/keys/document.h"
#include "tests/unit/tap.h"

static struct store_keys keys;
static struct config_why why;
static int line;

static int
parse(const char *text, const char *profile)
{
	char *copy = strdup(text);
	int rc;

	memset(&keys, 0, sizeof(keys));
	rc = config_credentials_parse(copy, profile, &keys, &line, &why);
	free(copy);
	return rc;
}

static void
test_times(void)
{
	static const struct {
		const char *text;
		int64_t seconds; /* -1: refused */
	} cases[] = {
		{ "2026-11-23T22:30:05Z", 1795473005 },
		{ "2026-11-23t22:30:05.123456z", 1795473005 },
		{ "2026-11-23 22:30:05", 1795473005 },
		{ "2026-11-24T00:30:05+02:00", 1795473005 },
		{ "2026-11-23T17:00:05-0530", 1795473005 },
		{ "2026-11-23T22:30:05+0000", 1795473005 },
		{ "1970-01-01T00:00:00Z", 0 },
		{ "2024-02-29T00:00:00Z", 1709164800 },
		{ "2016-12-31T23:59:60Z", 1483228799 },
		{ "2023-02-29T00:00:00Z", -1 },
		{ "2026-13-01T00:00:00Z", -1 },
		{ "2026-11-23", -1 },
		{ "2026-11-23T22:30Z", -1 },
		{ "2026-11-23T24:30:05Z", -1 },
		{ "2026-11-23T22:30:05.Z", -1 },
		{ "2026-11-23T22:30:05ZZ", -1 },
		{ "2026-11-23T22:30:05+2", -1 },
		{ "2026-11-23T22:30:05 CET", -1 },
		{ "1795473005", -1 },
		{ "", -1 },
	};
	int64_t seconds;
	char text[32];
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		is_int(clock_parse_time(cases[i].text, &seconds) == 0 ? seconds : -1,
		    cases[i].seconds, "the time \"%s\"", cases[i].text);
	clock_write_time(text, sizeof(text), 1795473005);
	is_str(text, "2026-11-23T22:30:05Z", "a time is written as it is read");
}

static void
test_forms(void)
{
	static const struct {
		const char *what, *text, *profile, *token;
		int64_t expires;
	} cases[] = {
		{ "AWS's",
		    "[default]\naws_access_key_id = ID\naws_secret_access_key=SECRET\n"
		    "aws_session_token = tok/en+=\naws_session_expiration = 2026-11-23T22:30:05Z\n",
		    "default", "tok/en+=", 1795473005 },
		{ "AWS's, of lasting keys",
		    "[default]\naws_access_key_id=ID\naws_secret_access_key=SECRET", "default", "",
		    0 },
		{ "with settings, comments, CR LF and another profile",
		    "# keys\r\n[other]\r\naws_access_key_id = x\r\n\r\n[ w 1 ] ; ours\r\n"
		    "region = eu\r\ns3 =\r\n  secret_key = nested\r\n  max = 1\r\n"
		    "AWS_Access_Key_Id = ID\r\n  aws_secret_access_key = SECRET\r\n"
		    "x_security_token_expires = 2026-11-24T00:30:05+02:00\r\n[z]\r\nbroken\r\n",
		    "w 1", "", 1795473005 },
		{ "a profile in two pieces",
		    "[a]\naws_access_key_id = ID\n[b]\naws_access_key_id = x\n[a]\n"
		    "aws_secret_access_key = SECRET\n",
		    "a", "", 0 },
		{ "Tencent's",
		    "[common]\nsecret_id = ID\nsecret_key = SECRET\ntoken = tok/en+=\n"
		    "bucket = b-1\nschema = https\n",
		    "common", "tok/en+=", 0 },
		{ "Tencent's, without underscores and with an empty token",
		    "[default]\nSecretId=ID\nSecretKey=SECRET\nsessiontoken=\n", "default", "", 0 },
		{ "s3cmd's and rclone's",
		    "[default]\naccess_key = ID\nsecret_access_key = SECRET\n"
		    "expiration = 2026-11-23 22:30:05\n",
		    "default", "", 1795473005 },
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (!ok(parse(cases[i].text, cases[i].profile) == 0, "%s", cases[i].what))
			printf("# line %d: %s\n", line, why.text);
		is_str(keys.access_key, "ID", "its access key");
		is_str(keys.secret_key, "SECRET", "its secret key");
		is_str(keys.session_token, cases[i].token, "its token");
		is_int(keys.expires, cases[i].expires, "its end");
	}
}

static void
test_refused(void)
{
	static const struct {
		const char *text;
		int line;
		const char *word;
	} cases[] = {
		{ "", 0, "no profile [default]" },
		{ "[other]\nsecret_id = GEHEIM\n", 0, "no profile [default]" },
		{ "[default]\naws_access_key_id = GEHEIM\n", 1, "has no secret key" },
		{ "\n[default]\nsecret_key = GEHEIM\n", 2, "has no access key" },
		{ "[default]\nsecret_id = GEHEIM\nsecret_id = x\n", 3, "twice; line 2" },
		{ "[default]\nsecret_id = x\naws_access_key_id = GEHEIM\n", 3, "twice; line 2" },
		{ "[default]\nsecret_key = GEHEIM # of Bob\n", 2, "spaces or quotes" },
		{ "[default]\nsecret_key = \"GEHEIM\"\n", 2, "spaces or quotes" },
		{ "[default]\nsecret_key =\n", 2, "is empty" },
		{ "[default]\nsecret_key = GEH\001EIM\n", 2, "control characters" },
		{ "[default\nsecret_id = GEHEIM\n", 1, "no ']'" },
		{ "[default] GEHEIM\n", 1, "no ']'" },
		{ "[default]\nGEHEIM\n", 2, "without '='" },
		{ "[default]\nexpiration = GEHEIM\n", 2, "is not a time" },
		{ "{\"SecretKey\": \"GEHEIM\"}", 0, "no profile" },
	};
	char longer[CONFIG_SECRET_MAX + 64] = "[default]\nsecret_key = ";
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		is_int(parse(cases[i].text, "default"), -1, "refused: %s", why.text);
		is_int(line, cases[i].line, "at its line");
		ok(strstr(why.text, cases[i].word) != NULL && strstr(why.text, "GEH") == NULL,
		    "for \"%s\", without the value", cases[i].word);
	}
	memset(longer + strlen(longer), 'x', CONFIG_SECRET_MAX);
	ok(parse(longer, "default") == -1 && strstr(why.text, "too long") != NULL, "a long secret");
}

static void
test_document(void)
{
	static const char good[] = "{\"Version\": 1, \"AccessKeyId\": \"ID\", \"More\": [1],\n"
				   "\"SecretAccessKey\": \"SE\\u0043RET\", \"SessionToken\": null}";
	static const struct {
		const char *text, *word;
	} cases[] = {
		{ "", "no JSON (line 1" },
		{ "GEHEIM", "no JSON" },
		{ "{\"Version\": 1, \"AccessKeyId\": \"ID\", \"SecretAccessKey\": \"GEHEIM\"",
		    "no JSON" },
		{ "[\"GEHEIM\"]", "no object" },
		{ "{\"Version\": 2, \"AccessKeyId\": \"ID\", \"SecretAccessKey\": \"GEHEIM\"}",
		    "Version is not 1" },
		{ "{\"AccessKeyId\": \"ID\", \"SecretAccessKey\": \"GEHEIM\"}",
		    "Version is not 1" },
		{ "{\"Version\": 1, \"SecretAccessKey\": \"GEHEIM\"}", "without AccessKeyId" },
		{ "{\"Version\": 1, \"AccessKeyId\": \"ID\"}", "without SecretAccessKey" },
		{ "{\"Version\": 1, \"AccessKeyId\": \"\", \"SecretAccessKey\": \"GEHEIM\"}",
		    "empty AccessKeyId" },
		{ "{\"Version\": 1, \"AccessKeyId\": 7, \"SecretAccessKey\": \"GEHEIM\"}",
		    "wrong AccessKeyId" },
		{ "{\"Version\": 1, \"AccessKeyId\": \"a b\", \"SecretAccessKey\": \"GEHEIM\"}",
		    "blanks" },
		{ "{\"Version\": 1, \"AccessKeyId\": \"a\", \"AccessKeyId\": \"GEHEIM\"}",
		    "no JSON" },
		{ "{\"Version\": 1, \"AccessKeyId\": \"a\", \"SecretAccessKey\": \"GEHEIM\", "
		  "\"Expiration\": \"soon\"}",
		    "no time" },
	};
	char text[160];
	size_t i;

	ok(document_read(good, sizeof(good) - 1, &keys, text, sizeof(text)) == 0, "a document");
	is_str(keys.access_key, "ID", "its access key");
	is_str(keys.secret_key, "SECRET", "its secret key");
	ok(keys.session_token[0] == '\0' && keys.expires == 0, "neither token nor end");
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		is_int(
		    document_read(cases[i].text, strlen(cases[i].text), &keys, text, sizeof(text)),
		    -1, "refused: %s", text);
		ok(strstr(text, cases[i].word) != NULL && strstr(text, "GEHEIM") == NULL,
		    "for \"%s\", without the value", cases[i].word);
		ok(keys.access_key[0] == '\0' && keys.secret_key[0] == '\0', "nothing is left");
	}
}

int
main(void)
{
	test_times();
	test_forms();
	test_refused();
	test_document();
	return done_testing();
}
