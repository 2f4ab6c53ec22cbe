/*
 * A service manager that does not listen changes nothing.
 */
#include "master/os/notify.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"

#define STATUS_MAX 1280

static int sock = -1;
static struct sockaddr_un address;
static socklen_t address_len;
static int64_t watchdog_ms; /* half of what the manager waits; 0: no watchdog */
static int64_t watchdog_at;

static void
send_text(const char *text)
{
	if (sock != -1)
		sendto(sock, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&address,
		    address_len);
}

/* WATCHDOG_PID is the pid of the process that the watchdog is for. */
static void
open_watchdog(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID"), *error;
	long long value;

	if (usec == NULL || (pid != NULL && strtonum(pid, 1, INT32_MAX, &error) != getpid()))
		return;
	value = strtonum(usec, 1, INT64_MAX, &error);
	if (error != NULL)
		return;
	watchdog_ms = value / 2000 > 0 ? value / 2000 : 1;
	watchdog_at = clock_ms();
}

void
notify_open(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	size_t len;

	if (path != NULL && (path[0] == '/' || path[0] == '@') &&
	    (len = strlen(path)) < sizeof(address.sun_path)) {
		address.sun_family = AF_UNIX;
		memcpy(address.sun_path, path, len);
		if (path[0] == '@')
			address.sun_path[0] = '\0'; /* an abstract name */
		address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
		sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (sock != -1)
			open_watchdog();
	}
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

void
notify_ready(void)
{
	send_text("READY=1\n");
}

/* Type=notify-reload needs the time at which the reload began. */
void
notify_reloading(void)
{
	struct timespec now;
	char text[80];

	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%" PRId64 "\n",
	    (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
	send_text(text);
}

void
notify_stopping(void)
{
	send_text("STOPPING=1\n");
}

void
notify_status(const char *fmt, ...)
{
	char text[STATUS_MAX + 16], status[STATUS_MAX];
	va_list ap;

	if (sock == -1)
		return;
	va_start(ap, fmt);
	vsnprintf(status, sizeof(status), fmt, ap);
	va_end(ap);
	snprintf(text, sizeof(text), "STATUS=%s\n", status);
	send_text(text);
}

int64_t
notify_deadline(void)
{
	return watchdog_at;
}

void
notify_run(void)
{
	if (watchdog_at == 0 || watchdog_at > clock_ms())
		return;
	send_text("WATCHDOG=1\n");
	watchdog_at = clock_ms() + watchdog_ms;
}

void
notify_close(void)
{
	if (sock != -1)
		close(sock);
	sock = -1;
	watchdog_ms = watchdog_at = 0;
}
