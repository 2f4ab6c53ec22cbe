/*
 * Checks of single texts: paths, hosts, endpoints, connection strings.  The errors do not repeat
 * the text, which may hold a password.
 */
#include "common/config/private.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/text.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

const char *
config_text_conninfo(char *text)
{
	PQconninfoOption *options;
	char *error = NULL;

	if ((options = PQconninfoParse(text, &error)) != NULL) {
		PQconninfoFree(options);
		return NULL;
	}
	PQfreemem(error);
	return "is not a connection string of PostgreSQL; it looks like \"host=/run/postgresql "
	       "dbname=ferry\"";
}

const char *
config_text_absolute(char *text)
{
	return *text == '/' ? NULL : "is not an absolute path; it begins with '/'";
}

const char *
config_text_log(char *text)
{
	if (strcmp(text, "stderr") == 0 || strcmp(text, "syslog") == 0 || *text == '/')
		return NULL;
	return "is not a target; it is an absolute path, \"stderr\" or \"syslog\"";
}

const char *
config_text_relative(char *text)
{
	if (*text == '/' || *text == '.' || strstr(text, "/.") != NULL ||
	    strstr(text, "//") != NULL || text[strspn(text, LETTERS UPPER DIGITS "_.-/")] != '\0')
		return "is not the name of a cgroup; letters, digits, '_', '-' and '.', as in "
		       "\"ferryd\"";
	return NULL;
}

const char *
config_text_name(char *text)
{
	if (text[strspn(text, LETTERS UPPER DIGITS "_.-")] != '\0')
		return "is not a name; letters, digits, '_', '-' and '.' are allowed";
	return NULL;
}

const char *
config_text_kms_key(char *text)
{
	if (text[strspn(text, LETTERS UPPER DIGITS "_.:/-")] != '\0')
		return "is not the name of a key; it looks like "
		       "\"arn:aws:kms:REGION:ACCOUNT:key/ID\"";
	return NULL;
}

const char *
config_text_variable(char *text)
{
	if (isdigit((unsigned char)*text) || text[strspn(text, LETTERS UPPER DIGITS "_")] != '\0')
		return "is not the name of an environment variable; the secret itself does not "
		       "belong here";
	return NULL;
}

const char *
config_text_profile(char *text)
{
	if (strchr(text, ']') != NULL || !text_is_plain(text))
		return "is not the name of a profile; it is what stands in the [ ] of the file";
	return NULL;
}

const char *
config_text_secret(const char *buf, size_t len, size_t size)
{
	size_t i;

	if (len == 0)
		return "is empty; the secret belongs there";
	if (len >= size)
		return "is too long for a secret; the secret alone goes into it";
	for (i = 0; i < len; i++)
		if (text_is_control(buf[i]))
			return "holds control characters or a second line; the secret alone goes "
			       "into it";
	return NULL;
}

/* A DNS name, an IPv4 address or an IPv6 address in brackets.  The first two are labels and dots.
 */
static bool
is_host(const char *host, size_t len)
{
	char address[CONFIG_HOST_MAX];
	struct in6_addr in6;
	size_t i;

	if (len == 0 || len >= sizeof(address))
		return false;
	if (host[0] == '[') {
		if (host[len - 1] != ']')
			return false;
		memcpy(address, host + 1, len - 2);
		address[len - 2] = '\0';
		return inet_pton(AF_INET6, address, &in6) == 1;
	}
	for (i = 0; i < len; i++) {
		bool inner = i > 0 && i + 1 < len;

		if (isalnum((unsigned char)host[i]) ||
		    (inner && (host[i] == '-' || host[i] == '_')))
			continue;
		if (!inner || host[i] != '.' || !isalnum((unsigned char)host[i - 1]) ||
		    !isalnum((unsigned char)host[i + 1]))
			return false;
	}
	return true;
}

static bool
is_port(const char *text, size_t len)
{
	char port[8];
	const char *error;

	if (len == 0 || len >= sizeof(port) || strspn(text, DIGITS) < len)
		return false;
	memcpy(port, text, len);
	port[len] = '\0';
	strtonum(port, 1, 65535, &error);
	return error == NULL;
}

const char *
config_text_host_pattern(char *text)
{
	const char *host = strncmp(text, "*.", 2) == 0 ? text + 2 : text;

	text_make_lower(text);
	if (is_host(host, strlen(host)))
		return NULL;
	return "holds a text that is not a host; \"downloads.example.com\" or \"*.example.com\", "
	       "without "
	       "scheme, port and path";
}

/* A name could mean several addresses, or another one tomorrow. */
const char *
config_text_listen(char *text)
{
	unsigned char parsed[sizeof(struct in6_addr)];
	char *port = strrchr(text, ':');
	bool right = false;

	if (port != NULL && is_port(port + 1, strlen(port + 1))) {
		*port = '\0';
		right = text[0] == '[' ? is_host(text, (size_t)(port - text))
				       : inet_pton(AF_INET, text, parsed) == 1;
		*port = ':';
	}
	return right ? NULL
		     : "is not ADDRESS:PORT; it looks like \"127.0.0.1:9788\" or \"[::1]:9788\"";
}

/* ADDRESS[,ADDRESS]..., IPv6 with or without brackets, as curl takes them. */
static bool
are_addresses(const char *text)
{
	char address[INET6_ADDRSTRLEN + 2];
	unsigned char parsed[sizeof(struct in6_addr)];
	size_t len;

	for (;; text += len + 1) {
		len = strcspn(text, ",");
		if (len == 0 || len >= sizeof(address))
			return false;
		memcpy(address, text, len);
		address[len] = '\0';
		if (inet_pton(AF_INET, address, parsed) != 1 &&
		    inet_pton(AF_INET6, address, parsed) != 1 &&
		    (address[0] != '[' || !is_host(address, len)))
			return false;
		if (text[len] == '\0')
			return true;
	}
}

const char *
config_text_resolve(char *text)
{
	const char *port = strchr(text, ':'),
		   *address = port != NULL ? strchr(port + 1, ':') : NULL;

	if (address != NULL && is_host(text, (size_t)(port - text)) &&
	    is_port(port + 1, (size_t)(address - port - 1)) && are_addresses(address + 1))
		return NULL;
	return "holds a text that is not HOST:PORT:ADDRESS; it looks like "
	       "\"cos.example.com:443:192.0.2.1\"";
}

const char *
config_text_endpoint(char *text)
{
	const char *host, *port;
	size_t len;

	text_make_lower(text);
	if (strncmp(text, "https://", 8) == 0)
		host = text + 8;
	else if (strncmp(text, "http://", 7) == 0)
		host = text + 7;
	else if (strstr(text, "://") != NULL)
		return "has a scheme other than https and http; it looks like \"https://HOST\" or "
		       "\"http://HOST:PORT\"";
	else
		return "has no scheme; it looks like \"https://HOST\" or \"http://HOST:PORT\"";
	if (strchr(host, '@') != NULL)
		return "holds a user or a password; keys belong in access_key and "
		       "secret_key_file";
	if (strpbrk(host, "/?#") != NULL)
		return "has more than a host; it ends after HOST or HOST:PORT, without '/', path "
		       "and query";
	len = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
	if (len > strlen(host) || !is_host(host, len))
		return "has no valid host; it looks like \"https://HOST\" or \"http://HOST:PORT\"";
	port = host + len;
	if (*port != '\0' && (*port != ':' || !is_port(port + 1, strlen(port + 1))))
		return "has no valid port; 1 to 65535 follow the ':'";
	return NULL;
}
