/*
 * What the conninfo and the environment say about hosts, time-outs and other options.
 */
#include "common/db/private.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"

#define CONNECT_TIMEOUT_MS 5000

/* Longer than the statement_timeout of session.c. */
#define ANSWER_TIMEOUT_MS 15000

const char *
db_conninfo_value(const struct db *db, const char *keyword)
{
	const PQconninfoOption *o;

	for (o = db->options; o != NULL && o->keyword != NULL; o++) {
		if (strcmp(o->keyword, keyword) != 0)
			continue;
		if (o->val != NULL && o->val[0] != '\0')
			return o->val;
		return o->envvar != NULL ? getenv(o->envvar) : NULL;
	}
	return NULL;
}

static int
list_count(const char *list)
{
	int n = 1;

	if (list == NULL)
		return 0;
	for (; *list != '\0'; list++)
		n += *list == ',';
	return n;
}

/* Item i of a comma-separated list as a heap string, or NULL if the item is empty.  A list of one
 * item has that item for every i. */
static char *
list_item(const char *list, int i)
{
	size_t len;
	char *item;

	if (list == NULL)
		return NULL;
	if (list_count(list) > 1)
		for (; i > 0; i--)
			list += strcspn(list, ",") + 1;
	len = strcspn(list, ",");
	if (len == 0)
		return NULL;
	item = memory_buffer(len + 1);
	memcpy(item, list, len);
	item[len] = '\0';
	return item;
}

/* The defaults of libpq, with those of this service; NULL: of none.  NULL if there is no memory. */
static PQconninfoOption *
defaults_with(const char *service)
{
	const char *value = getenv("PGSERVICE");
	char *before = value != NULL ? memory_strdup(value) : NULL;
	PQconninfoOption *found;

	if (service != NULL)
		setenv("PGSERVICE", service, 1);
	else
		unsetenv("PGSERVICE");
	found = PQconndefaults();
	if (before != NULL)
		setenv("PGSERVICE", before, 1);
	else
		unsetenv("PGSERVICE");
	free(before);
	return found;
}

/*
 * Takes what the service file says of a service, where the conninfo says nothing.  libpq reads the
 * file itself, but gives a service's values only among its defaults: they are what differs.
 */
static void
add_service(struct db *db)
{
	const char *service = db_conninfo_value(db, "service");
	PQconninfoOption *with, *without, *o;
	int i;

	if (service == NULL)
		return;
	with = defaults_with(service);
	without = defaults_with(NULL);
	for (i = 0; with != NULL && without != NULL && with[i].keyword != NULL; i++) {
		if (with[i].val == NULL || strcmp(with[i].keyword, "service") == 0 ||
		    (without[i].val != NULL && strcmp(with[i].val, without[i].val) == 0))
			continue;
		for (o = db->options; o->keyword != NULL; o++)
			if (strcmp(o->keyword, with[i].keyword) == 0 && o->val == NULL)
				o->val = memory_strdup(with[i].val);
	}
	PQconninfoFree(with);
	PQconninfoFree(without);
}

/*
 * Takes the lists of hosts, addresses and ports apart.  Lists of different lengths go whole into
 * one entry, so that libpq says what is wrong.
 */
static void
init_hosts(struct db *db)
{
	const char *host = db_conninfo_value(db, "host"),
		   *hostaddr = db_conninfo_value(db, "hostaddr");
	const char *port = db_conninfo_value(db, "port");
	int nhost = list_count(host), naddr = list_count(hostaddr), nport = list_count(port), i;

	db->nhosts = naddr > 0 ? naddr : nhost > 0 ? nhost : 1;
	if ((nhost > 0 && nhost != db->nhosts) || (nport > 1 && nport != db->nhosts)) {
		db->nhosts = 1;
		db->hosts = memory_buffer(sizeof(db->hosts[0]));
		db->hosts[0].host = host != NULL ? memory_strdup(host) : NULL;
		db->hosts[0].hostaddr = memory_strdup(hostaddr != NULL ? hostaddr : "");
		db->hosts[0].port = port != NULL ? memory_strdup(port) : NULL;
		return;
	}
	db->hosts = memory_buffer((size_t)db->nhosts * sizeof(db->hosts[0]));
	for (i = 0; i < db->nhosts; i++) {
		db->hosts[i].host = list_item(host, i);
		db->hosts[i].hostaddr = list_item(hostaddr, i);
		db->hosts[i].port = list_item(port, i);
	}
}

void
db_conninfo_init(struct db *db, const char *conninfo)
{
	const char *options, *timeout, *errstr;
	bool own_timeout;
	char *error = NULL;

	db->options = PQconninfoParse(conninfo, &error);
	PQfreemem(error); /* not logged: it may quote a password */
	add_service(db);
	init_hosts(db);

	timeout = db_conninfo_value(db, "connect_timeout");
	db->connect_timeout = timeout != NULL ? strtonum(timeout, 2, 3600, &errstr) * 1000 : 0;
	if (db->connect_timeout == 0)
		db->connect_timeout = CONNECT_TIMEOUT_MS;

	options = db_conninfo_value(db, "options");
	own_timeout = options != NULL && strstr(options, "statement_timeout") != NULL;
	db->session = db_session(own_timeout);
	db->answer_timeout = own_timeout ? 0 : ANSWER_TIMEOUT_MS;
}

void
db_conninfo_release(struct db *db)
{
	PQconninfoOption *o;
	int i;

	for (i = 0; i < db->nhosts; i++) {
		free(db->hosts[i].host);
		free(db->hosts[i].hostaddr);
		free(db->hosts[i].port);
	}
	free(db->hosts);
	for (o = db->options; o != NULL && o->keyword != NULL; o++)
		if (o->val != NULL && strcmp(o->keyword, "password") == 0)
			explicit_bzero(o->val, strlen(o->val));
	PQconninfoFree(db->options);
}
