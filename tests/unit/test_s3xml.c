/*
 * The stores' XML: answers of S3, Ceph and COS, and hostile ones.  Every document is read whole and
 * byte by byte; both must give the same result.
 */
#include <stdlib.h>

#include "tests/unit/tap.h"
#include "worker/store/xml.h"

#define DECLARATION "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
#define S3_NS " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""

static char why[256];

/* Feeds len bytes in pieces of step.  If feed returns -1, finish must, too. */
static int
read_pieces(struct s3xml *x, const char *doc, size_t len, size_t step)
{
	int fed = 0;

	if (s3xml_init(x, true) == -1)
		return -2;
	for (size_t at = 0; at < len && fed == 0; at += step)
		fed = s3xml_feed(x, doc + at, len - at < step ? len - at : step);
	why[0] = '\0';
	if (s3xml_finish(x, why, sizeof(why)) == 0)
		return fed == 0 && s3xml_finish(x, why, sizeof(why)) == 0 ? 0 : -3;
	return why[0] != '\0' ? -1 : -4;
}

static int
read_bytes(struct s3xml *x, const char *doc, size_t len)
{
	struct s3xml single;
	int whole, bytes;

	bytes = read_pieces(&single, doc, len, 1);
	whole = read_pieces(x, doc, len, len);
	if (whole != bytes ||
	    (whole == 0 && (single.root != x->root || strcmp(single.message, x->message) != 0)))
		whole = -5;
	s3xml_release(&single);
	return whole;
}

static int
read_text(struct s3xml *x, const char *doc)
{
	return read_bytes(x, doc, strlen(doc));
}

static void
accepts(const char *doc, enum s3xml_root root, const char *upload_id, const char *etag,
    const char *what)
{
	struct s3xml x;

	is_int(read_text(&x, doc), 0, "%s", what);
	if (why[0] != '\0')
		printf("# %s\n", why);
	is_int(x.root, root, "%s: its root", what);
	is_str(x.upload_id, upload_id, "%s: its upload id", what);
	is_str(x.etag, etag, "%s: its ETag", what);
	s3xml_release(&x);
}

static void
refuses_bytes(const char *doc, size_t len, const char *sentence, const char *what)
{
	struct s3xml x;

	is_int(read_bytes(&x, doc, len), -1, "%s is refused", what);
	ok(strstr(why, sentence) != NULL, "%s: because of \"%s\"", what, sentence);
	if (strstr(why, sentence) == NULL)
		printf("# %s\n", why);
	s3xml_release(&x);
}

static void
refuses(const char *doc, const char *sentence, const char *what)
{
	refuses_bytes(doc, strlen(doc), sentence, what);
}

static void
test_answers(void)
{
	accepts(DECLARATION "<InitiateMultipartUploadResult" S3_NS "><Bucket>b</Bucket><Key>k</Key>"
			    "<UploadId>VXBsb2FkIElE.-_~</UploadId></InitiateMultipartUploadResult>",
	    S3XML_INITIATE, "VXBsb2FkIElE.-_~", "", "Initiate of S3");
	accepts("<InitiateMultipartUploadResult><Bucket>b-125</Bucket><Key>k&amp;</"
		"Key><UploadId>15851308</UploadId>"
		"</InitiateMultipartUploadResult>\n",
	    S3XML_INITIATE, "15851308", "", "Initiate of COS, no declaration");
	accepts(DECLARATION
	    "<s:InitiateMultipartUploadResult xmlns:s=\"x\"><s:UploadId>\n a1\t</s:UploadId>"
	    "</s:InitiateMultipartUploadResult>",
	    S3XML_INITIATE, "a1", "", "Initiate with a prefix and blanks");
	accepts("\n  \r\n\t   " DECLARATION "   \n  <CompleteMultipartUploadResult" S3_NS
		"><Location>http://x/</Location>"
		"<ETag>&quot;3858f62230ac3c915f300c664312c11f-9&quot;</ETag></"
		"CompleteMultipartUploadResult>",
	    S3XML_COMPLETE, "", "3858f62230ac3c915f300c664312c11f-9",
	    "Complete behind white space");
	accepts("<CompleteMultipartUploadResult><ETag></ETag></CompleteMultipartUploadResult>",
	    S3XML_COMPLETE, "", "", "Complete of Ceph, its first answer");
	accepts(
	    "<CompleteMultipartUploadResult><ETag>3858-9</ETag></CompleteMultipartUploadResult>",
	    S3XML_COMPLETE, "", "3858-9", "Complete of Ceph, repeated");
	accepts("<CopyPartResult><ETag>\"a\"</ETag><CRC64>12</CRC64></CopyPartResult>",
	    S3XML_COPY_PART, "", "a", "CopyPart");
	accepts("\xef\xbb\xbf" DECLARATION "<Other/>", S3XML_OTHER, "", "",
	    "an unknown root behind a byte order mark");
	accepts("<Other><ETag>no</ETag><UploadId>no</UploadId></Other>", S3XML_OTHER, "", "",
	    "an unknown document");
	accepts("<CompleteMultipartUploadResult><Owner><ETag>x</ETag></Owner><ETag>y</ETag></"
		"CompleteMultipartUploadResult>",
	    S3XML_COMPLETE, "", "y", "a field's name somewhere else");
	accepts("<Error><!-- ETag --><ETag>x</ETag><?pi?></Error>", S3XML_ERROR, "", "",
	    "another document's field");
}

