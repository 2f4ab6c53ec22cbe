"""Plain HTTP and HTTPS as sources: with ranges and without, of known and of unknown length, pre-signed, behind redirects, behind TLS."""

import pytest

from content import crc64_content
from origin import SIGNATURE, Origin
from rig import MIB, wait_until
from stores import BUCKET

HTTP = {"allow": ["127.0.0.1"], "private": True}


@pytest.fixture
def carry(ferryd, db, cos, origin):
    """carry(path, ...): one object from the origin to COS; the row of the task when it has ended."""
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


def test_every_range_is_pinned_to_the_etag_of_the_first_answer(carry, cos, origin):
    must_be_whole(cos, carry(f"/size/{17 * MIB}"), "origin", 17 * MIB)
    first, *later = sorted(origin.requests)
    assert first.headers["Range"].startswith("bytes=0-") and "If-Match" not in first.headers
    assert len(later) == 3, "the first request brings the first part"
    assert {r.headers.get("If-Match") for r in later} == {f'"origin-{17 * MIB}"'}
    assert all("Accept-Encoding" not in r.headers for r in origin.requests)


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


def test_content_type_of_the_source_goes_on(carry, cos):
    assert carry("/size/1000")["state"] == "done"
    assert cos.object("object")["headers"]["content-type"] == "application/x-origin"


def test_connection_is_kept_from_part_to_part_and_from_task_to_task(ferryd, db, cos, spool):
    """Seen at the destination: one connection for each stream, not one for each part; Initiate always gets its own."""
    ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1, worker={"streams": 2})
    for n in range(3):
        db.done(db.put(spool.put("object", 30 * MIB), f"cos://{BUCKET}/{n}"))
    requests = cos.log()
    assert len(requests) > 20 and len({e["peer"] for e in requests}) <= 2 + 3


def test_source_that_says_nothing_is_given_up_after_the_stall_timeout(ferryd, db, cos, origin):
    ferryd({"cos": cos.store()}, workers=1, http=HTTP, worker={"stall_timeout": "1s", "connect_timeout": "1s"})
    row = db.wait(db.put(origin.url("/hang"), f"cos://{BUCKET}/object", max_attempts=1), timeout=15)
    assert row["state"] == "failed" and row["error_class"] == "transient"
    assert "no progress" in row["error"] or "timed out" in row["error"], row["error"]


def test_slow_source_is_not_a_stalled_one(ferryd, db, cos, origin):
    ferryd({"cos": cos.store()}, workers=1, http=HTTP, worker={"stall_timeout": "1s", "connect_timeout": "1s"})
    row = db.done(db.put(origin.url(f"/slow/{MIB}?rate=300000"), f"cos://{BUCKET}/object"))
    assert (row["finished_at"] - row["started_at"]).total_seconds() > 2 and row["attempt"] == 0


def test_https_with_a_certificate_that_verifies_nowhere(ferryd, db, cos, certificate):
    origin = Origin(tls=certificate).start()
    try:
        ferryd({"cos": cos.store()}, workers=1, http=HTTP)
        row = db.wait(db.put(origin.url("/size/1000"), f"cos://{BUCKET}/object"))
        assert row["state"] == "failed" and "certificate" in row["error"]
        assert origin.requests == [], "a request was sent before the certificate was checked"
    finally:
        origin.stop()


def test_cancel_is_seen_by_a_worker_whose_source_says_nothing(ferryd, db, cos, origin):
    daemon = ferryd({"cos": cos.store()}, workers=1, http=HTTP)
    task = db.put(origin.url("/hang"), f"cos://{BUCKET}/object")
    daemon.worker_of(task)
    wait_until(lambda: origin.requests, 5, "the request")
    db.sql("SELECT ferry.cancel(%s)", (task,))
    wait_until(lambda: task not in daemon.busy(), 1.5, "the worker to drop it")
