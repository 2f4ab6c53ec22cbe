/*
 * Headers and metadata that an object gets in another store: what each store takes, in which form,
 * and what is said of the rest.
 */
#include "tests/unit/store_fixture.h"
#include "worker/store/answer.h"
#include "worker/store/fit.h"
#include "worker/store/request.h"
#include "worker/store/words.h"

#define U_UMLAUT "\xc3\xbc"

static struct object_info info;
static char lost[512];

/* Builds a PUT whose object gets info and the pairs, brought into form.  Returns 0, or -1. */
static int
put(const struct config_store *store, const char *metadata, struct store_request *req)
{
	struct store_call call = { .op = OP_PUT,
		.bucket = "b-1250000000",
		.key = "k",
		.info = &info,
		.storage_class = "STANDARD_IA",
		.now = NOW };

	if (metadata != NULL)
		store_set_metadata(&info, metadata);
	store_fit(store, &info);
	store_losses(&info, lost, sizeof(lost));
	why[0] = '\0';
	return store_build(store, &call, req, why, sizeof(why));
}

static void
test_forms(void)
{
	struct store_request req;

	object_info_init(&info);
	object_info_set(&info, INFO_CONTENT_TYPE, "text/plain; charset=utf-8");
	object_info_set(&info, INFO_CONTENT_LANGUAGE, " de ");
	object_info_set(
	    &info, INFO_CONTENT_DISPOSITION, "attachment; filename=\"two  blanks.txt\"");
	is_int(put(&ceph,
		   "a_b\x1f  x  y \x1e"
		   "empty\x1f\x1e"
		   "last\x1f" U_UMLAUT,
		   &req),
	    0, "an object for S3");
	is_str(header(&req, "x-amz-meta-a_b"), "x  y", "metadata, trimmed");
	is_str(header(&req, "x-amz-meta-empty"), "", "without value");
	is_str(header(&req, "x-amz-meta-last"), "=?UTF-8?B?w7w=?=", "what is not ASCII is words");
	is_str(header(&req, "Content-Type"), "text/plain; charset=utf-8", "type");
	is_str(header(&req, "Content-Language"), "de", "language");
	is_str(header(&req, "x-amz-storage-class"), "STANDARD_IA", "storage class");
	is_str(header(&req, "Cache-Control"), "(none)", "and no header that the source lacks");
	is_str(header(&req, "x-amz-server-side-encryption"), "(none)", "no encryption");
	ok(verifies(&ceph, &req), "it is sent as it was signed");
	is_str(lost, "", "nothing is lost");
	store_request_release(&req);
	is_int(put(&cos_store,
		   "a_b\x1f x \x1e"
		   "a.b\x1fsecond\x1e"
		   "e\x1f\x1e"
		   "u\x1f" U_UMLAUT,
		   &req),
	    0, "the same for COS");
	is_str(header(&req, "x-cos-meta-a-b"), "x", "its names have dashes only");
	is_str(header(&req, "x-cos-meta-e"), "", "without value");
	is_str(header(&req, "x-cos-meta-u"), U_UMLAUT, "in UTF-8");
	is_str(header(&req, "x-cos-storage-class"), "STANDARD_IA", "storage class");
	is_str(header(&req, "Content-Language"), "de", "language");
	ok(verifies(&cos_store, &req), "it is sent as it was signed");
	ok(strstr(header(&req, "Authorization"), "content-language") == NULL,
	    "but the vendor's client would not sign that");
	is_str(lost, "x-cos-meta-a-b (another name becomes the same)", "the second name is named");
	store_request_release(&req);
	object_info_release(&info);
}

