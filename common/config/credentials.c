/*
 * Credentials files: the INI that the tools of the vendors write.
 *
 *   [default]
 *   aws_access_key_id = AKIA...
 *   aws_secret_access_key = ...
 *   aws_session_token = ...
 *   aws_session_expiration = 2026-11-23T22:30:05Z
 *
 * AWS's shared credentials file (docs.aws.amazon.com/sdkref/latest/guide/file-format.html) has the
 * names above.  Tencent's tools write secret_id, secret_key and token, in ~/.cos.conf below
 * [common].  Other keys are settings of those tools, and are left alone.
 *
 * Errors name the line and the key, never the value.
 */
#include "common/config/private.h"

#include <stdarg.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/text.h"

#define BLANK " \t\r"

enum field { FIELD_ACCESS, FIELD_SECRET, FIELD_TOKEN, FIELD_EXPIRES, FIELDS };

/* In small letters, without '_' and '-': the tools differ in these. */
static const struct {
	const char *name;
	enum field field;
} names[] = {
	{ "awsaccesskeyid", FIELD_ACCESS },
	{ "awssecretaccesskey", FIELD_SECRET },
	{ "awssessiontoken", FIELD_TOKEN },
	{ "awssessionexpiration", FIELD_EXPIRES },
	{ "xsecuritytokenexpires", FIELD_EXPIRES },
	{ "expiration", FIELD_EXPIRES },
	{ "secretid", FIELD_ACCESS },
	{ "secretkey", FIELD_SECRET },
	{ "token", FIELD_TOKEN },
	{ "sessiontoken", FIELD_TOKEN },
	{ "accesskey", FIELD_ACCESS },
	{ "accesskeyid", FIELD_ACCESS },
	{ "secretaccesskey", FIELD_SECRET },
};

struct parse {
	const char *profile;
	bool inside; /* of the profile */
	bool found; /* the profile */
	int found_line;
	bool nested; /* the last key had no value: indented lines below it belong to it */
	int line;
	int lines[FIELDS]; /* 0: not set */
	struct store_keys *keys;
	struct config_why *why;
};

static int fail(struct parse *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int
fail(struct parse *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(p->why->text, sizeof(p->why->text), fmt, ap);
	va_end(ap);
	return -1;
}

/* Removes blanks from both ends. */
static char *
trim(char *text)
{
	size_t len;

	text += strspn(text, BLANK);
	len = strlen(text);
	while (len > 0 && strchr(BLANK, text[len - 1]) != NULL)
		text[--len] = '\0';
	return text;
}

/* The field that a key sets, or FIELDS. */
static enum field
find_field(const char *key)
{
	char plain[32];
	size_t i, n = 0;

	for (; *key != '\0'; key++) {
		if (*key == '_' || *key == '-')
			continue;
		if (n == sizeof(plain) - 1)
			return FIELDS;
		plain[n++] = text_lower(*key);
	}
	plain[n] = '\0';
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i].name, plain) == 0)
			return names[i].field;
	return FIELDS;
}

static int
set_text(struct parse *p, const char *key, const char *value, char *place, size_t size)
{
	size_t len = strlen(value);
	const char *fault = config_text_secret(value, len, size);

	if (fault != NULL)
		return fail(p, "%.40s %s", key, fault);
	if (strpbrk(value, " \"'") != NULL)
		return fail(p,
		    "%.40s holds spaces or quotes; the value alone follows the '=', without quotes "
		    "and comments",
		    key);
	memcpy(place, value, len);
	return 0;
}

static int
set_field(struct parse *p, enum field field, const char *key, const char *value)
{
	struct store_keys *keys = p->keys;

	if (p->lines[field] != 0)
		return fail(p, "%.40s is set twice; line %d has it already", key, p->lines[field]);
	p->lines[field] = p->line;
	switch (field) {
	case FIELD_ACCESS:
		return set_text(p, key, value, keys->access_key, sizeof(keys->access_key));
	case FIELD_SECRET:
		return set_text(p, key, value, keys->secret_key, sizeof(keys->secret_key));
	case FIELD_TOKEN:
		/* some tools write an empty one for lasting keys */
		return *value == '\0' ? 0
				      : set_text(p, key, value, keys->session_token,
					    sizeof(keys->session_token));
	case FIELD_EXPIRES:
		if (clock_parse_time(value, &keys->expires) == -1)
			return fail(
			    p, "%.40s is not a time; it looks like 2026-11-23T22:30:05Z", key);
		return 0;
	case FIELDS:
		break;
	}
	return 0;
}

static int
take_section(struct parse *p, char *line)
{
	char *end = strchr(line, ']');
	const char *rest = end != NULL ? end + 1 + strspn(end + 1, BLANK) : "";

	if (end == NULL || (*rest != '\0' && *rest != '#' && *rest != ';'))
		return fail(p, "no ']' ends the name of the profile; write [NAME]");
	*end = '\0';
	p->inside = strcmp(trim(line + 1), p->profile) == 0;
	if (p->inside && !p->found)
		p->found_line = p->line;
	p->found |= p->inside;
	p->nested = false;
	return 0;
}

static int
take_line(struct parse *p, char *line)
{
	bool indented = *line == ' ' || *line == '\t';
	char *key = trim(line), *value;
	enum field field;

	if (*key == '\0' || *key == '#' || *key == ';')
		return 0;
	if (*key == '[')
		return take_section(p, key);
	if (!p->inside || (indented && p->nested))
		return 0;
	value = strchr(key, '=');
	if (value == NULL)
		return fail(p, "a line without '='; write KEY = VALUE");
	*value++ = '\0';
	key = trim(key);
	value = trim(value);
	field = find_field(key);
	p->nested = *value == '\0';
	return field == FIELDS ? 0 : set_field(p, field, key, value);
}

/* Checks the profile as a whole, whose faults are at the line of its name. */
static int
check(struct parse *p)
{
	p->line = p->found_line;
	if (!p->found)
		return fail(p,
		    "has no profile [%s]; credentials_profile in ferryd.conf names the one to use",
		    p->profile);
	if (p->lines[FIELD_ACCESS] == 0)
		return fail(p,
		    "the profile [%s] has no access key; it is aws_access_key_id or secret_id",
		    p->profile);
	if (p->lines[FIELD_SECRET] == 0)
		return fail(p,
		    "the profile [%s] has no secret key; it is aws_secret_access_key or secret_key",
		    p->profile);
	return 0;
}

int
config_credentials_parse(
    char *text, const char *profile, struct store_keys *keys, int *line, struct config_why *why)
{
	struct parse p = { .profile = profile, .keys = keys, .why = why };
	char *rest = text, *one;
	int rc = 0;

	while (rc == 0 && (one = strsep(&rest, "\n")) != NULL) {
		p.line++;
		rc = take_line(&p, one);
	}
	if (rc == 0)
		rc = check(&p);
	*line = p.line;
	return rc;
}