static void
test_errors(void)
{
	static char long_message[4096];
	struct s3xml x;

	is_int(read_text(&x,
		   DECLARATION "<Error><Code>SlowDown</Code><Message>Reduce &lt;it&gt;</Message>"
			       "<Resource/><RequestId>1</RequestId><TraceId>2</TraceId></Error>"),
	    0, "an error");
	is_str(x.code, "SlowDown", "its code");
	is_str(x.message, "Reduce <it>", "its message");
	s3xml_release(&x);

	is_int(read_text(&x, "<Error><Code>NoSuchKey</Code><RequestId>tx0</RequestId><HostId>1</"
			     "HostId></Error>"),
	    0, "an error of Ceph");
	is_str(x.code, "NoSuchKey", "its code");
	is_str(x.message, "", "it has no message");
	s3xml_release(&x);

	is_int(
	    read_text(&x,
		"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"),
	    0, "a signature whose time has passed");
	is_str(x.code, "RequestTimeTooSkewed", "has a code of its own");
	s3xml_release(&x);

	is_int(
	    read_text(&x, "<Error><Code>SignatureDoesNotMatch</Code><CanonicalRequest>PUT\n/b/k\n\n"
			  "host:rgw:8080\nx-amz-date:1\n\nhost</CanonicalRequest></Error>"),
	    0, "an Error of Amazon that repeats the request");
	is_str(x.signed_host, "rgw:8080", "the host that it saw");
	s3xml_release(&x);
	is_int(read_text(&x,
		   "<Error><FormatString>put\n/k\n\ndate=1&amp;host=b.cos.test%3A80&amp;z=1\n"
		   "</FormatString></Error>"),
	    0, "an Error of COS that repeats the request");
	is_str(x.signed_host, "b.cos.test:80", "the host that it saw");
	s3xml_release(&x);
	is_int(read_text(&x, "<Error><FormatString>put\n/k\n\nhost=b\n</FormatString></Error>"), 0,
	    "one with no header before Host");
	is_str(x.signed_host, "b", "the host that it saw");
	s3xml_release(&x);
	snprintf(long_message, sizeof(long_message), "<Error><Message>%.*s", 254,
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	    "aaaaaaaaaaaaaaaa"
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	    "aaaaaaaaaaaaaaaa"
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
	strlcat(long_message, "\xe6\x97\xa5\xe6\x9c\xac &amp; aa</Message><Code>X</Code></Error>",
	    sizeof(long_message));
	is_int(read_text(&x, long_message), 0, "a message beyond its limit");
	is_int(strlen(x.message), 254, "is cut between characters");
	ok(x.message[253] == 'a', "and nothing is added behind the cut");
	is_str(x.code, "X", "and the code behind it is read");
	s3xml_release(&x);
}

#define PART(n, size, etag)                                                                \
	"<Part><PartNumber>" n "</PartNumber><LastModified>2026</LastModified><ETag>" etag \
	"</ETag><Size>" size "</Size></Part>"
#define LIST(parts) \
	DECLARATION "<ListPartsResult" S3_NS "><UploadId>u</UploadId>" parts "</ListPartsResult>"
#define MORE(marker) \
	"<IsTruncated>true</IsTruncated><NextPartNumberMarker>" marker "</NextPartNumberMarker>"

/* A byte order mark is obeyed; the result is UTF-8 nevertheless. */
static void
test_utf16(void)
{
	static const char doc[] =
	    "\xff\xfe<\0E\0r\0r\0o\0r\0>\0<\0C\0o\0d\0e\0>\0\xfc\0<\0/\0C\0o\0d\0e\0>\0"
	    "<\0/\0E\0r\0r\0o\0r\0>\0";
	struct s3xml x;

	is_int(read_bytes(&x, doc, sizeof(doc) - 1), 0, "UTF-16 behind its mark");
	is_str(x.code, "\xc3\xbc", "comes out as UTF-8");
	s3xml_release(&x);
}

static void
test_list(void)
{
	struct s3xml x;

	is_int(
	    read_text(&x,
		LIST("<MaxParts>1000</MaxParts>" MORE("7") PART("1", "5242880", "&quot;abc&quot;")
			PART("7", "9223372036854775807", "\"d\"") "<Owner><ID>i</ID></Owner>")),
	    0, "a list of parts");
	is_int(x.nparts, 2, "two of them");
	is_int(x.parts[0].number, 1, "the first's number");
	is_int(x.parts[0].size, 5242880, "its size");
	is_str(x.parts[0].etag, "abc", "its ETag");
	is_int(x.parts[1].number, 7, "the second's number");
	is_int(x.parts[1].size, INT64_MAX, "its size");
	ok(x.truncated && x.next_marker == 7, "and more parts after 7");
	s3xml_release(&x);

	is_int(read_text(&x, LIST("<IsTruncated>false</IsTruncated><NextPartNumberMarker/>")), 0,
	    "an empty list");
	ok(x.nparts == 0 && !x.truncated && x.next_marker == 0,
	    "has no parts, and no further page");
	s3xml_release(&x);

	is_int(read_text(&x, LIST("<IsTruncated>true</IsTruncated>" PART("3", "1", "e"))), 0,
	    "more, and no marker");
	is_int(x.next_marker, 3, "continues after the last part");
	s3xml_release(&x);

	is_int(s3xml_init(&x, false), 0, "a parser without room for a list");
	is_int(s3xml_feed(&x, LIST(PART("1", "1", "e")), strlen(LIST(PART("1", "1", "e")))), 0,
	    "gets a list");
	is_int(s3xml_finish(&x, why, sizeof(why)), -1, "refuses it");
	is_int(s3xml_feed(&x, "<a>", 3), -1, "and all further input");
	s3xml_release(&x);
	s3xml_release(&x);
	ok(true, "releasing twice is harmless");
}

#define SUMMED(n, size, etag, sum)                                                      \
	"<Part><PartNumber>" n "</PartNumber><ETag>" etag "</ETag><ChecksumCRC32C>" sum \
	"</ChecksumCRC32C><Size>" size "</Size></Part>"

static void
test_checksums(void)
{
	struct s3xml x;

	is_int(read_text(&x,
		   LIST("<ChecksumAlgorithm>CRC32C</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</"
			"ChecksumType>" SUMMED("1", "9", "a", "4waSgw==")
			    SUMMED("2", "9", "b", "4waSgw==-2") PART("3", "9", "c"))),
	    0, "a list of parts with checksums");
	is_str(x.checksum_algorithm, "CRC32C", "their algorithm");
	is_str(x.checksum_type, "FULL_OBJECT", "and the type of the whole object's checksum");
	is_int(x.nparts, 3, "three of them");
	ok(x.parts[0].has_crc32c && x.parts[0].crc32c == 0xe3069283, "the first's checksum");
	ok(!x.parts[1].has_crc32c, "a malformed checksum is dropped");
	ok(!x.parts[2].has_crc32c, "and does not come from the part before");
	s3xml_release(&x);
	refuses(LIST("<ChecksumAlgorithm>CRC32CCRC32CCRC32C</ChecksumAlgorithm>"), "is longer",
	    "an algorithm that is too long");
}

static void
test_bad_lists(void)
{
	refuses(LIST(PART("0", "1", "e")), "PartNumber", "part 0");
	refuses(LIST(PART("10001", "1", "e")), "PartNumber", "part 10001");
	refuses(LIST(PART("-1", "1", "e")), "PartNumber", "part -1");
	refuses(LIST(PART("+1", "1", "e")), "PartNumber", "part +1");
	refuses(LIST(PART("1x", "1", "e")), "PartNumber", "part 1x");
	refuses(LIST(PART("", "1", "e")), "PartNumber", "a part without a number in its number");
	refuses(LIST(PART("4294967297", "1", "e")), "PartNumber", "part 2^32 + 1");
	refuses(LIST(PART("1", "-1", "e")), "Size", "a size under 0");
	refuses(LIST(PART("1", "9223372036854775808", "e")), "Size", "a size that overflows");
	refuses(LIST(PART("1", "0x10", "e")), "Size", "a size in hex");
	refuses(LIST(PART("1", "00000000000000000000000000000000000001", "e")), "Size",
	    "a size of 38 digits");
	refuses(LIST(PART("1", "1", "a b")), "ETag", "an ETag with a blank");
	refuses(LIST(PART("1", "1", "a\"b")), "ETag", "an ETag with a quote");
	refuses(LIST(PART("1", "1", "\xc3\xbc")), "ETag", "an ETag that is not ASCII");
	refuses(LIST("<Part><PartNumber>1</PartNumber><ETag>e</ETag></Part>"), "without",
	    "a part without a size");
	refuses(LIST(PART("1", "1", "e") PART("1", "1", "e")), "ascend", "the same part twice");
	refuses(LIST(PART("2", "1", "e") PART("1", "1", "e")), "ascend", "parts out of order");
	refuses(LIST("<Part><PartNumber>1</PartNumber><PartNumber>2</PartNumber></Part>"), "twice",
	    "two numbers in a part");
	refuses(LIST("<Part><Part>x</Part></Part>"), "without", "a part in a part");
	refuses(LIST(MORE("0") PART("5", "1", "e")), "advance", "a marker that leads back");
	refuses(LIST(MORE("9")), "advance", "more behind nothing");
	refuses(
	    LIST(MORE("10001")), "NextPartNumberMarker", "a marker behind the last possible part");
	refuses(LIST("<IsTruncated>maybe</IsTruncated>"), "IsTruncated", "perhaps more");
}

static void
test_1001_parts(void)
{
	char *doc = malloc(200 * 1001), *p = doc;
	struct s3xml x;

	p += snprintf(p, 200, "<ListPartsResult>");
	for (int i = 1; i <= 1000; i++)
		p += snprintf(p, 200,
		    PART("%d", "5242880", "&quot;0123456789abcdef0123456789abcdef&quot;"), i);
	strlcpy(p, "</ListPartsResult>", 200);
	is_int(read_text(&x, doc), 0, "1,000 parts fit");
	is_int(x.nparts, 1000, "all of them");
	s3xml_release(&x);
	strlcpy(p, PART("1001", "1", "e") "</ListPartsResult>", 200);
	refuses(doc, "more than 1000", "part 1,001 of a page");
	free(doc);
}

#define UPLOADS(inner)                                                           \
	"<ListMultipartUploadsResult><Bucket>b</Bucket><Prefix>k</Prefix>" inner \
	"</ListMultipartUploadsResult>"
#define UPLOAD(key, id, at)                                                                      \
	"<Upload><Key>" key "</Key><UploadId>" id "</UploadId><Initiator><ID>x</ID></Initiator>" \
	"<Owner><DisplayName>o</DisplayName></Owner><StorageClass>STANDARD</"                    \
	"StorageClass><Initiated>" at "</Initiated></Upload>"

static void
test_uploads(void)
{
	static char many[101 * 256 + 128];
	struct s3xml x;

	is_int(read_text(&x,
		   DECLARATION UPLOADS("<IsTruncated>false</IsTruncated>" UPLOAD("k&amp; ", "u.1",
		       "2026-11-24T16:21:09.123Z") UPLOAD("k2", "u2", "2026-11-24T16:21:10Z"))),
	    0, "two uploads");
	is_int(x.root, S3XML_LIST_UPLOADS, "their root");
	is_int(x.nuploads, 2, "both");
	is_str(x.uploads[0].key, "k& ", "a key keeps its blank");
	is_str(x.uploads[0].id, "u.1", "an id");
	is_int(x.uploads[0].initiated, 1795537269, "a time");
	is_int(x.uploads[1].initiated, 1795537270, "one without a fraction");
	s3xml_release(&x);
	is_int(read_text(&x, UPLOADS("")), 0, "none");
	ok(x.nuploads == 0 && !x.truncated, "and no more");
	s3xml_release(&x);
	refuses(UPLOADS("<Upload><Key>k</Key><UploadId>u</UploadId></Upload>"), "without",
	    "one without a time");
	refuses(UPLOADS(UPLOAD("k", "u", "yesterday")), "no time", "one begun yesterday");
	refuses(
	    UPLOADS(UPLOAD("k", "u v", "2026-11-24T16:21:10Z")), "UploadId", "an id with a blank");
	strlcpy(many, "<ListMultipartUploadsResult>", sizeof(many));
	for (int i = 0; i < 101; i++)
		strlcat(many,
		    "<Upload><Key>k</Key><UploadId>u</UploadId><Initiated>2026-11-24T16:21:10Z</"
		    "Initiated></Upload>",
		    sizeof(many));
	strlcat(many, "</ListMultipartUploadsResult>", sizeof(many));
	refuses(many, "more than 100", "101 uploads");
}

static void
test_hostile(void)
{
	static char text[(2 << 20) + 1];
	const size_t size = sizeof(text) - 1;
	const size_t longest = sizeof(((struct s3xml *)0)->code) - 1;
	static const char nul[] = "<Error><Code>a\0b</Code></Error>";
	size_t len;

	refuses("", "empty", "nothing");
	refuses("  \r\n ", "empty", "nothing but white space");
	refuses("garbage", "", "no XML");
	refuses("<html><body><p>Bad gateway<br></body></html>", "mismatched", "HTML");
	refuses("<Error><Code>x</Code>", "", "a document that ends early");
	refuses("<Error><Code>SlowDown</Code></Error", "", "a document that ends in its last tag");
	refuses(
	    "<CompleteMultipartUploadResult><ETag>a</ETag></CompleteMultipartUploadResult><Error/>",
	    "junk", "two roots");
	refuses("<Error/>x", "junk", "text behind the root");
	refuses(
	    "<!DOCTYPE lolz [<!ENTITY a \"lol\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;\">"
	    "<!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;\">]><Error><Message>&c;</Message></Error>",
	    "DOCTYPE", "a billion laughs");
	refuses("<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><Error/>", "DOCTYPE",
	    "a document type from elsewhere");
	refuses("<Error><Message>&undefined;</Message></Error>", "undefined entity",
	    "an undefined entity");
	accepts("<a><a><a><a><a><a><a><a/></a></a></a></a></a></a></a>", S3XML_OTHER, "", "",
	    "eight levels");
	refuses("<a><a><a><a><a><a><a><a><a/></a></a></a></a></a></a></a></a>", "nested",
	    "nine levels");
	refuses(
	    "<Error><Code>a<b/></Code></Error>", "element where text", "an element inside a field");
	refuses("<Error><Code>a</Code><Code>b</Code></Error>", "twice", "two codes");
	refuses("<Error><Code>\xff\xfe</Code></Error>", "", "bytes that are not UTF-8");
	refuses("<InitiateMultipartUploadResult><UploadId>a "
		"b</UploadId></InitiateMultipartUploadResult>",
	    "UploadId", "an upload id with a blank");
	refuses_bytes(nul, sizeof(nul) - 1, "", "a NUL");

	len = (size_t)snprintf(text, sizeof(text), "<Error><Code>");
	memset(text + len, 'x', size - len);
	strlcpy(text + len + longest, "</Code></Error>", sizeof("</Code></Error>"));
	accepts(text, S3XML_ERROR, "", "", "the longest code");
	strlcpy(text + len + longest, "x</Code></Error>", sizeof("x</Code></Error>"));
	refuses(text, "Code is longer", "a code that is one byte longer");
	memset(text + len, 'x', size - len);
	refuses_bytes(text, 2000, "Code is longer", "a code of 2,000 bytes");
	memcpy(text, "<Error><None>", len);
	refuses_bytes(text, size, "more than", "2 MiB of text in an unknown element");
	memcpy(text, "<Error xxxxxx", len);
	refuses_bytes(text, size, "more than", "an attribute's name of 2 MiB");
	memset(text, ' ', size - 10);
	memcpy(text + size - 10, "<Error  />", 10);
	accepts(
	    text + size - (1 << 16), S3XML_ERROR, "", "", "64 KiB of white space, then a document");
}

int
main(void)
{
	test_answers();
	test_errors();
	test_utf16();
	test_list();
	test_checksums();
	test_bad_lists();
	test_1001_parts();
	test_uploads();
	test_hostile();
	return done_testing();
}
