/*
 * Whose clock is wrong, by the votes of all.  What is logged goes to a file.
 */
#include "master/node/clocks.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"
#include "tests/unit/tap.h"

#define HOUR 3600

static char path[] = "/tmp/test_clocks.XXXXXX";

/* This machine's clock: a clock that is right has the epoch 0. */
static int64_t ours;

/* A clock states that time.  The message of the line that this is worth; "" if it is worth none. */
static const char *
note(struct clocks *c, const char *name, int64_t epoch)
{
	static char text[4096];
	char *begin, *end;
	ssize_t len;
	int fd;

	if (truncate(path, 0) == -1)
		return "the log cannot be emptied";
	clocks_note(c, name, epoch - ours, ours);
	fd = open(path, O_RDONLY);
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[len > 0 ? len : 0] = '\0';
	if ((begin = strstr(text, "msg=\"")) == NULL)
		return text;
	begin += 5;
	if ((end = strchr(begin, '"')) != NULL)
		*end = '\0';
	return begin;
}

static void
test_ours_is_wrong(void)
{
	struct clocks c = { 0 };

	ours = 0;
	is_str(note(&c, "a", 2), "", "two clocks that agree are worth no line");
	memset(&c, 0, sizeof(c));
	ours = 2 * HOUR;
	is_str(note(&c, "a", 0),
	    "the clock of store a is 2 h behind this machine's: one of them is wrong",
	    "of two clocks either may be wrong");
	is_str(note(&c, CLOCKS_DATABASE, -1),
	    "2 of 2 clocks, of stores and the database, agree that this machine's clock is 2 h "
	    "fast: set it right, or stores will refuse our signatures",
	    "of three clocks two are right");
	is_str(note(&c, "b", 3), "", "that is said once");
	is_str(note(&c, "c", 2 * HOUR), "the clock of store c is 2 h fast, by those of 3 others",
	    "a clock that is wrong as ours is");
	ours = 5;
	is_str(note(&c, "a", 0), "this machine's clock agrees with 3 of 4 clocks again",
	    "ours was set right");
}

static void
test_no_majority(void)
{
	struct clocks c = { 0 };

	ours = 0;
	note(&c, "a", 2 * HOUR);
	is_str(note(&c, "b", 5 * HOUR), "", "three clocks that all differ");
	is_str(note(&c, "c", 5 * HOUR), "", "two against one against one");
	is_str(note(&c, "d", 5 * HOUR + 9),
	    "3 of 4 clocks, of stores and the database, agree that this machine's clock is 5 h "
	    "slow: set it right, or stores will refuse our signatures",
	    "three of five");
}

static void
test_another_is_wrong(void)
{
	struct clocks c = { 0 };

	ours = 0;
	note(&c, CLOCKS_DATABASE, 0);
	is_str(note(&c, "a", 5 * HOUR), "the clock of store a is 5 h fast, by those of 2 others",
	    "a store's clock is wrong");
	is_str(note(&c, "a", 5 * HOUR + 20), "", "that is said once");
	is_str(note(&c, "a", 1), "the clock of store a is right again", "it was set right");
	is_str(note(&c, "b", 61), "the clock of store b is 61 s fast, by those of 3 others",
	    "a minute is too much");
	is_str(note(&c, "b", 59), "the clock of store b is right again", "less is not");
	is_str(note(&c, CLOCKS_DATABASE, -3 * 86400),
	    "the clock of the database is 3 d slow, by those of 3 others", "the database's");
}

int
main(void)
{
	int fd = mkstemp(path);

	close(fd);
	log_open(path);
	test_ours_is_wrong();
	test_no_majority();
	test_another_is_wrong();
	unlink(path);
	return done_testing();
}
