/*
 * The channel on a real socketpair: messages arrive whole, and a hostile or dead peer does no harm.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/channel.h"
#include "tests/unit/tap.h"

#define HEADER offsetof(struct msg, config)

static struct msg out;
static struct {
	struct msg msg;
	unsigned char beyond[1 << 16]; /* which no packet may change */
} room;
#define in room.msg

static int
count_fds(void)
{
	int fd, n = 0;

	for (fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) != -1;
	return n;
}

/* Sends raw bytes, and n descriptors with them. */
static void
send_raw(int fd, const void *buf, size_t len, int n)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(4 * sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = (void *)(uintptr_t)buf, .iov_len = len };
	struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };
	int fds[4] = { 0, 0, 0, 0 };

	memset(&control, 0, sizeof(control));
	if (n > 0) {
		hdr.msg_control = control.buf;
		hdr.msg_controllen = CMSG_SPACE((size_t)n * sizeof(int));
		CMSG_FIRSTHDR(&hdr)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&hdr)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&hdr)->cmsg_len = CMSG_LEN((size_t)n * sizeof(int));
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&hdr)), fds, (size_t)n * sizeof(int));
	}
	if (sendmsg(fd, &hdr, 0) == -1)
		perror("sendmsg");
}

/* Whether in equals out, in as many bytes as the type has. */
static bool
is_same(void)
{
	static const size_t lengths[] = {
		[MSG_CONFIG] = sizeof(in.config),
		[MSG_STORE] = sizeof(in.store),
		[MSG_TASK] = sizeof(in.task),
		[MSG_CANCEL] = sizeof(in.cancel),
		[MSG_RATE] = sizeof(in.rate),
		[MSG_LEASE] = sizeof(in.lease),
		[MSG_PROGRESS] = sizeof(in.progress),
		[MSG_RESULT] = sizeof(in.result),
		[MSG_RETURN] = sizeof(in.back),
		[MSG_FAULT] = sizeof(in.fault),
		[MSG_KEYS] = sizeof(in.keys),
		[MSG_REFUSED] = sizeof(in.refused),
		[MSG_DATABASE] = sizeof(in.database),
		[MSG_CONNECT] = sizeof(in.connect),
		[MSG_CLOCK] = sizeof(in.clock),
		[MSG_CERTIFICATE] = sizeof(in.certificate),
		[MSG_REQUESTS] = sizeof(in.requests),
		[MSG_LOST] = sizeof(in.lost),
	};

	return memcmp(&in, &out, HEADER + lengths[out.type]) == 0;
}

static void
test_round_trip(void)
{
	int fds[2], passed, type;

	is_int(channel_pair(fds), 0, "a pair");
	ok((fcntl(fds[0], F_GETFL) & O_NONBLOCK) != 0, "the master's end does not block");
	ok((fcntl(fds[1], F_GETFL) & O_NONBLOCK) == 0, "the worker's end is left as it is");
	ok((fcntl(fds[0], F_GETFD) & fcntl(fds[1], F_GETFD) & FD_CLOEXEC) != 0,
	    "both are close-on-exec");
	for (type = MSG_CONFIG; type <= MSG_LOST; type++) {
		memset(&out, 0, sizeof(out));
		out.type = type;
		out.slot = type * 3;
		out.generation = UINT64_C(1) << 40 | (unsigned)type;
		memset(&in, 0xff, sizeof(in));
		ok(channel_send(fds[0], &out, -1) == 0 && channel_recv(fds[1], &in, &passed) == 1 &&
			passed == -1,
		    "%s goes and comes", msg_type_name(type));
		ok(is_same(), "it is unchanged, and nothing is left of what the buffer held");
	}
	errno = 0;
	ok(channel_recv(fds[1], &in, &passed) == -1 && errno == EAGAIN,
	    "no message: EAGAIN, without waiting");
	out.type = MSG_LOST + 1;
	ok(channel_send(fds[0], &out, -1) == -1 && errno == EINVAL, "an unknown type is not sent");
	is_str(msg_type_name(MSG_LOST + 1), "unknown", "it has no name");
	is_str(msg_type_name(-1), "unknown", "a negative type has no name");
	close(fds[0]);
	is_int(channel_recv(fds[1], &in, &passed), 0, "the other side is gone: end of file");
	out.type = MSG_READY;
	ok(channel_send(fds[1], &out, -1) == -1 && errno == EPIPE, "EPIPE, without a signal");
	close(fds[1]);
}

