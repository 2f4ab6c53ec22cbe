/*
 * One key of the configuration: its name, its default, and the values that it takes.
 */
#include "common/config/private.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/text.h"
#include "common/base/units.h"

static int set_why(struct config_why *why, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static int
set_why(struct config_why *why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why->text, sizeof(why->text), fmt, ap);
	va_end(ap);
	return -1;
}

enum config_section
config_section_find(const char *name)
{
	int i;

	for (i = 0; i < SECTIONS; i++)
		if (strcmp(config_section_names[i], name) == 0)
			return (enum config_section)i;
	return SECTION_TOP;
}

const struct config_key *
config_key_find(enum config_section section, const char *name)
{
	size_t i;

	for (i = 0; i < CONFIG_KEYS; i++)
		if (config_keys[i].section == section && strcmp(config_keys[i].name, name) == 0)
			return &config_keys[i];
	return NULL;
}

void
config_key_defaults(enum config_section section, void *base)
{
	struct config_why why;
	size_t i;

	for (i = 0; i < CONFIG_KEYS; i++)
		if (config_keys[i].section == section && config_keys[i].initial != NULL &&
		    config_key_set(&config_keys[i], base, config_keys[i].initial, true, &why) == -1)
			abort();
}

/* Writes words as "s3", "cos" or "file". */
static void
list_words(const char *const *words, char *buf, size_t size)
{
	size_t i;

	buf[0] = '\0';
	for (i = 0; words[i] != NULL; i++) {
		if (i > 0)
			strlcat(buf, words[i + 1] == NULL ? " or " : ", ", size);
		strlcat(buf, "\"", size);
		strlcat(buf, words[i], size);
		strlcat(buf, "\"", size);
	}
}

/* The index of value in words, or -1 with why. */
static int
find_word(const struct config_key *key, const char *value, struct config_why *why)
{
	char right[128];
	int i;

	for (i = 0; key->words[i] != NULL; i++)
		if (strcmp(key->words[i], value) == 0)
			return i;
	list_words(key->words, right, sizeof(right));
	return set_why(why, "%s = \"%.40s\" is unknown; it is %s", key->name, value, right);
}

static int
set_text(const struct config_key *key, char *place, const char *value, struct config_why *why)
{
	const char *of = key->type == TYPE_LIST ? "an entry of " : "", *p, *wrong;

	if (*value == '\0' && !key->may_be_empty)
		return set_why(
		    why, "%s%s is empty; give it a value or leave it out", of, key->name);
	for (p = value; *p != '\0'; p++)
		if (text_is_control(*p))
			return set_why(why,
			    "%s%s holds a control character (0x%02x); it is one line of text", of,
			    key->name, (unsigned)*p);
	if (strlen(value) >= key->size)
		return set_why(why, "%s%s has %zu bytes; at most %zu are allowed", of, key->name,
		    strlen(value), key->size - 1);
	if (key->type == TYPE_TEXT && key->words != NULL && find_word(key, value, why) == -1)
		return -1;
	memset(place, 0, key->size);
	memcpy(place, value, strlen(value));
	if (*value != '\0' && key->check != NULL && (wrong = key->check(place)) != NULL)
		return set_why(why, "%s %s", key->name, wrong);
	return 0;
}

static int
set_list(
    const struct config_key *key, char *base, const char *value, bool first, struct config_why *why)
{
	char *texts = base + key->offset, *place;
	int *count = (int *)(void *)(base + key->count_offset), i;

	if (first)
		*count = 0;
	if (*count >= key->max)
		return set_why(
		    why, "%s lists more than %" PRId64 "; that is the limit", key->name, key->max);
	place = texts + (size_t)*count * key->size;
	if (set_text(key, place, value, why) == -1)
		return -1;
	for (i = 0; i < *count && !key->may_repeat; i++)
		if (strcmp(texts + (size_t)i * key->size, place) == 0)
			return set_why(
			    why, "%s lists \"%s\" twice; once is enough", key->name, place);
	(*count)++;
	return 0;
}

/* Writes an amount as the configuration writes it. */
static void
write_amount(const struct config_key *key, int64_t amount, char *buf, size_t size)
{
	if (key->type == TYPE_SIZE)
		units_exact_size(buf, size, amount);
	else if (key->type == TYPE_DURATION)
		units_exact_duration(buf, size, amount);
	else
		snprintf(buf, size, "%" PRId64, amount);
}

