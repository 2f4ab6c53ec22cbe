/*
 * URIs of tasks are taken apart, refused with a reason, and redacted without signature and
 * password.
 */
#include <stdlib.h>

#include "common/base/uri.h"
#include "tests/unit/tap.h"

static void
test_good(void)
{
	static const struct {
		const char *text, *store, *path;
		bool is_url;
	} cases[] = {
		{ "ceph://bucket/key", "ceph", "bucket/key", false },
		{ "CEPH://Bucket/Key", "ceph", "Bucket/Key", false },
		{ "a+b.c-1://b/k", "a+b.c-1", "b/k", false },
		{ "cos://b/a b?c#d%20é/../x//", "cos", "b/a b?c#d%20é/../x//", false },
		{ "cos://b/http://x", "cos", "b/http://x", false },
		{ "spool:///etc/passwd", "spool", "/etc/passwd", false },
		{ "HTTPS://Host/p?q", "https", "Host/p?q", true },
		{ "http://h", "http", "h", true },
	};
	struct uri uri;
	char why[256];
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (!ok(uri_parse(&uri, cases[i].text, why, sizeof(why)) == 0, "%s is read",
			cases[i].text))
			continue;
		is_str(uri.store, cases[i].store, "%s: store", cases[i].text);
		is_str(uri.path, cases[i].path, "%s: path", cases[i].text);
		is_int(uri.is_url, cases[i].is_url, "%s: URL or not", cases[i].text);
	}
}

static void
test_bad(void)
{
	static const struct {
		const char *text, *word; /* in the reason */
	} cases[] = {
		{ "", "no \"://\"" },
		{ "bucket/key", "no \"://\"" },
		{ "ceph:/bucket/key", "no \"://\"" },
		{ "://bucket/key", "bad store name" },
		{ "1ceph://bucket/key", "bad store name" },
		{ "ce_ph://bucket/key", "bad store name" },
		{ " ceph://bucket/key", "bad store name" },
		{ "bucket/ceph://x", "bad store name" },
		{ "ceph://", "nothing after" },
		{ "https:///path", "without a host" },
		{ "https://?q", "without a host" },
		{ "https://h/a b", "space" },
		{ "ceph://b/a\nb", "control character 0x0a at byte 11" },
		{ "ceph://b/\x7f", "control character 0x7f" },
	};
	struct uri uri;
	char why[256];
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		why[0] = '\0';
		is_int(
		    uri_parse(&uri, cases[i].text, why, sizeof(why)), -1, "case %zu is refused", i);
		ok(strstr(why, cases[i].word) != NULL, "and why: %s", why);
	}
}

static void
test_lengths(void)
{
	char text[URI_MAX + 2], why[256];
	struct uri uri;

	memset(text, 'k', sizeof(text));
	memcpy(text, "ceph://b/", 9);
	text[URI_MAX - 1] = '\0';
	is_int(uri_parse(&uri, text, why, sizeof(why)), 0, "the longest URI is read");
	text[URI_MAX - 1] = 'k';
	text[URI_MAX] = '\0';
	is_int(uri_parse(&uri, text, why, sizeof(why)), -1, "one byte more is refused");
	memset(text, 's', sizeof(text));
	memcpy(text + URI_STORE_MAX - 1, "://b/k", 7);
	is_int(uri_parse(&uri, text, why, sizeof(why)), 0, "the longest store name is read");
	memcpy(text + URI_STORE_MAX, "://b/k", 7);
	is_int(uri_parse(&uri, text, why, sizeof(why)), -1, "one byte more is refused");
}

static void
check_bucket(const char *text, const char *bucket, const char *key)
{
	char buf[URI_BUCKET_MAX], why[256] = "";
	const char *rest = NULL;
	struct uri uri;

	uri_parse(&uri, text, why, sizeof(why));
	is_int(uri_split_bucket(&uri, buf, &rest, why, sizeof(why)), bucket ? 0 : -1, "%s %s", text,
	    bucket ? "has bucket and key" : "is refused");
	if (bucket == NULL) {
		ok(why[0] != '\0', "and why: %s", why);
		return;
	}
	is_str(buf, bucket, "the bucket");
	is_str(rest, key, "the key");
}

static void
test_buckets(void)
{
	char longest[URI_BUCKET_MAX] = "", text[2 * URI_BUCKET_MAX];

	check_bucket("ceph://b/k", "b", "k");
	check_bucket("ceph://b//k", "b", "/k");
	memset(longest, 'b', sizeof(longest) - 1);
	snprintf(text, sizeof(text), "ceph://%s/k?x", longest);
	check_bucket(text, longest, "k?x");
	snprintf(text, sizeof(text), "ceph://%sb/k", longest);
	check_bucket(text, NULL, NULL);
	check_bucket("ceph:///k", NULL, NULL);
	check_bucket("ceph://b", NULL, NULL);
	check_bucket("ceph://b/", NULL, NULL);
}