/* What a store of S3 gives in words, in other stores, and what comes back. */
static void
test_words_between_stores(void)
{
	struct store_request req;

	object_info_release(&info);
	store_take_header(&ceph, &info, "x-amz-meta-a", "=?utf-8?q?gr=C3=BCn_?= =?UTF-8?B?w7w=?=");
	is_int(put(&ceph, NULL, &req), 0, "words of S3 for S3");
	is_str(header(&req, "x-amz-meta-a"), "=?utf-8?q?gr=C3=BCn_?= =?UTF-8?B?w7w=?=", "stay");
	store_request_release(&req);
	is_int(put(&cos_store, NULL, &req), 0, "and for COS");
	is_str(header(&req, "x-cos-meta-a"), "gr" U_UMLAUT "n " U_UMLAUT, "are text");
	store_request_release(&req);
	object_info_release(&info);
	store_take_header(&cos_store, &info, "x-cos-meta-a", "=?UTF-8?B?w7w=?=");
	is_int(put(&cos_store, NULL, &req), 0, "what looks like words in COS");
	is_str(header(&req, "x-cos-meta-a"), "=?UTF-8?B?w7w=?=", "is text, and stays");
	store_request_release(&req);
	object_info_release(&info);
	store_take_header(&ceph, &info, "x-amz-meta-a", U_UMLAUT);
	is_int(put(&ceph, NULL, &req), 0, "UTF-8 as Ceph gives it");
	is_str(header(&req, "x-amz-meta-a"), "=?UTF-8?B?w7w=?=", "becomes words");
	store_request_release(&req);
	object_info_release(&info);
	store_take_header(&ceph, &info, "x-amz-meta-a", "\xfc");
	is_int(put(&ceph, NULL, &req), 0, "Latin 1");
	is_str(header(&req, "x-amz-meta-a"), "(none)", "is not sent");
	is_str(lost, "x-amz-meta-a (its value is neither ASCII nor UTF-8)", "and is named");
	store_request_release(&req);
}

static void
test_words(void)
{
	static const struct {
		const char *words, *text;
	} cases[] = {
		{ "=?UTF-8?B?w7w=?=", U_UMLAUT },
		{ "=?utf-8?b?YQ==?=", "a" },
		{ "=?US-ASCII?Q?a=5Fb_c?=", "a_b c" },
		{ "=?UTF-8?Q?"
		  "?=",
		    "" },
		{ "=?UTF-8?B?w7w=?=  =?UTF-8?Q?b?=", U_UMLAUT "b" },
		{ "plain", NULL },
		{ "a =?UTF-8?B?w7w=?=", NULL },
		{ "=?UTF-8?B?w7w=?= a", NULL },
		{ "=?UTF-8?B?w7w=?=a", NULL },
		{ "=?ISO-8859-1?Q?=FC?=", NULL },
		{ "=?UTF-8?Q?=FC?=", NULL }, /* no UTF-8 */
		{ "=?UTF-8?Q?=0A?=", NULL }, /* no header */
		{ "=?UTF-8?Q?=00?=", NULL },
		{ "=?UTF-8?B?AA==?=", NULL },
		{ "=?UTF-8?Q?=C3=B?=", NULL },
		{ "=?UTF-8?B?w7?=", NULL },
		{ "=?UTF-8?B?w7w=", NULL },
		{ "=?UTF-8?X?a?=", NULL },
		{ "=?UTF-8?", NULL },
		{ "=?", NULL },
		{ "", NULL },
	};
	char text[400] = "", *words, *back;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		back = words_decode(cases[i].words);
		ok(cases[i].text == NULL ? back == NULL
					 : back != NULL && strcmp(back, cases[i].text) == 0,
		    "\"%s\"", cases[i].words);
		free(back);
	}
	for (int i = 0; i < 60; i++)
		strlcat(text, i % 2 ? "\xe7\xb7\x91" : "\xf0\x9f\x93\x88", sizeof(text));
	words = words_encode(text);
	for (const char *p = words; *p != '\0'; p += strspn(p, " ")) {
		char word[80] = "";

		snprintf(word, sizeof(word), "%.*s", (int)strcspn(p, " "), p);
		back = words_decode(word);
		ok(strcspn(p, " ") <= 75 && back != NULL,
		    "a word: whole characters, 75 bytes at most");
		free(back);
		p += strcspn(p, " ");
	}
	back = words_decode(words);
	is_str(back, text, "60 characters come back");
	free(words);
	free(back);
	ok(!words_is_utf8("\xc0\x80") && !words_is_utf8("\xed\xa0\x80") &&
		!words_is_utf8("\xf4\x90\x80\x80") && !words_is_utf8("\xe0\x80\x80") &&
		!words_is_utf8("\xf0\x80\x80\x80") && !words_is_utf8("a\x80") &&
		!words_is_utf8("\xc3"),
	    "malformed UTF-8");
	ok(words_is_utf8("\xf4\x8f\xbf\xbf \xed\x9f\xbf"), "the last characters");
}

