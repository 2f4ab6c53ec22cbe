/*
 * The channel between two real ends of a socketpair: what arrives, and what a hostile or dead other
 * side cannot do.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/channel.h"
#include "tests/unit/tap.h"

#define HEADER offsetof(struct msg, config)

static struct msg out, in;

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
	struct iovec iov = {.iov_base = (void *)(uintptr_t)buf, .iov_len = len};
	struct msghdr hdr = {.msg_iov = &iov, .msg_iovlen = 1};
	int fds[4] = {0, 0, 0, 0};

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

/* Of what a type has; a message of another type has left the rest. */
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
	for (type = MSG_CONFIG; type <= MSG_RETURN; type++) {
		memset(&out, 0, sizeof(out));
		out.type = type;
		out.slot = type * 3;
		out.generation = UINT64_C(1) << 40 | (unsigned)type;
		memset(&in, 0xff, sizeof(in));
		ok(channel_send(fds[0], &out, -1) == 0 && channel_recv(fds[1], &in, &passed) == 1 &&
			passed == -1,
		    "%s goes and comes", msg_type_name(type));
		ok(is_same(),
		    "as it was, and nothing of what the buffer held before");
	}
	errno = 0;
	ok(channel_recv(fds[1], &in, &passed) == -1 && errno == EAGAIN,
	    "no message: EAGAIN, without waiting");
	out.type = MSG_RETURN + 1;
	ok(channel_send(fds[0], &out, -1) == -1 && errno == EINVAL, "an unknown type is not sent");
	is_str(msg_type_name(MSG_RETURN + 1), "unknown", "nor has it a name");
	is_str(msg_type_name(-1), "unknown", "a negative one neither");
	close(fds[0]);
	is_int(channel_recv(fds[1], &in, &passed), 0, "the other side is gone: end of file");
	out.type = MSG_READY;
	ok(channel_send(fds[1], &out, -1) == -1 && errno == EPIPE, "and EPIPE, without a signal");
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
	ok(channel_recv(fds[0], &in, &passed) == -1 && errno == EAGAIN, "and it is consumed");
	is_int(count_fds(), before, "and no descriptor stays");
}

/* A header of that type, and behind it runs: bytes that follow, zeros that do not. */
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
	len = craft(buf, MSG_RESULT, (const uint16_t[]){0, result}, 2);
	send_raw(fds[1], buf, len, 0);
	is_int(channel_recv(fds[0], &in, &passed), 1, "a RESULT of zeros, packed by hand");
	check_bad(fds, buf, 1, 0, "one byte");
	check_bad(fds, buf, HEADER - 1, 0, "less than a header");
	check_bad(fds, buf, HEADER, 0, "a RESULT without its body");
	check_bad(fds, buf, len - 1, 0, "a run cut short");
	check_bad(fds, buf, len + 1, 0, "a byte behind the last run");
	check_bad(fds, buf, sizeof(buf), 0, "a packet larger than any message");
	check_bad(fds, buf, sizeof(buf), 1, "the same with a descriptor");
	check_bad(fds, buf, craft(buf, MSG_RESULT, (const uint16_t[]){0, result - 1}, 2), 0,
	    "one byte short");
	check_bad(fds, buf, craft(buf, MSG_RESULT, (const uint16_t[]){0, result + 1}, 2), 0,
	    "one byte long");
	check_bad(fds, buf, craft(buf, MSG_RESULT, (const uint16_t[]){0, result, 0, 1}, 4), 0,
	    "long in a second run");
	check_bad(fds, buf, craft(buf, MSG_RESULT, (const uint16_t[]){result, 0}, 2), 0,
	    "bytes that do not follow");
	check_bad(fds, buf, craft(buf, MSG_RESULT, (const uint16_t[]){65535, 65535}, 2), 0,
	    "the largest run");
	check_bad(fds, buf, craft(buf, MSG_TASK, (const uint16_t[]){0, 65535}, 2), 0,
	    "zeros beyond the buffer");
	check_bad(fds, buf, craft(buf, MSG_READY, (const uint16_t[]){0, 1}, 2), 0,
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
	out.result.result = TASK_STALE + 1;
	check_refused(fds, "a result that there is not");
	out.result.result = TASK_DONE;
	out.result.error_class = -1;
	check_refused(fds, "an error class that there is not");
	memset(&out, 0, sizeof(out));
	out.type = MSG_STORE;
	out.store.store.nresolve = CONFIG_RESOLVE_MAX + 1;
	check_refused(fds, "a STORE with more entries than it has room for");
	out.type = MSG_CONFIG;
	memset(&out.config, 0, sizeof(out.config));
	out.config.worker.nallow = -1;
	check_refused(fds, "a CONFIG with less than no hosts");
	close(fds[0]);
	close(fds[1]);
}

