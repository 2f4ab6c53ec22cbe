"""What is a source object, and what is a store's own answer: pages of proxies, refused ranges, replaced objects, unknown ends."""

import pytest

from content import crc64_content
from origin import Origin
from rig import MIB, wait_until
from stores import BUCKET

HTTP = {"allow": ["127.0.0.1"], "private": True}
SIZE = 12 * MIB + 1  # three parts
PAGE = "<html><head><title>Log in</title></head><body>Who are you?</body></html>"


@pytest.fixture
def daemon(ferryd, cos, spool, origin):
    """A ferryd for which the origin is also a store of kind s3: its buckets are the origin's behaviours."""
    s3 = {"kind": "s3", "endpoint": f"http://127.0.0.1:{origin.port}"}
    return ferryd({"cos": cos.store(), "spool": spool.store(), "s3": s3}, workers=1, http=HTTP, retry_delay="50ms")


@pytest.fixture
def carry(daemon, db, origin):
    """carry(source, ...) carries one object to COS; a source that begins with a slash is a path of the origin."""
    def run(source, destination=f"cos://{BUCKET}/object", **columns):
        return db.wait(db.put(origin.url(source) if source[0] == "/" else source, destination, **{"max_attempts": 1, **columns}))
    return run


def whole(cos, row, size=SIZE, seed="origin"):
    assert row["state"] == "done", f"{row['error_class']}: {row['error']}"
    stored = cos.object("object")
    assert stored["size"] == size == row["bytes_total"]
    assert int(stored["crc64"]) == int(row["crc64"]) == crc64_content(seed, size)
    assert cos.uploads() == []


def refused(cos, row, *words, error_class="transient"):
    assert (row["state"], row["error_class"]) == ("failed", error_class), row["error"]
    for word in words:
        assert word in row["error"], row["error"]
    assert cos.objects() == {} and cos.uploads() == []


# An answer that is not the store's is not an object.

@pytest.mark.parametrize("size,nth", [(1000, 1), (SIZE, 1), (SIZE, 2), (SIZE, 3)])
def test_page_of_a_proxy_is_no_object_and_no_part(carry, cos, size, nth):
    """If a part was finished, there is another attempt, which asks by HEAD."""
    row = carry(f"s3://page/{size}/{nth}")
    sample = ['"<html><head><title>Log in</title></head><a href="/in"'] if nth == 1 else []
    refused(cos, row, "no ETag", "HTTP 200", "text/html", "Server proxy", *sample)
    assert "X-Amz" not in row["error"]


@pytest.mark.parametrize("size,nth", [(1000, 1), (SIZE, 1), (SIZE, 3)])
def test_page_that_passes_costs_no_attempt(carry, cos, size, nth):
    row = carry(f"s3://page/{size}/{nth}/{nth}")
    whole(cos, row, size)


def test_page_of_a_proxy_is_no_head(carry, cos, db):
    """With if_exists = fail the source is opened by a HEAD."""
    refused(cos, carry(f"s3://page/{SIZE}/1", if_exists="fail"), "HEAD", "no ETag", "text/html")


@pytest.mark.parametrize("source,words", [
    (f"s3://etagless/{SIZE}", ["no ETag"]),
    (f"s3://no-range/{1000}", ["no ETag"]),
    (f"s3://full/{SIZE}", ["whole object", "a range was asked for"]),
    (f"s3://shifted/{SIZE}", ["another range"]),
    (f"/shifted/{SIZE}", ["another range"]),
    ("s3://status/204", ["carries no object", "204"]),
    ("/status/204", ["carries no object", "204"]),
    ("/status/203", ["carries no object", "203"]),
    ("s3://longer/1000", ["Content-Length"]),
])
def test_answer_that_does_not_carry_what_was_asked_for(carry, cos, source, words):
    refused(cos, carry(source), *words)


def test_whole_object_in_answer_to_a_range_that_is_the_whole(carry, cos, origin):
    whole(cos, carry("s3://full/1000"), 1000)
    assert "HEAD" in {r.method for r in origin.requests}, "nothing but the 200 said what the object is"


# The same at the destination.

@pytest.mark.parametrize("op,size", [("put", MIB), ("initiate", SIZE), ("part", SIZE), ("complete", SIZE), ("head", SIZE)])
def test_page_is_no_answer_of_a_destination(carry, cos, spool, op, size):
    cos.fault({"page": PAGE}, op=op)
    row = carry(spool.put("o", size), max_attempts=2)
    assert (row["state"], row["error_class"], row["attempt"]) == ("failed", "transient", 2), row["error"]
    assert "text/html" in row["error"] and "Server proxy" in row["error"] and (op == "head" or "Who are you" in row["error"])
    if op == "part":
        assert cos.log("complete") == []


