"""What servers do, allowed or not: interim answers, closed connections, HTTP/1.0, throttling, lies, redirects, early answers."""

import pytest

from content import crc64_content
from rig import MIB
from stores import BUCKET

HTTP = {"allow": ["127.0.0.1"], "private": True}
SIZE = 12 * MIB + 1


@pytest.fixture
def daemon(ferryd, cos, spool, origin):
    """The origin is a store of kind s3 too, whose buckets are its behaviours."""
    s3 = {"kind": "s3", "endpoint": f"http://127.0.0.1:{origin.port}"}
    return ferryd({"cos": cos.store(), "spool": spool.store(), "s3": s3}, workers=1, http=HTTP, retry_delay="50ms")


def whole(db, cos, row, size=SIZE):
    assert row["state"] == "done", f"{row['error_class']}: {row['error']}"
    stored = cos.object("object")
    assert stored["size"] == size and int(stored["crc64"]) == int(row["crc64"]) == crc64_content("origin", size)
    assert stored["puts"] == 1 and cos.uploads() == []


def test_what_is_allowed(daemon, db, cos, origin):
    for source in ("{}interim/{}", "{}closes/{}", "{}drops/{}", "s3://interim/{1}", "s3://closes/{1}", "s3://drops/{1}", "{}ancient/{}",
                   "{}ancient/{}?length=0"):
        cos.reset()
        row = db.wait(db.put(source.format(origin.url(""), SIZE), f"cos://{BUCKET}/object"))
        whole(db, cos, row)
        assert row["attempt"] == 0, source


@pytest.mark.parametrize("query", ["status=503&after=1", "status=429&after=1", "status=503&after=2&date"])
def test_throttling_source_is_waited_for_as_long_as_it_says(daemon, db, cos, origin, query):
    row = db.wait(db.put(origin.url(f"/busy/{MIB}?times=1&{query}"), f"cos://{BUCKET}/object"), timeout=30)
    whole(db, cos, row, MIB)
    times = [r.time for r in origin.requests]
    assert times[1] - times[0] > 0.9, "it did not wait"


@pytest.mark.parametrize("source", ["{}short/{}", "s3://short/{1}"])
def test_shorter_than_it_says_is_taken_up_where_it_broke_off(daemon, db, cos, origin, source):
    row = db.wait(db.put(source.format(origin.url(""), MIB), f"cos://{BUCKET}/object", max_attempts=2))
    assert row["state"] == "failed" and row["error_class"] == "transient" and cos.objects() == {}
    firsts = [int(r.headers["Range"][6:].split("-")[0]) for r in origin.requests if r.method == "GET" and "Range" in r.headers]
    assert MIB // 2 in firsts, firsts


def test_longer_than_the_range_is_refused(daemon, db, cos, origin):
    row = db.wait(db.put(f"s3://longer/{MIB}", f"cos://{BUCKET}/object", max_attempts=1))
    assert row["state"] == "failed" and cos.objects() == {}
    row = db.wait(db.put(origin.url(f"/longer/{MIB}"), f"cos://{BUCKET}/object", max_attempts=1))
    assert row["state"] == "failed" and "range" in row["error"] and cos.objects() == {}


@pytest.mark.parametrize("way", ["source", "one PUT", "upload"])
def test_store_that_redirects_is_a_failure_that_says_what_to_configure(daemon, db, cos, spool, origin, way):
    there = f"s3://moved/{MIB}"
    uris = (there, f"cos://{BUCKET}/object") if way == "source" else (spool.put("o", MIB if way == "one PUT" else SIZE), there)
    row = db.wait(db.put(*uris))
    assert (row["state"], row["error_class"], row["attempt"]) == ("failed", "permanent", 1)
    assert "http://bucket.s3.elsewhere-1.test/key" in row["error"] and "endpoint and region of store s3" in row["error"]
    assert "X-Amz" not in row["error"] and "X-Amz" not in daemon.log_text()


@pytest.mark.parametrize("size,op", [(MIB, "put"), (SIZE, "part")])
def test_early_answer_says_why(daemon, db, cos, spool, size, op):
    """The status comes before the body is read, let alone sent."""
    cos.fault({"status": 413, "code": "EntityTooLarge"}, op=op)
    row = db.wait(db.put(spool.put("o", size), f"cos://{BUCKET}/object"))
    assert (row["state"], row["error_class"]) == ("failed", "permanent") and "413 EntityTooLarge" in row["error"]
    assert cos.uploads() == []


def test_early_answer_that_passes(daemon, db, cos, spool):
    cos.fault({"status": 500}, times=2, op="part")
    row = db.done(db.put(spool.put("origin", SIZE), f"cos://{BUCKET}/object"))
    whole(db, cos, row)
    assert row["attempt"] == 0


@pytest.mark.parametrize("kind", ["source", "destination"])
def test_store_that_throttles_without_end_is_throttled_and_not_broken(daemon, db, cos, spool, kind):
    db.done(db.put(spool.put("o", MIB), f"cos://{BUCKET}/from"))
    cos.fault({"status": 503, "code": "SlowDown"}, op="put" if kind == "destination" else "get")
    uris = (f"cos://{BUCKET}/from", "spool://x") if kind == "source" else ("spool://o", f"cos://{BUCKET}/object")
    row = db.wait(db.put(*uris, max_attempts=1))
    assert (row["state"], row["error_class"]) == ("failed", "throttled") and "SlowDown" in row["error"]
