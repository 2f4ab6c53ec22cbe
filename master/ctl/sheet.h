/*
 * Rows of an answer as a table for people, as JSON or as CSV for programs.
 *
 * JSON and CSV have all columns of the answer by their names, with values as the database writes
 * them; a column that ends in _s is in seconds.  The table shows some of them, in units for people.
 * In each form a URI is redacted: the columns source and destination.
 */
#ifndef MASTER_CTL_SHEET_H
#define MASTER_CTL_SHEET_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>

enum sheet_form { SHEET_TABLE, SHEET_JSON, SHEET_CSV };

enum sheet_kind {
	SHEET_WORD, /* never cut */
	SHEET_NUMBER, /* to the right */
	SHEET_SIZE, /* bytes */
	SHEET_AGE, /* seconds */
	SHEET_URI, /* loses its beginning on a narrow terminal */
	SHEET_TEXT, /* loses its end there */
};

struct sheet_column {
	const char *title;
	const char *name; /* of the answer's column */
	enum sheet_kind kind;
	bool optional; /* left out if all its cells are empty */
};
#define SHEET_COLUMNS_MAX 16

struct sheet {
	const struct sheet_column *columns;
	int ncolumns; /* SHEET_COLUMNS_MAX at most */
	bool exact; /* bytes and seconds as numbers */
};

/* Prints a line of titles and a line for each row.  On a terminal long cells are cut. */
void sheet_print(const struct sheet *sheet, const PGresult *res);

/* Prints a line of names and a line for each row: RFC 4180, with LF. */
void sheet_print_csv(const PGresult *res);

/* Prints one row as an object of JSON, without a newline. */
void sheet_print_object(const PGresult *res, int row);

/* Prints all rows as an array of JSON, a row a line, without a newline behind the array. */
void sheet_print_array(const PGresult *res);

/* Writes seconds in the largest unit that fits: 45s, 12m, 3h, 9d.  size >= 24.  Returns buf. */
char *sheet_format_age(char *buf, size_t size, int64_t seconds);

/* The columns of the terminal that descriptor fd is, 0 if it is none. */
size_t sheet_terminal(int fd);

#endif
