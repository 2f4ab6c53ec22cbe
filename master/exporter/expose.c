#include <math.h>
#include <string.h>

#include "master/exporter/exporter.h"

void
expose_family(struct exposition *p, const char *name, const char *type, const char *help)
{
	const char *suffix = !p->is_open && strcmp(type, "counter") == 0 ? "_total" : "";

	fprintf(p->out, "# HELP %s%s %s\n# TYPE %s%s %s\n", name, suffix, help, name, suffix, type);
}

/* Backslashes, quotes and line feeds are escaped. */
static void
write_value(FILE *out, const char *text)
{
	for (; *text != '\0'; text++)
		if (*text == '\n')
			fputs("\\n", out);
		else
			fprintf(out, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
}

static void
write_labels(FILE *out, const char *const *labels, const char *bound)
{
	const char *joint = "{";

	for (; labels[0] != NULL; labels += 2, joint = ",") {
		fprintf(out, "%s%s=\"", joint, labels[0]);
		write_value(out, labels[1]);
		putc('"', out);
	}
	if (bound != NULL) {
		fprintf(out, "%sle=\"%s\"", joint, bound);
		joint = ",";
	}
	if (*joint == ',')
		putc('}', out);
}

void
expose_sample(struct exposition *p, const char *name, const char *const *labels, double value)
{
	fputs(name, p->out);
	write_labels(p->out, labels, NULL);
	fprintf(p->out, " %.15g\n", value);
}

void
expose_histogram(struct exposition *p, const char *name, const char *const *labels,
    const struct histogram *h, const double *bounds)
{
	char bound[32];
	double sum = 0;
	int i;

	for (i = 0; i <= HISTOGRAM_BOUNDS; i++) {
		sum += (double)h->counts[i];
		/* OpenMetrics wants a point in each number */
		if (i == HISTOGRAM_BOUNDS)
			strlcpy(bound, "+Inf", sizeof(bound));
		else
			snprintf(bound, sizeof(bound),
			    floor(bounds[i]) == bounds[i] ? "%.1f" : "%g", bounds[i]);
		fprintf(p->out, "%s_bucket", name);
		write_labels(p->out, labels, bound);
		fprintf(p->out, " %.15g\n", sum);
	}
	fprintf(p->out, "%s_sum", name);
	write_labels(p->out, labels, NULL);
	fprintf(p->out, " %.15g\n%s_count", h->sum, name);
	write_labels(p->out, labels, NULL);
	fprintf(p->out, " %.15g\n", sum);
}