static void
check_bad(int *fds, const void *buf, size_t len, int n, const char *what)
{
	int passed = 99, before = count_fds();

	send_raw(fds[1], buf, len, n);
	errno = 0;
	ok(channel_recv(fds[0], &in, &passed) == -1 && errno == EBADMSG && passed == -1,
	    "%s: EBADMSG", what);
	ok(channel_recv(fds[0], &in, &passed) == -1 && errno == EAGAIN, "the packet is consumed");
	is_int(count_fds(), before, "no descriptor stays open");
}

/* Writes a header of that type, and runs behind it.  Returns the length. */
static size_t
craft(char *buf, int type, const uint16_t *runs, size_t nruns)
{
	memset(&out, 0, HEADER);
	out.type = type;
	memcpy(buf, &out, HEADER);
	if (nruns > 0)
		memcpy(buf + HEADER, runs, nruns * sizeof(runs[0]));
	return HEADER + nruns * sizeof(runs[0]);
}

static void
test_hostile_packets(void)
{
	const uint16_t result = sizeof(struct msg_result);
	static char buf[sizeof(struct msg) + 100];
	int fds[2], passed;
	size_t len;

	channel_pair(fds);
	len = craft(buf, MSG_RESULT, (const uint16_t[]){ 0, result }, 2);
	send_raw(fds[1], buf, len, 0);
	is_int(channel_recv(fds[0], &in, &passed), 1, "a RESULT of zeros, packed by hand");
	check_bad(fds, buf, 1, 0, "one byte");
	check_bad(fds, buf, HEADER - 1, 0, "less than a header");
	check_bad(fds, buf, HEADER, 0, "a RESULT without its body");
	check_bad(fds, buf, len - 1, 0, "a run cut short");
	check_bad(fds, buf, len + 1, 0, "a byte behind the last run");
	check_bad(fds, buf, sizeof(buf), 0, "a packet larger than any message");
	check_bad(fds, buf, sizeof(buf), 1, "the same with a descriptor");
	check_bad(fds, buf, craft(buf, MSG_RESULT, (const uint16_t[]){ 0, result - 1 }, 2), 0,
	    "one byte short");
	check_bad(fds, buf, craft(buf, MSG_RESULT, (const uint16_t[]){ 0, result + 1 }, 2), 0,
	    "one byte long");
	check_bad(fds, buf, craft(buf, MSG_RESULT, (const uint16_t[]){ 0, result, 0, 1 }, 4), 0,
	    "long in a second run");
	check_bad(fds, buf, craft(buf, MSG_RESULT, (const uint16_t[]){ result, 0 }, 2), 0,
	    "a run of bytes that are not there");
	check_bad(fds, buf, craft(buf, MSG_RESULT, (const uint16_t[]){ 65535, 65535 }, 2), 0,
	    "the largest run");
	memset(room.beyond, 'x', sizeof(room.beyond));
	check_bad(fds, buf, craft(buf, MSG_TASK, (const uint16_t[]){ 0, 65535 }, 2), 0,
	    "zeros beyond the buffer");
	ok(memchr(room.beyond, 0, sizeof(room.beyond)) == NULL, "nothing is written there");
	check_bad(fds, buf, craft(buf, MSG_READY, (const uint16_t[]){ 0, 1 }, 2), 0,
	    "a body where none belongs");
	check_bad(fds, buf, craft(buf, 0, NULL, 0), 0, "type 0");
	check_bad(
	    fds, buf, craft(buf, MSG_RESULT + 1, NULL, 0), 1, "an unknown type with a descriptor");
	check_bad(fds, buf, craft(buf, -1, NULL, 0), 0, "a negative type");
	check_bad(fds, buf, craft(buf, MSG_LOG, NULL, 0), 4, "more descriptors than one");
	close(fds[0]);
	close(fds[1]);
}

