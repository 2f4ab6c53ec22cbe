/*
 * The state of a parser and the table of what matters in each document.  Internal to s3xml*.c.
 */
#ifndef WORKER_S3XML_PARSER_H
#define WORKER_S3XML_PARSER_H

#include <expat.h>

#include "worker/s3xml.h"

#define S3XML_WHY_MAX 160
#define S3XML_PIECE (8 << 10)

enum s3xml_field {
	FIELD_UPLOAD_ID,
	FIELD_ETAG,
	FIELD_CODE,
	FIELD_MESSAGE,
	FIELD_CRC64,
	FIELD_TRUNCATED,
	FIELD_NEXT_MARKER,
	FIELD_PART_NUMBER,
	FIELD_PART_SIZE,
	FIELD_PART_ETAG,
	FIELD_PART_CRC32C,
	FIELD_CHECKSUM_ALGORITHM,
	FIELD_CHECKSUM_TYPE,
	FIELD_KEY,
	FIELD_LISTED_ID,
	FIELD_INITIATED,
};

#define S3XML_BIT(field) (1U << (field))
#define S3XML_PART_FIELDS (S3XML_BIT(FIELD_PART_NUMBER) | S3XML_BIT(FIELD_PART_SIZE) | S3XML_BIT(FIELD_PART_ETAG))
#define S3XML_PART_OPTIONAL S3XML_BIT(FIELD_PART_CRC32C)
#define S3XML_UPLOAD_FIELDS (S3XML_BIT(FIELD_KEY) | S3XML_BIT(FIELD_LISTED_ID) | S3XML_BIT(FIELD_INITIATED))

/* An element whose text is kept; max: bytes of it with a NUL.  More is an error, but a message is cut. */
struct s3xml_element {
	enum s3xml_root root;
	bool in_item;
	const char *name;
	enum s3xml_field field;
	size_t max;
};

struct s3xml_parser {
	XML_Parser expat;
	struct s3xml *x;
	int depth;	  /* of open elements */
	bool in_item;	  /* inside a list's Part or Upload */
	unsigned seen;	  /* bit 1 << field; those of an item are cleared with each */
	const struct s3xml_element *element; /* whose text is being collected, or NULL */
	bool cut;			     /* its text is full */
	size_t fed;
	size_t held; /* bytes of piece that expat has not seen */
	size_t len;
	char text[S3XML_KEY_MAX];
	char piece[S3XML_PIECE];
	bool failed;
	bool finished;
	char why[S3XML_WHY_MAX];
};

/* The first complaint stays; expat is told to stop and no handler acts again. */
void s3xml_fail(struct s3xml_parser *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The kind of document that begins with the element name. */
enum s3xml_root s3xml_root(const char *name);

/* The element of that name at the parser's position if its text matters, else NULL. */
const struct s3xml_element *s3xml_element(const struct s3xml_parser *p, const char *name);

/* Checks the text collected for p->element and stores it, or fails. */
void s3xml_take(struct s3xml_parser *p);

bool s3xml_is_space(char c);

#endif
