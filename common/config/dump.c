#include "common/config/private.h"

#include <inttypes.h>
#include <libpq-fe.h>
#include <string.h>

#include "common/base/units.h"

/* Writes text in double quotes, so that libConfuse reads it back.  libConfuse takes "${" for a
 * variable. */
static void
write_quoted(FILE *out, const char *text)
{
	putc('"', out);
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\' || *text == '$')
			putc('\\', out);
		putc(*text, out);
	}
	putc('"', out);
}

static void
write_list(FILE *out, const struct config_key *key, const char *base)
{
	int i, count = *(const int *)(const void *)(base + key->count_offset);

	putc('{', out);
	for (i = 0; i < count; i++) {
		if (i > 0)
			fputs(", ", out);
		write_quoted(out, base + key->offset + (size_t)i * key->size);
	}
	putc('}', out);
}

/* Appends one keyword of a connection string, its value quoted for libpq.  Returns the bytes used.
 */
static size_t
append_option(char *buf, size_t size, size_t used, const char *keyword, const char *value)
{
	int n = snprintf(buf + used, size - used, "%s%s='", used > 0 ? " " : "", keyword);

	used += n > 0 ? (size_t)n : 0;
	for (; *value != '\0' && used + 3 < size; value++) {
		if (*value == '\'' || *value == '\\')
			buf[used++] = '\\';
		buf[used++] = *value;
	}
	if (used + 1 < size)
		buf[used++] = '\'';
	buf[used < size ? used : size - 1] = '\0';
	return used < size ? used : size - 1;
}

/* Writes the connection string.  A password is replaced with stars. */
static void
write_conninfo(FILE *out, const char *conninfo)
{
	PQconninfoOption *options = PQconninfoParse(conninfo, NULL), *o;
	char masked[CONFIG_PATH_MAX * 4] = "";
	bool secret = false;
	size_t used = 0;

	for (o = options; o != NULL && o->keyword != NULL; o++) {
		if (o->val == NULL)
			continue;
		if (*o->dispchar == '*')
			secret = true;
		used = append_option(masked, sizeof(masked), used, o->keyword,
		    *o->dispchar == '*' ? "********" : o->val);
	}
	write_quoted(out, options == NULL || secret ? masked : conninfo);
	PQconninfoFree(options);
}

static bool
is_unset(const struct config_key *key, const char *base)
{
	if (key->type == TYPE_TEXT)
		return base[key->offset] == '\0' && !key->may_be_empty;
	return key->type == TYPE_LIST &&
	       *(const int *)(const void *)(base + key->count_offset) == 0;
}

/* The word that stands for a number of 0, or NULL. */
static const char *
word_of(const struct config_key *key, int64_t number)
{
	return key->words != NULL && number == 0 ? key->words[0] : NULL;
}

static void
write_text(FILE *out, const struct config_key *key, const char *text)
{
	if (key->check == config_text_conninfo)
		write_conninfo(out, text);
	else
		write_quoted(out, text);
}

static void
write_duration(FILE *out, const struct config_key *key, int64_t value)
{
	const char *word = word_of(key, value);
	char text[32];

	write_quoted(out, word != NULL ? word : units_exact_duration(text, sizeof(text), value));
}

static void
write_value(FILE *out, const struct config_key *key, const char *base)
{
	const void *place = base + key->offset;
	const char *word;
	char text[32];

	switch (key->type) {
	case TYPE_TEXT:
		write_text(out, key, place);
		break;
	case TYPE_LIST:
		write_list(out, key, base);
		break;
	case TYPE_WORD:
		write_quoted(out, key->words[*(const int *)place]);
		break;
	case TYPE_INT:
		if ((word = word_of(key, *(const int *)place)) != NULL)
			write_quoted(out, word);
		else
			fprintf(out, "%d", *(const int *)place);
		break;
	case TYPE_SIZE:
		word = word_of(key, *(const int64_t *)place);
		write_quoted(out,
		    word != NULL ? word
				 : units_exact_size(text, sizeof(text), *(const int64_t *)place));
		break;
	case TYPE_DURATION:
		write_duration(out, key, *(const int64_t *)place);
		break;
	case TYPE_MODE:
		fprintf(out, "\"%#o\"", *(const unsigned *)place);
		break;
	case TYPE_BOOL:
		fputs(*(const bool *)place ? "true" : "false", out);
		break;
	case TYPE_REFUSED:
		break;
	}
}

/* Writes the keys of one section.  kind counts for stores only. */
static void
write_section(FILE *out, enum config_section section, const void *base, enum store_kind kind)
{
	const char *const indent = section == SECTION_TOP ? "" : "\t";
	size_t i;

	for (i = 0; i < CONFIG_KEYS; i++) {
		const struct config_key *key = &config_keys[i];

		if (key->section != section || key->type == TYPE_REFUSED || is_unset(key, base) ||
		    (section == SECTION_STORE && (key->kinds & 1u << kind) == 0))
			continue;
		fprintf(out, "%s%s = ", indent, key->name);
		write_value(out, key, base);
		putc('\n', out);
	}
}

void
config_dump(const struct config *conf, FILE *out)
{
	struct config_store store;
	int i;

	write_section(out, SECTION_TOP, conf, STORE_S3);
	fputs("worker {\n", out);
	write_section(out, SECTION_WORKER, conf, STORE_S3);
	fputs("}\nhttp {\n", out);
	write_section(out, SECTION_HTTP, conf, STORE_S3);
	fputs("}\n", out);
	if (conf->metrics_listen[0] != '\0') {
		fputs("metrics {\n", out);
		write_section(out, SECTION_METRICS, conf, STORE_S3);
		fputs("}\n", out);
	}
	for (i = 0; i < conf->nstores; i++) {
		store = conf->stores[i];
		/* A key that came from a file: the configuration names the file. */
		if (store.access_key_file[0] != '\0' || store.credentials_file[0] != '\0')
			store.access_key[0] = '\0';
		fprintf(out, "store \"%s\" {\n", store.name);
		write_section(out, SECTION_STORE, &store, store.kind);
		fputs("}\n", out);
	}
	explicit_bzero(&store, sizeof(store));
}
