#include "worker/store/words.h"

#include <openssl/evp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/base/memory.h"
#include "common/base/text.h"
#include "worker/store/private.h"

#define BEGIN "=?UTF-8?B?"
#define END "?="
#define WORD_BYTES 45 /* of text: 60 of base64, with BEGIN and END 72 */

/* The length of the character at s; 0 if it is malformed, or longer than need be. */
static size_t
character(const unsigned char *s)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4, i;

	if (n == 0 || s[0] > 0xf4)
		return 0;
	for (i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

bool
words_is_utf8(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t n;

	for (; *p != '\0'; p += n)
		if ((n = character(p)) == 0)
			return false;
	return true;
}

/* As many bytes of whole characters as a word holds. */
static size_t
portion(const char *s)
{
	size_t len = 0, n;

	while (s[len] != '\0') {
		n = character((const unsigned char *)s + len);
		if (n == 0 || len + n > WORD_BYTES)
			break;
		len += n;
	}
	return len;
}

char *
words_encode(const char *s)
{
	char *out = memory_alloc(strlen(s) * 4 + sizeof(BEGIN) + sizeof(END) + 8), *p = out;
	size_t len;

	for (; (len = portion(s)) > 0; s += len) {
		p = stpcpy(p, p == out ? BEGIN : " " BEGIN);
		p += EVP_EncodeBlock((unsigned char *)p, (const unsigned char *)s, (int)len);
		p = stpcpy(p, END);
	}
	return out;
}

/* Decodes len bytes of base64 to out.  Returns the number of bytes, or -1. */
static int
decode_base64(const char *s, size_t len, char *out)
{
	int n, padding = 0;

	while (len > 0 && padding < 2 && s[len - 1 - (size_t)padding] == '=')
		padding++;
	if (len == 0 || len % 4 != 0)
		return len == 0 ? 0 : -1;
	n = EVP_DecodeBlock((unsigned char *)out, (const unsigned char *)s, (int)len);
	return n < padding ? -1 : n - padding;
}

static int
hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *p = c == '\0' ? NULL : strchr(digits, text_lower(c));

	return p == NULL ? -1 : (int)(p - digits);
}

/* Decodes len bytes of the encoding "Q" to out.  Returns the number of bytes, or -1. */
static int
decode_q(const char *s, size_t len, char *out)
{
	char *p = out;
	size_t i;

	for (i = 0; i < len; i++) {
		if (s[i] == '_') {
			*p++ = ' ';
		} else if (s[i] != '=') {
			*p++ = s[i];
		} else {
			if (i + 2 >= len || hex_digit(s[i + 1]) < 0 || hex_digit(s[i + 2]) < 0)
				return -1;
			*p++ = (char)(hex_digit(s[i + 1]) << 4 | hex_digit(s[i + 2]));
			i += 2;
		}
	}
	return (int)(p - out);
}

/* Decodes the word at *s to out, and moves *s behind it.  Returns the number of bytes, or -1. */
static int
decode_word(const char **s, char *out)
{
	const char *charset = *s + 2, *code, *text, *end;
	size_t charset_len;

	if (strncmp(*s, "=?", 2) != 0 || (code = strchr(charset, '?')) == NULL || code[1] == '\0' ||
	    code[2] != '?')
		return -1;
	charset_len = (size_t)(code - charset);
	if (!(charset_len == 5 && strncasecmp(charset, "UTF-8", 5) == 0) &&
	    !(charset_len == 8 && strncasecmp(charset, "US-ASCII", 8) == 0))
		return -1;
	text = code + 3;
	if ((end = strstr(text, END)) == NULL)
		return -1;
	*s = end + 2;
	switch (text_lower(code[1])) {
	case 'b':
		return decode_base64(text, (size_t)(end - text), out);
	case 'q':
		return decode_q(text, (size_t)(end - text), out);
	default:
		return -1;
	}
}

char *
words_decode(const char *s)
{
	/* EVP_DecodeBlock() writes the padding, too */
	char *out = memory_alloc(strlen(s) + 4);
	size_t len = 0;
	int n;

	do {
		s += strspn(s, " ");
		if ((n = decode_word(&s, out + len)) == -1)
			break;
		/* neighbours have a blank between them, which is no part of the text */
		len += (size_t)n;
	} while (*s == ' ');
	out[len] = '\0';
	if (n != -1 && *s == '\0' && strlen(out) == len && store_is_header_value(out) &&
	    words_is_utf8(out))
		return out;
	memory_free(out);
	return NULL;
}
