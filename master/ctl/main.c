/*
 * ferryctl, the operator's tool.  Exit codes are those of sysexits.h.
 */
#include "master/ctl/ctl.h"

#include <err.h>
#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

static const struct ctl_command commands[] = {
	{ "status", "[--json] [--bytes]",
	    "show the fleet on one screen; exit code 1 if there is trouble", ctl_status_options,
	    ctl_status },
	{ "migrate", "[-n]", "create or upgrade the schema; -n: say only what would be done", NULL,
	    ctl_migrate },
	{ "put", "[options] source destination", "add a task that carries an object; prints its id",
	    ctl_put_options, ctl_put },
	{ "ls", "[options]", "list tasks, the newest first", ctl_ls_options, ctl_ls },
	{ "show", "[options] id", "tell the story of a task; print its columns and uploads",
	    ctl_show_options, ctl_show },
	{ "watch", "id ...", "follow tasks to their end", NULL, ctl_watch },
	{ "cancel", "id ...", "cancel queued or running tasks", NULL, ctl_cancel },
	{ "retry", "id ...", "queue failed or cancelled tasks again", NULL, ctl_retry },
	{ "priority", "number id ...", "give unfinished tasks another priority", NULL,
	    ctl_priority },
	{ "pause", "[--create] queue ...", "start no more tasks of these queues", ctl_pause_options,
	    ctl_pause },
	{ "resume", "queue ...", "start tasks of paused queues again", NULL, ctl_resume },
	{ "reap", "[--dry-run]", "abort abandoned uploads", NULL, ctl_reap },
	{ "doctor", "[--json] [--write] [uri ...]", "look for what keeps ferryd from its work",
	    ctl_doctor_options, ctl_doctor },
};
#define NCOMMANDS (sizeof(commands) / sizeof(commands[0]))

static void
usage(FILE *out)
{
	size_t i;

	fprintf(out,
	    "usage: ferryctl [-f file] command [argument ...]\n       ferryctl -V\ncommands:\n");
	for (i = 0; i < NCOMMANDS; i++)
		fprintf(out, "  %-8s %-34s %s\n", commands[i].name, commands[i].arguments,
		    commands[i].summary);
}

static void
usage_of(FILE *out, const struct ctl_command *command)
{
	fprintf(out, "usage: ferryctl [-f file] %s%s%s\n", command->name,
	    command->arguments[0] != '\0' ? " " : "", command->arguments);
}

static int
help(const struct ctl_command *command)
{
	usage_of(stdout, command);
	printf("%s\n%s", command->summary, command->options != NULL ? command->options : "");
	return 0;
}

static bool
asks_for_help(int argc, char **argv)
{
	return argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);
}

static const struct ctl_command *
find_command(const char *name)
{
	size_t i;

	for (i = 0; i < NCOMMANDS; i++)
		if (strcmp(name, commands[i].name) == 0)
			return &commands[i];
	return NULL;
}

/* The options in front of the command.  Returns true with an exit code if they end the program. */
static bool
take_options(struct ctl *ctl, int argc, char **argv, int *code)
{
	static const struct option options[] = {
		{ "file", required_argument, NULL, 'f' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	*code = 0;
	while ((c = getopt_long(argc, argv, "+f:hV", options, NULL)) != -1) {
		switch (c) {
		case 'f':
			ctl->config_file = optarg;
			break;
		case 'h':
			usage(stdout);
			return true;
		case 'V':
			printf("ferryctl %s\n", FERRY_VERSION);
			return true;
		default:
			usage(stderr);
			*code = EX_USAGE;
			return true;
		}
	}
	return false;
}

static int
run_command(struct ctl *ctl, int argc, char **argv)
{
	char name[64];
	int code;

	snprintf(name, sizeof(name), "ferryctl %s", ctl->command->name);
	argv[0] = name;
	optind = 0; /* getopt_long() starts anew on the command's own options */
	code = ctl->command->run(ctl, argc, argv);
	PQfinish(ctl->conn);
	if (code == CTL_USAGE) {
		usage_of(stderr, ctl->command);
		return EX_USAGE;
	}
	if (fflush(stdout) != 0) {
		warn("standard output");
		return EX_IOERR;
	}
	return code;
}

int
main(int argc, char **argv)
{
	struct ctl ctl = { 0 };
	int code;

	/* The database's texts are UTF-8, whatever the locale of the session is. */
	if (setlocale(LC_CTYPE, "C.UTF-8") == NULL)
		setlocale(LC_CTYPE, "");
	if (take_options(&ctl, argc, argv, &code))
		return code;
	argc -= optind;
	argv += optind;
	if (argc == 0) {
		usage(stderr);
		return EX_USAGE;
	}
	if ((ctl.command = find_command(argv[0])) == NULL) {
		warnx("no command \"%s\"", argv[0]);
		usage(stderr);
		return EX_USAGE;
	}
	if (asks_for_help(argc, argv))
		return help(ctl.command);
	return run_command(&ctl, argc, argv);
}
