/*
 * The channel's conversation, from the worker's side.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <curl/curl.h>

#include "common/clock.h"
#include "common/log.h"
#include "worker/lease.h"
#include "worker/memory.h"
#include "worker/session.h"
#include "worker/sign.h"
#include "worker/transfer.h"

#define SESSION_TICK_MS 1000
#define SESSION_NEXT_MS 100 /* a task waits so long for the one in work: then somebody else may be quicker */
#define SESSION_EOF_MS 1500 /* to release the claim after the master's end; confine.c ends us a little later */
#define SESSION_GRACE_MARGIN_MS 500

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
session_take_config(struct worker *w, const struct msg_config *config)
{
	struct setup *setup;

	if (config->nstores < 0 || config->nstores > CONFIG_STORES_MAX || config->worker.streams < 0 ||
	    config->worker.streams > CONFIG_STREAMS_MAX) {
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
session_take_store(struct worker *w, const struct config_store *conf)
{
	struct setup *setup = w->incoming;
	struct store *store;
	struct curl_slist *list;
	int i;

	if (setup == NULL || setup->received >= setup->config.nstores) {
		log_error("the master sent a store that it had not announced");
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
session_take_task(struct worker *w, const struct task *task)
{
	if (w->has_next || w->setup == NULL) {
		log_error("task %lld: the master sent it to a worker that has a next one already", (long long)task->id);
		return;
	}
	if (w->has_task) {
		task_copy(&w->next, task);
		w->has_next = true;
		w->return_at = clock_ms() + SESSION_NEXT_MS;
		return;
	}
	task_copy(&w->task, task);
	w->cancelled = w->stale = false;
	w->has_task = true;
}

void
session_go_on(struct worker *w)
{
	task_copy(&w->task, &w->next);
	w->has_next = false;
	w->has_task = true;
}

static void
session_stop(struct worker *w)
{
	int64_t grace = w->setup != NULL ? w->setup->config.worker.grace_ms : 0;

	if (w->stop || w->eof)
		return;
	w->stop = true;
	grace -= grace > 2 * SESSION_GRACE_MARGIN_MS ? SESSION_GRACE_MARGIN_MS : grace / 4;
	w->deadline = clock_ms() + grace;
}

static void
session_eof(struct worker *w)
{
	w->eof = true;
	w->deadline = clock_ms() + SESSION_EOF_MS;
	log_warn("the master is gone");
}

/* must: wait until the master reads; progress is left out instead, there will be more */
static void
session_send(struct worker *w, struct msg *msg, bool must)
{
	struct pollfd pfd = { .fd = w->channel, .events = POLLOUT };

	msg->slot = w->slot;
	msg->generation = w->generation;
	while (!w->eof && channel_send(w->channel, msg, -1) == -1) {
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN) {
			if (errno != EPIPE && errno != ECONNRESET)
				log_error("channel: %s to the master: %s", msg_type_name(msg->type), strerror(errno));
			session_eof(w);
			return;
		}
		if (!must)
			return;
		poll(&pfd, 1, 1000);
	}
}

static void
session_return_next(struct worker *w)
{
	struct msg msg = { .type = MSG_RETURN, .back = { .task = w->next.id, .claim = w->next.claim } };

	w->has_next = false;
	session_send(w, &msg, true);
}

static void
session_dispatch(struct worker *w, const struct msg *msg, int fd)
{
	struct store *store;

	switch (msg->type) {
	case MSG_CONFIG:
		session_take_config(w, &msg->config);
		break;
	case MSG_STORE:
		session_take_store(w, &msg->store.store);
		break;
	case MSG_TASK:
		session_take_task(w, &msg->task.task);
		break;
	case MSG_CANCEL:
		if (w->has_task && w->task.id == msg->cancel.task && w->task.claim == msg->cancel.claim)
			w->cancelled = true;
		else if (w->has_next && w->next.id == msg->cancel.task && w->next.claim == msg->cancel.claim)
			session_return_next(w);
		break;
	case MSG_REAP:
		w->reap = true;
		break;
	case MSG_RATE:
		if (msg->rate.store[0] == '\0')
			rate_set(&w->queue_rate, msg->rate.rate, clock_ms());
		else if ((store = session_store(w, msg->rate.store)) != NULL)
			rate_set(&store->rate, msg->rate.rate, clock_ms());
		break;
	case MSG_LEASE:
		lease_take(w, &msg->lease);
		break;
	case MSG_RETIRE:
		w->retire = true;
		break;
	case MSG_STOP:
		session_stop(w);
		break;
	case MSG_LOG:
		log_open_fd(fd);
		break;
	default:
		log_error("the master sent a %s, which is ours to send", msg_type_name(msg->type));
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
			session_eof(w);
			return;
		default:
			if (errno == EAGAIN || errno == EINTR)
				return;
			if (errno != EBADMSG) {
				log_error("channel: %s", strerror(errno));
				session_eof(w);
				return;
			}
			log_error("the master sent a message that is no message");
			continue;
		}
		if (msg.slot == w->slot && msg.generation == w->generation) {
			session_dispatch(w, &msg, fd);
			continue;
		}
		log_warn("a %s for slot %d was dropped", msg_type_name(msg.type), msg.slot);
		if (fd >= 0)
			close(fd);
	}
}

void
session_ready(struct worker *w)
{
	struct msg msg = { .type = MSG_READY };

	session_send(w, &msg, true);
}

void
session_result(struct worker *w, const struct msg_result *result)
{
	struct msg msg; /* large, and no more of it is looked at than a result has */

	msg.type = MSG_RESULT;
	msg.result = *result;
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
		session_return_next(w);
	if (w->transfer == NULL || now < w->tick_at)
		return;
	w->tick_at = now + SESSION_TICK_MS;
	msg.type = MSG_PROGRESS;
	transfer_progress(w->transfer, now, &msg.progress);
	session_send(w, &msg, false);
}

void
session_idle(struct worker *w)
{
	/* a task that is over within a tick has not changed the title */
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