static void
check_refused(int *fds, const char *what)
{
	int passed;

	errno = 0;
	ok(channel_send(fds[1], &out, -1) == 0 && channel_recv(fds[0], &in, &passed) == -1 &&
		errno == EBADMSG,
	    "%s: EBADMSG", what);
}

static void
test_hostile_numbers(void)
{
	int fds[2];

	channel_pair(fds);
	memset(&out, 0, sizeof(out));
	out.type = MSG_RESULT;
	out.result.result = TASK_UNSETTLED + 1;
	check_refused(fds, "a result that does not exist");
	out.result.result = TASK_DONE;
	out.result.error_class = -1;
	check_refused(fds, "an error class that does not exist");
	memset(&out, 0, sizeof(out));
	out.type = MSG_STORE;
	out.store.store.nresolve = CONFIG_RESOLVE_MAX + 1;
	check_refused(fds, "a STORE with more entries than it has room for");
	out.type = MSG_CONFIG;
	memset(&out.config, 0, sizeof(out.config));
	out.config.worker.nallow = -1;
	check_refused(fds, "a CONFIG with a negative number of hosts");
	memset(&out.config, 0, sizeof(out.config));
	out.config.nstores = CONFIG_STORES_MAX + 1;
	check_refused(fds, "one with more stores than there is room for");
	memset(&out.config, 0, sizeof(out.config));
	out.config.worker.streams = CONFIG_STREAMS_MAX + 1;
	check_refused(fds, "one with more streams");
	memset(&out, 0, sizeof(out));
	out.type = MSG_REQUESTS;
	out.requests.n = REQUESTS_MAX + 1;
	check_refused(fds, "REQUESTS with more entries than there is room for");
	out.requests.n = -1;
	check_refused(fds, "REQUESTS with fewer than none");
	close(fds[0]);
	close(fds[1]);
}

/* A yes or no that is neither would be copied as it is, and read as both. */
static void
test_hostile_truths(void)
{
	int *truths[] = { &out.result.has_crc64, &out.result.copied, &out.result.ready,
		&out.result.goes_on };
	int fds[2];
	size_t i;

	channel_pair(fds);
	for (i = 0; i < sizeof(truths) / sizeof(truths[0]); i++) {
		memset(&out, 0, sizeof(out));
		out.type = MSG_RESULT;
		*truths[i] = 2;
		check_refused(fds, "a RESULT with a truth value of 2");
	}
	memset(&out, 0, sizeof(out));
	out.type = MSG_RESULT;
	out.result.streams = CONFIG_STREAMS_MAX + 1;
	check_refused(fds, "one with more streams than a worker can have");
	close(fds[0]);
	close(fds[1]);
}

/* Messages of bytes and zeros in every small pattern come out as they went in. */
static void
test_packing(void)
{
	int fds[2], passed, bytes, zeros, failed = 0;
	size_t i;

	channel_pair(fds);
	for (bytes = 0; bytes < 20; bytes++)
		for (zeros = 1; zeros < 20; zeros++) {
			memset(&out, 0, sizeof(out));
			out.type = MSG_PROGRESS;
			for (i = 0; i < sizeof(out.progress); i++)
				((char *)&out.progress)[i] =
				    (int)(i % (size_t)(bytes + zeros)) < bytes ? 'x' : 0;
			failed += channel_send(fds[0], &out, -1) != 0 ||
				  channel_recv(fds[1], &in, &passed) != 1 || !is_same();
		}
	is_int(failed, 0, "runs of every small length come out as they went in");
	close(fds[0]);
	close(fds[1]);
}

