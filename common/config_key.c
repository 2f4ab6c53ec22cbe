/*
 * One key of the configuration: found by its name, its default set, its value parsed into its
 * place.
 */
#include "common/config_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/units.h"

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
	char why[256];
	size_t i;

	for (i = 0; i < CONFIG_KEYS; i++)
		if (config_keys[i].section == section && config_keys[i].initial != NULL &&
		    config_key_set(&config_keys[i], base, config_keys[i].initial, true, why,
			sizeof(why)) == -1)
			abort();
}

/* "s3", "cos" or "file" */
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
find_word(const struct config_key *key, const char *value, char *why, size_t why_size)
{
	char right[128];
	int i;

	for (i = 0; key->words[i] != NULL; i++)
		if (strcmp(key->words[i], value) == 0)
			return i;
	list_words(key->words, right, sizeof(right));
	snprintf(why, why_size, "%s = \"%.40s\" is unknown; it is %s", key->name, value, right);
	return -1;
}

static int
set_text(const struct config_key *key, char *place, const char *value, char *why, size_t why_size)
{
	const char *of = key->type == TYPE_LIST ? "an entry of " : "", *p, *wrong;

	if (*value == '\0' && !key->may_be_empty) {
		snprintf(
		    why, why_size, "%s%s is empty; give it a value or leave it out", of, key->name);
		return -1;
	}
	for (p = value; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f) {
			snprintf(why, why_size,
			    "%s%s holds a control character (0x%02x); it is one line of text", of,
			    key->name, (unsigned)*p);
			return -1;
		}
	if (strlen(value) >= key->size) {
		snprintf(why, why_size, "%s%s has %zu bytes; at most %zu are allowed", of,
		    key->name, strlen(value), key->size - 1);
		return -1;
	}
	if (key->type == TYPE_TEXT && key->words != NULL &&
	    find_word(key, value, why, why_size) == -1)
		return -1;
	memset(place, 0, key->size);
	memcpy(place, value, strlen(value));
	if (*value != '\0' && key->check != NULL && (wrong = key->check(place)) != NULL) {
		snprintf(why, why_size, "%s %s", key->name, wrong);
		return -1;
	}
	return 0;
}

static int
set_list(const struct config_key *key, char *base, const char *value, bool first, char *why,
    size_t why_size)
{
	char *texts = base + key->offset, *place;
	int *count = (int *)(void *)(base + key->count_offset), i;

	if (first)
		*count = 0;
	if (*count >= key->max) {
		snprintf(why, why_size, "%s lists more than %" PRId64 "; that is the limit",
		    key->name, key->max);
		return -1;
	}
	place = texts + (size_t)*count * key->size;
	if (set_text(key, place, value, why, why_size) == -1)
		return -1;
	for (i = 0; i < *count; i++)
		if (strcmp(texts + (size_t)i * key->size, place) == 0) {
			snprintf(why, why_size, "%s lists \"%s\" twice; once is enough", key->name,
			    place);
			return -1;
		}
	(*count)++;
	return 0;
}

/* An amount as the configuration writes it. */
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

/* The word that may stand for a number, in a sentence about what is right. */
static void
append_word(const struct config_key *key, const char *joint, char *why, size_t why_size)
{
	if (key->words == NULL)
		return;
	strlcat(why, joint, why_size);
	strlcat(why, "\"", why_size);
	strlcat(why, key->words[0], why_size);
	strlcat(why, "\"", why_size);
}

static int
set_number(const struct config_key *key, char *place, const char *value, char *why, size_t why_size)
{
	static const struct {
		const char *noun, *example;
	} forms[] = {
	    [TYPE_INT] = {"number", "4"},
	    [TYPE_SIZE] = {"size", "\"64M\" (units K, M, G, T)"},
	    [TYPE_DURATION] = {"time", "\"30s\" (units ms, s, m, h, d)"},
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
		snprintf(why, why_size, "%s = \"%.40s\" is not a %s; write it like %s", key->name,
		    value, forms[key->type].noun, forms[key->type].example);
		append_word(key, " or ", why, why_size);
		return -1;
	}
	if (error != NULL || (!word && (number < key->min || number > key->max))) {
		write_amount(key, key->min, least, sizeof(least));
		write_amount(key, key->max, most, sizeof(most));
		snprintf(why, why_size, "%s = \"%.40s\" is out of range; %s to %s are allowed",
		    key->name, value, least, most);
		append_word(key, ", and ", why, why_size);
		return -1;
	}
	if (key->type == TYPE_INT)
		*(int *)(void *)place = (int)number;
	else
		*(int64_t *)(void *)place = number;
	return 0;
}

static int
set_bool(const struct config_key *key, char *place, const char *value, char *why, size_t why_size)
{
	int truth = cfg_parse_boolean(value);

	if (truth != 0 && truth != 1) {
		snprintf(why, why_size, "%s = \"%.40s\" is not a truth value; write true or false",
		    key->name, value);
		return -1;
	}
	*(bool *)(void *)place = truth == 1;
	return 0;
}

int
config_key_set(const struct config_key *key, void *base, const char *value, bool first, char *why,
    size_t why_size)
{
	char *place = (char *)base + key->offset;
	int word;

	switch (key->type) {
	case TYPE_TEXT:
		return set_text(key, place, value, why, why_size);
	case TYPE_LIST:
		return set_list(key, base, value, first, why, why_size);
	case TYPE_WORD:
		if ((word = find_word(key, value, why, why_size)) == -1)
			return -1;
		*(int *)(void *)place = word;
		return 0;
	case TYPE_INT:
	case TYPE_SIZE:
	case TYPE_DURATION:
		return set_number(key, place, value, why, why_size);
	case TYPE_BOOL:
		return set_bool(key, place, value, why, why_size);
	case TYPE_REFUSED:
		break;
	}
	snprintf(why, why_size, "%s %s", key->name, key->words[0]);
	return -1;
}
