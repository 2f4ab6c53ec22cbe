#include "common/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Room for CONFIG, every STORE and a TASK at once, in bytes as the kernel counts packets. */
#define SEND_BUFFER (2 << 20)

#define HEADER_LEN offsetof(struct msg, config)

/* A string of a message, or an array of strings.  A sender may have left out the NUL. */
struct text_field {
	size_t offset;
	size_t size; /* of one string */
	size_t count;
	size_t stride; /* from one string to the next; 0: they follow one another */
};

#define TEXT(field)                                                                    \
	{                                                                              \
		offsetof(struct msg, field), sizeof(((struct msg *)NULL)->field), 1, 0 \
	}
#define TEXTS(field)                                                                              \
	{                                                                                         \
		offsetof(struct msg, field), sizeof(((struct msg *)NULL)->field[0]),              \
		    sizeof(((struct msg *)NULL)->field) / sizeof(((struct msg *)NULL)->field[0]), \
		    0                                                                             \
	}

static const struct text_field config_texts[] = {
	TEXT(config.peak_file),
	TEXT(config.worker.database),
	TEXTS(config.worker.allow),
	{ 0, 0, 0, 0 },
};
static const struct text_field store_texts[] = {
	TEXT(store.store.name),
	TEXT(store.store.endpoint),
	TEXT(store.store.region),
	TEXT(store.store.access_key),
	TEXT(store.store.secret_key),
	TEXT(store.store.session_token),
	TEXT(store.store.secret_key_file),
	TEXT(store.store.secret_key_env),
	TEXT(store.store.access_key_file),
	TEXT(store.store.session_token_file),
	TEXT(store.store.credentials_file),
	TEXT(store.store.credentials_profile),
	TEXTS(store.store.credentials_command),
	TEXT(store.store.root),
	TEXT(store.store.kms_key),
	TEXT(store.store.ca_file),
	TEXTS(store.store.resolve),
	{ 0, 0, 0, 0 },
};
static const struct text_field keys_texts[] = {
	TEXT(keys.store),
	TEXT(keys.endpoint),
	TEXT(keys.keys.access_key),
	TEXT(keys.keys.secret_key),
	TEXT(keys.keys.session_token),
	{ 0, 0, 0, 0 },
};
static const struct text_field refused_texts[] = { TEXT(refused.store), { 0, 0, 0, 0 } };
static const struct text_field task_texts[] = {
	TEXT(task.task.source),
	TEXT(task.task.destination),
	TEXT(task.task.content_type),
	TEXT(task.task.storage_class),
	TEXT(task.task.queue),
	TEXT(task.task.metadata),
	{ 0, 0, 0, 0 },
};
static const struct text_field rate_texts[] = { TEXT(rate.store), { 0, 0, 0, 0 } };
static const struct text_field database_texts[] = { TEXT(database.why), { 0, 0, 0, 0 } };
static const struct text_field clock_texts[] = { TEXT(clock.store), { 0, 0, 0, 0 } };
static const struct text_field certificate_texts[] = { TEXT(certificate.store), { 0, 0, 0, 0 } };
static const struct text_field requests_texts[] = {
	{ offsetof(struct msg, requests.list[0].store), CONFIG_NAME_MAX, REQUESTS_MAX,
	    sizeof(struct msg_request) },
	{ 0, 0, 0, 0 },
};
static const struct text_field connect_texts[] = { TEXT(connect.why), { 0, 0, 0, 0 } };
static const struct text_field result_texts[] = {
	TEXT(result.verified_by),
	TEXT(result.etag),
	TEXT(result.store),
	TEXT(result.error),
	TEXT(result.warning),
	{ 0, 0, 0, 0 },
};