static void
test_unterminated(void)
{
	int fds[2], passed, i;

	channel_pair(fds);
	memset(&out, 'x', sizeof(out));
	out.type = MSG_RESULT;
	out.result.result = TASK_FAILED;
	out.result.error_class = CLASS_PERMANENT;
	out.result.trouble = TROUBLE_DATABASE;
	out.result.end = out.result.served[END_SOURCE] = out.result.served[END_DESTINATION] = 1;
	out.result.has_crc64 = out.result.copied = out.result.ready = out.result.goes_on =
	    out.result.streams = 1;
	ok(channel_send(fds[1], &out, -1) == 0 && channel_recv(fds[0], &in, &passed) == 1,
	    "a RESULT without any NUL");
	is_int(strnlen(in.result.error, TASK_ERROR_MAX), TASK_ERROR_MAX - 1, "its sentence ends");
	is_int(strnlen(in.result.store, CONFIG_NAME_MAX), CONFIG_NAME_MAX - 1, "its store ends");

	out.type = MSG_STORE;
	out.store.store.nresolve = CONFIG_RESOLVE_MAX;
	out.store.store.ncredentials_command = CONFIG_COMMAND_MAX;
	ok(channel_send(fds[1], &out, -1) == 0 && channel_recv(fds[0], &in, &passed) == 1,
	    "a STORE without any NUL");
	is_int(strnlen(in.store.store.secret_key, CONFIG_SECRET_MAX), CONFIG_SECRET_MAX - 1,
	    "its secret ends");
	is_int(strnlen(in.store.store.root, CONFIG_PATH_MAX), CONFIG_PATH_MAX - 1, "its root ends");
	for (i = 0; i < CONFIG_RESOLVE_MAX; i++)
		is_int(strnlen(in.store.store.resolve[i], CONFIG_HOST_MAX * 2),
		    CONFIG_HOST_MAX * 2 - 1, "entry %d of its list ends", i);
	for (i = 0; i < CONFIG_COMMAND_MAX; i++)
		is_int(strnlen(in.store.store.credentials_command[i], CONFIG_WORD_MAX),
		    CONFIG_WORD_MAX - 1, "word %d of its command ends", i);

	memset(&out, 'x', sizeof(out));
	out.type = MSG_KEYS;
	ok(channel_send(fds[1], &out, -1) == 0 && channel_recv(fds[0], &in, &passed) == 1,
	    "KEYS without any NUL");
	is_int(strnlen(in.keys.store, CONFIG_NAME_MAX), CONFIG_NAME_MAX - 1, "their store ends");
	is_int(
	    strnlen(in.keys.endpoint, CONFIG_HOST_MAX), CONFIG_HOST_MAX - 1, "their endpoint ends");
	is_int(strnlen(in.keys.keys.session_token, CONFIG_TOKEN_MAX), CONFIG_TOKEN_MAX - 1,
	    "their token ends");
	close(fds[0]);
	close(fds[1]);
}

static void
test_unterminated_orders(void)
{
	int fds[2], passed;

	channel_pair(fds);
	memset(&out, 'x', sizeof(out));
	out.type = MSG_TASK;
	out.task.seen[END_SOURCE] = out.task.seen[END_DESTINATION] = SEEN_SERVING;
	ok(channel_send(fds[1], &out, -1) == 0 && channel_recv(fds[0], &in, &passed) == 1,
	    "a TASK without any NUL");
	is_int(strnlen(in.task.task.source, sizeof(in.task.task.source)),
	    sizeof(in.task.task.source) - 1, "its source ends");
	is_int(strnlen(in.task.task.metadata, sizeof(in.task.task.metadata)),
	    sizeof(in.task.task.metadata) - 1, "its metadata end");
	out.type = MSG_CONFIG;
	out.config.nstores = out.config.worker.nallow = out.config.worker.streams = 1;
	ok(channel_send(fds[1], &out, -1) == 0 && channel_recv(fds[0], &in, &passed) == 1,
	    "a CONFIG without any NUL");
	is_int(strnlen(in.config.worker.database, CONFIG_PATH_MAX), CONFIG_PATH_MAX - 1,
	    "its database ends");
	is_int(strnlen(in.config.worker.allow[CONFIG_ALLOW_MAX - 1], CONFIG_HOST_MAX),
	    CONFIG_HOST_MAX - 1, "the last host of its list ends");
	memset(&out, 'x', sizeof(out));
	out.type = MSG_RATE;
	ok(channel_send(fds[1], &out, -1) == 0 && channel_recv(fds[0], &in, &passed) == 1,
	    "a RATE without any NUL");
	is_int(strnlen(in.rate.store, CONFIG_NAME_MAX), CONFIG_NAME_MAX - 1, "its store ends");
	memset(&out, 'x', sizeof(out));
	out.type = MSG_REQUESTS;
	out.requests.n = REQUESTS_MAX;
	ok(channel_send(fds[1], &out, -1) == 0 && channel_recv(fds[0], &in, &passed) == 1,
	    "REQUESTS without any NUL");
	is_int(strnlen(in.requests.list[0].store, CONFIG_NAME_MAX), CONFIG_NAME_MAX - 1,
	    "the first store ends");
	is_int(strnlen(in.requests.list[REQUESTS_MAX - 1].store, CONFIG_NAME_MAX),
	    CONFIG_NAME_MAX - 1, "and the last");
	close(fds[0]);
	close(fds[1]);
}

