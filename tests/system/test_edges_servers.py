"""Unusual and wrong behaviour of servers: interim answers, closed connections, HTTP/1.0, throttling, lies, redirects, early answers."""

import pytest

from content import crc64_content
from rig import MIB, wait_until
from stores import BUCKET

HTTP = {"allow": ["127.0.0.1"], "private": True}
SIZE = 12 * MIB + 1


@pytest.fixture
def daemon(ferryd, cos, spool, origin):
    """A ferryd for which the origin is also a store of kind s3: its buckets are the origin's behaviours."""
    s3 = {"kind": "s3", "endpoint": f"http://127.0.0.1:{origin.port}"}
    return ferryd({"cos": cos.store(), "spool": spool.store(), "s3": s3}, workers=1, http=HTTP, retry_delay="50ms")


def whole(db, cos, row, size=SIZE):
    assert row["state"] == "done", f"{row['error_class']}: {row['error']}"
    stored = cos.object("object")
    assert stored["size"] == size and int(stored["crc64"]) == int(row["crc64"]) == crc64_content("origin", size)
    assert stored["puts"] == 1 and cos.uploads() == []


def test_unusual_but_allowed_behaviour_costs_no_attempt(daemon, db, cos, origin):
    for source in ("{}interim/{}", "{}closes/{}", "{}drops/{}", "s3://interim/{1}", "s3://closes/{1}", "s3://drops/{1}", "{}ancient/{}",
                   "{}ancient/{}?length=0"):
        cos.reset()
        expect = {"expect_size": SIZE} if "length=0" in source else {}
        row = db.wait(db.put(source.format(origin.url(""), SIZE), f"cos://{BUCKET}/object", **expect))
        whole(db, cos, row)
        assert row["attempt"] == 0, source


@pytest.mark.parametrize("query", ["status=503&after=1", "status=429&after=1", "status=503&after=2&date"])
def test_worker_waits_as_long_as_a_throttling_source_asks(daemon, db, cos, origin, query):
    row = db.wait(db.put(origin.url(f"/busy/{MIB}?times=1&{query}"), f"cos://{BUCKET}/object"), timeout=30)
    whole(db, cos, row, MIB)
    times = [r.time for r in origin.requests]
    assert times[1] - times[0] > 0.9, "the worker did not wait"


def test_task_waits_as_long_as_a_throttling_source_asks(ferryd, db, cos, origin):
    """Ten minutes are too long for the worker: the row waits."""
    ferryd({"cos": cos.store()}, workers=1, http=HTTP, retry_delay="10ms")
    task = db.put(origin.url(f"/busy/{MIB}?times=1&after=600"), f"cos://{BUCKET}/object")
    db.waits(task)
    (waits,) = db.sql("SELECT state, extract(epoch FROM run_at - now()) AS seconds FROM ferry.task WHERE id = %s", (task,))
    assert waits["state"] == "queued" and 500 < waits["seconds"] <= 600 and len(origin.requests) == 1


@pytest.mark.parametrize("source", ["{}short/{}", "s3://short/{1}"])
def test_body_shorter_than_stated_is_continued_where_it_broke_off(daemon, db, cos, origin, source):
    """Each answer brings a half of what is left."""
    whole(db, cos, db.wait(db.put(source.format(origin.url(""), MIB), f"cos://{BUCKET}/object", max_attempts=1)), MIB)
    firsts = [int(r.headers["Range"][6:].split("-")[0]) for r in origin.requests if r.method == "GET" and "Range" in r.headers]
    assert MIB // 2 in firsts, firsts


def test_body_longer_than_the_range_is_refused(daemon, db, cos, origin):
    row = db.wait(db.put(f"s3://longer/{MIB}", f"cos://{BUCKET}/object", max_attempts=1))
    assert row["state"] == "failed" and cos.objects() == {}
    row = db.wait(db.put(origin.url(f"/longer/{MIB}"), f"cos://{BUCKET}/object", max_attempts=1))
    assert row["state"] == "failed" and "range" in row["error"] and cos.objects() == {}
    # the bytes of the range are all there before the first one that is too many
    row = db.wait(db.put(origin.url(f"/longer/{MIB}?chunked"), f"cos://{BUCKET}/object", max_attempts=1))
    assert row["state"] == "failed" and "range" in row["error"] and cos.objects() == {}