static const struct {
	const char *name;
	size_t len; /* of the struct behind the header */
	const struct text_field *texts;
} types[] = {
	[MSG_CONFIG] = { "CONFIG", sizeof(struct msg_config), config_texts },
	[MSG_STORE] = { "STORE", sizeof(struct msg_store), store_texts },
	[MSG_KEYS] = { "KEYS", sizeof(struct msg_keys), keys_texts },
	[MSG_TASK] = { "TASK", sizeof(struct msg_task), task_texts },
	[MSG_CANCEL] = { "CANCEL", sizeof(struct msg_cancel), NULL },
	[MSG_REAP] = { "REAP", 0, NULL },
	[MSG_RATE] = { "RATE", sizeof(struct msg_rate), rate_texts },
	[MSG_LEASE] = { "LEASE", sizeof(struct msg_lease), NULL },
	[MSG_RETIRE] = { "RETIRE", 0, NULL },
	[MSG_STOP] = { "STOP", 0, NULL },
	[MSG_LOG] = { "LOG", 0, NULL },
	[MSG_CONNECT] = { "CONNECT", sizeof(struct msg_connect), connect_texts },
	[MSG_READY] = { "READY", 0, NULL },
	[MSG_PROGRESS] = { "PROGRESS", sizeof(struct msg_progress), NULL },
	[MSG_RESULT] = { "RESULT", sizeof(struct msg_result), result_texts },
	[MSG_RETURN] = { "RETURN", sizeof(struct msg_return), NULL },
	[MSG_FAULT] = { "FAULT", sizeof(struct msg_fault), NULL },
	[MSG_REFUSED] = { "REFUSED", sizeof(struct msg_refused), refused_texts },
	[MSG_DATABASE] = { "DATABASE", sizeof(struct msg_database), database_texts },
	[MSG_CLOCK] = { "CLOCK", sizeof(struct msg_clock), clock_texts },
	[MSG_CERTIFICATE] = { "CERTIFICATE", sizeof(struct msg_certificate), certificate_texts },
	[MSG_REQUESTS] = { "REQUESTS", sizeof(struct msg_requests), requests_texts },
	[MSG_LOST] = { "LOST", sizeof(struct msg_lost), NULL },
};

const char *
request_op_name(enum request_op op)
{
	static const char *const names[REQUEST_OPS] = {
		[REQUEST_HEAD] = "head",
		[REQUEST_GET] = "get",
		[REQUEST_PUT] = "put",
		[REQUEST_INITIATE] = "initiate",
		[REQUEST_UPLOAD_PART] = "upload_part",
		[REQUEST_COMPLETE] = "complete",
		[REQUEST_ABORT] = "abort",
		[REQUEST_LIST_PARTS] = "list_parts",
		[REQUEST_LIST_UPLOADS] = "list_uploads",
		[REQUEST_DELETE] = "delete",
		[REQUEST_COPY] = "copy",
		[REQUEST_COPY_PART] = "copy_part",
	};

	return (int)op >= 0 && op < REQUEST_OPS ? names[op] : "unknown";
}

#define NELEM(a) (sizeof(a) / sizeof((a)[0]))

static bool
is_type(int type)
{
	return type > 0 && (size_t)type < NELEM(types) && types[type].name != NULL;
}

const char *
msg_type_name(int type)
{
	return is_type(type) ? types[type].name : "unknown";
}

/* Without privileges the system's limit holds.  channel_send() fails with EAGAIN when it is
 * reached. */
static void
set_send_buffer(int fd)
{
	int size = SEND_BUFFER;

	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) == -1)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

int
channel_pair(int fds[2])
{
	int flags;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == -1)
		return -1;
	set_send_buffer(fds[0]);
	if ((flags = fcntl(fds[0], F_GETFL)) == -1 ||
	    fcntl(fds[0], F_SETFL, flags | O_NONBLOCK) == -1) {
		int saved = errno;

		close(fds[0]);
		close(fds[1]);
		errno = saved;
		return -1;
	}
	return 0;
}

/* Room for one descriptor.  Alignment may make it two. */
union control {
	struct cmsghdr align;
	char buf[CMSG_SPACE(sizeof(int))];
};

/* A piece of a packed message: so many bytes follow, then so many zeros are left out. */
struct run {
	uint16_t bytes;
	uint16_t zeros;
};

/* Fewer zeros are sent as bytes, so that packing adds one run at most. */
#define ZEROS_MIN (2 * sizeof(struct run))
#define PACKED_MAX (sizeof(struct msg) + sizeof(struct run))
_Static_assert(sizeof(struct msg) <= UINT16_MAX, "a run counts in 16 bits");