/* Bytes and zeros in turn, in every small pattern: what is packed must come out the same. */
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
				  channel_recv(fds[1], &in, &passed) != 1 ||
				  !is_same();
		}
	is_int(failed, 0, "runs of every small length are packed and unpacked to the same");
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
	out.result.has_crc64 = out.result.copied = out.result.ready = out.result.goes_on = out.result.streams = 1;
	ok(channel_send(fds[1], &out, -1) == 0 && channel_recv(fds[0], &in, &passed) == 1,
	    "a RESULT without any NUL");
	is_int(strnlen(in.result.error, TASK_ERROR_MAX), TASK_ERROR_MAX - 1, "its sentence ends");
	is_int(strnlen(in.result.throttled_store, CONFIG_NAME_MAX), CONFIG_NAME_MAX - 1,
	    "its store ends");

	out.type = MSG_STORE;
	out.store.store.nresolve = CONFIG_RESOLVE_MAX;
	ok(channel_send(fds[1], &out, -1) == 0 && channel_recv(fds[0], &in, &passed) == 1,
	    "a STORE without any NUL");
	is_int(strnlen(in.store.store.secret_key, CONFIG_SECRET_MAX), CONFIG_SECRET_MAX - 1,
	    "its secret ends");
	is_int(strnlen(in.store.store.root, CONFIG_PATH_MAX), CONFIG_PATH_MAX - 1, "its root ends");
	for (i = 0; i < CONFIG_RESOLVE_MAX; i++)
		is_int(strnlen(in.store.store.resolve[i], CONFIG_HOST_MAX * 2),
		    CONFIG_HOST_MAX * 2 - 1, "entry %d of its list ends", i);
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
	is_int(count_fds(), before, "which is closed");
	out.type = MSG_LOG;
	send_raw(fds[0], &out, HEADER, 2);
	ok(channel_recv(fds[1], &in, &passed) == 1 && passed > 2,
	    "LOG with two, for which alignment leaves room");
	close(passed);
	is_int(count_fds(), before, "only one was kept");
	close(pipes[0]);
	close(pipes[1]);
	close(fds[0]);
	close(fds[1]);
}

/*
 * What the master says to a worker that has not read anything yet: full to the brim, or stores as
 * they are with the send buffer that Linux gives by default to who may not ask for more.
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
			memset(out.store.store.session_token, 't', 1500);
			memset(out.store.store.secret_key_file, 'f', 60);
			memset(out.store.store.endpoint, 'e', 60);
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

/* A worker that dies with a word of ours unread: its own last words still arrive, then the end. */
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
	    "the last words of the dead");
	is_int(channel_recv(fds[0], &in, &passed), 0, "then end of file, not ECONNRESET");
	close(fds[0]);
}

/* One buffer for many tasks: nothing of a longer one is left behind a shorter. */
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
	ok(memcmp(&to, &from, sizeof(to)) == 0, "a task is copied with texts as long as there is room for");
	clean.id = 8;
	strlcpy(clean.source, "a://b/c", sizeof(clean.source));
	strlcpy(clean.queue, "default", sizeof(clean.queue));
	task_copy(&to, &clean);
	ok(memcmp(&to, &clean, sizeof(to)) == 0, "and a shorter one over it, with zeros behind its texts");
	from = clean;
	memset(from.source + 20, 'x', 100);
	task_copy(&to, &from);
	ok(memcmp(&to, &clean, sizeof(to)) == 0, "what lies behind a text is not copied");
}

int
main(void)
{
	test_round_trip();
	test_hostile_packets();
	test_hostile_numbers();
	test_packing();
	test_unterminated();
	test_descriptor();
	test_room();
	test_last_words();
	test_task_copy();
	return done_testing();
}