static void
test_descriptor(void)
{
	int fds[2], passed = -1, pipes[2], before;
	char byte = 0;

	channel_pair(fds);
	if (pipe(pipes) == -1)
		return;
	memset(&out, 0, sizeof(out));
	out.type = MSG_LOG;
	ok(channel_send(fds[0], &out, pipes[1]) == 0 && channel_recv(fds[1], &in, &passed) == 1,
	    "LOG with a descriptor");
	ok(passed > 2 && (fcntl(passed, F_GETFD) & FD_CLOEXEC) != 0, "it arrives close-on-exec");
	ok(write(passed, "!", 1) == 1 && read(pipes[0], &byte, 1) == 1 && byte == '!',
	    "it is the one that was sent");
	close(passed);
	before = count_fds();
	out.type = MSG_READY;
	ok(channel_send(fds[0], &out, pipes[1]) == 0 && channel_recv(fds[1], &in, &passed) == 1 &&
		passed == -1,
	    "READY arrives without the descriptor that came with it");
	is_int(count_fds(), before, "the descriptor is closed");
	out.type = MSG_LOG;
	send_raw(fds[0], &out, HEADER, 2);
	ok(channel_recv(fds[1], &in, &passed) == 1 && passed > 2,
	    "LOG with two descriptors, for which alignment leaves room");
	close(passed);
	is_int(count_fds(), before, "only one was kept");
	close(pipes[0]);
	close(pipes[1]);
	close(fds[0]);
	close(fds[1]);
}

/*
 * Whether the first messages of the master fit while the worker does not read: either full to the
 * brim, or usual stores in the send buffer that Linux gives to a process without privileges.
 */
static bool
send_everything(bool brim)
{
	int fds[2], i, passed, least = 212992, sent = 0, received = 0;

	channel_pair(fds);
	if (!brim)
		setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &least, sizeof(least));
	for (i = 0; i < CONFIG_STORES_MAX + 2; i++) {
		memset(&out, brim ? 'x' : 0, sizeof(out));
		out.type = i == 0 ? MSG_CONFIG : i <= CONFIG_STORES_MAX ? MSG_STORE : MSG_TASK;
		if (out.type == MSG_CONFIG) {
			out.config.nstores = CONFIG_STORES_MAX;
			out.config.worker.nallow = CONFIG_ALLOW_MAX;
			out.config.worker.streams = 1;
		} else if (out.type == MSG_STORE) {
			out.store.store.nresolve = CONFIG_RESOLVE_MAX;
			out.store.store.ncredentials_command = 1;
			memset(out.store.store.session_token, 't', 1500);
			memset(out.store.store.secret_key_file, 'f', 60);
			memset(out.store.store.endpoint, 'e', 60);
		} else {
			memset(out.task.seen, 0, sizeof(out.task.seen));
		}
		sent += channel_send(fds[0], &out, -1) == 0;
	}
	while (channel_recv(fds[1], &in, &passed) == 1)
		received++;
	close(fds[0]);
	close(fds[1]);
	return sent == CONFIG_STORES_MAX + 2 && received == sent;
}

