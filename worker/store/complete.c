#include "worker/store/complete.h"

#include <stdio.h>

#include "common/base/memory.h"
#include "worker/base/crc32c.h"

static void
put_escaped(FILE *out, const char *s)
{
	for (; *s != '\0'; s++) {
		if (*s == '&')
			fputs("&amp;", out);
		else if (*s == '<')
			fputs("&lt;", out);
		else if (*s == '>')
			fputs("&gt;", out);
		else
			fputc(*s, out);
	}
}

char *
store_complete_body(const struct store_etag *parts, int nparts, size_t *len)
{
	char *body = NULL, crc32c[CRC32C_TEXT_MAX];
	FILE *out;
	int i;

	out = open_memstream(&body, len);
	if (out == NULL)
		memory_exhausted(BUFSIZ);
	fputs("<CompleteMultipartUpload>", out);
	for (i = 0; i < nparts; i++) {
		fprintf(out, "<Part><PartNumber>%d</PartNumber><ETag>\"", parts[i].number);
		put_escaped(out, parts[i].etag);
		fputs("\"</ETag>", out);
		if (parts[i].has_crc32c) {
			crc32c_format(parts[i].crc32c, crc32c);
			fprintf(out, "<ChecksumCRC32C>%s</ChecksumCRC32C>", crc32c);
		}
		fputs("</Part>", out);
	}
	fputs("</CompleteMultipartUpload>", out);
	if (ferror(out) || fclose(out) != 0)
		memory_exhausted((size_t)nparts * 64);
	return body;
}
