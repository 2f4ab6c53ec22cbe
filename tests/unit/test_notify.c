/*
 * The messages that a service manager gets, on a path and on an abstract name.
 */
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "master/os/notify.h"
#include "tests/unit/tap.h"

static int
listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t len = strlen(path);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	memcpy(address.sun_path, path, len);
	if (path[0] == '@')
		address.sun_path[0] = '\0';
	if (bind(fd, (struct sockaddr *)&address,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) == -1)
		abort();
	setenv("NOTIFY_SOCKET", path, 1);
	return fd;
}

static const char *
heard(int fd)
{
	static char text[512];
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void
test_path(void)
{
	char dir[] = "/tmp/test_notify.XXXXXX", path[64];
	int fd;

	if (mkdtemp(dir) == NULL)
		abort();
	snprintf(path, sizeof(path), "%s/socket", dir);
	fd = listen_at(path);
	notify_open();
	ok(getenv("NOTIFY_SOCKET") == NULL, "no child inherits the socket's name");
	notify_ready();
	is_str(heard(fd), "READY=1\n", "ready");
	notify_reloading();
	ok(strncmp(heard(fd), "RELOADING=1\nMONOTONIC_USEC=", 27) == 0, "reloading, with the time");
	notify_stopping();
	is_str(heard(fd), "STOPPING=1\n", "stopping");
	notify_status("%d workers, %d busy", 4, 2);
	is_str(heard(fd), "STATUS=4 workers, 2 busy\n", "status");
	is_int(notify_deadline(), 0, "no watchdog was asked for");
	notify_close();
	close(fd);
	unlink(path);
	rmdir(dir);
}

static void
test_abstract_with_watchdog(void)
{
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "@test_notify.%d", (int)getpid());
	fd = listen_at(name);
	setenv("WATCHDOG_USEC", "400000000", 1);
	notify_open();
	ok(notify_deadline() != 0, "the watchdog is fed");
	notify_run();
	is_str(heard(fd), "WATCHDOG=1\n", "at once");
	ok(notify_deadline() > clock_ms() + 100000 && notify_deadline() <= clock_ms() + 200000,
	    "then at half of its time");
	notify_run();
	is_str(heard(fd), "", "and not before");
	notify_close();
	is_int(notify_deadline(), 0, "no more after the end");

	setenv("NOTIFY_SOCKET", name, 1);
	setenv("WATCHDOG_USEC", "400000", 1);
	setenv("WATCHDOG_PID", "1", 1);
	notify_open();
	is_int(notify_deadline(), 0, "the watchdog of another process gets no messages");
	notify_close();
	close(fd);
}

static void
test_nobody_listens(void)
{
	setenv("NOTIFY_SOCKET", "/nonexistent/socket", 1);
	notify_open();
	notify_ready();
	notify_close();
	unsetenv("NOTIFY_SOCKET");
	notify_open();
	notify_ready();
	notify_status("%d", 1);
	notify_close();
	ok(true, "a manager that does not listen, or is not there, does no harm");
}

int
main(void)
{
	test_path();
	test_abstract_with_watchdog();
	test_nobody_listens();
	return done_testing();
}
