"""HTTP and HTTPS sources: with and without ranges, of known and of unknown length, pre-signed, with redirects, with TLS."""

import pytest

from content import crc64_content
from origin import SIGNATURE, Origin
from rig import MIB, wait_until
from stores import BUCKET

HTTP = {"allow": ["127.0.0.1"], "private": True}


@pytest.fixture
def carry(ferryd, db, cos, origin):
    """carry(path, ...) carries an object from the origin to COS and returns the row of the task when it has ended."""
    ferryd({"cos": cos.store()}, workers=1, http=HTTP)

    def run(path, **columns):
        return db.wait(db.put(origin.url(path), f"cos://{BUCKET}/object", **columns))
    return run


def must_be_whole(cos, row, seed, size):
    assert row["state"] == "done", f"{row['error_class']}: {row['error']}"
    stored = cos.object("object")
    assert stored["size"] == size == row["bytes_total"] and stored["puts"] == 1
    assert int(row["crc64"]) == int(stored["crc64"]) == crc64_content(seed, size)
    assert cos.uploads() == []


@pytest.mark.parametrize("size", [0, 1, 5 * MIB, 17 * MIB + 3])
@pytest.mark.parametrize("kind", ["size", "etagless", "no-range"])
def test_known_length(carry, cos, kind, size):
    must_be_whole(cos, carry(f"/{kind}/{size}"), "origin", size)


def test_etag_of_the_first_answer_pins_every_range(carry, cos, origin):
    must_be_whole(cos, carry(f"/size/{17 * MIB}"), "origin", 17 * MIB)
    first, *later = sorted(origin.requests)
    assert first.headers["Range"].startswith("bytes=0-") and "If-Match" not in first.headers
    assert len(later) == 3, "the first request did not bring the first part"
    assert {r.headers.get("If-Match") for r in later} == {f'"origin-{17 * MIB}"'}
    assert all("Accept-Encoding" not in r.headers for r in origin.requests)


def test_server_that_does_not_look_at_the_condition(ferryd, db, cos, origin):
    """The ETag of each answer is compared with that of the first: two versions are never mixed."""
    ferryd({"cos": cos.store()}, workers=1, http=HTTP, worker={"streams": 1}, retry_delay="10ms")
    row = db.done(db.put(origin.url(f"/heedless/{12 * MIB}"), f"cos://{BUCKET}/object"))
    assert row["attempt"] == 1 and int(cos.object("object")["crc64"]) == crc64_content("second", 12 * MIB)


def test_source_without_ranges_is_read_once(carry, cos, origin):
    must_be_whole(cos, carry(f"/no-range/{17 * MIB}"), "origin", 17 * MIB)
    assert len([r for r in origin.requests if r.method == "GET"]) <= 2


@pytest.mark.parametrize("size", [3 * MIB, 12 * MIB])
def test_unknown_length_goes_through_a_buffer_of_a_part(carry, cos, size):
    row = carry(f"/chunked/{size}")
    must_be_whole(cos, row, "origin", size)
    assert row["peak_memory"] < 48 * MIB


def test_unknown_length_with_parts_that_are_larger_than_the_cap(ferryd, db, cos, origin):
    ferryd({"cos": cos.store()}, workers=1, http=HTTP, worker={"part_size": "1G"})
    row = db.wait(db.put(origin.url(f"/chunked/{100 * MIB}"), f"cos://{BUCKET}/object"))
    must_be_whole(cos, row, "origin", 100 * MIB)
    assert (row["ooms"], row["crashes"]) == (0, 0) and row["peak_memory"] < 64 * MIB


def test_unknown_length_that_the_cap_does_not_allow_fails_with_the_reason(ferryd, db, cos, origin):
    ferryd({"cos": cos.store()}, workers=1, http=HTTP, worker={"memory": "14M", "streams": 1})
    row = db.wait(db.put(origin.url(f"/chunked/{12 * MIB}"), f"cos://{BUCKET}/object"))
    assert row["state"] == "failed" and row["error_class"] == "permanent"
    assert "length" in row["error"] and "memory" in row["error"]
    assert cos.uploads() == [] and cos.objects() == {}


def test_pre_signed_url_that_refuses_head(carry, cos, origin):
    row = carry(f"/secret/{12 * MIB}?X-Amz-Signature={SIGNATURE}")
    must_be_whole(cos, row, "origin", 12 * MIB)
    assert {r.method for r in origin.requests} == {"GET"}


def test_content_type_of_the_source_goes_along(carry, cos):
    assert carry("/size/1000")["state"] == "done"
    assert cos.object("object")["headers"]["content-type"] == "application/x-origin"


def test_parts_and_tasks_share_connections(ferryd, db, cos, spool):
    """The destination sees one connection for each stream, and one for each Initiate."""
    ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1, worker={"streams": 2})
    for n in range(3):
        db.done(db.put(spool.put("object", 30 * MIB), f"cos://{BUCKET}/{n}"))
    requests = cos.log()
    assert len(requests) > 20 and len({e["peer"] for e in requests}) <= 2 + 3


def test_silent_source_fails_after_the_stall_timeout(ferryd, db, cos, origin):
    ferryd({"cos": cos.store()}, workers=1, http=HTTP, worker={"stall_timeout": "1s", "connect_timeout": "1s"})
    row = db.wait(db.put(origin.url("/hang"), f"cos://{BUCKET}/object", max_attempts=1), timeout=40)
    assert row["state"] == "failed" and row["error_class"] == "transient"
    assert "no progress" in row["error"] or "timed out" in row["error"], row["error"]


def test_slow_source_is_not_stalled(ferryd, db, cos, origin):
    ferryd({"cos": cos.store()}, workers=1, http=HTTP, worker={"stall_timeout": "4s", "connect_timeout": "1s"})
    row = db.done(db.put(origin.url(f"/slow/{MIB}?rate=200000"), f"cos://{BUCKET}/object"))
    assert (row["finished_at"] - row["started_at"]).total_seconds() > 4.5 and row["attempt"] == 0


def test_https_source_with_an_untrusted_certificate_waits(ferryd, db, cos, certificate):
    origin = Origin(tls=certificate).start()
    try:
        ferryd({"cos": cos.store()}, workers=1, http=HTTP)
        row = db.waits(db.put(origin.url("/size/1000"), f"cos://{BUCKET}/object"))
        assert "certificate" in row["error"]
        assert origin.requests == [], "a request was sent before the certificate was checked"
    finally:
        origin.stop()


def test_worker_with_a_silent_source_sees_a_cancel(ferryd, db, cos, origin):
    daemon = ferryd({"cos": cos.store()}, workers=1, http=HTTP)
    task = db.put(origin.url("/hang"), f"cos://{BUCKET}/object")
    daemon.worker_of(task)
    wait_until(lambda: origin.requests, 5, "the request")
    db.sql("SELECT ferry.cancel(%s)", (task,))
    wait_until(lambda: task not in daemon.busy(), 1.5, "the worker to drop the task")
