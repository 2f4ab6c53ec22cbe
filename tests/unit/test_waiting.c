/*
 * What a node without its database says: the sentence, and once a minute the log.
 */
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "master/node/node.h"
#include "master/node/waiting.h"
#include "tests/unit/tap.h"

static char log_path[] = "/tmp/ferry-waiting-XXXXXX";

static int
log_count(const char *text)
{
	char line[4096];
	FILE *f = fopen(log_path, "r");
	int n = 0;

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		n += strstr(line, text) != NULL;
	if (f != NULL)
		fclose(f);
	return n;
}

static void
test_refused(void)
{
	struct node n = { .link = LINK_SCHEMA };
	char text[NODE_REFUSED_MAX + 64];

	ok(!waiting_for(&n, text, sizeof(text)),
	    "while the schema is asked for, nothing is waited for");
	waiting_run(&n);
	is_int(waiting_deadline(&n), 0, "and nothing is to be logged");

	strlcpy(n.refused, "the database has no ferry schema", sizeof(n.refused));
	ok(waiting_for(&n, text, sizeof(text)), "a refusal is waited for");
	is_str(text, "waits for the database: the database has no ferry schema", "the sentence");
	waiting_run(&n);
	waiting_run(&n);
	is_int(log_count("ferryd still waits"), 0, "the first minute logs nothing");
	ok(waiting_deadline(&n) > clock_ms(), "the next line is planned");

	n.waiting.began_at -= OUTAGE_REPEAT_MS;
	n.waiting.told_at -= OUTAGE_REPEAT_MS;
	waiting_run(&n);
	waiting_run(&n);
	is_int(
	    log_count("ferryd still waits for the database: the database has no ferry schema; it "
		      "has waited for 60 s"),
	    1, "a minute later it is logged, once");

	n.link = LINK_READY;
	ok(!waiting_for(&n, text, sizeof(text)), "a node that is ready waits for nothing");
	waiting_run(&n);
	is_int(waiting_deadline(&n), 0, "and logs nothing more");
}

static void
test_away(void)
{
	struct node n = { .link = LINK_DOWN };
	char text[NODE_REFUSED_MAX + 64];

	n.db = db_new("host=/nowhere", "test", NULL);
	ok(!waiting_for(&n, text, sizeof(text)), "before the first attempt nothing is said");
	db_run(n.db);
	ok(waiting_for(&n, text, sizeof(text)) && strstr(text, "No such file") != NULL &&
		strstr(text, "start PostgreSQL") != NULL,
	    "a server that is away, with what would mend it: %s", text);
	db_free(n.db);
}

int
main(void)
{
	close(mkstemp(log_path));
	log_init("test", -1);
	log_open(log_path);
	test_refused();
	test_away();
	unlink(log_path);
	return done_testing();
}