static size_t
count_zeros(const unsigned char *in, size_t len)
{
	static const unsigned char zeros[256];
	uint64_t word;
	size_t n = 0;

	while (n + sizeof(zeros) <= len && memcmp(in + n, zeros, sizeof(zeros)) == 0)
		n += sizeof(zeros);
	while (n + sizeof(word) <= len && (memcpy(&word, in + n, sizeof(word)), word == 0))
		n += sizeof(word);
	while (n < len && in[n] == 0)
		n++;
	return n;
}

/* Packs len bytes into out, which has room for len and one run.  Returns the packed length. */
static size_t
pack(const unsigned char *in, size_t len, unsigned char *out)
{
	size_t from = 0, used = 0;

	while (from < len) {
		size_t end = from, zeros;

		while ((zeros = count_zeros(in + end, len - end)) < ZEROS_MIN && end + zeros < len)
			end += zeros + 1;
		memcpy(out + used, &(struct run){ (uint16_t)(end - from), (uint16_t)zeros },
		    sizeof(struct run));
		memcpy(out + used + sizeof(struct run), in + from, end - from);
		used += sizeof(struct run) + end - from;
		from = end + zeros;
	}
	return used;
}

/* Unpacks all of in into exactly len bytes.  Returns 0, or -1 if the lengths do not fit. */
static int
unpack(const unsigned char *in, size_t in_len, unsigned char *out, size_t len)
{
	struct run run;

	while (in_len >= sizeof(run)) {
		memcpy(&run, in, sizeof(run));
		in += sizeof(run);
		in_len -= sizeof(run);
		if (run.bytes > in_len || (size_t)run.bytes + run.zeros > len)
			return -1;
		memcpy(out, in, run.bytes);
		memset(out + run.bytes, 0, run.zeros);
		in += run.bytes;
		in_len -= run.bytes;
		out += run.bytes + run.zeros;
		len -= (size_t)run.bytes + run.zeros;
	}
	return in_len == 0 && len == 0 ? 0 : -1;
}

int
channel_send(int fd, const struct msg *msg, int fd_to_pass)
{
	union control control;
	unsigned char packed[PACKED_MAX];
	struct iovec iov = { .iov_base = packed };
	struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg;
	ssize_t n;

	if (!is_type(msg->type)) {
		errno = EINVAL;
		return -1;
	}
	memcpy(packed, msg, HEADER_LEN);
	iov.iov_len = HEADER_LEN + pack((const unsigned char *)msg + HEADER_LEN,
				       types[msg->type].len, packed + HEADER_LEN);
	if (fd_to_pass >= 0) {
		memset(&control, 0, sizeof(control));
		hdr.msg_control = control.buf;
		hdr.msg_controllen = CMSG_SPACE(sizeof(int));
		cmsg = CMSG_FIRSTHDR(&hdr);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &fd_to_pass, sizeof(int));
	}
	while ((n = sendmsg(fd, &hdr, MSG_DONTWAIT | MSG_NOSIGNAL)) == -1 && errno == EINTR)
		continue;
	if (n == -1 && (errno == ECONNRESET || errno == ECONNREFUSED || errno == ENOTCONN))
		errno = EPIPE;
	if (n == -1 && errno == ENOBUFS)
		errno = EAGAIN;
	explicit_bzero(packed, iov.iov_len);
	return n == -1 ? -1 : 0;
}

/* Returns the first descriptor of the control data, or -1.  Closes the others. */
static int
take_descriptor(struct msghdr *hdr)
{
	struct cmsghdr *cmsg;
	int taken = -1, fd;
	size_t i, n;

	for (cmsg = CMSG_FIRSTHDR(hdr); cmsg != NULL; cmsg = CMSG_NXTHDR(hdr, cmsg)) {
		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < n; i++) {
			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(int));
			if (taken == -1)
				taken = fd;
			else
				close(fd);
		}
	}
	return taken;
}

static size_t
stride_of(const struct text_field *text)
{
	return text->stride > 0 ? text->stride : text->size;
}

