/*
 * Characters and strings by the rules of ASCII.  The locale plays no part.
 */
#ifndef COMMON_BASE_TEXT_H
#define COMMON_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* A control character of ASCII: below the space, or DEL. */
static inline bool
text_is_control(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

/* A printable character of ASCII, or a space. */
static inline bool
text_is_printable(char c)
{
	return c >= 0x20 && c <= 0x7e;
}

static inline char
text_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Whether all of s is printable ASCII. */
bool text_is_plain(const char *s);

/* Replaces each byte that is not printable ASCII with a question mark. */
void text_make_plain(char *s);

/* Replaces each control character with a question mark.  UTF-8 stays. */
void text_mask_controls(char *s);

/* Changes the capital letters of ASCII in s to small ones. */
void text_make_lower(char *s);

/* Whether s consists of exactly n hexadecimal digits, small or capital. */
bool text_is_hex(const char *s, size_t n);

/* Writes n bytes as 2 n hexadecimal digits, small ones, and a NUL.  Returns hex. */
char *text_hex(char *hex, const unsigned char *bytes, size_t n);

#endif
