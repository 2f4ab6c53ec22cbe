#include "master/ctl/sheet.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/base/units.h"
#include "master/ctl/ctl.h"

/* What a narrow terminal leaves of a column that may be cut. */
#define URI_COLUMNS_MIN 12
#define TEXT_COLUMNS_MIN 16

struct layout {
	const struct sheet *sheet;
	const PGresult *res;
	int source[SHEET_COLUMNS_MAX]; /* number of the answer's column */
	size_t widths[SHEET_COLUMNS_MAX]; /* 0: the column is left out */
};

char *
sheet_format_age(char *buf, size_t size, int64_t seconds)
{
	static const struct {
		int64_t below, seconds;
		char unit;
	} units[] = { { 60, 1, 's' }, { 3600, 60, 'm' }, { 86400, 3600, 'h' },
		{ INT64_MAX, 86400, 'd' } };
	size_t i = 0;

	if (seconds < 0)
		seconds = 0;
	while (seconds >= units[i].below)
		i++;
	snprintf(buf, size, "%" PRId64 "%c", seconds / units[i].seconds, units[i].unit);
	return buf;
}

size_t
sheet_terminal(int fd)
{
	struct winsize ws = { 0 };

	if (!isatty(fd))
		return 0;
	if (ioctl(fd, TIOCGWINSZ, &ws) == -1 || ws.ws_col == 0)
		return 80;
	return ws.ws_col;
}

/* Writes a cell, which may be longer than its column, to buf[CTL_TEXT_MAX].  Returns buf. */
static char *
format_cell(const struct layout *l, char *buf, int row, int column)
{
	const char *value = PQgetvalue(l->res, row, l->source[column]);

	if (PQgetisnull(l->res, row, l->source[column]) || *value == '\0')
		value = "-";
	else if (l->sheet->columns[column].kind == SHEET_URI)
		return ctl_clean_uri(buf, CTL_TEXT_MAX, value);
	else if (l->sheet->columns[column].kind == SHEET_SIZE && !l->sheet->exact)
		return units_format_size(buf, 32, strtoll(value, NULL, 10));
	else if (l->sheet->columns[column].kind == SHEET_AGE && !l->sheet->exact)
		return sheet_format_age(buf, 32, strtoll(value, NULL, 10));
	return ctl_clean(buf, CTL_TEXT_MAX, value, CTL_WHOLE);
}

/* The width of a column's widest cell, 0 if it is to be left out. */
static size_t
natural_width(const struct layout *l, int column)
{
	size_t width = strlen(l->sheet->columns[column].title), cell_width;
	bool empty = true;
	char cell[CTL_TEXT_MAX];
	int row;

	for (row = 0; row < PQntuples(l->res); row++) {
		format_cell(l, cell, row, column);
		empty &= strcmp(cell, "-") == 0;
		if ((cell_width = ctl_width(cell)) > width)
			width = cell_width;
	}
	return empty && l->sheet->columns[column].optional ? 0 : width;
}

/* The widest column that may still lose something, -1 if there is none. */
static int
widest(const struct layout *l)
{
	int column, found = -1;

	for (column = 0; column < l->sheet->ncolumns; column++) {
		enum sheet_kind kind = l->sheet->columns[column].kind;

		if ((kind == SHEET_URI && l->widths[column] > URI_COLUMNS_MIN) ||
		    (kind == SHEET_TEXT && l->widths[column] > TEXT_COLUMNS_MIN))
			if (found == -1 || l->widths[column] > l->widths[found])
				found = column;
	}
	return found;
}

static void
measure(struct layout *l)
{
	size_t room = sheet_terminal(STDOUT_FILENO), taken = 0;
	int column;

	for (column = 0; column < l->sheet->ncolumns; column++) {
		l->widths[column] = natural_width(l, column);
		taken += l->widths[column] > 0 ? l->widths[column] + 1 : 0;
	}
	if (room == 0)
		return;
	for (; taken > room + 1 && (column = widest(l)) != -1; taken--)
		l->widths[column]--;
}

static void
print_cell(const struct layout *l, const char *cell, int column, bool last)
{
	enum sheet_kind kind = l->sheet->columns[column].kind;
	size_t width = l->widths[column], i;
	char cut[CTL_TEXT_MAX];

	if (kind == SHEET_TEXT)
		ctl_clip(cut, sizeof(cut), cell, width);
	else
		ctl_clean(cut, sizeof(cut), cell, width);
	if (kind == SHEET_NUMBER || kind == SHEET_SIZE || kind == SHEET_AGE) {
		for (i = ctl_width(cut); i < width; i++)
			putchar(' ');
		width = 0;
	}
	ctl_pad(cut, last ? 0 : width);
	putchar(last ? '\n' : ' ');
}

static void
print_line(const struct layout *l, int row)
{
	char cell[CTL_TEXT_MAX];
	int column, last = -1;

	for (column = 0; column < l->sheet->ncolumns; column++)
		if (l->widths[column] > 0)
			last = column;
	for (column = 0; column <= last; column++) {
		if (l->widths[column] == 0)
			continue;
		if (row == -1)
			strlcpy(cell, l->sheet->columns[column].title, sizeof(cell));
		else
			format_cell(l, cell, row, column);
		print_cell(l, cell, column, column == last);
	}
}

void
sheet_print(const struct sheet *sheet, const PGresult *res)
{
	struct layout l = { .sheet = sheet, .res = res };
	int column, row;

	for (column = 0; column < sheet->ncolumns; column++)
		l.source[column] = PQfnumber(res, sheet->columns[column].name);
	measure(&l);
	for (row = -1; row < PQntuples(res); row++)
		print_line(&l, row);
}
