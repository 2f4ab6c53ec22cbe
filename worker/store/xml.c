/*
 * expat reports elements and text.  xml_fields.c knows which elements of which document matter;
 * their text is collected in one bounded buffer and checked when the element ends.  Nothing else of
 * a document is kept.
 */
#include "worker/store/xml.h"

#include <stdio.h>
#include <string.h>

#include "common/base/memory.h"
#include "worker/store/xml_private.h"

#define DEPTH_MAX 8
#define DOCUMENT_MAX (1 << 20) /* bytes; a full page of ListParts has 400 KiB */

static const char *
local_name(const char *name)
{
	const char *colon = strrchr(name, ':');

	return colon != NULL ? colon + 1 : name;
}

/* Makes room for a page, if the document is a list. */
static void
list_begin(struct s3xml *x)
{
	if (x->with_list && x->root == S3XML_LIST_PARTS)
		x->parts = memory_alloc(S3XML_PARTS_MAX * sizeof(*x->parts));
	if (x->with_list && x->root == S3XML_LIST_UPLOADS)
		x->uploads = memory_alloc(S3XML_UPLOADS_MAX * sizeof(*x->uploads));
}

static bool
is_item(const struct s3xml *x, const char *name)
{
	return (x->root == S3XML_LIST_PARTS && strcmp(name, "Part") == 0) ||
	       (x->root == S3XML_LIST_UPLOADS && strcmp(name, "Upload") == 0);
}

static void
item_begin(struct s3xml_parser *p)
{
	struct s3xml *x = p->x;

	if (!x->with_list)
		s3xml_fail(p, "an unexpected list");
	else if (x->nparts == S3XML_PARTS_MAX || x->nuploads == S3XML_UPLOADS_MAX)
		s3xml_fail(p, "more than %d in one page",
		    x->nparts > 0 ? S3XML_PARTS_MAX : S3XML_UPLOADS_MAX);
	else if (x->parts != NULL)
		x->parts[x->nparts] = (struct s3xml_part){ .size = -1 };
	else
		x->uploads[x->nuploads] = (struct s3xml_upload){ .initiated = -1 };
	p->in_item = true;
	p->seen &= ~(S3XML_PART_FIELDS | S3XML_PART_OPTIONAL | S3XML_UPLOAD_FIELDS);
}

static void XMLCALL
on_start(void *arg, const char *name, const char **attributes)
{
	struct s3xml_parser *p = arg;
	const struct s3xml_element *e;

	(void)attributes;
	if (p->failed)
		return;
	name = local_name(name);
	if (++p->depth > DEPTH_MAX) {
		s3xml_fail(p, "elements nested more than %d deep", DEPTH_MAX);
		return;
	}
	if (p->element != NULL) {
		s3xml_fail(p, "an element where text was expected");
		return;
	}
	if (p->depth == 1) {
		p->x->root = s3xml_root(name);
		list_begin(p->x);
		return;
	}
	if (p->depth == 2 && is_item(p->x, name)) {
		item_begin(p);
		return;
	}
	e = s3xml_element(p, name);
	if (e == NULL)
		return;
	if (p->seen & S3XML_BIT(e->field)) {
		s3xml_fail(p, "%s twice", e->name);
		return;
	}
	p->seen |= S3XML_BIT(e->field);
	p->element = e;
	p->len = 0;
	p->cut = false;
}

/* These are for people only. */
static bool
may_be_cut(enum s3xml_field field)
{
	return field == FIELD_MESSAGE || field == FIELD_SIGNED_REQUEST;
}

static void XMLCALL
on_text(void *arg, const char *s, int len)
{
	struct s3xml_parser *p = arg;
	size_t n = (size_t)len, room;

	if (p->failed || p->element == NULL || p->cut)
		return;
	room = p->element->max - 1 - p->len;
	if (n > room && !may_be_cut(p->element->field)) {
		s3xml_fail(p, "the text of %s is longer than %zu bytes", p->element->name,
		    p->element->max - 1);
		return;
	}
	if (n > room) {
		/* cut between characters: the message goes into a column that takes only UTF-8 */
		for (n = room; n > 0 && ((unsigned char)s[n] & 0xC0) == 0x80; n--)
			;
		p->cut = true;
	}
	memcpy(p->text + p->len, s, n);
	p->len += n;
}

static void
part_end(struct s3xml_parser *p)
{
	struct s3xml *x = p->x;
	const struct s3xml_part *part = &x->parts[x->nparts];

	if ((p->seen & S3XML_PART_FIELDS) != S3XML_PART_FIELDS)
		s3xml_fail(p, "a Part without PartNumber, Size or ETag");
	else if (x->nparts > 0 && part->number <= x->parts[x->nparts - 1].number)
		s3xml_fail(p, "parts that do not ascend");
	else
		x->nparts++;
}

static void
upload_end(struct s3xml_parser *p)
{
	if ((p->seen & S3XML_UPLOAD_FIELDS) != S3XML_UPLOAD_FIELDS)
		s3xml_fail(p, "an Upload without Key, UploadId or Initiated");
	else
		p->x->nuploads++;
}

