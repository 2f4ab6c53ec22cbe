/*
 * Where cgroup hierarchies are mounted, where we are in them, and their files.
 */
#include "master/cap/private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int
cap_path(char *buf, size_t size, const char *fmt, ...)
{
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(buf, size, fmt, ap);
	va_end(ap);
	if (len < 0 || (size_t)len >= size) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return 0;
}

int
cap_write(const char *dir, const char *file, const char *text)
{
	char path[CONFIG_PATH_MAX];
	ssize_t n;
	int fd, saved;

	if (cap_path(path, sizeof(path), "%s/%s", dir, file) == -1)
		return -1;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd == -1)
		return -1;
	n = write(fd, text, strlen(text));
	saved = errno;
	close(fd);
	errno = saved;
	return n == -1 ? -1 : 0;
}

int
cap_read(const char *dir, const char *file, char *buf, size_t size)
{
	char path[CONFIG_PATH_MAX];
	ssize_t n;
	size_t len = 0;
	int fd;

	buf[0] = '\0';
	if (cap_path(path, sizeof(path), "%s/%s", dir, file) == -1)
		return -1;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return -1;
	while (len < size - 1 && (n = read(fd, buf + len, size - 1 - len)) > 0)
		len += (size_t)n;
	buf[len] = '\0';
	close(fd);
	return 0;
}

static int64_t
number_at(const char *text)
{
	char *end;
	int64_t n;

	text += strspn(text, " \t");
	if (strncmp(text, "max", 3) == 0)
		return INT64_MAX;
	n = strtoll(text, &end, 10);
	return end == text ? -1 : n;
}

int64_t
cap_read_number(const char *dir, const char *file, const char *line)
{
	char text[32768], *at, *rest = text;
	size_t len;

	if (cap_read(dir, file, text, sizeof(text)) == -1)
		return -1;
	if (line == NULL)
		return number_at(text);
	len = strlen(line);
	while ((at = strsep(&rest, "\n")) != NULL)
		if (strncmp(at, line, len) == 0 && (at[len] == ' ' || at[len] == ':'))
			return number_at(at + len + 1);
	return -1;
}

bool
cap_has_word(const char *list, const char *separators, const char *word)
{
	size_t len, want = strlen(word);

	for (; *list != '\0'; list += len) {
		list += strspn(list, separators);
		len = strcspn(list, separators);
		if (len == want && memcmp(list, word, len) == 0)
			return true;
	}
	return false;
}

/* In mountinfo, mount points have \040 for a space, and so on. */
static void
unescape(char *s)
{
	char *out = s;

	for (; *s != '\0'; out++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
		    s[3] >= '0' && s[3] <= '7') {
			*out = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
			s += 4;
		} else
			*out = *s++;
	}
	*out = '\0';
}

/*
 * Reads a line of mountinfo (proc_pid_mountinfo(5)): ID PARENT DEV ROOT MOUNT OPTIONS [TAGS] - TYPE
 * SOURCE SUPEROPTIONS.  Returns whether it is the hierarchy that we look for.
 */
static bool
match_mount(char *line, const struct cap_hierarchy *h, char **mount_root, char **mount)
{
	char *field[6], *tail, *type, *options;
	int i;

	tail = strstr(line, " - ");
	if (tail == NULL)
		return false;
	*tail = '\0';
	tail += 3;
	for (i = 0; i < 6; i++)
		if ((field[i] = strsep(&line, " ")) == NULL)
			return false;
	type = strsep(&tail, " ");
	strsep(&tail, " ");
	options = tail;
	if (type == NULL || options == NULL || strcmp(type, h->fstype) != 0)
		return false;
	if (h->option != NULL && !cap_has_word(options, ",", h->option))
		return false;
	*mount_root = field[3];
	*mount = field[4];
	unescape(*mount_root);
	unescape(*mount);
	return true;
}

/* Fills in h->mount.  root gets the part of the hierarchy that is mounted there. */
static int
find_mount(const struct cap *cap, struct cap_hierarchy *h, char *root, size_t size)
{
	char path[CONFIG_PATH_MAX + 32], *line = NULL, *found_root, *found;
	size_t room = 0;
	FILE *f;
	int result = -1;

	snprintf(path, sizeof(path), "%s/proc/self/mountinfo", cap->root);
	f = fopen(path, "re");
	if (f == NULL)
		return -1;
	while (result == -1 && getline(&line, &room, f) > 0) {
		line[strcspn(line, "\n")] = '\0';
		if (match_mount(line, h, &found_root, &found) &&
		    cap_path(root, size, "%s", found_root) == 0 &&
		    cap_path(h->mount, sizeof(h->mount), "%s%s", cap->root, found) == 0)
			result = 0;
	}
	free(line);
	fclose(f);
	return result;
}

/*
 * Finds our path in the hierarchy with that controller ("": v2) in /proc/self/cgroup:
 * ID:CONTROLLERS:PATH.
 */
static int
find_own(const struct cap *cap, const char *controller, char *own, size_t size)
{
	char path[CONFIG_PATH_MAX + 32], *line = NULL, *rest, *id, *controllers;
	size_t room = 0;
	FILE *f;
	int result = -1;

	snprintf(path, sizeof(path), "%s/proc/self/cgroup", cap->root);
	f = fopen(path, "re");
	if (f == NULL)
		return -1;
	while (result == -1 && getline(&line, &room, f) > 0) {
		line[strcspn(line, "\n")] = '\0';
		rest = line;
		id = strsep(&rest, ":");
		controllers = strsep(&rest, ":");
		if (rest == NULL)
			continue;
		if (controller[0] == '\0' ? strcmp(id, "0") == 0 && controllers[0] == '\0'
					  : cap_has_word(controllers, ",", controller))
			result = cap_path(own, size, "%s", rest);
	}
	free(line);
	fclose(f);
	return result;
}

int
cap_find_own(const struct cap *cap, struct cap_hierarchy *h)
{
	char mount_root[CONFIG_PATH_MAX], path[CONFIG_PATH_MAX];
	const char *below = path;
	size_t len;

	if (find_mount(cap, h, mount_root, sizeof(mount_root)) == -1)
		return -1;
	if (find_own(cap, h->option == NULL ? "" : h->option, path, sizeof(path)) == -1)
		return -1;
	/* A container may see only the part of the hierarchy below mount_root. */
	len = strlen(mount_root);
	if (len > 1) {
		if (strncmp(path, mount_root, len) == 0 && (path[len] == '/' || path[len] == '\0'))
			below = path + len;
		else
			below = "";
	}
	if (strcmp(below, "/") == 0)
		below = "";
	return cap_path(h->own, sizeof(h->own), "%s%s", h->mount, below);
}