@pytest.mark.parametrize("op,size", [("put", MIB), ("part", SIZE), ("complete", SIZE), ("head", SIZE), ("list", SIZE)])
def test_page_of_a_destination_that_passes(carry, cos, spool, op, size):
    if op == "list":  # a part that fails makes the second attempt resume, with a list
        cos.faults({"match": {"op": "part", "part": 2}, "action": {"status": 500}, "times": 3},
                   {"match": {"op": "list-parts"}, "action": {"page": PAGE}, "times": 1})
    else:
        cos.fault({"page": PAGE}, times=1, op=op)
    whole(cos, carry(spool.put("origin", size), max_attempts=3), size)


@pytest.mark.parametrize("op", ["put", "part"])
def test_answer_without_etag_takes_no_bytes(carry, cos, spool, op):
    cos.fault({"etag": "none"}, op=op)
    row = carry(spool.put("o", MIB if op == "put" else SIZE))
    assert (row["state"], row["error_class"]) == ("failed", "transient") and "no ETag" in row["error"]
    assert cos.log("complete") == []


def test_page_does_not_make_an_existing_destination(carry, cos, spool):
    """A HEAD that a proxy answers must not end the task as skipped."""
    cos.fault({"page": PAGE}, op="head")
    row = carry(spool.put("o", MIB), if_exists="skip")
    assert (row["state"], row["error_class"]) == ("failed", "transient") and "no ETag" in row["error"]


def test_page_does_not_abort_an_upload(carry, cos, db, spool):
    cos.faults({"match": {"op": "abort"}, "action": {"page": PAGE}}, {"match": {"op": "complete"}, "action": {"status": 403}})
    assert carry(spool.put("o", SIZE))["state"] == "failed"
    assert len(cos.uploads()) == 1 and db.one("SELECT count(*) FROM ferry.upload") == 1, "the upload is open and nobody knows it"
    cos.faults()
    db.sql("SELECT ferry.reap()")
    wait_until(lambda: cos.uploads() == [], 10, "the upload to be aborted")


# 416 means empty only if it says so.

@pytest.mark.parametrize("query", ["", "?total=2000000", "?total=0x", "?etag=none"])
@pytest.mark.parametrize("if_exists", ["overwrite", "fail"])
def test_refused_range_is_no_empty_object(carry, cos, query, if_exists):
    whole(cos, carry(f"/refuses/{SIZE}{query}", if_exists=if_exists))


def test_refused_range_of_an_empty_object(carry, cos, origin):
    for source in ("/size/0", "/refuses/0", "s3://size/0", "s3://refuses/0"):
        cos.reset()
        whole(cos, carry(source), 0)


def test_416_without_a_range_fails(carry, cos):
    refused(cos, carry("/refuses/1000?whole=416"), "416", "no range was asked for")


# Two versions are never mixed.

@pytest.mark.parametrize("query", ["", "&deaf", "&deaf&same&weak=v"], ids=["condition", "Last-Modified", "weak ETag"])
def test_source_replaced_between_two_ranges(carry, cos, query):
    row = carry(f"/dated/{SIZE}?from=2{query}", max_attempts=3)
    whole(cos, row, seed="second")
    assert row["attempt"] == 1, "the first attempt did not see that the source changed"


def test_answer_that_does_not_say_of_which_version_it_is(carry, cos):
    refused(cos, carry(f"/dated/{SIZE}?undated=2&weak=w", if_exists="fail"), "lacks the ETag or Last-Modified")


def test_last_modified_pins_every_range(carry, cos, origin):
    whole(cos, carry(f"/dated/{SIZE}"), seed="first")
    first, *later = sorted(origin.requests)
    assert "If-Unmodified-Since" not in first.headers and len(later) == 2
    assert {r.headers.get("If-Unmodified-Since") for r in later} == {Origin.date(origin.started - 3600)}


@pytest.mark.parametrize("query", ["?age=-3600", "?age=-3600&weak=v"])
@pytest.mark.parametrize("if_exists", ["overwrite", "fail"])
def test_source_that_nothing_pins_is_read_by_one_get(carry, cos, origin, query, if_exists):
    whole(cos, carry(f"/dated/{SIZE}{query}", if_exists=if_exists), seed="first")
    sizes = [r for r in origin.requests if r.headers.get("Range") is None]
    assert len(sizes) in (1, 2) and len(origin.requests) <= 3