static void
item_end(struct s3xml_parser *p)
{
	p->in_item = false;
	if (p->x->parts != NULL)
		part_end(p);
	else
		upload_end(p);
}

static void XMLCALL
on_end(void *arg, const char *name)
{
	struct s3xml_parser *p = arg;

	(void)name;
	if (p->failed)
		return;
	if (p->element != NULL)
		s3xml_take(p);
	else if (p->in_item && p->depth == 2)
		item_end(p);
	p->depth--;
}

/* Stores send no DOCTYPE, and its entities could attack the parser. */
static void XMLCALL
on_doctype(
    void *arg, const char *name, const char *sysid, const char *pubid, int has_internal_subset)
{
	(void)name;
	(void)sysid;
	(void)pubid;
	(void)has_internal_subset;
	s3xml_fail(arg, "a DOCTYPE");
}

int
s3xml_init(struct s3xml *x, bool with_list)
{
	struct s3xml_parser *p;

	memset(x, 0, sizeof(*x));
	p = memory_alloc(sizeof(*p));
	p->x = x;
	x->parser = p;
	x->with_list = with_list;
	/* stores send UTF-8, whatever a declaration claims */
	p->expat = XML_ParserCreate("UTF-8");
	if (p->expat == NULL) {
		s3xml_release(x);
		return -1;
	}
	XML_SetUserData(p->expat, p);
	XML_SetElementHandler(p->expat, on_start, on_end);
	XML_SetCharacterDataHandler(p->expat, on_text);
	XML_SetStartDoctypeDeclHandler(p->expat, on_doctype);
	return 0;
}

void
s3xml_release(struct s3xml *x)
{
	if (x->parser != NULL) {
		if (x->parser->expat != NULL)
			XML_ParserFree(x->parser->expat);
		memory_free(x->parser);
	}
	memory_free(x->parts);
	memory_free(x->uploads);
	x->parser = NULL;
	x->parts = NULL;
	x->uploads = NULL;
}

/*
 * Gives the collected piece to expat.  Before version 2.6, expat reads an unfinished token from its
 * beginning with each call (CVE-2023-52425): a name of one MiB, fed byte by byte, would take hours.
 */
static int
parse(struct s3xml_parser *p, bool final)
{
	size_t len = p->held;

	p->held = 0;
	if (XML_Parse(p->expat, p->piece, (int)len, final) != XML_STATUS_OK) {
		if (XML_GetErrorCode(p->expat) == XML_ERROR_NO_MEMORY)
			memory_exhausted(len);
		s3xml_fail(p, "%s", XML_ErrorString(XML_GetErrorCode(p->expat)));
	}
	return p->failed ? -1 : 0;
}

int
s3xml_feed(struct s3xml *x, const char *buf, size_t len)
{
	struct s3xml_parser *p = x->parser;
	size_t n;

	if (p->failed)
		return -1;
	/* blanks that keep a connection alive stand before <?xml, where expat takes none */
	while (p->fed == 0 && len > 0 && s3xml_is_space(*buf)) {
		buf++;
		len--;
	}
	if (len == 0)
		return 0;
	if (len > DOCUMENT_MAX - p->fed) {
		s3xml_fail(p, "a document of more than %d bytes", DOCUMENT_MAX);
		return -1;
	}
	p->fed += len;
	for (; len > 0; buf += n, len -= n) {
		n = len < S3XML_PIECE - p->held ? len : S3XML_PIECE - p->held;
		memcpy(p->piece + p->held, buf, n);
		p->held += n;
		if (p->held == S3XML_PIECE && parse(p, false) == -1)
			return -1;
	}
	return 0;
}

/*
 * COS answers AccessDenied to a signature whose time has passed.  Only the message tells this from
 * refused keys, so that the code is replaced.
 */
static void
error_normalise(struct s3xml *x)
{
	if (strcmp(x->code, "AccessDenied") == 0 && strcmp(x->message, "Request has expired") == 0)
		strlcpy(x->code, "RequestTimeTooSkewed", sizeof(x->code));
}

/* A page that is not the last must say where the next one begins, and that must be further on. */
static void
list_check(struct s3xml_parser *p)
{
	struct s3xml *x = p->x;
	int last = x->nparts > 0 ? x->parts[x->nparts - 1].number : 0;

	if (x->truncated && (p->seen & S3XML_BIT(FIELD_NEXT_MARKER)) == 0)
		x->next_marker = last;
	if (x->truncated && (last == 0 || x->next_marker < last))
		s3xml_fail(p, "a list of parts that does not advance");
}

int
s3xml_finish(struct s3xml *x, char *why, size_t why_size)
{
	struct s3xml_parser *p = x->parser;

	if (!p->failed && p->fed == 0)
		s3xml_fail(p, "an empty document");
	if (!p->failed && !p->finished && parse(p, true) == 0) {
		if (x->root == S3XML_ERROR)
			error_normalise(x);
		else if (x->root == S3XML_LIST_PARTS)
			list_check(p);
	}
	p->finished = true;
	if (!p->failed)
		return 0;
	snprintf(why, why_size, "%s", p->why);
	return -1;
}
