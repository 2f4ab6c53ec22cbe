/*
 * What xml.c (elements and pieces) and xml_fields.c (the text of elements) share.
 */
#ifndef WORKER_STORE_XML_PRIVATE_H
#define WORKER_STORE_XML_PRIVATE_H

#include <expat.h>

#include "worker/store/xml.h"

#define S3XML_WHY_MAX 160
#define S3XML_PIECE (8 << 10) /* bytes that expat gets at once */

enum s3xml_field {
	FIELD_UPLOAD_ID,
	FIELD_ETAG,
	FIELD_CODE,
	FIELD_MESSAGE,
	FIELD_SIGNED_REQUEST,
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
#define S3XML_PART_FIELDS \
	(S3XML_BIT(FIELD_PART_NUMBER) | S3XML_BIT(FIELD_PART_SIZE) | S3XML_BIT(FIELD_PART_ETAG))
#define S3XML_PART_OPTIONAL S3XML_BIT(FIELD_PART_CRC32C)
#define S3XML_UPLOAD_FIELDS \
	(S3XML_BIT(FIELD_KEY) | S3XML_BIT(FIELD_LISTED_ID) | S3XML_BIT(FIELD_INITIATED))

/* An element whose text is kept. */
struct s3xml_element {
	enum s3xml_root root;
	bool in_item; /* of a list */
	const char *name;
	enum s3xml_field field;
	size_t max; /* bytes with a NUL; a longer text of an Error is cut, any other is an error */
};

struct s3xml_parser {
	XML_Parser expat;
	struct s3xml *x;

	/* the position in the document */
	int depth; /* of open elements */
	bool in_item; /* inside a list's Part or Upload */
	unsigned seen; /* S3XML_BIT of each field; those of items are cleared with each item */

	/* the element whose text is being collected, or NULL */
	const struct s3xml_element *element;
	bool cut; /* its text is full */
	size_t len;
	char text[S3XML_KEY_MAX];

	/* bytes for expat */
	size_t fed; /* in all */
	size_t held; /* of piece */
	char piece[S3XML_PIECE];

	/* the outcome */
	bool failed;
	bool finished;
	char why[S3XML_WHY_MAX];
};

/* Stops expat and all handlers.  The first complaint is kept. */
void s3xml_fail(struct s3xml_parser *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The kind of document that begins with the element name. */
enum s3xml_root s3xml_root(const char *name);

/* The element of that name at the parser's position, or NULL if its text does not matter. */
const struct s3xml_element *s3xml_element(const struct s3xml_parser *p, const char *name);

/* Checks the text collected for p->element and stores it, or fails. */
void s3xml_take(struct s3xml_parser *p);

bool s3xml_is_space(char c);

#endif
