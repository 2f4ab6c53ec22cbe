/*
 * What would mend a connection that cannot be made, and whether time may mend it: by the server's
 * SQLSTATE, and else by the words of libpq, which are English since no program here sets
 * LC_MESSAGES.
 *
 * PostgreSQL's documentation, appendix A, "PostgreSQL Error Codes".
 */
#include "common/db/private.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/memory.h"

#define STATE_LEN 5

struct mend {
	const char *key; /* the beginning of an SQLSTATE, or words of libpq */
	bool stays; /* waiting does not help: an administrator has to change something */
	const char *mend;
};

/* The first match counts, so exact states stand before their classes of two characters. */
static const struct mend of_states[] = {
	{ "3D000", true, "create the database, or correct dbname in the setting database" },
	{ "28P01", true,
	    "correct the password, which stands in a password file (~/.pgpass, PGPASSFILE) or in "
	    "the setting database" },
	{ "28", true,
	    "create the role with CREATE ROLE ... LOGIN, correct user in the setting database, or "
	    "let pg_hba.conf of the server admit the role" },
	{ "42501", true, "GRANT CONNECT ON DATABASE ... TO the role" },
	{ "42", true, "correct options in the setting database" },
	{ "22", true, "correct options in the setting database" },
	{ "53300", false,
	    "raise max_connections of the server, or the limit of the role or of the database" },
	{ "53", false, "the server needs memory or disk space" },
	{ "55000", false, "ALTER DATABASE ... ALLOW_CONNECTIONS true lets connections in" },
	{ "57P03", false, "the server takes connections when it has started" },
};

static const struct mend of_words[] = {
	{ "Connection refused", false,
	    "start PostgreSQL there, or correct host and port in the setting database; "
	    "listen_addresses of the server says where it listens" },
	{ "No such file or directory", false,
	    "start PostgreSQL, or correct host and port in the setting database" },
	{ "Permission denied", true, "let this account enter the directory of the socket" },
	{ "does not resolve", false,
	    "correct host in the setting database, or the resolver of this machine" },
	{ "does not answer", false,
	    "look at the network and its firewalls, or correct host and port in the setting "
	    "database" },
	{ "received invalid response", false,
	    "another program than PostgreSQL listens there: correct host and port" },
	{ "expected authentication request", false,
	    "another program than PostgreSQL listens there: correct host and port" },
	{ "session is read-only", false, "this is a standby: name the primary, as in host=A,B" },
	{ "invalid port number", true, "correct port in the setting database" },
	{ "could not match", true, "give one port, or as many ports as hosts" },
	{ "server does not support SSL", true,
	    "switch ssl on at the server, or choose another sslmode in the setting database" },
	{ "root certificate file", true,
	    "name the certificate of the server's CA with sslrootcert, or choose another sslmode" },
	{ "certificate verify failed", false,
	    "name the certificate of the server's CA with sslrootcert" },
	{ "does not match host name", false,
	    "connect to a name that the server's certificate has, or set sslmode=verify-ca" },
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static const struct mend password_missing = { "", true,
	"give the password in a password file (~/.pgpass, PGPASSFILE) or in the setting database" };

const char db_shared_why[] =
    "a pooler gives this connection to other clients between transactions; set pool_mode = session "
    "for this database or this role in its configuration (of PgBouncer: pgbouncer.ini), or name "
    "the server itself in the setting database";

static bool
is_state(const char *text)
{
	int i;

	for (i = 0; i < STATE_LEN; i++)
		if (!isdigit((unsigned char)text[i]) && !isupper((unsigned char)text[i]))
			return false;
	return text[STATE_LEN] == ':' && text[STATE_LEN + 1] == ' ';
}

/*
 * Takes what PQERRORS_VERBOSE adds out of libpq's message: "FATAL:  3D000: " becomes "FATAL:  ",
 * and a line of LOCATION becomes empty.  state gets the first SQLSTATE, or "".
 */
static void
take_state(char *message, char state[STATE_LEN + 1])
{
	char *at;

	state[0] = '\0';
	for (at = message; (at = strstr(at, ":  ")) != NULL; at++) {
		if (!is_state(at + 3))
			continue;
		if (state[0] == '\0')
			snprintf(state, STATE_LEN + 1, "%s", at + 3);
		memmove(at + 3, at + 3 + STATE_LEN + 2, strlen(at + 3 + STATE_LEN + 2) + 1);
	}
	while ((at = strstr(message, "\nLOCATION:")) != NULL)
		memmove(
		    at, at + 1 + strcspn(at + 1, "\n"), strlen(at + 1 + strcspn(at + 1, "\n")) + 1);
}

static const struct mend *
find(const char *state, const char *text)
{
	size_t i;

	for (i = 0; state[0] != '\0' && i < COUNT(of_states); i++)
		if (strncmp(state, of_states[i].key, strlen(of_states[i].key)) == 0)
			return &of_states[i];
	for (i = 0; state[0] == '\0' && i < COUNT(of_words); i++)
		if (strstr(text, of_words[i].key) != NULL)
			return &of_words[i];
	return NULL;
}

static bool
add(const struct mend *mend, char *why, size_t why_size)
{
	if (mend == NULL)
		return false;
	strlcat(why, "; ", why_size);
	strlcat(why, mend->mend, why_size);
	return mend->stays;
}

bool
db_mend(char *why, size_t why_size)
{
	return add(find("", why), why, why_size);
}

bool
db_mend_refused(PGconn *conn, char *why, size_t why_size)
{
	char *message = memory_strdup(PQerrorMessage(conn)), state[STATE_LEN + 1];
	const struct mend *mend;

	take_state(message, state);
	db_one_line(message, why, why_size);
	free(message);
	mend = state[0] == '\0' && PQconnectionNeedsPassword(conn) ? &password_missing
								   : find(state, why);
	return add(mend, why, why_size);
}
