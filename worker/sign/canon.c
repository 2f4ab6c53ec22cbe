/*
 * The canonical forms that both signatures are made of: percent-encoding, texts, sorted lists.
 */
#include <stdint.h>
#include <string.h>

#include "common/base/memory.h"
#include "common/base/text.h"
#include "worker/sign/private.h"
#include "worker/sign/sign.h"

/* RFC 3986's unreserved characters.  isalnum() would depend on the locale. */
static bool
is_unreserved(unsigned char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_' || c == '.' || c == '~';
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

int
sign_encode(const char *in, bool keep_slash, char *out, size_t out_size)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t len = 0;

	for (; *in != '\0'; in++) {
		unsigned char c = (unsigned char)*in;
		bool plain = is_unreserved(c) || (c == '/' && keep_slash);

		if (out_size < (plain ? 2U : 4U) || len > out_size - (plain ? 2U : 4U))
			return -1;
		if (plain) {
			out[len++] = (char)c;
		} else {
			out[len++] = '%';
			out[len++] = digits[c >> 4];
			out[len++] = digits[c & 15];
		}
	}
	if (len >= out_size || len > INT32_MAX)
		return -1;
	out[len] = '\0';
	return (int)len;
}

/* Makes room for more bytes and a NUL. */
static void
text_reserve(struct sign_text *t, size_t more)
{
	size_t want = t->len + more + 1;

	if (want <= t->size)
		return;
	want = want < 512 ? 512 : want * 2;
	t->buf = memory_array(t->buf, want, 1);
	t->size = want;
}

void
sign_text_add(struct sign_text *t, const char *s)
{
	size_t len = strlen(s);

	text_reserve(t, len);
	memcpy(t->buf + t->len, s, len + 1);
	t->len += len;
}

void
sign_text_add_encoded(struct sign_text *t, const char *s, bool keep_slash)
{
	text_reserve(t, 3 * strlen(s));
	t->len += (size_t)sign_encode(s, keep_slash, t->buf + t->len, t->size - t->len);
}

void
sign_text_release(struct sign_text *t)
{
	memory_free(t->buf);
	*t = (struct sign_text){ 0 };
}

static char *
encoded(const char *s)
{
	size_t size = 3 * strlen(s) + 1;
	char *out = memory_alloc(size);

	sign_encode(s, false, out, size);
	return out;
}

static char *
lowered(char *s)
{
	text_make_lower(s);
	return s;
}

/* Removes blanks at the ends; v4 also replaces a run of blanks with one. */
static char *
trimmed(const char *s)
{
	char *out = memory_alloc(strlen(s) + 1), *p = out;

	while (is_blank(*s))
		s++;
	for (; *s != '\0'; s++) {
		if (is_blank(*s) && (is_blank(s[1]) || s[1] == '\0'))
			continue;
		*p++ = is_blank(*s) ? ' ' : *s;
	}
	*p = '\0';
	return out;
}

/* Sorts by insertion: a list has SIGN_PAIRS_MAX rows at most, mostly fewer than ten. */
static void
list_sort(struct sign_list *list)
{
	int i, j;

	for (i = 1; i < list->n; i++) {
		for (j = i; j > 0; j--) {
			int order = strcmp(list->pair[j - 1].name, list->pair[j].name);

			if (order == 0)
				order = strcmp(list->pair[j - 1].value, list->pair[j].value);
			if (order <= 0)
				break;
			__typeof__(list->pair[0]) swap = list->pair[j];
			list->pair[j] = list->pair[j - 1];
			list->pair[j - 1] = swap;
		}
	}
}

int
sign_list_init(
    struct sign_list *list, const struct sign_pair *pairs, int n, enum sign_form form, bool unique)
{
	int i;

	list->n = 0;
	if (n < 0 || n > SIGN_PAIRS_MAX)
		return -1;
	for (i = 0; i < n; i++) {
		bool header = form == SIGN_FORM_LOWER_TRIMMED;
		char *name = header ? lowered(trimmed(pairs[i].name)) : encoded(pairs[i].name);

		list->pair[i].name = form == SIGN_FORM_ENCODED_LOWER ? lowered(name) : name;
		list->pair[i].value = header ? trimmed(pairs[i].value) : encoded(pairs[i].value);
		list->n = i + 1;
	}
	list_sort(list);
	for (i = 1; unique && i < n; i++)
		if (strcmp(list->pair[i - 1].name, list->pair[i].name) == 0)
			return -1;
	return 0;
}

void
sign_list_release(struct sign_list *list)
{
	int i;

	for (i = 0; i < list->n; i++) {
		memory_free(list->pair[i].name);
		memory_free(list->pair[i].value);
	}
	list->n = 0;
}

void
sign_list_names(const struct sign_list *list, struct sign_text *out)
{
	int i;

	for (i = 0; i < list->n; i++) {
		if (i > 0)
			sign_text_add(out, ";");
		sign_text_add(out, list->pair[i].name);
	}
}

void
sign_list_query(const struct sign_list *list, struct sign_text *out)
{
	int i;

	for (i = 0; i < list->n; i++) {
		if (i > 0)
			sign_text_add(out, "&");
		sign_text_add(out, list->pair[i].name);
		sign_text_add(out, "=");
		sign_text_add(out, list->pair[i].value);
	}
}
