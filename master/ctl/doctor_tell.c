/*
 * How the doctor tells a finding: as a line, or as an object of a JSON array.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "master/ctl/doctor.h"

static const char *const level_names[] = { "ok", "warn", "fail" };

enum doctor_level
doctor_level(const char *word)
{
	if (strcmp(word, "ok") == 0)
		return DOCTOR_OK;
	return strcmp(word, "warn") == 0 ? DOCTOR_WARN : DOCTOR_FAIL;
}

/* After ctl_clean() no character but these two needs a backslash. */
static void
print_json(const char *text)
{
	putchar('"');
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			putchar('\\');
		putchar(*text);
	}
	putchar('"');
}

void
doctor_tell(struct doctor *d, enum doctor_level level, const char *check, const char *fmt, ...)
{
	char text[4096], clean[sizeof(text) * 4 + 1];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	ctl_clean(clean, sizeof(clean), text, CTL_WHOLE);
	if (level > d->worst)
		d->worst = level;
	if (!d->json) {
		printf("%-4s  %s: %s\n", level_names[level], check, clean);
	} else {
		printf("%s\n  {\"check\": ", d->told > 0 ? "," : "[");
		print_json(check);
		printf(", \"level\": \"%s\", \"text\": ", level_names[level]);
		print_json(clean);
		putchar('}');
	}
	d->told++;
	fflush(stdout);
}
