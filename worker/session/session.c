#include "worker/session/session.h"

#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/memory.h"
#include "worker/session/keys.h"
#include "worker/session/lease.h"
#include "worker/sign/sign.h"

/* From one PROGRESS to the next. */
#define TICK_MS 1000

/* How long the next task waits for the one in work.  Then another worker may be quicker. */
#define NEXT_MS 100

/* The time to hand the task back after the master has exited.  Then confine.c ends the process. */
#define EOF_MS 1500

#define GRACE_MARGIN_MS 500

/* How often a full channel is tried again. */
#define SEND_AGAIN_MS 1000

static void
setup_free(struct setup *setup)
{
	int i;

	if (setup == NULL)
		return;
	for (i = 0; i < setup->received; i++)
		curl_slist_free_all(setup->stores[i].resolve);
	if (setup->stores != NULL)
		freezero(setup->stores, (size_t)setup->config.nstores * sizeof(*setup->stores));
	freezero(setup, sizeof(*setup));
	sign_forget_keys();
}

static void
take_config(struct worker *w, const struct msg_config *config)
{
	struct setup *setup;

	if (config->nstores < 0 || config->nstores > CONFIG_STORES_MAX ||
	    config->worker.streams < 0 || config->worker.streams > CONFIG_STREAMS_MAX) {
		log_error("the master sent an impossible configuration");
		return;
	}
	setup_free(w->incoming);
	setup = memory_alloc(sizeof(*setup));
	setup->config = *config;
	setup->stores = memory_alloc((size_t)config->nstores * sizeof(*setup->stores));
	w->incoming = setup;
	session_apply(w);
}

static void
take_store(struct worker *w, const struct config_store *conf)
{
	struct setup *setup = w->incoming;
	struct store *store;
	struct curl_slist *list;
	int i;

	if (setup == NULL || setup->received >= setup->config.nstores) {
		log_error("the master sent more stores than its configuration announced");
		return;
	}
	store = &setup->stores[setup->received++];
	store->conf = *conf;
	for (i = 0; i < conf->nresolve && i < CONFIG_RESOLVE_MAX; i++) {
		list = curl_slist_append(store->resolve, conf->resolve[i]);
		if (list == NULL)
			memory_exhausted(CONFIG_HOST_MAX);
		store->resolve = list;
	}
	session_apply(w);
}

void
session_apply(struct worker *w)
{
	struct setup *setup = w->incoming;

	if (setup == NULL || setup->received < setup->config.nstores || w->has_task)
		return;
	setup_free(w->setup);
	w->setup = setup;
	w->incoming = NULL;
}

static void
note_seen(enum store_seen seen[TASK_ENDS], const struct msg_task *msg)
{
	int end;

	for (end = 0; end < TASK_ENDS; end++)
		seen[end] = (enum store_seen)msg->seen[end];
}

static void
take_task(struct worker *w, const struct msg_task *msg)
{
	const struct task *task = &msg->task;

	if (w->has_next || w->setup == NULL) {
		task_log(task, LOG_ERR, ": this worker cannot take it: it has a next task already");
		return;
	}
	if (w->has_task) {
		task_copy(&w->next, task);
		note_seen(w->next_seen, msg);
		w->has_next = true;
		w->return_at = clock_ms() + NEXT_MS;
		return;
	}
	task_copy(&w->task, task);
	note_seen(w->seen, msg);
	w->cancelled = w->revoked = false;
	w->has_task = true;
}

void
session_go_on(struct worker *w)
{
	task_copy(&w->task, &w->next);
	memcpy(w->seen, w->next_seen, sizeof(w->seen));
	w->has_next = false;
	w->has_task = true;
}

static void
take_stop(struct worker *w)
{
	int64_t grace = w->setup != NULL ? w->setup->config.worker.grace_ms : 0;

	if (w->stop || w->eof)
		return;
	w->stop = true;
	grace -= grace > 2 * GRACE_MARGIN_MS ? GRACE_MARGIN_MS : grace / 4;
	w->deadline = clock_ms() + grace;
}

