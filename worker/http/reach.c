#include "worker/http/reach.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/base/memory.h"

struct net {
	uint32_t net;
	int bits;
};

/* RFC 6890 and its updates: networks that are not part of the public internet */
static const struct net private4_nets[] = {
	{ 0x00000000, 8 }, /* this network */
	{ 0x0a000000, 8 }, /* private */
	{ 0x64400000, 10 }, /* shared, CGNAT */
	{ 0x7f000000, 8 }, /* loopback */
	{ 0xa9fe0000, 16 }, /* link-local */
	{ 0xac100000, 12 }, /* private */
	{ 0xc0000000, 24 }, /* protocol assignments */
	{ 0xc0000200, 24 }, /* documentation */
	{ 0xc0a80000, 16 }, /* private */
	{ 0xc6120000, 15 }, /* benchmarks */
	{ 0xc6336400, 24 }, /* documentation */
	{ 0xcb007100, 24 }, /* documentation */
	{ 0xe0000000, 4 }, /* multicast */
	{ 0xf0000000, 4 }, /* reserved, broadcast */
};

static bool
is_private4(uint32_t addr)
{
	size_t i;

	for (i = 0; i < sizeof(private4_nets) / sizeof(private4_nets[0]); i++) {
		if ((addr ^ private4_nets[i].net) >> (32 - private4_nets[i].bits) == 0)
			return true;
	}
	return false;
}

static uint32_t
word(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool
is_private6(const struct in6_addr *addr)
{
	const uint8_t *a = addr->s6_addr;
	static const uint8_t zero[12];
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	static const uint8_t nat64[12] = { 0x00, 0x64, 0xff, 0x9b };

	if (memcmp(a, zero, 12) == 0) /* ::, ::1 and IPv4-compatible */
		return true;
	if (memcmp(a, mapped, 12) == 0 || memcmp(a, nat64, 12) == 0)
		return is_private4(word(a + 12));
	if (a[0] == 0x20 && a[1] == 0x02) /* 6to4 */
		return is_private4(word(a + 2));
	if (a[0] == 0x20 && a[1] == 0x01 && a[2] == 0 && a[3] == 0) /* Teredo */
		return true;
	/* all of today's global unicast addresses are in 2000::/3 */
	return (a[0] & 0xe0) != 0x20;
}

bool
reach_is_private(const struct sockaddr *addr)
{
	switch (addr->sa_family) {
	case AF_INET:
		return is_private4(
		    ntohl(((const struct sockaddr_in *)(const void *)addr)->sin_addr.s_addr));
	case AF_INET6:
		return is_private6(&((const struct sockaddr_in6 *)(const void *)addr)->sin6_addr);
	default:
		return true;
	}
}

bool
reach_is_private_text(const char *text)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };

	if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
		return reach_is_private((const struct sockaddr *)&v4);
	if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1)
		return reach_is_private((const struct sockaddr *)&v6);
	return true;
}

static bool
host_allowed(const struct config_worker *conf, const char *host)
{
	size_t len = strlen(host), tail;
	const char *pattern;
	int i;

	if (len > 0 && host[len - 1] == '.')
		len--;
	for (i = 0; i < conf->nallow; i++) {
		pattern = conf->allow[i];
		if (pattern[0] == '*' && pattern[1] == '.') {
			tail = strlen(pattern + 1);
			if (len > tail && strncasecmp(host + len - tail, pattern + 1, tail) == 0)
				return true;
		} else if (strlen(pattern) == len && strncasecmp(host, pattern, len) == 0) {
			return true;
		}
	}
	return false;
}

int
reach_check_url(const struct config_worker *conf, const char *url, char *why, size_t why_size)
{
	char *host = NULL, *user = NULL, *scheme = NULL;
	CURLU *u;
	int rc = -1;

	if ((u = curl_url()) == NULL)
		memory_exhausted(1);
	if (curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK) {
		snprintf(why, why_size, "the URL cannot be read");
	} else if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0) {
		snprintf(why, why_size, "URLs of scheme %s are not carried, only http and https",
		    scheme);
	} else if (curl_url_get(u, CURLUPART_USER, &user, 0) == CURLUE_OK) {
		snprintf(
		    why, why_size, "the URL carries a user name; use a pre-signed URL or a store");
	} else if (!host_allowed(conf, host)) {
		snprintf(why, why_size,
		    "host %s is not allowed; add it to allow in the section http", host);
	} else {
		rc = 0;
	}
	curl_free(user);
	curl_free(host);
	curl_free(scheme);
	curl_url_cleanup(u);
	return rc;
}
