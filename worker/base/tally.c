#include "worker/base/tally.h"

#include <string.h>

void
tally_add(struct tally *t, const char *store, enum request_op op, int status)
{
	struct msg_request *r;

	for (r = t->list; r < t->list + t->n; r++)
		if (r->op == (int)op && r->status == status && strcmp(r->store, store) == 0) {
			r->requests++;
			return;
		}
	if (t->n == TALLY_MAX)
		return;
	t->n++;
	*r = (struct msg_request){ .op = (int)op, .status = status, .requests = 1 };
	strlcpy(r->store, store, sizeof(r->store));
}

bool
tally_fill(const struct tally *t, struct msg_requests *msg)
{
	memset(msg, 0, sizeof(*msg));
	msg->n = t->n < REQUESTS_MAX ? t->n : REQUESTS_MAX;
	memcpy(msg->list, t->list, (size_t)msg->n * sizeof(t->list[0]));
	return msg->n > 0;
}

void
tally_sent(struct tally *t, const struct msg_requests *msg)
{
	t->n -= msg->n;
	memmove(t->list, t->list + msg->n, (size_t)t->n * sizeof(t->list[0]));
}
