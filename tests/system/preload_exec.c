/*
 * Replaces ferry-worker (worker_program of the configuration): reads NAME=VALUE lines from the file
 * with its own name and ".env" into its environment, and executes the program that WORKER names,
 * with the same arguments and descriptors.  So a test can load a library into workers, and the
 * product needs no back door.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int
main(int argc, char *argv[])
{
	char path[PATH_MAX], line[PATH_MAX + 64], *value;
	const char *worker;
	ssize_t n;
	FILE *f;

	(void)argc;
	n = readlink("/proc/self/exe", path, sizeof(path) - sizeof(".env"));
	if (n < 0)
		return 71;
	memcpy(path + n, ".env", sizeof(".env"));
	f = fopen(path, "re");
	if (f == NULL)
		return 72;
	while (fgets(line, sizeof(line), f) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		value = strchr(line, '=');
		if (value == NULL)
			continue;
		*value++ = '\0';
		setenv(line, value, 1);
	}
	fclose(f);
	worker = getenv("WORKER");
	if (worker == NULL)
		return 73;
	execv(worker, argv);
	return 74;
}
