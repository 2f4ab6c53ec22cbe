/*
 * ferryctl, the operator's tool: options, the table of commands, exit codes of sysexits.h.
 */
#include <err.h>
#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "master/ctl/ctl.h"

static const struct ctl_command commands[] = {
    {"migrate", "", "create or upgrade the schema", NULL, ctl_migrate},
    {"put", "[options] source destination", "ask for an object to be carried; prints the task's id", ctl_put_options, ctl_put},
    {"ls", "[-n count] [-q queue] [-s state]", "list tasks, the newest first", NULL, ctl_ls},
    {"show", "id", "print all that is known of a task", NULL, ctl_show},
    {"cancel", "id ...", "cancel queued or running tasks", NULL, ctl_cancel},
    {"retry", "id ...", "queue failed or cancelled tasks again", NULL, ctl_retry},
    {"priority", "number id ...", "give unfinished tasks another priority", NULL, ctl_priority},
    {"pause", "queue ...", "let queues give out no more tasks", NULL, ctl_pause},
    {"resume", "queue ...", "let them go on", NULL, ctl_resume},
    {"reap", "[--dry-run]", "abort uploads that no task owns any more", NULL, ctl_reap},
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
	fprintf(out, "usage: ferryctl [-f file] %s%s%s\n", command->name, command->arguments[0] != '\0' ? " " : "",
	    command->arguments);
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

int
main(int argc, char **argv)
{
	static const struct option options[] = {
	    {"file", required_argument, NULL, 'f'},
	    {"help", no_argument, NULL, 'h'},
	    {"version", no_argument, NULL, 'V'},
	    {NULL, 0, NULL, 0},
	};
	struct ctl ctl = {0};
	char name[64];
	int c, code;

	/* What comes from the database is UTF-8, whatever the locale of the session. */
	if (setlocale(LC_CTYPE, "C.UTF-8") == NULL)
		setlocale(LC_CTYPE, "");
	while ((c = getopt_long(argc, argv, "+f:hV", options, NULL)) != -1) {
		switch (c) {
		case 'f':
			ctl.config_file = optarg;
			break;
		case 'h':
			usage(stdout);
			return 0;
		case 'V':
			printf("ferryctl %s\n", FERRY_VERSION);
			return 0;
		default:
			usage(stderr);
			return EX_USAGE;
		}
	}
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
	snprintf(name, sizeof(name), "ferryctl %s", ctl.command->name);
	argv[0] = name;
	optind = 0; /* getopt_long() starts anew on the command's own options */
	code = ctl.command->run(&ctl, argc, argv);
	PQfinish(ctl.conn);
	if (code == CTL_USAGE) {
		usage_of(stderr, ctl.command);
		return EX_USAGE;
	}
	if (fflush(stdout) != 0) {
		warn("standard output");
		return EX_IOERR;
	}
	return code;
}
