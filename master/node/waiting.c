#include "master/node/waiting.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "master/node/node.h"

bool
waiting_for(const struct node *n, char *text, size_t size)
{
	struct db_outage outage;

	switch (n->link) {
	case LINK_DOWN:
		if (!db_outage(n->db, &outage))
			return false;
		snprintf(text, size, "waits for the database: %s", outage.why);
		return true;
	case LINK_SCHEMA:
	case LINK_ROW:
		if (n->refused[0] == '\0')
			return false;
		snprintf(text, size, "waits for the database: %s", n->refused);
		return true;
	case LINK_READY:
		break;
	}
	return false;
}

void
waiting_run(struct node *n)
{
	struct outage *o = &n->waiting;
	char text[NODE_REFUSED_MAX + 64];

	if (!waiting_for(n, text, sizeof(text))) {
		*o = (struct outage){ 0 };
		return;
	}
	if (outage_failed(o, clock_ms()) == OUTAGE_LASTS)
		log_warn("ferryd still %s; it has waited for %" PRId64 " s, and claims no task",
		    text, o->lasted_ms / 1000);
}

int64_t
waiting_deadline(const struct node *n)
{
	return n->waiting.told_at != 0 ? n->waiting.told_at + OUTAGE_REPEAT_MS : 0;
}