static void
terminate_texts(struct msg *msg, const struct text_field *text)
{
	size_t i;

	for (; text != NULL && text->size > 0; text++)
		for (i = 0; i < text->count; i++)
			((char *)msg)[text->offset + i * stride_of(text) + text->size - 1] = '\0';
}

static bool
in_range(int value, int max)
{
	return value >= 0 && value <= max;
}

/* Whether the numbers that serve as counts and indexes are in range. */
static bool
is_valid(const struct msg *msg)
{
	switch (msg->type) {
	case MSG_CONFIG:
		return in_range(msg->config.nstores, CONFIG_STORES_MAX) &&
		       in_range(msg->config.worker.nallow, CONFIG_ALLOW_MAX) &&
		       in_range(msg->config.worker.streams, CONFIG_STREAMS_MAX);
	case MSG_STORE:
		return in_range(msg->store.store.nresolve, CONFIG_RESOLVE_MAX) &&
		       in_range(msg->store.store.ncredentials_command, CONFIG_COMMAND_MAX);
	case MSG_RESULT:
		return in_range(msg->result.result, TASK_UNSETTLED) &&
		       in_range(msg->result.error_class, CLASS_MEMORY) &&
		       in_range(msg->result.trouble, TROUBLE_DATABASE) &&
		       in_range(msg->result.end, END_DESTINATION) &&
		       in_range(msg->result.served[END_SOURCE], 1) &&
		       in_range(msg->result.served[END_DESTINATION], 1) &&
		       in_range(msg->result.has_crc64, 1) && in_range(msg->result.copied, 1) &&
		       in_range(msg->result.ready, 1) && in_range(msg->result.goes_on, 1) &&
		       in_range(msg->result.streams, CONFIG_STREAMS_MAX);
	case MSG_TASK:
		return in_range(msg->task.seen[END_SOURCE], SEEN_SERVING) &&
		       in_range(msg->task.seen[END_DESTINATION], SEEN_SERVING);
	case MSG_REQUESTS:
		return in_range(msg->requests.n, REQUESTS_MAX);
	case MSG_FAULT:
		return in_range(msg->fault.signo, NSIG - 1) && in_range(msg->fault.itself, 1);
	case MSG_DATABASE:
		return in_range(msg->database.word, DATABASE_FREE);
	case MSG_CONNECT:
		return in_range(msg->connect.word, CONNECT_DENY);
	default:
		return true;
	}
}

/* Makes a message of a packet.  Returns 0, or -1 for a packet that holds no message. */
static int
take_packet(const unsigned char *packet, size_t len, struct msg *msg)
{
	if (len < HEADER_LEN)
		return -1;
	memcpy(msg, packet, HEADER_LEN);
	if (!is_type(msg->type) ||
	    unpack(packet + HEADER_LEN, len - HEADER_LEN, (unsigned char *)msg + HEADER_LEN,
		types[msg->type].len) == -1)
		return -1;
	terminate_texts(msg, types[msg->type].texts);
	return is_valid(msg) ? 0 : -1;
}

int
channel_recv(int fd, struct msg *msg, int *fd_passed)
{
	unsigned char packet[PACKED_MAX];
	union control control;
	struct iovec iov = { .iov_base = packet, .iov_len = sizeof(packet) };
	struct msghdr hdr = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf) };
	ssize_t n;
	int bad, passed;

	*fd_passed = -1;
	/* If the peer died with messages unread, ECONNRESET comes before its own last messages. */
	while ((n = recvmsg(fd, &hdr, MSG_DONTWAIT | MSG_CMSG_CLOEXEC)) == -1 &&
	       (errno == EINTR || errno == ECONNRESET))
		continue;
	if (n == -1)
		return -1;
	passed = take_descriptor(&hdr);
	if (n == 0 && passed == -1)
		return 0;
	bad = take_packet(packet, (size_t)n, msg) == -1 ||
	      (hdr.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
	explicit_bzero(packet, (size_t)n);
	if (passed != -1 && (bad || msg->type != MSG_LOG)) {
		close(passed);
		passed = -1;
	}
	if (bad) {
		errno = EBADMSG;
		return -1;
	}
	*fd_passed = passed;
	return 1;
}