static void
test_limits(void)
{
	struct store_request req;
	static char big[20000];
	int len;

	object_info_release(&info);
	len = snprintf(big, sizeof(big),
	    "name\x1f%02000d\x1e"
	    "b\x1f%043d\x1e",
	    0, 0);
	is_int(put(&cos_store, big, &req), 0, "2,048 bytes of metadata go into COS");
	is_str(lost, "", "whole");
	store_request_release(&req);
	snprintf(big + len, sizeof(big) - (size_t)len, "c\x1f\x1e");
	is_int(put(&cos_store, big, &req), 0, "of 2,049");
	is_str(lost, "x-cos-meta-c (1 bytes: over the 2048 of all metadata)",
	    "the rest is named with its size");
	is_str(header(&req, "x-cos-meta-c"), "(none)", "and not sent");
	store_request_release(&req);
	is_int(put(&aws, big, &req), 0, "Amazon has the same limit");
	ok(strstr(lost, "x-amz-meta-c (1 bytes:") == lost, "%s", lost);
	store_request_release(&req);
	is_int(put(&ceph, big, &req), 0, "Ceph takes more");
	is_str(lost, "", "whole");
	store_request_release(&req);
	snprintf(big, sizeof(big),
	    "a\x1f%07000d\x1e"
	    "b\x1f%05400d\x1e"
	    "c\x1f"
	    "1\x1e",
	    0, 0);
	is_int(put(&ceph, big, &req), 0, "12 KiB of heads are too much");
	ok(strcmp(lost, "x-amz-meta-b (5400 bytes: over the 12288 of all headers)") == 0, "%s",
	    lost);
	is_str(header(&req, "x-amz-meta-c"), "1", "what fits behind it is sent");
	ok(verifies(&ceph, &req), "signed");
	store_request_release(&req);
	for (len = 0; len < 12000;)
		len += snprintf(big + len, sizeof(big) - (size_t)len, "n%d\x1fv\x1e", len);
	is_int(put(&ceph, big, &req), 0, "hundreds of pairs");
	ok(strstr(lost, "more than 224 pairs") != NULL && strstr(lost, " more") != NULL, "%s",
	    lost);
	ok(strlen(lost) < sizeof(lost) - 1, "the list of what is lost fits");
	ok(verifies(&ceph, &req), "signed");
	store_request_release(&req);
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	object_info_release(&info);
	object_info_set(&info, INFO_CONTENT_DISPOSITION, big);
	object_info_set(&info, INFO_EXPIRES, "0");
	is_int(put(&cos_store, NULL, &req), 0, "a header of 20,000 bytes");
	ok(strstr(lost, "Content-Disposition (19999 bytes: over the 12288 of all headers)") == lost,
	    "%s", lost);
	is_str(header(&req, "Expires"), "0", "the others go along");
	store_request_release(&req);
}

