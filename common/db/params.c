#include "common/db/params.h"

#include <inttypes.h>
#include <stdio.h>
#include <sysexits.h>

#include "common/base/log.h"

void
params_text(struct params *p, const char *value)
{
	if (p->n == PARAMS_MAX)
		fatal(EX_SOFTWARE, "a statement has more than %d parameters", PARAMS_MAX);
	p->values[p->n++] = value;
}

/* The text of the parameter that is added next.  params_text() refuses one too many. */
static char *
next_number(struct params *p)
{
	return p->numbers[p->n < PARAMS_MAX ? p->n : PARAMS_MAX - 1];
}

void
params_int(struct params *p, int64_t value)
{
	char *text = next_number(p);

	snprintf(text, sizeof(p->numbers[0]), "%" PRId64, value);
	params_text(p, text);
}

void
params_uint(struct params *p, uint64_t value)
{
	char *text = next_number(p);

	snprintf(text, sizeof(p->numbers[0]), "%" PRIu64, value);
	params_text(p, text);
}

void
params_bool(struct params *p, bool value)
{
	params_text(p, value ? "true" : "false");
}

void
params_null(struct params *p)
{
	params_text(p, NULL);
}
