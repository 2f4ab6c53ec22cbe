/*
 * Text in headers: the encoded words of RFC 2047, in which S3 takes and gives metadata that is not
 * ASCII.  docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
 */
#ifndef WORKER_STORE_WORDS_H
#define WORKER_STORE_WORDS_H

#include <stdbool.h>

/* True if s is well-formed UTF-8. */
bool words_is_utf8(const char *s);

/* Returns UTF-8 as encoded words, each of 75 bytes at most, in a string on the heap. */
char *words_encode(const char *s);

/*
 * Returns the text in UTF-8, in a string on the heap, if s consists of encoded words and of nothing
 * else, and their charset is UTF-8 or US-ASCII.  NULL: s is not that, or means a text that no
 * header can hold.
 */
char *words_decode(const char *s);

#endif
