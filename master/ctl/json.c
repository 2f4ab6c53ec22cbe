/*
 * JSON (RFC 8259) and CSV of an answer of the database.
 */
#include "master/ctl/sheet.h"

#include <stdio.h>
#include <string.h>

#include "common/base/uri.h"
#include "master/ctl/ctl.h"

/*
 * Types of the database: pg_type.dat of PostgreSQL's sources.  A value of numeric, such as a CRC64,
 * is a string, since many programs read the numbers of JSON as doubles.
 */
enum { TYPE_BOOL = 16, TYPE_INT8 = 20, TYPE_INT2 = 21, TYPE_INT4 = 23 };

/* The value for programs.  buf is for a URI. */
static const char *
value_of(const PGresult *res, int row, int column, char *buf, size_t size)
{
	const char *name = PQfname(res, column), *value = PQgetvalue(res, row, column);

	if (strcmp(name, "source") == 0 || strcmp(name, "destination") == 0)
		return uri_redact(buf, size, value);
	return value;
}

/*
 * Control characters are escaped, those from U+0080 to U+009F too: a terminal may obey them.
 */
static void
print_string(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;

	putchar('"');
	for (; *p != '\0'; p++) {
		if (*p == '"' || *p == '\\') {
			printf("\\%c", *p);
		} else if (*p < 0x20 || *p == 0x7f) {
			printf("\\u%04x", *p);
		} else if (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0) {
			printf("\\u%04x", p[1]);
			p++;
		} else {
			putchar(*p);
		}
	}
	putchar('"');
}

static void
print_value(const PGresult *res, int row, int column)
{
	char buf[CTL_TEXT_MAX];
	const char *value = value_of(res, row, column, buf, sizeof(buf));

	if (PQgetisnull(res, row, column)) {
		fputs("null", stdout);
		return;
	}
	switch (PQftype(res, column)) {
	case TYPE_BOOL:
		fputs(*value == 't' ? "true" : "false", stdout);
		break;
	case TYPE_INT2:
	case TYPE_INT4:
	case TYPE_INT8:
		fputs(value, stdout);
		break;
	default:
		print_string(value);
		break;
	}
}

void
sheet_print_object(const PGresult *res, int row)
{
	int column;

	putchar('{');
	for (column = 0; column < PQnfields(res); column++) {
		fputs(column > 0 ? ", " : "", stdout);
		print_string(PQfname(res, column));
		fputs(": ", stdout);
		print_value(res, row, column);
	}
	putchar('}');
}

void
sheet_print_array(const PGresult *res)
{
	int row;

	putchar('[');
	for (row = 0; row < PQntuples(res); row++) {
		fputs(row > 0 ? ",\n " : "", stdout);
		sheet_print_object(res, row);
	}
	putchar(']');
}

/* A control character becomes a question mark. */
static void
print_csv_field(const char *value)
{
	char clean[CTL_TEXT_MAX];
	const char *p;

	ctl_clean(clean, sizeof(clean), value, CTL_WHOLE);
	if (strpbrk(clean, ",\"") == NULL) {
		fputs(clean, stdout);
		return;
	}
	putchar('"');
	for (p = clean; *p != '\0'; p++) {
		if (*p == '"')
			putchar('"');
		putchar(*p);
	}
	putchar('"');
}

void
sheet_print_csv(const PGresult *res)
{
	char buf[CTL_TEXT_MAX];
	int row, column, n = PQnfields(res);

	for (column = 0; column < n; column++)
		printf("%s%c", PQfname(res, column), column + 1 < n ? ',' : '\n');
	for (row = 0; row < PQntuples(res); row++) {
		for (column = 0; column < n; column++) {
			print_csv_field(value_of(res, row, column, buf, sizeof(buf)));
			putchar(column + 1 < n ? ',' : '\n');
		}
	}
}
