#include "master/exporter/access.h"

#include <arpa/inet.h>
#include <string.h>

#include "common/config/config.h"

bool
access_has_token(const char *token, const char *authorization)
{
	static const char scheme[] = "Bearer ";
	const char *given = authorization;
	size_t i, len = strlen(token);
	unsigned char differs = 0;

	if (given == NULL || strncmp(given, scheme, strlen(scheme)) != 0)
		return false;
	given += strlen(scheme);
	for (i = 0; given[i] != '\0'; i++)
		differs |= (unsigned char)(given[i] ^ token[i % (len + 1)]);
	return i == len && differs == 0;
}

/* A colon and digits, or nothing. */
static bool
is_port(const char *text)
{
	return text[0] == '\0' ||
	       (text[0] == ':' && text[1 + strspn(text + 1, "0123456789")] == '\0');
}

bool
access_is_address(const char *host)
{
	unsigned char address[sizeof(struct in6_addr)];
	char name[CONFIG_HOST_MAX];
	bool six = host != NULL && host[0] == '[';
	size_t len;

	if (host == NULL)
		return false;
	host += six;
	len = strcspn(host, six ? "]" : ":");
	strlcpy(name, host, len < sizeof(name) ? len + 1 : sizeof(name));
	if (six)
		return host[len] == ']' && is_port(host + len + 1) &&
		       inet_pton(AF_INET6, name, address) == 1;
	return is_port(host + len) &&
	       (strcasecmp(name, "localhost") == 0 || inet_pton(AF_INET, name, address) == 1);
}