static void
take_eof(struct worker *w)
{
	w->eof = true;
	w->deadline = clock_ms() + EOF_MS;
	log_warn("the master has exited");
}

/* Returns whether it was sent. */
static bool
put_message(struct worker *w, struct msg *msg, bool must)
{
	struct pollfd pfd = { .fd = w->channel, .events = POLLOUT };

	msg->slot = w->slot;
	msg->generation = w->generation;
	while (!w->eof && channel_send(w->channel, msg, -1) == -1) {
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN) {
			if (errno != EPIPE && errno != ECONNRESET)
				log_error("channel: %s to the master: %s", msg_type_name(msg->type),
				    strerror(errno));
			take_eof(w);
			return false;
		}
		if (!must)
			return false;
		poll(&pfd, 1, SEND_AGAIN_MS);
	}
	return !w->eof;
}

/* Lines that cannot be reported now are lost lines still. */
static void
report_lost(struct worker *w)
{
	struct msg msg = { .type = MSG_LOST };

	msg.lost.lines = log_take_lost(&msg.lost.error);
	if (msg.lost.lines == 0)
		return;
	if (w->eof)
		log_add_lost(msg.lost.lines, msg.lost.error);
	else
		put_message(w, &msg, true);
}

/* Tells of the requests since the last time. */
static void
report_requests(struct worker *w, bool must)
{
	struct msg msg = { .type = MSG_REQUESTS };

	while (tally_fill(&w->tally, &msg.requests) && put_message(w, &msg, must))
		tally_sent(&w->tally, &msg.requests);
}

void
session_send(struct worker *w, struct msg *msg, bool must)
{
	report_lost(w);
	put_message(w, msg, must);
}

static void
return_next(struct worker *w)
{
	struct msg msg = { .type = MSG_RETURN,
		.back = { .task = w->next.id, .claim = w->next.claim } };

	w->has_next = false;
	session_send(w, &msg, true);
}

static bool
is_of(const struct task *task, const struct msg_cancel *cancel)
{
	return task->id == cancel->task && task->claim == cancel->claim;
}

static void
take_cancel(struct worker *w, const struct msg_cancel *cancel)
{
	if (w->has_task && is_of(&w->task, cancel))
		w->cancelled = true;
	else if (w->has_next && is_of(&w->next, cancel))
		return_next(w);
}

int
session_lacks_store(struct failure *f, const char *end, const char *store)
{
	strlcpy(f->store, store, sizeof(f->store));
	f->writes = strcmp(end, "destination") == 0;
	failure_set(
	    f, CLASS_TRANSIENT, "%s: there is no store \"%s\" in the configuration", end, store);
	return failure_blame(f, TROUBLE_NODE);
}

static void
take_rate(struct worker *w, const struct msg_rate *rate)
{
	struct store *store;

	if (rate->store[0] == '\0')
		rate_set(&w->queue_rate, rate->rate, clock_ms());
	else if ((store = session_store(w, rate->store)) != NULL)
		rate_set(&store->rate, rate->rate, clock_ms());
}

static void
take_connect(struct worker *w, const struct msg_connect *msg)
{
	struct connection *c = &w->connection;

	switch ((enum connect_word)msg->word) {
	case CONNECT_GRANT:
		c->grant = true;
		c->denied = false;
		break;
	case CONNECT_YIELD:
		c->yields = true;
		break;
	case CONNECT_DENY:
		c->denied = !c->up;
		strlcpy(c->why, msg->why, sizeof(c->why));
		break;
	}
}

/* What to do next, which needs no more words. */
static void
take_order(struct worker *w, enum msg_type order)
{
	w->reap |= order == MSG_REAP;
	w->retire |= order == MSG_RETIRE;
	if (order == MSG_STOP)
		take_stop(w);
}

