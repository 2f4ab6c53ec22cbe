/*
 * Reads the file and blanks its comments.  libConfuse 3.3 counts the line of a comment twice, so
 * that every later error would name a wrong line.  Errors that its lexer does not report are
 * refused here: stray characters, and a string, comment or brace without end.
 */
#include "common/config/private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/text.h"

#define FILE_SIZE_MAX (1 << 20)

/* Reads all of fd into a heap string.  NULL after config_fail(). */
static char *
slurp(struct config_ctx *ctx, int fd, size_t *len)
{
	char *text = malloc(FILE_SIZE_MAX + 2);
	ssize_t n = 1;

	*len = 0;
	while (text != NULL && *len <= FILE_SIZE_MAX &&
	       (n = read(fd, text + *len, FILE_SIZE_MAX + 1 - *len)) > 0)
		*len += (size_t)n;
	if (text == NULL || n == -1) {
		config_fail(ctx, 0, "%s; the file must be readable", strerror(errno));
		free(text);
		return NULL;
	}
	text[*len] = '\0';
	return text;
}

/* Refuses files that are not text in UTF-8.  0, or -1 after config_fail(). */
static int
check_text(struct config_ctx *ctx, const char *text, size_t len)
{
	int line = 1;
	size_t i;

	if (len > FILE_SIZE_MAX)
		return config_fail(
		    ctx, 0, "more than %d bytes; that is no configuration", FILE_SIZE_MAX);
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		return config_fail(
		    ctx, 1, "the file begins with a byte order mark; save it as UTF-8 without one");
	if (len >= 2 && (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0))
		return config_fail(ctx, 1, "the file is UTF-16; save it as UTF-8");
	for (i = 0; i < len; i++) {
		if (text[i] == '\n')
			line++;
		else if (text_is_control(text[i]) && text[i] != '\t' && text[i] != '\r')
			return config_fail(ctx, line, "byte 0x%02x; a configuration is plain text",
			    (unsigned)text[i]);
	}
	return 0;
}

/* The end of the string that begins at p with its quote, or NULL. */
static char *
string_end(char *p, int *line)
{
	char quote = *p;

	for (p++; *p != '\0' && *p != quote; p++) {
		if (*p == '\\' && p[1] != '\0')
			p++;
		if (*p == '\n')
			(*line)++;
	}
	return *p == quote ? p + 1 : NULL;
}

/* Blanks the comment at p, to the end of its line or to its closing mark.  Returns the text behind
 * it, or NULL if it has no end. */
static char *
blank_comment(char *p, bool block, int *line)
{
	if (!block) {
		for (; *p != '\0' && *p != '\n'; p++)
			*p = ' ';
		return p;
	}
	for (p[0] = p[1] = ' ', p += 2; *p != '\0' && !(p[0] == '*' && p[1] == '/'); p++) {
		if (*p == '\n')
			(*line)++;
		else
			*p = ' ';
	}
	if (*p == '\0')
		return NULL;
	p[0] = p[1] = ' ';
	return p + 2;
}

/* The open braces: libConfuse takes the end of the file for the end of a section.  The deepest
 * nesting is a list in a section. */
struct braces {
	int depth;
	int line[2];
	bool of_list[2];
	char before; /* the last character that is not blank */
};

/* A section in a section: the '}' of the outer one has been forgotten. */
static bool
lacks_close(const struct braces *braces, char c)
{
	return c == '{' && braces->depth == 2 && !braces->of_list[0] && !braces->of_list[1];
}

static int
take_char(struct config_ctx *ctx, struct braces *braces, const char *p, int line)
{
	if (lacks_close(braces, *p))
		return config_fail(ctx, braces->line[1],
		    "a section begins inside of the section that line %d opens; close that one "
		    "with '}' first",
		    braces->line[0]);
	if (strchr("*()", *p) != NULL || (*p == '+' && p[1] != '=') ||
	    (*p == '{' && braces->depth == 2))
		return config_fail(
		    ctx, line, "stray '%c'; a text that holds it goes into double quotes", *p);
	if (*p == '{') {
		braces->of_list[braces->depth] = braces->before == '=';
		braces->line[braces->depth++] = line;
	}
	if (*p == '}' && braces->depth > 0)
		braces->depth--;
	if (strchr(" \t\r\n", *p) == NULL)
		braces->before = *p;
	return 0;
}

static int
blank_comments(struct config_ctx *ctx, char *text)
{
	struct braces braces = { .depth = 0 };
	char *p = text;
	int line = 1, begin;

	while (*p != '\0') {
		bool at_token = p == text || strchr(" \t\r\n={}(),\"'", p[-1]) != NULL;

		begin = line;
		if (*p == '"' || *p == '\'') {
			braces.before = *p;
			if ((p = string_end(p, &line)) == NULL)
				return config_fail(ctx, begin,
				    "a string without end; close it with the quote that opens it");
		} else if (*p == '#' || (at_token && p[0] == '/' && (p[1] == '/' || p[1] == '*'))) {
			if ((p = blank_comment(p, p[0] == '/' && p[1] == '*', &line)) == NULL)
				return config_fail(
				    ctx, begin, "a comment without end; close it with */");
		} else {
			if (take_char(ctx, &braces, p, line) == -1)
				return -1;
			line += *p++ == '\n';
		}
	}
	if (braces.depth > 0)
		return config_fail(
		    ctx, braces.line[braces.depth - 1], "a '{' without end; close it with '}'");
	return 0;
}

static int
open_config(struct config_ctx *ctx, const char *file)
{
	struct stat st;
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd == -1 && errno == EACCES)
		config_fail(ctx, 0,
		    "%s; let this account read it: chgrp and chmod 640 the file, in directories "
		    "that "
		    "the account may enter",
		    strerror(errno));
	else if (fd == -1 || fstat(fd, &st) == -1)
		config_fail(ctx, 0, "%s; make it, or name another with -f", strerror(errno));
	else if (!S_ISREG(st.st_mode))
		config_fail(ctx, 0, "not a regular file; name the configuration with -f");
	else if (st.st_size == 0)
		config_fail(ctx, 0, "the file is empty; it needs database at least");
	else
		return fd;
	if (fd != -1)
		close(fd);
	return -1;
}

char *
config_read(struct config_ctx *ctx, const char *file)
{
	int fd = open_config(ctx, file);
	char *text;
	size_t len;

	if (fd == -1)
		return NULL;
	text = slurp(ctx, fd, &len);
	close(fd);
	if (text != NULL && (check_text(ctx, text, len) == -1 || blank_comments(ctx, text) == -1)) {
		free(text);
		return NULL;
	}
	return text;
}
