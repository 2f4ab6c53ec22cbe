/*
 * The form of a log line: head, message, fields.  Values are quoted and escaped, so that an event
 * stays one line even if an object key, a server or a child process sends a line break.
 */
#include "common/base/log_line.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/text.h"

/* Bytes that stay free for a closing quote and the newline. */
#define RESERVE 2

/* The longest escape: four bytes as \xNN each, and a NUL. */
#define ESCAPE_MAX 17

static const char *const levels[] = { "emerg", "alert", "crit", "error", "warn", "notice", "info",
	"debug" };

/*
 * Length of the UTF-8 sequence at the beginning of s, 0 if s begins with none.  Overlong forms,
 * surrogates and codes beyond U+10FFFF are not UTF-8.
 */
static size_t
utf8_length(const unsigned char *s, uint32_t *code)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len, i;

	len = *s < 0x80 ? 1 : *s < 0xc0 ? 0 : *s < 0xe0 ? 2 : *s < 0xf0 ? 3 : *s < 0xf8 ? 4 : 0;
	if (len == 0)
		return 0;
	*code = len == 1 ? *s : *s & (0x7fu >> len);
	for (i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		*code = *code << 6 | (s[i] & 0x3fu);
	}
	if (len > 1 &&
	    (*code < least[len] || *code > 0x10ffff || (*code >= 0xd800 && *code <= 0xdfff)))
		return 0;
	return len;
}

/* Control characters of both blocks, and the separators that some programs take for a line's end.
 */
static bool
is_control(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x2028 || code == 0x2029;
}

/* Writes the escape of the first character of s.  Returns its length, and in *taken the length of
 * the character. */
static size_t
escape(const char *s, char unit[ESCAPE_MAX], size_t *taken)
{
	const unsigned char *u = (const unsigned char *)s;
	uint32_t code = 0;
	size_t i, len = utf8_length(u, &code);
	const char *named = "\nn\tt\rr\"\"\\\\";

	*taken = len > 0 ? len : 1;
	for (; *named != '\0'; named += 2)
		if (*s == *named) {
			unit[0] = '\\';
			unit[1] = named[1];
			return 2;
		}
	if (len > 0 && !is_control(code)) {
		memcpy(unit, s, len);
		return len;
	}
	for (i = 0; i < *taken; i++) {
		unit[i * 4] = '\\';
		unit[i * 4 + 1] = 'x';
		text_hex(unit + i * 4 + 2, u + i, 1);
	}
	return *taken * 4;
}

static size_t
room(const struct log_line *line)
{
	size_t used = line->len + RESERVE;

	return used < sizeof(line->text) ? sizeof(line->text) - used : 0;
}

static void
put(struct log_line *line, const char *s, size_t len)
{
	memcpy(line->text + line->len, s, len);
	line->len += len;
}

/* Appends value in quotes, cut between two characters where the line is full. */
static void
put_quoted(struct log_line *line, const char *value)
{
	char unit[ESCAPE_MAX];
	size_t len, taken;

	put(line, "\"", 1);
	for (; *value != '\0'; value += taken) {
		len = escape(value, unit, &taken);
		if (len > room(line))
			break;
		put(line, unit, len);
	}
	line->text[line->len++] = '"';
}

static bool
needs_quotes(const char *value)
{
	const char *p;

	for (p = value; *p > ' ' && *p < 0x7f && *p != '"' && *p != '\\' && *p != '='; p++)
		continue;
	return *p != '\0' || p == value;
}

static void
put_head(struct log_line *line, const struct log_head *head)
{
	char first[32];
	int len = 0;

	if (head->clock == LOG_CLOCK_JOURNAL) {
		snprintf(first, sizeof(first), "<%d>", line->priority);
	} else {
		clock_rfc3339(first, sizeof(first));
		strlcat(first, " ", sizeof(first));
	}
	if (head->ident != NULL)
		len = snprintf(line->text, sizeof(line->text), "%s%s %s[%d] ", first,
		    levels[line->priority], head->ident, (int)getpid());
	line->len = (size_t)len;
}

void
log_line_vbegin(
    struct log_line *line, int priority, const struct log_head *head, const char *fmt, va_list ap)
{
	char message[LOG_LINE_MAX];

	line->priority = priority & LOG_PRIMASK;
	put_head(line, head);
	put(line, "msg=", 4);
	vsnprintf(message, sizeof(message), fmt, ap);
	put_quoted(line, message);
}

void
log_str(struct log_line *line, const char *name, const char *value)
{
	size_t name_len = strlen(name), value_len;

	if (value == NULL || line->len == 0 || room(line) < name_len + 4)
		return;
	put(line, " ", 1);
	put(line, name, name_len);
	put(line, "=", 1);
	value_len = strlen(value);
	if (needs_quotes(value) || value_len > room(line))
		put_quoted(line, value);
	else
		put(line, value, value_len);
}

/* Appends a number whole or not at all: a cut number would be another number. */
static void
put_number(struct log_line *line, const char *name, const char *text)
{
	if (line->len > 0 && room(line) >= strlen(name) + strlen(text) + 2)
		log_str(line, name, text);
}

void
log_int(struct log_line *line, const char *name, int64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, value);
	put_number(line, name, text);
}

void
log_uint(struct log_line *line, const char *name, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	put_number(line, name, text);
}

size_t
log_line_end(struct log_line *line)
{
	line->text[line->len++] = '\n';
	return line->len;
}
