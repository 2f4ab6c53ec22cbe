/*
 * libFuzzer: any bytes are a packet on the channel, as they are or, behind a first byte that is
 * even, as the struct of a message.  What is taken has texts that end, can be sent on unchanged,
 * and leaves no descriptor behind.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/channel.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FIRST_BYTE_RAW 1
#define FIRST_BYTE_DESCRIPTOR 2

#define ASSERT_ENDS(text) assert(memchr((text), '\0', sizeof(text)) != NULL)
#define ASSERT_ALL_END(texts)                                                   \
	do {                                                                    \
		for (size_t i = 0; i < sizeof(texts) / sizeof((texts)[0]); i++) \
			ASSERT_ENDS((texts)[i]);                                \
	} while (0)

static int fds[2];

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	if (channel_pair(fds) == -1)
		abort();
	return 0;
}

static void
check_store(const struct config_store *store)
{
	ASSERT_ENDS(store->name);
	ASSERT_ENDS(store->endpoint);
	ASSERT_ENDS(store->region);
	ASSERT_ENDS(store->ca_file);
	ASSERT_ALL_END(store->resolve);
	ASSERT_ENDS(store->access_key);
	ASSERT_ENDS(store->secret_key);
	ASSERT_ENDS(store->session_token);
	ASSERT_ENDS(store->access_key_file);
	ASSERT_ENDS(store->secret_key_file);
	ASSERT_ENDS(store->secret_key_env);
	ASSERT_ENDS(store->session_token_file);
	ASSERT_ENDS(store->credentials_file);
	ASSERT_ENDS(store->credentials_profile);
	ASSERT_ALL_END(store->credentials_command);
	ASSERT_ENDS(store->root);
	ASSERT_ENDS(store->kms_key);
	assert(store->nresolve >= 0 && store->nresolve <= CONFIG_RESOLVE_MAX);
}

static void
check_task(const struct task *task)
{
	ASSERT_ENDS(task->source);
	ASSERT_ENDS(task->destination);
	ASSERT_ENDS(task->content_type);
	ASSERT_ENDS(task->storage_class);
	ASSERT_ENDS(task->queue);
	ASSERT_ENDS(task->metadata);
}

static void
check_result(const struct msg_result *result)
{
	ASSERT_ENDS(result->error);
	ASSERT_ENDS(result->store);
	ASSERT_ENDS(result->verified_by);
	ASSERT_ENDS(result->etag);
	ASSERT_ENDS(result->warning);
	assert(strcmp(task_result_name((enum task_result)result->result), "unknown") != 0);
	assert(strcmp(error_class_name((enum error_class)result->error_class), "unknown") != 0);
}

static void
check_keys(const struct msg_keys *keys)
{
	ASSERT_ENDS(keys->store);
	ASSERT_ENDS(keys->endpoint);
	ASSERT_ENDS(keys->keys.access_key);
	ASSERT_ENDS(keys->keys.secret_key);
	ASSERT_ENDS(keys->keys.session_token);
}

static void
check_requests(const struct msg_requests *requests)
{
	int i;

	assert(requests->n >= 0 && requests->n <= REQUESTS_MAX);
	for (i = 0; i < REQUESTS_MAX; i++)
		ASSERT_ENDS(requests->list[i].store);
}

static void
check(const struct msg *msg)
{
	assert(strcmp(msg_type_name(msg->type), "unknown") != 0);
	if (msg->type == MSG_CONFIG) {
		ASSERT_ENDS(msg->config.peak_file);
		ASSERT_ENDS(msg->config.worker.database);
		ASSERT_ALL_END(msg->config.worker.allow);
	}
	if (msg->type == MSG_STORE)
		check_store(&msg->store.store);
	if (msg->type == MSG_KEYS)
		check_keys(&msg->keys);
	if (msg->type == MSG_TASK)
		check_task(&msg->task.task);
	if (msg->type == MSG_RESULT)
		check_result(&msg->result);
	if (msg->type == MSG_RATE)
		ASSERT_ENDS(msg->rate.store);
	if (msg->type == MSG_REFUSED)
		ASSERT_ENDS(msg->refused.store);
	if (msg->type == MSG_DATABASE)
		ASSERT_ENDS(msg->database.why);
	if (msg->type == MSG_CONNECT)
		ASSERT_ENDS(msg->connect.why);
	if (msg->type == MSG_CLOCK)
		ASSERT_ENDS(msg->clock.store);
	if (msg->type == MSG_CERTIFICATE)
		ASSERT_ENDS(msg->certificate.store);
	if (msg->type == MSG_REQUESTS)
		check_requests(&msg->requests);
}

/* Sends the bytes as a packet, or as the struct that they fill. */
static void
send_input(const uint8_t *data, size_t size, int passed)
{
	static struct msg msg;

	if (passed == -1 && (data[0] & FIRST_BYTE_RAW) != 0) {
		if (send(fds[1], data + 1, size - 1, 0) == -1)
			abort();
		return;
	}
	memset(&msg, 0, sizeof(msg));
	memcpy(&msg, data + 1, size - 1 < sizeof(msg) ? size - 1 : sizeof(msg));
	msg.type = MSG_CONFIG + (int)((unsigned)msg.type % MSG_LOST);
	if (channel_send(fds[1], &msg, passed) == -1)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct msg msg, again;
	int passed = -1, lowest = dup(fds[0]), taken;

	close(lowest);
	if (size < 2 || size > sizeof(msg))
		return 0;
	if ((data[0] & FIRST_BYTE_DESCRIPTOR) != 0)
		passed = dup(fds[0]);
	send_input(data, size, passed);
	if (passed != -1)
		close(passed);
	memset(&msg, 0, sizeof(msg));
	memset(&again, 0, sizeof(again));
	if (channel_recv(fds[0], &msg, &taken) == 1) {
		check(&msg);
		assert(taken == -1 || msg.type == MSG_LOG);
		if (taken != -1)
			close(taken);
		if (channel_send(fds[1], &msg, -1) == -1 ||
		    channel_recv(fds[0], &again, &taken) != 1)
			abort();
		assert(memcmp(&msg, &again, sizeof(msg)) == 0);
	} else {
		assert(errno == EBADMSG && taken == -1);
	}
	passed = dup(fds[0]);
	assert(passed == lowest);
	close(passed);
	return 0;
}