static void
test_redact(void)
{
	static const struct {
		const char *text, *shown;
	} cases[] = {
		{ "ceph://b/k?a#b@c", "ceph://b/k?a#b@c" },
		{ "https://h/p", "https://h/p" },
		{ "https://h:443/p", "https://h:443/p" },
		{ "https://[::1]:443/p?s=SECRET", "https://[::1]:443/p?…" },
		{ "https://h/p?X-Amz-Signature=SECRET", "https://h/p?…" },
		{ "HTTPS://h/p?X-Amz-Signature=SECRET", "HTTPS://h/p?…" },
		{ "hTTp://h?SECRET", "hTTp://h?…" },
		{ "https://h/p#SECRET", "https://h/p?…" },
		{ "https://user:SECRET@h/p", "https://h/p" },
		{ "https://user:SECRET@@h/p", "https://h/p" },
		{ "https://SECRET@h", "https://h" },
		{ "https://u:SEC/RET@h/p", "https://…" },
		{ "https://u:SEC?RET@h/p", "https://…?…" },
		{ "https://u:SEC#RET@h/p", "https://…?…" },
		{ "https://u@h:SEC/RET@h/p", "https://…" },
		{ "https://h/@user/p", "https://h/@user/p" },
		{ "https:/h/p?SECRET", "https:/h/p?…" },
		{ "https:h/p?SECRET", "https:h/p?…" },
		{ "https:\\\\h\\p?SECRET", "https:\\\\h\\p?…" },
		{ "httpss://h/p?SECRET", "httpss://h/p?…" },
		{ " https://u:SECRET@h/p?SECRET", " https://h/p?…" },
		{ "https:/u:SECRET@h/p", "https:/h/p" },
		{ "https//u:SECRET@h/p", "https//h/p" },
		{ "htps://u:SECRET@h/p?SECRET", "htps://h/p?…" },
		{ "HTTSP://u:SECRET@h/p?SECRET", "HTTSP://h/p?…" },
		{ "hhtp://u:SEC/RET@h/p", "hhtp://…" },
		{ "ftp://u:SECRET@h/p", "ftp://h/p" },
		{ "ts://b/k?a@b", "ts://b/k?a@b" },
		{ "h/p?SECRET", "h/p?…" },
		{ "u:SECRET@h/p", "h/p" },
		{ "SECRET:p@h/p", "h/p" },
		{ "SECRET\\p@h/p", "h/p" },
		{ "SECRET:\\@h/p", "h/p" },
		{ "https://u\\SECRET@h/p", "https://h/p" },
		{ "ldap://u:SECRET@h/p?a", "ldap://h/p?a" },
		{ "ldap:///u:SECRET@h/p", "ldap:///h/p" },
		{ "ldap://:SECRET@h/p", "ldap://h/p" },
		{ "ceph://b@c/k:l@m", "ceph://b@c/k:l@m" },
		{ "ceph://b:c/k@l", "ceph://b:c/k@l" },
		{ "?SECRET", "?…" },
		{ "", "" },
	};
	char buf[256];
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		is_str(uri_redact(buf, sizeof(buf), cases[i].text), cases[i].shown, "redacted: %s",
		    cases[i].shown);
}

static void
test_redact_cut(void)
{
	char buf[16];
	size_t size;

	is_str(uri_redact(buf, 10, "ceph://b/éé"), "ceph://b/",
	    "a store URI is cut before a character, not in it");
	is_str(uri_redact(buf, 11, "ceph://b/éé"), "ceph://b/", "nor after half of it");
	is_str(uri_redact(buf, 12, "ceph://b/éé"), "ceph://b/é", "and shows what fits");
	is_str(
	    uri_redact(buf, 10, "http://é:x/p?a"), "http://", "nothing follows what does not fit");
	for (size = 1; size <= sizeof(buf); size++) {
		memset(buf, 'x', sizeof(buf));
		uri_redact(buf, size, "https://u:p@host/é?SECRET");
		ok(strlen(buf) < size && strstr(buf, "S") == NULL, "cut to %zu bytes: %s", size,
		    buf);
	}
}

int
main(void)
{
	test_good();
	test_bad();
	test_lengths();
	test_buckets();
	test_redact();
	test_redact_cut();
	return done_testing();
}