@pytest.mark.parametrize("way", ["source", "one PUT", "upload"])
def test_redirect_of_a_store_fails_the_task_and_says_what_to_configure(daemon, db, cos, spool, origin, way):
    there = f"s3://moved/{MIB}"
    uris = (there, f"cos://{BUCKET}/object") if way == "source" else (spool.put("o", MIB if way == "one PUT" else SIZE), there)
    row = db.wait(db.put(*uris))
    assert (row["state"], row["error_class"], row["attempt"]) == ("failed", "permanent", 1)
    assert "http://bucket.s3.elsewhere-1.test/key" in row["error"] and "endpoint and region of store s3" in row["error"]
    assert "X-Amz" not in row["error"] and "X-Amz" not in daemon.log_text()


@pytest.mark.parametrize("size,op", [(MIB, "put"), (SIZE, "part")])
def test_error_names_an_early_answer(daemon, db, cos, spool, size, op):
    """The endpoint answers before it reads the body, and before the worker has sent it all."""
    cos.fault({"status": 413, "code": "EntityTooLarge"}, op=op)
    row = db.wait(db.put(spool.put("o", size), f"cos://{BUCKET}/object"))
    assert (row["state"], row["error_class"]) == ("failed", "permanent") and "413 EntityTooLarge" in row["error"]
    assert cos.uploads() == []


def test_success_before_the_body_was_sent_is_none(ferryd, db, cos, spool):
    """With verify none, nothing else would tell that the store cannot have the object."""
    ferryd({"cos": cos.store(verify="none"), "spool": spool.store()}, workers=1, worker={"part_size": "64M"}, retry_delay="10ms")
    cos.fault({"early": True}, times=1, op="put")
    row = db.done(db.put(spool.put("origin", 40 * MIB), f"cos://{BUCKET}/object"))
    whole(db, cos, row, 40 * MIB)


def test_early_answer_that_passes_costs_no_attempt(daemon, db, cos, spool):
    cos.fault({"status": 500}, times=2, op="part")
    row = db.done(db.put(spool.put("origin", SIZE), f"cos://{BUCKET}/object"))
    whole(db, cos, row)
    assert row["attempt"] == 0


@pytest.mark.parametrize("close", ["before", "mid", "after"])
@pytest.mark.parametrize("size,op", [(MIB, "put"), (SIZE, "part")])
def test_put_on_a_kept_connection_that_breaks_harms_no_later_put(daemon, db, cos, spool, size, op, close):
    """libcurl cannot send such a body twice; since version 8.7 its handle fails every upload that follows."""
    first = spool.put("first", size)
    db.done(db.put(first, f"cos://{BUCKET}/first"))
    cos.fault({"close": close}, times=1, op=op)
    row = db.done(db.put(spool.put("origin", size), f"cos://{BUCKET}/object"))
    assert row["attempt"] == 0, row["error"]
    for n in range(3):
        row = db.done(db.put(first, f"cos://{BUCKET}/later-{n}"))
        assert row["attempt"] == 0, row["error"]


@pytest.mark.parametrize("kind", ["source", "destination"])
def test_store_that_throttles_without_end_is_throttled_and_not_broken(daemon, db, cos, spool, kind):
    db.done(db.put(spool.put("o", MIB), f"cos://{BUCKET}/from"))
    cos.fault({"status": 503, "code": "SlowDown"}, op="put" if kind == "destination" else "get")
    uris = (f"cos://{BUCKET}/from", "spool://x") if kind == "source" else ("spool://o", f"cos://{BUCKET}/object")
    task = db.put(*uris, max_attempts=1)
    row = db.waits(task)
    assert row["error_class"] == "throttled" and "SlowDown" in row["error"]
    cos.faults()
    db.done(task)
