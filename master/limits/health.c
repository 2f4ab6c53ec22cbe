#include "master/limits/health.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/uri.h"
#include "master/limits/holds.h"
#include "master/limits/private.h"
#include "master/pool/pool.h"

#define LOOK_AFTER_MS 5000 /* whether a probe is still in work */

struct health *
health_find(const struct limits *l, const char *name, enum task_end end)
{
	const struct health *h;

	for (h = l->health; h < l->health + HEALTH_MAX; h++)
		if (h->end == end && strcmp(h->name, name) == 0)
			return (struct health *)h;
	return NULL;
}

bool
health_name(const struct task *task, enum task_end end, char name[HEALTH_NAME_MAX])
{
	const char *text = end == END_SOURCE ? task->source : task->destination, *host, *at;
	char why[256];
	struct uri uri;
	size_t len, i;

	name[0] = '\0';
	if (uri_parse(&uri, text, why, sizeof(why)) == -1)
		return false;
	strlcpy(name, uri.store, HEALTH_NAME_MAX);
	if (!uri.is_url)
		return false;
	host = uri.path;
	len = strcspn(host, "/?#");
	if ((at = memrchr(host, '@', len)) != NULL) {
		len -= (size_t)(at + 1 - host);
		host = at + 1;
	}
	snprintf(name, HEALTH_NAME_MAX, "%s://%.*s", uri.store, len < 255 ? (int)len : 255, host);
	for (i = 0; name[i] != '\0'; i++)
		name[i] = (char)tolower((unsigned char)name[i]);
	return true;
}

struct health *
health_entry(struct limits *l, const struct task *task, enum task_end end)
{
	char name[HEALTH_NAME_MAX];
	bool is_host = health_name(task, end, name);
	struct health *h = name[0] != '\0' ? health_find(l, name, end) : NULL, *place = NULL;

	if (h != NULL || name[0] == '\0')
		return h;
	for (h = l->health; h < l->health + HEALTH_MAX && place == NULL; h++)
		if (h->name[0] == '\0')
			place = h;
	for (h = l->health; h < l->health + HEALTH_MAX && place == NULL; h++)
		if (h->state == HEALTH_OK)
			place = h;
	if (place == NULL)
		return NULL;
	memset(place, 0, sizeof(*place));
	strlcpy(place->name, name, sizeof(place->name));
	place->end = end;
	place->is_host = is_host;
	return place;
}

enum store_seen
health_seen(const struct limits *l, const struct task *task, enum task_end end)
{
	char name[HEALTH_NAME_MAX];
	const struct health *h;

	health_name(task, end, name);
	h = health_find(l, name, end);
	if (h == NULL)
		return SEEN_NOTHING;
	if (h->state == HEALTH_OK)
		return h->served ? SEEN_SERVING : SEEN_NOTHING;
	return h->only_task == task->id ? SEEN_ONE_FAIL : SEEN_NOTHING;
}

bool
health_is_held(const struct limits *l, const struct task *task, enum task_end end)
{
	char name[HEALTH_NAME_MAX];
	const struct health *h;

	health_name(task, end, name);
	h = health_find(l, name, end);
	return h != NULL && health_holds(h);
}

/* What would mend it. */
static const char *
remedy(const struct health *h)
{
	if (h->unknown)
		return "to carry them here, add the store to the configuration and reload";
	switch (h->class) {
	case CLASS_CREDENTIALS:
		return "look whether its keys are right, and what they may do";
	case CLASS_FULL:
		return "make room there, or raise the quota";
	default:
		return h->trouble == TROUBLE_NODE ? "look at the configuration of this node"
						  : "look whether the store is up";
	}
}

static void
log_held(const struct health *h)
{
	struct log_line line;

	log_begin(&line, LOG_WARNING, "store %s is held as a %s: %s; %s; %s", h->name,
	    h->end == END_SOURCE ? "source" : "destination", h->reason,
	    h->unknown ? "its tasks are left to other nodes"
		       : "its tasks wait, and one at a time is tried",
	    remedy(h));
	log_str(&line, "store", h->name);
	log_str(&line, "held_as", h->end == END_SOURCE ? "source" : "destination");
	log_str(&line, "error_class", error_class_name(h->class));
	log_str(&line, "trouble", trouble_name(h->trouble));
	log_end(&line);
}

void
health_hold(struct limits *l, struct health *h)
{
	h->state = HEALTH_HELD;
	h->delay_ms = HEALTH_DELAY_MIN_MS;
	h->probe_at = clock_ms() + h->delay_ms;
	log_held(h);
	holds_write(l);
}

/* The store is well: everything goes on. */
static void
lift(struct limits *l, struct health *h)
{
	bool held = health_holds(h);

	if (held)
		holds_log_over(l, h);
	h->state = HEALTH_OK;
	h->unknown = false;
	h->failures = 0;
	if (!held)
		return;
	holds_write(l);
	agenda_claim(&l->state->agenda);
}

void
health_served(struct limits *l, const struct task *task, enum task_end end, bool whole)
{
	struct health *h = health_entry(l, task, end);

	if (h == NULL || (h->state != HEALTH_OK && h->class == CLASS_FULL && !whole))
		return;
	h->served = true;
	if (h->state != HEALTH_OK)
		lift(l, h);
}

static bool
is_probe(const struct health *h, const struct task *task)
{
	return h->state == HEALTH_PROBED && h->probe_task == task->id &&
	       h->probe_claim == task->claim;
}

/* The next probe is after the delay. */
static void
wait(struct health *h)
{
	h->state = HEALTH_HELD;
	h->probe_at = clock_ms() + h->delay_ms;
}

