#include "master/upkeep/waits.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/db/params.h"

#define LOOK_EVERY_MS 30000 /* at most */
#define SHARE 100 /* looking takes at most this part of the time */
#define AGAIN_MS 600000 /* between two lines with one reason */

static const struct db_stmt stmt_waits = {
	.name = "waits",
	.nparams = 2,
	.sql = "SELECT w.reason, w.tasks, w.is_part "
	       "FROM ferry.waits($1::bigint, $2::bigint * interval '1 millisecond') w",
};
enum { REASON, TASKS, IS_PART };

/* Whether the reason is to be said.  If there is no place for it, it replaces the oldest one. */
static bool
is_news(struct waits *w, const char *reason, int64_t now)
{
	struct wait_said *said, *oldest = w->said;

	for (said = w->said; said < w->said + WAITS_SAID_MAX; said++) {
		if (strncmp(said->reason, reason, sizeof(said->reason) - 1) == 0) {
			if (said->at != 0 && now - said->at < AGAIN_MS)
				return false;
			oldest = said;
			break;
		}
		if (said->at < oldest->at)
			oldest = said;
	}
	strlcpy(oldest->reason, reason, sizeof(oldest->reason));
	oldest->at = now;
	return true;
}

static void
say(const struct upkeep *u, const char *tasks, bool is_part, const char *reason)
{
	bool one = !is_part && strcmp(tasks, "1") == 0;
	int64_t ms = u->state->conf->wait_notice_ms;

	log_info("%s%s task%s waited %" PRId64 " s: %s", is_part ? "at least " : "", tasks,
	    one ? " has" : "s have", ms / 1000, reason);
}

static void
told(void *arg, enum db_status status, PGresult *res)
{
	struct upkeep *u = arg;
	struct waits *w = &u->waits;
	int64_t now = clock_ms(), rest = SHARE * (now - w->asked_at);
	int i;

	w->asking = false;
	if (rest > w->look_at - now)
		w->look_at = now + rest;
	refusals_note(&u->node->refusals, WORK_WAITS, status, res);
	if (status != DB_OK)
		return;
	for (i = 0; i < PQntuples(res); i++)
		if (is_news(w, PQgetvalue(res, i, REASON), now))
			say(u, PQgetvalue(res, i, TASKS), PQgetvalue(res, i, IS_PART)[0] == 't',
			    PQgetvalue(res, i, REASON));
}

static int64_t
interval(const struct upkeep *u)
{
	int64_t ms = u->state->conf->wait_notice_ms;

	return ms < LOOK_EVERY_MS ? ms : LOOK_EVERY_MS;
}

int64_t
waits_deadline(const struct upkeep *u)
{
	if (!link_is_ready(u->node) || u->state->phase != PHASE_RUNNING || u->waits.asking)
		return 0;
	return u->waits.look_at;
}

void
waits_run(struct upkeep *u)
{
	int64_t now = clock_ms(), at = waits_deadline(u);
	struct params p = { .n = 0 };

	if (u->waits.look_at == 0)
		u->waits.look_at = now + interval(u);
	if (at == 0 || at > now)
		return;
	u->waits.asking = true;
	u->waits.asked_at = now;
	u->waits.look_at = now + interval(u);
	params_int(&p, node_id(u->node));
	params_int(&p, u->state->conf->wait_notice_ms);
	db_submit(u->node->db, &stmt_waits, p.values, DB_ONCE, told, u);
}