static void
test_room(void)
{
	int fds[2], n = 0;

	if (getuid() == 0)
		ok(send_everything(true),
		    "CONFIG, 32 STOREs and a TASK fit, full to the brim, while nobody reads");
	ok(send_everything(false),
	    "CONFIG, 32 STOREs with tokens and a TASK fit without privileges");
	channel_pair(fds);
	memset(&out, 0, sizeof(out));
	out.type = MSG_TASK;
	while (n < 100000 && channel_send(fds[0], &out, -1) == 0)
		n++;
	ok(n < 100000 && errno == EAGAIN, "a worker that never reads: EAGAIN after %d TASKs", n);
	close(fds[0]);
	close(fds[1]);
}

/* A worker dies with a message unread: its own last messages arrive, then end of file. */
static void
test_last_words(void)
{
	int fds[2], passed;

	channel_pair(fds);
	memset(&out, 0, sizeof(out));
	out.type = MSG_READY;
	channel_send(fds[1], &out, -1);
	out.type = MSG_STOP;
	channel_send(fds[0], &out, -1);
	close(fds[1]);
	ok(channel_recv(fds[0], &in, &passed) == 1 && in.type == MSG_READY,
	    "the last message of the dead worker arrives");
	is_int(channel_recv(fds[0], &in, &passed), 0, "then end of file, not ECONNRESET");
	close(fds[0]);
}

/* A buffer serves many tasks: no text of a longer task is left behind a shorter one. */
static void
test_task_copy(void)
{
	static struct task from, to, clean;

	from.id = 7;
	from.has_expect_size = true;
	memset(from.source, 's', sizeof(from.source) - 1);
	memset(from.destination, 'd', 100);
	memset(from.metadata, 'm', sizeof(from.metadata) - 1);
	strlcpy(from.content_type, "text/plain", sizeof(from.content_type));
	strlcpy(from.storage_class, "COLD", sizeof(from.storage_class));
	strlcpy(from.queue, "default", sizeof(from.queue));
	task_copy(&to, &from);
	ok(memcmp(&to, &from, sizeof(to)) == 0,
	    "a task is copied with texts as long as there is room for");
	clean.id = 8;
	strlcpy(clean.source, "a://b/c", sizeof(clean.source));
	strlcpy(clean.queue, "default", sizeof(clean.queue));
	task_copy(&to, &clean);
	ok(memcmp(&to, &clean, sizeof(to)) == 0,
	    "a shorter task over it has zeros behind its texts");
	from = clean;
	memset(from.source + 20, 'x', 100);
	task_copy(&to, &from);
	ok(memcmp(&to, &clean, sizeof(to)) == 0, "bytes behind a text are not copied");
}

static void
test_classes(void)
{
	ok(task_class_retries(CLASS_TRANSIENT) && task_class_retries(CLASS_THROTTLED) &&
		task_class_retries(CLASS_SOURCE_CHANGED) && task_class_retries(CLASS_CRASH) &&
		task_class_retries(CLASS_MEMORY) && task_class_retries(CLASS_CREDENTIALS),
	    "a failure that may pass is tried again");
	ok(!task_class_retries(CLASS_PERMANENT) && !task_class_retries(CLASS_NONE),
	    "one that cannot pass is not");
	ok(!task_class_retries((enum error_class)99) && !task_class_retries((enum error_class) - 1),
	    "nor is a class that does not exist");
	is_str(error_class_name((enum error_class)99), "unknown", "which has no name");
	is_str(task_result_name((enum task_result)99), "unknown", "nor has such a result");
}

int
main(void)
{
	test_round_trip();
	test_hostile_packets();
	test_hostile_numbers();
	test_hostile_truths();
	test_packing();
	test_unterminated();
	test_unterminated_orders();
	test_descriptor();
	test_room();
	test_last_words();
	test_task_copy();
	test_classes();
	return done_testing();
}
