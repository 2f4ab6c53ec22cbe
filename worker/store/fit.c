#include "worker/store/fit.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/base/memory.h"
#include "common/base/text.h"
#include "worker/store/private.h"
#include "worker/store/words.h"

/*
 * Bytes.  The head counts what the headers add to a request: a value once, a name twice, since the
 * signature lists it.  The rest of a request's head is left out of it: up to 4 KiB of path, Host,
 * date and signature, 2 KiB at Amazon, whose names of hosts and keys are short.
 *
 * Amazon: 2 KB of names and values of metadata in UTF-8, 8 KB for the head of a PUT (UsingMetadata
 * in the user guide).  COS: 2 KB of suffixes and values (436/7749).  Ceph: 16 KiB for a head, no
 * limit of metadata.  A server with lower limits refuses by itself (MetadataTooLarge).
 */
static const struct limits {
	enum store_kind kind;
	const char *host; /* a part of the endpoint */
	size_t metadata; /* names without prefix, and values, together; 0: no limit */
	size_t head;
} limits[] = {
	{ STORE_COS, "", 2048, 12288 },
	{ STORE_S3, ".amazonaws.com", 2048, 6144 },
	{ STORE_S3, "", 0, 12288 },
};

#define PAIRS_MAX (SIGN_PAIRS_MAX - 32) /* leaves room for the other headers of a request */

static const struct limits *
limits_of(const struct config_store *store)
{
	const struct limits *l = limits;

	while (l->kind != store->kind || strstr(store->endpoint, l->host) == NULL)
		l++;
	return l;
}

static void
forget_lost(struct object_info *info, const char *prefix)
{
	object_info_remove_some(info, INFO_LOST, prefix);
}

void
store_set_metadata(struct object_info *info, const char *pairs)
{
	object_info_remove(info, INFO_METADATA);
	forget_lost(info, "x-amz-meta-");
	forget_lost(info, "x-cos-meta-");
	forget_lost(info, "x-amz-missing-meta");
	info->words = false;
	object_info_add_metadata(info, pairs);
}

void
store_set_content_type(struct object_info *info, const char *type)
{
	forget_lost(info, "content-type");
	object_info_set(info, INFO_CONTENT_TYPE, type);
}

/* The object's headers and metadata on their way into another form. */
struct fit {
	const struct store_dialect *dialect;
	const struct limits *limits;
	struct object_info *in;
	struct object_info out;
	size_t metadata; /* bytes so far */
	size_t head; /* bytes so far */
	int pairs;
};

static void
lose(struct fit *f, const char *prefix, const char *name, const char *why)
{
	char full[128];

	snprintf(full, sizeof(full), "%s%s", prefix, name);
	text_make_plain(full);
	object_info_add_pair(&f->out, INFO_LOST, full, why);
}

/* True, and counted, if a header of these sizes has room in the request's head. */
static bool
has_room(struct fit *f, size_t name, size_t value)
{
	size_t size = 2 * name + value + 4; /* ": " and the line's end */

	if (f->head + size > f->limits->head)
		return false;
	f->head += size;
	return true;
}

static void
fit_text(struct fit *f, const char *name, enum info_text which)
{
	const char *value = object_info_text(f->in, which);
	char why[128];

	if (value[0] == '\0')
		return;
	if (has_room(f, strlen(name), strlen(value))) {
		object_info_add(&f->out, which, value);
		return;
	}
	snprintf(why, sizeof(why), "%zu bytes: over the %zu of all headers", strlen(value),
	    f->limits->head);
	lose(f, "", name, why);
}

static bool
has_pair(const struct object_info *info, const char *name)
{
	const char *pair = NULL;
	size_t len = strlen(name);

	while ((pair = object_info_next(info, INFO_METADATA, pair)) != NULL)
		if (strncasecmp(pair, name, len) == 0 && pair[len] == '\x1f')
			return true;
	return false;
}

/*
 * A pair whose value is plain in UTF-8 and wire as it is sent.  The pairs are tried in their order,
 * so that the same ones fit in each attempt.
 */
