#include "master/ctl/schema.h"

#include <err.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX (4 << 20)
#define VERSIONS_MAX 999

/* Begins the line in a file's head that says which programs the schema serves, too. */
#define COMPATIBLE "\n-- Compatible from: "

void
schema_file(char *path, const char *dir)
{
	snprintf(path, SCHEMA_PATH_MAX, "%s/schema.sql", dir);
}

void
schema_upgrade_file(char *path, const char *dir, int version)
{
	snprintf(path, SCHEMA_PATH_MAX, "%s/upgrade-%03d.sql", dir, version);
}

static bool
has_schema(const char *dir)
{
	char path[SCHEMA_PATH_MAX];

	schema_file(path, dir);
	return access(path, R_OK) == 0;
}

int
schema_find_dir(char *dir, size_t size)
{
	const char *env = getenv("FERRY_SCHEMA_DIR");
	char program[SCHEMA_PATH_MAX / 2];
	ssize_t len;
	char *slash;

	if (env != NULL) {
		strlcpy(dir, env, size);
	} else {
		len = readlink("/proc/self/exe", program, sizeof(program) - 1);
		program[len > 0 ? len : 0] = '\0';
		if ((slash = strrchr(program, '/')) != NULL)
			*slash = '\0';
		snprintf(dir, size, "%s/../etc", program);
		if (!has_schema(dir))
			strlcpy(dir, FERRY_DATADIR, size);
	}
	if (has_schema(dir))
		return 0;
	warnx("no schema.sql in %s; $FERRY_SCHEMA_DIR can name the directory", dir);
	return -1;
}

int
schema_newest(const char *dir)
{
	char path[SCHEMA_PATH_MAX];
	int version = 1;

	do
		schema_upgrade_file(path, dir, ++version);
	while (version <= VERSIONS_MAX && access(path, F_OK) == 0);
	return version - 1;
}

char *
schema_read(const char *path)
{
	FILE *f = fopen(path, "re");
	struct stat st;
	char *text = NULL;

	if (f == NULL || fstat(fileno(f), &st) == -1) {
		warn("%s", path);
	} else if (st.st_size > FILE_MAX || (text = malloc((size_t)st.st_size + 1)) == NULL) {
		warnx("%s: too large", path);
	} else if (fread(text, 1, (size_t)st.st_size, f) != (size_t)st.st_size) {
		warnx("%s: cannot be read to its end", path);
		free(text);
		text = NULL;
	} else {
		text[st.st_size] = '\0';
	}
	if (f != NULL)
		fclose(f);
	return text;
}

int
schema_compatible_from(const char *text, int version)
{
	const char *line = strstr(text, COMPATIBLE), *errstr;
	char number[16];
	int from;

	if (line == NULL)
		return version;
	line += strlen(COMPATIBLE);
	strlcpy(number, line, sizeof(number));
	number[strcspn(number, "\n")] = '\0';
	from = (int)strtonum(number, 1, version, &errstr);
	return errstr == NULL ? from : version;
}

void
schema_print_head(const char *text)
{
	size_t len;

	for (; strncmp(text, "-- ", 3) == 0; text += len + (text[len] == '\n')) {
		len = strcspn(text, "\n");
		printf("  %.*s\n", (int)len - 3, &text[3]);
	}
}
