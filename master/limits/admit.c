#include "master/limits/admit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "master/limits/private.h"

/* Whether our configuration lacks the store, which is held then. */
static bool
is_unknown(struct limits *l, const struct task *task, enum task_end end, struct admission *a)
{
	char name[HEALTH_NAME_MAX];
	struct health *h;

	if (health_name(task, end, name) || name[0] == '\0' ||
	    config_find_store(l->state->conf, name) != NULL)
		return false;
	snprintf(a->why, sizeof(a->why),
	    "there is no store \"%s\" in the configuration of this node", name);
	a->delay_ms = 0;
	if ((h = health_entry(l, task, end)) == NULL)
		a->delay_ms = HEALTH_DELAY_MAX_MS; /* too many names to remember them all */
	if (h == NULL || health_holds(h))
		return true;
	h->unknown = true;
	h->class = CLASS_TRANSIENT;
	h->trouble = TROUBLE_NODE;
	h->since = clock_ms();
	strlcpy(h->reason, a->why, sizeof(h->reason));
	health_hold(l, h);
	return true;
}

/* Whether the host of the source is held, and this task is no probe. */
static bool
is_put_off(struct limits *l, const struct task *task, struct admission *a)
{
	char name[HEALTH_NAME_MAX];
	struct health *h =
	    health_name(task, END_SOURCE, name) ? health_find(l, name, END_SOURCE) : NULL;
	int64_t now = clock_ms();

	if (h == NULL || !health_holds(h))
		return false;
	if (h->state == HEALTH_HELD && h->probe_at <= now) {
		health_probe_with(h, task);
		return false;
	}
	a->delay_ms = h->state == HEALTH_HELD ? h->probe_at - now : h->delay_ms;
	a->delay_ms += arc4random_uniform((uint32_t)h->delay_ms);
	strlcpy(a->why, h->reason, sizeof(a->why));
	return true;
}

void
admit(struct limits *l, const struct task *task, struct admission *answer)
{
	answer->verdict = ADMIT_GO;
	if (is_unknown(l, task, END_SOURCE, answer) || is_unknown(l, task, END_DESTINATION, answer))
		answer->verdict = ADMIT_NOT_HERE;
	else if (is_put_off(l, task, answer))
		answer->verdict = ADMIT_LATER;
}