/* Appends the word that may stand for a number to a sentence about what is right.  Returns -1. */
static int
append_word(const struct config_key *key, const char *joint, struct config_why *why)
{
	size_t used = strlen(why->text);

	if (key->words != NULL)
		snprintf(
		    why->text + used, sizeof(why->text) - used, "%s\"%s\"", joint, key->words[0]);
	return -1;
}

static int
set_number(const struct config_key *key, char *place, const char *value, struct config_why *why)
{
	static const struct {
		const char *noun, *example;
	} forms[] = {
		[TYPE_INT] = { "number", "4" },
		[TYPE_SIZE] = { "size", "\"64M\" (units K, M, G, T)" },
		[TYPE_DURATION] = { "time", "\"30s\" (units ms, s, m, h, d)" },
	};
	const char *error = NULL;
	char least[32], most[32];
	bool word = key->words != NULL && strcmp(value, key->words[0]) == 0;
	int64_t number = 0;

	if (word)
		number = 0;
	else if (key->type == TYPE_SIZE && units_parse_size(value, &number) == -1)
		error = "invalid";
	else if (key->type == TYPE_DURATION && units_parse_duration(value, &number) == -1)
		error = "invalid";
	else if (key->type == TYPE_INT)
		number = strtonum(value, INT32_MIN, INT32_MAX, &error);
	if (error != NULL && strcmp(error, "invalid") == 0) {
		set_why(why, "%s = \"%.40s\" is not a %s; write it like %s", key->name, value,
		    forms[key->type].noun, forms[key->type].example);
		return append_word(key, " or ", why);
	}
	if (error != NULL || (!word && (number < key->min || number > key->max))) {
		write_amount(key, key->min, least, sizeof(least));
		write_amount(key, key->max, most, sizeof(most));
		set_why(why, "%s = \"%.40s\" is out of range; %s to %s are allowed", key->name,
		    value, least, most);
		return append_word(key, ", and ", why);
	}
	if (key->type == TYPE_INT)
		*(int *)(void *)place = (int)number;
	else
		*(int64_t *)(void *)place = number;
	return 0;
}

/* As chmod reads it: octal digits, with or without a 0 in front. */
static int
set_mode(const struct config_key *key, char *place, const char *value, struct config_why *why)
{
	size_t len = strlen(value);
	int64_t mode;

	if (len == 0 || len > 5 || value[strspn(value, "01234567")] != '\0')
		return set_why(why,
		    "%s = \"%.40s\" is not a mode; write it in octal digits, like \"%s\"",
		    key->name, value, key->initial);
	mode = strtoll(value, NULL, 8);
	if ((mode & key->min) != key->min || (mode & ~key->max) != 0)
		return set_why(why,
		    "%s = \"%.40s\" is out of range; it has the bits of %#" PRIo64
		    ", which the daemon needs, and none but those of %#" PRIo64,
		    key->name, value, key->min, key->max);
	*(int *)(void *)place = (int)mode;
	return 0;
}

static int
set_bool(const struct config_key *key, char *place, const char *value, struct config_why *why)
{
	int truth = cfg_parse_boolean(value);

	if (truth != 0 && truth != 1)
		return set_why(why, "%s = \"%.40s\" is not a truth value; write true or false",
		    key->name, value);
	*(bool *)(void *)place = truth == 1;
	return 0;
}

int
config_key_set(
    const struct config_key *key, void *base, const char *value, bool first, struct config_why *why)
{
	char *place = (char *)base + key->offset;
	int word;

	switch (key->type) {
	case TYPE_TEXT:
		return set_text(key, place, value, why);
	case TYPE_LIST:
		return set_list(key, base, value, first, why);
	case TYPE_WORD:
		if ((word = find_word(key, value, why)) == -1)
			return -1;
		*(int *)(void *)place = word;
		return 0;
	case TYPE_INT:
	case TYPE_SIZE:
	case TYPE_DURATION:
		return set_number(key, place, value, why);
	case TYPE_MODE:
		return set_mode(key, place, value, why);
	case TYPE_BOOL:
		return set_bool(key, place, value, why);
	case TYPE_REFUSED:
		break;
	}
	return set_why(why, "%s %s", key->name, key->words[0]);
}