static void
dispatch(struct worker *w, const struct msg *msg, int fd)
{
	switch (msg->type) {
	case MSG_CONFIG:
		take_config(w, &msg->config);
		break;
	case MSG_STORE:
		take_store(w, &msg->store.store);
		break;
	case MSG_KEYS:
		keys_take(w, &msg->keys);
		break;
	case MSG_TASK:
		take_task(w, &msg->task);
		break;
	case MSG_CANCEL:
		take_cancel(w, &msg->cancel);
		break;
	case MSG_RATE:
		take_rate(w, &msg->rate);
		break;
	case MSG_LEASE:
		lease_take(w, &msg->lease);
		break;
	case MSG_REAP:
	case MSG_RETIRE:
	case MSG_STOP:
		take_order(w, msg->type);
		break;
	case MSG_LOG:
		log_open_fd(fd);
		break;
	case MSG_CONNECT:
		take_connect(w, &msg->connect);
		break;
	default:
		log_error("the master sent %s, a worker's word", msg_type_name(msg->type));
	}
}

void
session_receive(struct worker *w)
{
	struct msg msg;
	int fd;

	for (;;) {
		switch (channel_recv(w->channel, &msg, &fd)) {
		case 1:
			break;
		case 0:
			take_eof(w);
			return;
		default:
			if (errno == EAGAIN || errno == EINTR)
				return;
			if (errno != EBADMSG) {
				log_error("channel: %s", strerror(errno));
				take_eof(w);
				return;
			}
			log_error("the master sent a malformed message");
			continue;
		}
		if (msg.slot == w->slot && msg.generation == w->generation) {
			dispatch(w, &msg, fd);
			continue;
		}
		log_warn("dropped a %s for slot %d", msg_type_name(msg.type), msg.slot);
		if (fd >= 0)
			close(fd);
	}
}

void
session_ready(struct worker *w)
{
	struct msg msg = { .type = MSG_READY };

	report_requests(w, true);
	session_send(w, &msg, true);
}

void
session_result(struct worker *w, const struct msg_result *result)
{
	struct msg msg; /* not cleared: it is large, and channel_send() reads the result only */

	report_requests(w, true);
	msg.type = MSG_RESULT;
	msg.result = *result;
	session_send(w, &msg, true);
}

void
session_ask_keys(struct worker *w, struct store *store)
{
	struct msg msg = { .type = MSG_REFUSED };

	strlcpy(msg.refused.store, store->conf.name, sizeof(msg.refused.store));
	store->asked_at = clock_ms();
	session_send(w, &msg, true);
}

int64_t
session_deadline(const struct worker *w)
{
	int64_t at = w->has_next ? w->return_at : 0;

	return w->transfer != NULL ? clock_earlier(at, w->tick_at) : at;
}

void
session_tick(struct worker *w)
{
	int64_t now = clock_ms();
	struct msg msg;

	if (w->has_next && w->return_at <= now)
		return_next(w);
	if (w->transfer == NULL || now < w->tick_at)
		return;
	w->tick_at = now + TICK_MS;
	report_requests(w, false);
	msg.type = MSG_PROGRESS;
	w->progress(w->transfer, now, &msg.progress);
	session_send(w, &msg, false);
}

void
session_idle(struct worker *w)
{
	/* a task shorter than a tick has not changed the title */
	if (!w->titled)
		setproctitle("-ferry-worker %d: idle", w->slot);
	w->titled = true;
}

struct store *
session_store(struct worker *w, const char *name)
{
	int i;

	for (i = 0; w->setup != NULL && i < w->setup->config.nstores; i++) {
		if (strcmp(w->setup->stores[i].conf.name, name) == 0)
			return &w->setup->stores[i];
	}
	return NULL;
}

void
session_release(struct worker *w)
{
	setup_free(w->setup);
	setup_free(w->incoming);
	w->setup = w->incoming = NULL;
}