static void
admit(struct fit *f, const char *name, const char *plain, const char *wire)
{
	const char *prefix = f->dialect->meta_prefix;
	size_t size = strlen(name) + strlen(plain);
	char why[160] = "";

	if (has_pair(&f->out, name))
		snprintf(why, sizeof(why), "another name becomes the same");
	else if (!words_is_utf8(plain))
		snprintf(why, sizeof(why), "its value is neither ASCII nor UTF-8");
	else if (f->pairs >= PAIRS_MAX)
		snprintf(why, sizeof(why), "more than %d pairs", PAIRS_MAX);
	else if (f->limits->metadata > 0 && f->metadata + size > f->limits->metadata)
		snprintf(why, sizeof(why), "%zu bytes: over the %zu of all metadata", size,
		    f->limits->metadata);
	else if (!has_room(f, strlen(prefix) + strlen(name), strlen(wire)))
		snprintf(why, sizeof(why), "%zu bytes: over the %zu of all headers", strlen(wire),
		    f->limits->head);
	if (why[0] != '\0') {
		lose(f, prefix, name, why);
		return;
	}
	f->metadata += size;
	f->pairs++;
	object_info_add_pair(&f->out, INFO_METADATA, name, wire);
}

/* An entry without '\x1f' is none that we made: it stays, and no request can be built of it. */
static void
fit_pair(struct fit *f, const char *pair)
{
	size_t len = strcspn(pair, "\x1f");
	const char *value = pair + len + (pair[len] == '\x1f');
	char *name = memory_strdup(pair), *decoded = NULL, *encoded = NULL, *p;
	const char *plain, *wire;

	name[len] = '\0';
	for (p = name; f->dialect->meta_dashes_only && *p != '\0'; p++)
		if (*p == '_' || *p == '.')
			*p = '-';
	if (f->in->words)
		decoded = words_decode(value);
	plain = decoded != NULL ? decoded : value;
	/* words stay as they came where the store has words, too */
	wire = f->dialect->meta_words ? value : plain;
	if (f->dialect->meta_words && !text_is_plain(wire) && words_is_utf8(wire))
		wire = encoded = words_encode(wire);
	admit(f, name, plain, wire);
	memory_free(name);
	memory_free(decoded);
	memory_free(encoded);
}

void
store_fit(const struct config_store *store, struct object_info *info)
{
	struct fit f = { .dialect = store_dialect(store->kind), .in = info };
	const char *entry = NULL;

	f.limits = limits_of(store);
	f.out = *info;
	f.out.texts = NULL;
	f.out.used = f.out.room = 0;
	while ((entry = object_info_next(info, INFO_LOST, entry)) != NULL)
		object_info_add(&f.out, INFO_LOST, entry);
	fit_text(&f, "Content-Type", INFO_CONTENT_TYPE);
	fit_text(&f, "Content-Encoding", INFO_CONTENT_ENCODING);
	fit_text(&f, "Content-Language", INFO_CONTENT_LANGUAGE);
	fit_text(&f, "Cache-Control", INFO_CACHE_CONTROL);
	fit_text(&f, "Expires", INFO_EXPIRES);
	fit_text(&f, "Content-Disposition", INFO_CONTENT_DISPOSITION);
	for (entry = NULL; (entry = object_info_next(info, INFO_METADATA, entry)) != NULL;)
		fit_pair(&f, entry);
	object_info_release(info);
	*info = f.out;
}

int
store_losses(const struct object_info *info, char *text, size_t size)
{
	const char *entry = NULL;
	size_t used = 0;
	int n = 0, shown = 0;
	char one[320];

	text[0] = '\0';
	while ((entry = object_info_next(info, INFO_LOST, entry)) != NULL) {
		size_t len = strcspn(entry, "\x1f");

		n++;
		snprintf(one, sizeof(one), "%s%.*s (%s)", used > 0 ? ", " : "", (int)len, entry,
		    entry + len + (entry[len] != '\0'));
		if (shown < n - 1 || used + strlen(one) + 24 > size)
			continue;
		used += strlcpy(text + used, one, size - used);
		shown = n;
	}
	if (shown < n)
		snprintf(
		    text + used, size - used, "%sand %d more", used > 0 ? ", " : "", n - shown);
	return n;
}
