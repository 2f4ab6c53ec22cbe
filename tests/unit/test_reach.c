/*
 * What http(s) sources may reach: addresses and URLs, one table each.
 */
#include <curl/curl.h>

#include "tests/unit/tap.h"
#include "worker/http/reach.h"

static const struct {
	const char *address;
	bool private;
} addresses[] = {
	{ "8.8.8.8", false },
	{ "1.1.1.1", false },
	{ "172.15.255.255", false },
	{ "172.32.0.0", false },
	{ "100.63.255.255", false },
	{ "100.128.0.0", false },
	{ "223.255.255.255", false },
	{ "192.169.0.0", false },
	{ "2001:4860:4860::8888", false },
	{ "2606:4700::1111", false },
	{ "::ffff:8.8.8.8", false },
	{ "127.0.0.1", true },
	{ "127.255.255.254", true },
	{ "0.0.0.0", true },
	{ "10.0.0.1", true },
	{ "172.16.0.0", true },
	{ "172.31.255.255", true },
	{ "192.168.1.1", true },
	{ "169.254.169.254", true },
	{ "100.64.0.1", true },
	{ "100.127.255.255", true },
	{ "224.0.0.1", true },
	{ "239.255.255.255", true },
	{ "255.255.255.255", true },
	{ "240.0.0.1", true },
	{ "192.0.0.8", true },
	{ "198.18.0.1", true },
	{ "198.19.255.255", true },
	{ "::", true },
	{ "::1", true },
	{ "::127.0.0.1", true },
	{ "::ffff:127.0.0.1", true },
	{ "::ffff:10.1.2.3", true },
	{ "::ffff:169.254.169.254", true },
	{ "fe80::1", true },
	{ "febf::1", true },
	{ "fc00::1", true },
	{ "fd12:3456::1", true },
	{ "ff02::1", true },
	{ "fec0::1", true },
	{ "64:ff9b::10.0.0.1", true },
	{ "64:ff9b::8.8.8.8", false },
	{ "2002:7f00:1::", true },
	{ "2002:808:808::1", false },
	{ "2001::1", true },
	{ "what", true },
	{ "", true },
};

static const struct {
	const char *url;
	const char *why; /* a part of the complaint; NULL: the URL is allowed */
} urls[] = {
	{ "http://downloads.example.com/x", NULL },
	{ "https://DOWNLOADS.example.COM:8443/x?y=z", NULL },
	{ "http://downloads.example.com./x", NULL },
	{ "http://a.cdn.example.net/x", NULL },
	{ "http://b.a.cdn.example.net/x", NULL },
	{ "http://[2001:db8::1]/x", NULL },
	{ "http://cdn.example.net/x", "not allowed" },
	{ "http://evilcdn.example.net/x", "not allowed" },
	{ "http://downloads.example.com.evil.net/x", "not allowed" },
	{ "http://127.0.0.1/x", "not allowed" },
	{ "http://downloads.example.com@127.0.0.1/x", "user name" },
	{ "http://user:secret@downloads.example.com/x", "user name" },
	{ "ftp://downloads.example.com/x", "scheme" },
	{ "file:///etc/passwd", "" },
	{ "gopher://downloads.example.com/x", "" },
	{ "http://", "" },
};

int
main(void)
{
	static struct config_worker conf = {
		.nallow = 3,
		.allow = { "downloads.example.com", "*.cdn.example.net", "[2001:db8::1]" },
	};
	char why[256];
	size_t i;
	int rc;

	curl_global_init(CURL_GLOBAL_DEFAULT);
	for (i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++)
		ok(reach_is_private_text(addresses[i].address) == addresses[i].private,
		    "\"%s\" is %s", addresses[i].address,
		    addresses[i].private ? "private" : "public");
	for (i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		why[0] = '\0';
		rc = reach_check_url(&conf, urls[i].url, why, sizeof(why));
		if (urls[i].why == NULL)
			ok(rc == 0, "%s is allowed %s", urls[i].url, why);
		else
			ok(rc == -1 && why[0] != '\0' && strstr(why, urls[i].why) != NULL,
			    "%s is refused: %s", urls[i].url, why);
	}
	curl_global_cleanup();
	return done_testing();
}
