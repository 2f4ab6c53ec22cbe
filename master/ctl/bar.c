#include "master/ctl/bar.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/units.h"
#include "master/ctl/ctl.h"
#include "master/ctl/sheet.h"

#define WINDOW_MS 10000
#define CELLS_MIN 10

enum cell { CELL_DONE, CELL_FLYING, CELL_TO_DO, CELLS };
static const char *const glyphs[CELLS] = { "█", "▒", "░" };
static const char *const colours[CELLS] = { "\033[32m", "\033[33m", "\033[2m" };

void
bar_sample(struct bar *bar, int64_t now)
{
	const struct bar_sample *last =
	    &bar->samples[(bar->nsamples + BAR_SAMPLES - 1) % BAR_SAMPLES];

	if (bar->nsamples > 0 && bar->done < last->done)
		bar->nsamples = 0;
	else if (bar->nsamples > 0 && bar->done == last->done)
		return; /* the row says something new every two seconds */
	bar->samples[bar->nsamples++ % BAR_SAMPLES] =
	    (struct bar_sample){ .at = now, .done = bar->done };
}

int64_t
bar_rate(const struct bar *bar, int64_t now)
{
	int i, kept = bar->nsamples < BAR_SAMPLES ? bar->nsamples : BAR_SAMPLES;
	const struct bar_sample *s, *last;

	if (kept < 2)
		return -1;
	last = &bar->samples[(bar->nsamples - 1) % BAR_SAMPLES];
	if (now - last->at > WINDOW_MS)
		return 0;
	for (i = kept; i > 1; i--) {
		s = &bar->samples[(bar->nsamples - i) % BAR_SAMPLES];
		if (last->at - s->at <= WINDOW_MS && last->at > s->at)
			return (last->done - s->done) * 1000 / (last->at - s->at);
	}
	return -1;
}

static int64_t
recorded_bytes(const struct bar *bar)
{
	int64_t bytes = 0, size;
	int i;

	for (i = 0; i < bar->nparts; i++) {
		size = i + 1 < bar->nparts ? bar->part_size
					   : bar->total - bar->part_size * (bar->nparts - 1);
		bytes += bar->recorded[i] ? size : 0;
	}
	return bytes;
}

/*
 * What each cell is.  A cell is done if all parts that it touches are.  The row says how many bytes
 * are in flight, not of which parts; a worker begins the first parts that are left, so these are
 * shown as in flight.
 */
static void
fill_cells(const struct bar *bar, enum cell *cells, int n)
{
	int64_t flying = bar->done - (bar->nparts > 0 ? recorded_bytes(bar) : bar->done), from, to;
	int i, part;
	bool all;

	for (i = 0; i < n; i++) {
		from = bar->total * i / n;
		to = bar->total * (i + 1) / n;
		if (bar->nparts == 0) {
			cells[i] = to <= bar->done ? CELL_DONE : CELL_TO_DO;
			continue;
		}
		all = true;
		for (part = (int)(from / bar->part_size);
		     part < bar->nparts && part * bar->part_size < to; part++)
			all &= bar->recorded[part] != 0;
		cells[i] = all ? CELL_DONE : flying > 0 ? CELL_FLYING : CELL_TO_DO;
		if (!all)
			flying -= to - from;
	}
}

static void
draw_cells(const struct bar *bar, int n, char *buf, size_t size)
{
	enum cell cells[BAR_CELLS_MAX], last = CELLS;
	int i;

	fill_cells(bar, cells, n);
	strlcat(buf, "[", size);
	for (i = 0; i < n; i++) {
		if (bar->colours && cells[i] != last) {
			strlcat(buf, last != CELLS ? "\033[0m" : "", size);
			strlcat(buf, colours[cells[i]], size);
		}
		last = cells[i];
		strlcat(buf, glyphs[cells[i]], size);
	}
	strlcat(buf, bar->colours ? "\033[0m] " : "] ", size);
}

/* Writes what stands behind the map: "62% 300.0 MiB of 1.2 GiB, 51.2 MiB/s, 18s left". */
static void
write_numbers(const struct bar *bar, int64_t now, char *buf, size_t size)
{
	char done[32], total[32], rate_text[32], left[32];
	int64_t rate = bar_rate(bar, now);
	size_t len = 0;

	units_format_size(done, sizeof(done), bar->done);
	if (bar->total > 0)
		len += (size_t)snprintf(buf, size, "%d%% %s of %s",
		    (int)(100.0 * (double)bar->done / (double)bar->total), done,
		    units_format_size(total, sizeof(total), bar->total));
	else
		len += (size_t)snprintf(buf, size, "%s", done);
	if (rate >= 0)
		len += (size_t)snprintf(buf + len, size - len, ", %s/s",
		    units_format_size(rate_text, sizeof(rate_text), rate));
	if (rate > 0 && bar->total > bar->done)
		len += (size_t)snprintf(buf + len, size - len, ", %s left",
		    sheet_format_age(left, sizeof(left), (bar->total - bar->done) / rate));
	if (bar->attempt > 1)
		snprintf(buf + len, size - len, ", attempt %" PRId64, bar->attempt);
}

char *
bar_draw(const struct bar *bar, int64_t now, size_t columns, char *buf, size_t size)
{
	char numbers[256];
	size_t used, cells = 0;

	write_numbers(bar, now, numbers, sizeof(numbers));
	snprintf(buf, size, "task %s %s ", bar->id, bar->state);
	used = ctl_width(buf) + ctl_width(numbers) + 4; /* brackets, a blank, the last column */
	if (bar->total > 0 && columns > used)
		cells = columns - used < BAR_CELLS_MAX ? columns - used : BAR_CELLS_MAX;
	if (cells >= CELLS_MIN)
		draw_cells(bar, (int)cells, buf, size);
	strlcat(buf, numbers, size);
	return buf;
}