static void
note_failure(struct health *h, const struct task *task, const struct msg_result *result)
{
	if (h->failures == 0)
		h->only_task = task->id;
	else if (h->only_task != task->id)
		h->only_task = 0;
	h->served = false;
	h->class = (enum error_class)result->error_class;
	h->trouble = (enum trouble)result->trouble;
	strlcpy(h->reason, result->error, sizeof(h->reason));
	if (h->failures++ == 0)
		h->since = clock_ms();
}

bool
health_failed(struct limits *l, const struct task *task, const struct msg_result *result)
{
	bool blames = result->trouble == TROUBLE_STORE || result->trouble == TROUBLE_NODE;
	struct health *h;

	/* throttle.h sees to a store that asks to slow down */
	if (!blames || result->store[0] == '\0' || result->error_class == CLASS_THROTTLED)
		return false;
	if ((h = health_entry(l, task, (enum task_end)result->end)) == NULL)
		return false;
	note_failure(h, task, result);
	if (is_probe(h, task)) {
		h->delay_ms *= 2;
		if (h->delay_ms > HEALTH_DELAY_MAX_MS)
			h->delay_ms = HEALTH_DELAY_MAX_MS;
		wait(h);
	}
	if (health_holds(h))
		return false;
	h->state = HEALTH_SUSPECT;
	if (h->failures < HEALTH_PATIENCE)
		return false;
	health_hold(l, h);
	return true;
}

void
health_ended(struct limits *l, const struct task *task)
{
	struct health *h;

	for (h = l->health; h < l->health + HEALTH_MAX; h++)
		if (is_probe(h, task))
			wait(h);
}

void
health_probe_with(struct health *h, const struct task *task)
{
	h->state = HEALTH_PROBED;
	h->probe_task = task->id;
	h->probe_claim = task->claim;
	h->probe_at = clock_ms() + LOOK_AFTER_MS;
}

static void
add(struct sqlarray *out, const struct health *h, const char *before)
{
	char text[HEALTH_NAME_MAX + 8];

	snprintf(text, sizeof(text), "%s%s%s%s", before, h->end == END_SOURCE ? "" : "://", h->name,
	    h->end == END_SOURCE ? "://" : "");
	sqlarray_add_str(out, text);
}

void
health_list(const struct limits *l, struct sqlarray *out)
{
	const struct health *h;

	for (h = l->health; h < l->health + HEALTH_MAX; h++)
		if (health_holds(h) && !h->is_host)
			add(out, h, "");
}

void
health_list_probe(const struct health *h, struct sqlarray *out)
{
	add(out, h, "!");
}

bool
health_shuns(const struct limits *l)
{
	const struct health *h;

	for (h = l->health; h < l->health + HEALTH_MAX; h++)
		if (health_holds(h) && !h->is_host)
			return true;
	return false;
}

struct health *
health_due(struct limits *l)
{
	struct health *h;

	for (h = l->health; h < l->health + HEALTH_MAX; h++)
		if (h->name[0] != '\0' && h->state == HEALTH_HELD && !h->is_host && !h->unknown &&
		    h->probe_at <= clock_ms()) {
			l->probing = h;
			return h;
		}
	return NULL;
}

void
health_probed(struct limits *l, const struct task *task)
{
	struct health *h = l->probing;

	l->probing = NULL;
	if (h == NULL || h->state != HEALTH_HELD)
		return;
	if (task != NULL)
		health_probe_with(h, task);
	else
		wait(h);
}

void
health_reload(struct limits *l)
{
	struct health *h;
	bool known;

	for (h = l->health; h < l->health + HEALTH_MAX; h++) {
		if (h->name[0] == '\0' || h->is_host)
			continue;
		known = config_find_store(l->state->conf, h->name) != NULL;
		if (known && h->unknown)
			lift(l, h);
		else if (!known && !h->unknown)
			memset(h, 0, sizeof(*h));
		else if (known && h->state == HEALTH_HELD)
			h->probe_at = 0;
	}
	l->probing = NULL;
	holds_write(l);
}

void
health_hear(struct limits *l, const char *name)
{
	struct health *h;

	for (h = l->health; h < l->health + HEALTH_MAX; h++)
		if (strcmp(h->name, name) == 0 && h->state == HEALTH_HELD)
			h->probe_at = 0;
}

/* Whether a worker has the probe. */
static bool
is_in_work(const struct limits *l, const struct health *h)
{
	const struct slot *slot;

	POOL_FOREACH (slot, l->pool)
		if (slot_has_task(slot, h->probe_task, h->probe_claim) ||
		    slot_has_next(slot, h->probe_task, h->probe_claim))
			return true;
	return false;
}

bool
health_run(struct limits *l)
{
	struct health *h;
	bool all = l->state->agenda.probe, due = false;

	l->state->agenda.probe = false;
	if (all)
		holds_write(l); /* a store may have waited for its first keys */
	for (h = l->health; h < l->health + HEALTH_MAX; h++) {
		if (all && h->state == HEALTH_HELD)
			h->probe_at = clock_ms();
		if (!health_holds(h) || h->probe_at == 0 || h->probe_at > clock_ms())
			continue;
		if (h->state == HEALTH_HELD) {
			h->probe_at = 0;
			due = true;
		} else if (is_in_work(l, h)) {
			h->probe_at = clock_ms() + LOOK_AFTER_MS;
		} else {
			wait(h);
		}
	}
	return due;
}

int64_t
health_deadline(const struct limits *l)
{
	const struct health *h;
	int64_t at = 0;

	for (h = l->health; h < l->health + HEALTH_MAX; h++)
		if (health_holds(h) && !h->unknown)
			at = clock_earlier(at, h->probe_at);
	return at;
}