def test_get_that_breaks_is_not_continued_if_nothing_pins(carry, cos, origin):
    """The second version would be glued to the first: the body breaks off, and then the source is another."""
    row = carry(f"/dated/{SIZE}?age=-3600&same&short=2&from=3", max_attempts=2)
    whole(cos, row, seed="second")
    assert row["attempt"] == 1 and "starts over" not in (row["error"] or "")


def test_headers_and_bytes_of_a_source_that_nothing_pins_are_of_one_answer(carry, cos):
    """Two requests find out that there is nothing to pin; then the source is replaced."""
    whole(cos, carry(f"/dated/{SIZE}?age=-3600&same&from=3", if_exists="fail"), seed="second")
    assert cos.object("object")["headers"]["content-type"] == "x/second"
    for size in (1000, SIZE):
        cos.reset()
        row = carry(f"/chunked/{size}?each&seed={size}")
        seed = cos.object("object")["headers"]["content-type"][2:]
        whole(cos, row, size, seed)


@pytest.mark.parametrize("query,resumes", [("", True), ("?age=-3600&same", False)])
@pytest.mark.parametrize("replaced", [False, True])
def test_source_replaced_between_two_runs_of_the_daemon(daemon, db, cos, origin, query, resumes, replaced):
    mark = "&" if query else "?"
    cos.faults({"match": {"op": "part", "part": 3}, "action": {"hold": True}})
    task = db.put(origin.url(f"/dated/{SIZE}{query}{mark}deaf"), f"cos://{BUCKET}/object")
    wait_until(lambda: db.parts(task) == 2, 20, "two parts")
    daemon.kill()
    origin.replaced = replaced
    cos.faults()
    db.sql("UPDATE ferry.node SET renewed_at = renewed_at - interval '1 hour'")
    daemon.start()
    whole(cos, db.wait(task), seed="second" if replaced else "first")
    line, = daemon.wait_log(r'"task \d+ done"')
    assert ("resumed=2" in line) == (resumes and not replaced), line


# An end that is not known is not an end.

def test_body_that_ends_with_the_connection_needs_an_expectation(carry, cos):
    for query in ("", "?bytes=50000"):
        refused(cos, carry(f"/cut/100000{query}"), "expect_size", "expect_crc64", error_class="permanent")
    refused(cos, carry("/ancient/100000?length=0"), "expect_size", error_class="permanent")
    for expect in ({"expect_size": 100000}, {"expect_crc64": crc64_content("origin", 100000)}):
        cos.reset()
        whole(cos, carry("/cut/100000", **expect), 100000)
        cos.reset()
        refused(cos, carry("/cut/100000?bytes=50000", **expect), next(iter(expect)), error_class="permanent")


def test_the_same_over_tls_without_close_notify(ferryd, db, cos, certificate):
    origin = Origin(tls=certificate).start()
    try:
        daemon = ferryd({"cos": cos.store()}, start=False, workers=1, http=HTTP)
        trust = f"mount --bind {certificate[0]} /etc/ssl/certs/ca-certificates.crt && exec \"$@\""
        daemon.prefix = ["unshare", "--mount", "sh", "-c", trust, "sh"]
        daemon.start()
        row = db.wait(db.put(origin.url("/cut/100000?bytes=50000"), f"cos://{BUCKET}/object", max_attempts=1))
        assert row["state"] == "failed" and cos.objects() == {}
        assert "expect_size" in row["error"], row["error"]
    finally:
        origin.stop()


@pytest.mark.parametrize("query,error_class,word", [
    ("length=0x10", "transient", "Content-Length"),
    ("length=-1", "transient", "Content-Length"),
    ("length=99999999999999999999", "transient", "Content-Length"),
    ("length=1000,1001", "transient", "Content-Length"),
    ("length=9223372036854775807", "permanent", "9223372036854775807"),
    ("length=1152921504606846977", "permanent", "1152921504606846977"),
    ("coding=gzip", "permanent", "Transfer-Encoding"),
    ("coding=deflate", "permanent", "Transfer-Encoding"),
    ("coding=gzip,%20chunked", "permanent", "Transfer-Encoding"),
    ("coding=chunked&length=1000", "transient", "both"),
])
@pytest.mark.parametrize("where", ["cos", "file"])
@pytest.mark.parametrize("if_exists", ["overwrite", "fail"])
def test_framing_that_cannot_be_read_is_refused_by_name(carry, cos, query, error_class, word, where, if_exists):
    """A second task that meets the same would show that the server is in trouble."""
    row = carry(f"/framing/1000?{query}", "spool://out" if where == "file" else f"cos://{BUCKET}/object", if_exists=if_exists)
    refused(cos, row, word, error_class=error_class)
