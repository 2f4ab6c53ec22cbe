#include "worker/transfer/blame.h"

#include <string.h>

/*
 * At which end the failure was.  If both ends are in one store, what the step did decides it.
 */
static enum task_end
failed_end(const struct transfer *t)
{
	const struct failure *f = &t->failure;
	const struct store *from = t->source.store, *to = t->destination.store;

	if (f->store[0] == '\0')
		return END_SOURCE;
	/* a store that the configuration does not have is at no end yet */
	if (to != NULL && from != NULL && strcmp(from->conf.name, to->conf.name) != 0)
		return strcmp(f->store, to->conf.name) == 0 ? END_DESTINATION : END_SOURCE;
	return f->writes || (to != NULL && from == NULL && strcmp(f->store, to->conf.name) == 0)
		   ? END_DESTINATION
		   : END_SOURCE;
}

bool
blame_counts(const struct transfer *t)
{
	const struct failure *f = &t->failure;
	enum task_end end = failed_end(t);
	enum store_seen seen = t->w->seen[end];

	if (f->trouble == TROUBLE_OBJECT)
		return true;
	if (f->certain)
		return false;
	if (f->trouble != TROUBLE_STORE || f->store[0] == '\0')
		return true;
	if (seen == SEEN_SERVING)
		return true;
	/* a store that is full takes some parts, and not all */
	if (f->class == CLASS_FULL)
		return false;
	/* keys that are refused have to be mended, whether or not other tasks meet them, too */
	return t->served[end] || (seen == SEEN_ONE_FAIL && f->class != CLASS_CREDENTIALS);
}

void
blame_served(struct transfer *t)
{
	int end;

	for (end = 0; end < TASK_ENDS; end++)
		t->served[end] = t->serves[end] = true;
}

void
blame_report_served(struct transfer *t, int served[TASK_ENDS])
{
	const struct failure *f = &t->failure;
	int end;

	for (end = 0; end < TASK_ENDS; end++) {
		served[end] = t->serves[end];
		t->serves[end] = false;
	}
	/* a store that knows of no such object has answered well */
	if (f->class == CLASS_PERMANENT && f->status != 0 && failed_end(t) == END_SOURCE)
		served[END_SOURCE] = 1;
}

void
blame_report(struct transfer *t, struct msg_result *result)
{
	const struct failure *f = &t->failure;

	result->error_class = (int)f->class;
	result->trouble = (int)f->trouble;
	result->end = (int)failed_end(t);
	strlcpy(result->error, f->text, sizeof(result->error));
	strlcpy(result->store, f->store, sizeof(result->store));
	blame_report_served(t, result->served);
}
