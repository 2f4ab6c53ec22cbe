#include "master/metrics/traffic.h"

#include <stdio.h>
#include <string.h>

/* The store of a URI, or the scheme of a URL. */
static void
store_of(char *name, size_t size, const char *uri)
{
	size_t len = strcspn(uri, ":");

	strlcpy(name, uri, len + 1 < size ? len + 1 : size);
}

void
traffic_note(struct figures *f, struct slot *slot, int64_t bytes_done)
{
	char from[CONFIG_NAME_MAX], to[CONFIG_NAME_MAX];

	if (slot->counted == -1 && bytes_done == 0)
		return; /* the worker does not know yet what it resumes */
	if (slot->counted >= 0 && bytes_done > slot->counted) {
		store_of(from, sizeof(from), slot->task->source);
		store_of(to, sizeof(to), slot->task->destination);
		figures_add(&f->bytes, from, to, (uint64_t)(bytes_done - slot->counted));
	}
	slot->counted = bytes_done;
}

void
traffic_result(struct figures *f, struct slot *slot, const struct msg_result *result)
{
	char to[CONFIG_NAME_MAX];

	if (result->result == TASK_DONE && result->copied == 0) {
		if (slot->counted == -1 && result->resumed == 0)
			slot->counted = 0;
		traffic_note(f, slot, result->bytes);
	}
	if (result->damaged > 0) {
		store_of(to, sizeof(to), slot->task->destination);
		figures_add(&f->damages, to, "", (uint64_t)result->damaged);
	}
	if (result->result == TASK_RETRY || result->result == TASK_FAILED)
		figures_add(&f->failures, error_class_name(result->error_class), result->store, 1);
}

void
traffic_requests(struct figures *f, const struct msg_requests *msg)
{
	const struct msg_request *r;
	char status[8];

	for (r = msg->list; r < msg->list + msg->n; r++) {
		if (r->status == 0)
			strlcpy(status, "none", sizeof(status));
		else
			snprintf(status, sizeof(status), "%d", r->status % 1000);
		figures_add_requests(&f->requests, r->store,
		    request_op_name((enum request_op)r->op), status, (uint64_t)r->requests);
	}
}
