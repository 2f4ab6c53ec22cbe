#include "master/pool/stuck.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FRAMES 4 /* of the kernel stack */
#define SYSCALL_WORDS 4 /* its number and three arguments; proc_pid_syscall(5) */

/* Reads the begin of a file of /proc/PID.  Returns its length; 0 if it cannot be read. */
static size_t
read_file(pid_t pid, const char *name, char *buf, size_t size)
{
	char path[64];
	ssize_t n = -1;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd != -1) {
		n = read(fd, buf, size - 1);
		close(fd);
	}
	buf[n > 0 ? n : 0] = '\0';
	return n > 0 ? (size_t)n : 0;
}

/* proc_pid_stat(5): behind the name, state is field 3, utime and stime are 14 and 15. */
static void
add_state(pid_t pid, struct log_line *line)
{
	char text[1024], *at, *field, state[2] = "";
	long ticks = 0;
	int n;

	read_file(pid, "stat", text, sizeof(text));
	at = strrchr(text, ')');
	if (at == NULL) { /* /proc is mounted with hidepid, as systemd's ProtectProc= does */
		log_str(line, "state", "hidden");
		return;
	}
	at += 1 + (at[1] == ' ');
	for (n = 3; n <= 15 && (field = strsep(&at, " ")) != NULL; n++) {
		if (n == 3)
			state[0] = field[0];
		else if (n >= 14)
			ticks += strtol(field, NULL, 10);
	}
	log_str(line, "state", state);
	log_int(line, "cpu_ms", (int64_t)ticks * 1000 / sysconf(_SC_CLK_TCK));
}

/* Lines like "[<0>] do_sys_poll+0x3fb/0x600"; proc_pid_stack(5) */
static void
add_stack(pid_t pid, struct log_line *line)
{
	char text[4096], stack[256] = "", *at = text, *frame;
	int n;

	read_file(pid, "stack", text, sizeof(text));
	for (n = 0; n < FRAMES && (frame = strsep(&at, "\n")) != NULL; n++) {
		frame += strncmp(frame, "[<0>] ", 6) == 0 ? 6 : 0;
		frame[strcspn(frame, "+")] = '\0';
		if (frame[0] == '\0')
			break;
		if (n > 0)
			strlcat(stack, " ", sizeof(stack));
		strlcat(stack, frame, sizeof(stack));
	}
	log_str(line, "stack", stack[0] != '\0' ? stack : NULL);
}

/* Ends a line after so many words. */
static void
cut_words(char *text, int words)
{
	size_t len = strcspn(text, " \n");

	while (--words > 0 && text[len] == ' ')
		len += 1 + strcspn(text + len + 1, " \n");
	text[len] = '\0';
}

void
stuck_add_facts(pid_t pid, struct log_line *line)
{
	char text[256];

	add_state(pid, line);
	/* "0" is what we get if we may not know, or if the process runs */
	if (read_file(pid, "wchan", text, sizeof(text)) > 0 && strcmp(text, "0") != 0)
		log_str(line, "wchan", text);
	if (read_file(pid, "syscall", text, sizeof(text)) > 0) {
		cut_words(text, SYSCALL_WORDS);
		log_str(line, "syscall", text);
	}
	add_stack(pid, line);
}