/* What the row says takes the place of what was lost of the source. */
static void
test_replaced(void)
{
	struct store_request req;

	object_info_release(&info);
	store_take_header(&ceph, &info, "X-Amz-Meta-A", "\x01");
	store_take_header(&ceph, &info, "x-amz-missing-meta", "1");
	store_take_header(&ceph, &info, "Content-Type", "\x01");
	store_take_header(&ceph, &info, "Expires", "\x01");
	is_int(store_losses(&info, lost, sizeof(lost)), 4, "four headers are lost");
	store_set_content_type(&info, "a/b");
	is_int(put(&ceph,
		   "a\x1f"
		   "1\x1e",
		   &req),
	    0, "the row has type and metadata");
	is_str(lost, "Expires (its value has a control character)", "one still is");
	store_request_release(&req);
}

/* store_fit() leaves none of these; a request is not built of them nevertheless. */
static void
test_refused(void)
{
	static const struct {
		const char *pairs, *what;
	} cases[] = {
		{ "a\x1fx\r\ny\x1e", "a value of two lines is refused" },
		{ "a\n\x1fx\x1e", "a name of two lines" },
		{ "a:\x1fx\x1e", "a name with a colon" },
		{ "\x1fx\x1e", "no name" },
		{ "alone", "half a pair" },
		{ "a\x1e\x1fx", "the halves apart" },
	};
	struct store_call call = {
		.op = OP_PUT, .bucket = "b-1250000000", .key = "k", .info = &info, .now = NOW
	};
	struct store_request req;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		object_info_release(&info);
		object_info_add_metadata(&info, cases[i].pairs);
		is_int(store_build(&ceph, &call, &req, why, sizeof(why)), -1, "%s", cases[i].what);
	}
	object_info_release(&info);
	object_info_set(&info, INFO_CONTENT_TYPE, "a\nb");
	is_int(store_build(&ceph, &call, &req, why, sizeof(why)), -1, "a type of two lines");
	ok(strstr(why, "Content-Type") != NULL, "the header is named");
	object_info_release(&info);
}

static void
test_encryption(void)
{
	static const enum store_op asks[] = { OP_PUT, OP_INITIATE, OP_COPY, OP_UPLOAD_PART,
		OP_HEAD };
	struct config_store kms = ceph, tencent = cos_store;
	struct store_call call = { .bucket = "b-1250000000",
		.key = "k",
		.upload_id = "U",
		.part_number = 1,
		.copy_bucket = "c-1250000000",
		.copy_key = "d",
		.if_match = "e",
		.now = NOW };
	struct store_request req;

	kms.encryption = ENCRYPTION_AWS_KMS;
	tencent.encryption = ENCRYPTION_COS_KMS;
	strlcpy(kms.kms_key, "arn:aws:kms:r:1:key/k", sizeof(kms.kms_key));
	for (size_t i = 0; i < sizeof(asks) / sizeof(asks[0]); i++) {
		bool makes = asks[i] == OP_PUT || asks[i] == OP_INITIATE || asks[i] == OP_COPY;

		call.op = asks[i];
		is_int(store_build(&kms, &call, &req, why, sizeof(why)), 0, "operation %zu", i);
		is_str(header(&req, "x-amz-server-side-encryption: "), "(none)", "(no such name)");
		is_str(header(&req, "x-amz-server-side-encryption"), makes ? "aws:kms" : "(none)",
		    "what makes an object asks for encryption");
		is_str(header(&req, "x-amz-server-side-encryption-aws-kms-key-id"),
		    makes ? "arn:aws:kms:r:1:key/k" : "(none)", "with the key");
		store_request_release(&req);
		is_int(store_build(&tencent, &call, &req, why, sizeof(why)), 0, "COS");
		is_str(header(&req, "x-cos-server-side-encryption"), makes ? "cos/kms" : "(none)",
		    "in its own words");
		is_str(header(&req, "x-cos-server-side-encryption-cos-kms-key-id"), "(none)",
		    "with its own key");
		store_request_release(&req);
	}
}

int
main(void)
{
	test_forms();
	test_words_between_stores();
	test_words();
	test_limits();
	test_replaced();
	test_refused();
	test_encryption();
	return done_testing();
}
