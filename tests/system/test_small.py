"""The requests and statements that an object costs: an object of one part takes a GET, a PUT, and no statement of the worker."""

import pytest

from content import crc64_content
from rig import MIB, wait_until
from stores import BUCKET
from wires import PostgresWire, Tripwire

HTTP = {"allow": ["127.0.0.1"], "private": True}
PART = 5 * MIB


@pytest.fixture
def stored(cos, db, ferryd, spool):
    """stored(size) puts an object of that size into the store and returns its URI; stored.log(key) has the requests after that."""
    daemon = ferryd({"cos": cos.store(copy="never"), "spool": spool.store()}, workers=1, http=HTTP, worker={"streams": 2, "part_size": "5M"},
                    retry_delay="10ms")

    def put(size):
        db.done(db.put(spool.put("source", size), f"cos://{BUCKET}/source", content_type="video/mp4", metadata={"owner": "me"}))
        before = len(cos.log())
        put.log = lambda key: [e for e in cos.log()[before:] if e.get("key") == key]
        return f"cos://{BUCKET}/source"
    put.daemon = daemon
    return put


@pytest.mark.parametrize("size", [1, 4096, PART])
def test_object_of_one_part_takes_two_requests(stored, db, cos, size):
    row = db.done(db.put(stored(size), f"cos://{BUCKET}/copy"))
    assert [(e["method"], e.get("range")) for e in stored.log("source")] == [("GET", f"bytes=0-{PART - 1}")]
    assert [e["method"] for e in stored.log("copy")] == ["PUT"]
    assert int(row["crc64"]) == int(cos.object("copy")["crc64"]) and row["bytes_total"] == row["bytes_done"] == size
    headers = cos.object("copy")["headers"]
    assert headers["content-type"] == "video/mp4" and headers["x-cos-meta-owner"] == "me"


def test_empty_object_keeps_its_headers(stored, db, cos):
    """An empty object has no range, so a HEAD follows the GET."""
    row = db.done(db.put(stored(0), f"cos://{BUCKET}/copy"))
    assert [e["method"] for e in stored.log("source")] == ["GET", "HEAD"] and row["bytes_total"] == 0
    assert cos.object("copy")["headers"]["content-type"] == "video/mp4"


def test_first_request_of_a_large_object_brings_its_first_part(stored, db, cos):
    db.done(db.put(stored(12 * MIB), f"cos://{BUCKET}/copy"))
    ranges = sorted(e["range"] for e in stored.log("source"))
    assert [e["method"] for e in stored.log("source")] == ["GET"] * 3
    assert ranges == sorted([f"bytes=0-{PART - 1}", f"bytes={PART}-{2 * PART - 1}", f"bytes={2 * PART}-{12 * MIB - 1}"])


def test_first_part_larger_than_the_first_request_keeps_its_bytes(ferryd, db, cos, origin):
    """10,000 parts of the smallest size are not enough here, so the first part is larger than the first request."""
    ferryd({"cos": cos.store()}, workers=1, http=HTTP, worker={"streams": 1, "part_size": "5M"})
    db.put(origin.url(f"/slow/{51000 * MIB}?rate=30000000"), f"cos://{BUCKET}/object")
    wait_until(lambda: any(e.get("op") == "part" for e in cos.log()), 10, "the first part")
    wait_until(lambda: len(origin.requests) >= 2, 10, "the request for the rest of the first part")
    first, second = origin.requests[:2]
    assert (first.headers["Range"], second.headers["Range"]) == (f"bytes=0-{PART - 1}", f"bytes={PART}-{6 * MIB - 1}")
    db.sql("SELECT ferry.cancel(id) FROM ferry.task")
    wait_until(lambda: cos.uploads() == [], 10, "the upload to be aborted")


def test_skipped_object_is_not_read(stored, db, cos):
    source = stored(4096)
    db.done(db.put(source, f"cos://{BUCKET}/copy"))
    row = db.done(db.put(source, f"cos://{BUCKET}/copy", if_exists="skip"))
    assert row["verified_by"] == "skipped" and [e["method"] for e in stored.log("source")] == ["GET", "HEAD"]


def test_resumed_task_does_not_read_the_first_part_again(stored, db, cos):
    source = stored(12 * MIB)
    cos.rate(4 * MIB)
    task = db.put(source, f"cos://{BUCKET}/copy")
    wait_until(lambda: db.one("SELECT count(*) FROM ferry.part WHERE task = %s", (task,)) >= 1, 20, "a part")
    before = len(stored.log("source"))
    stored.daemon.stop()
    cos.rate(0)
    stored.daemon.start()
    row = db.done(task)
    later = stored.log("source")[before:]
    assert [e["method"] for e in later if e["finished"]][0] == "HEAD"
    assert f"bytes=0-{PART - 1}" not in [e.get("range") for e in later if e["finished"]]
    assert int(row["crc64"]) == int(cos.object("copy")["crc64"])


def test_source_that_changes_after_its_first_answer_costs_an_attempt(ferryd, db, cos, origin):
    ferryd({"cos": cos.store()}, workers=1, http=HTTP, worker={"streams": 1, "part_size": "5M"}, retry_delay="10ms")
    row = db.done(db.put(origin.url(f"/changed/{12 * MIB}"), f"cos://{BUCKET}/object"))
    assert row["attempt"] == 1 and int(row["crc64"]) == crc64_content("second", 12 * MIB)
    assert origin.requests[2].status == 412 and origin.requests[2].headers["If-Match"] == '"first"'


def test_body_that_breaks_off_is_continued_at_the_same_byte(ferryd, db, cos, origin):
    ferryd({"cos": cos.store()}, workers=1, http=HTTP, worker={"part_size": "5M"}, retry_delay="10ms")
    db.wait(db.put(origin.url(f"/short/{4 * MIB}"), f"cos://{BUCKET}/object", max_attempts=1))
    first, second = origin.requests[:2]
    assert first.headers["Range"] == f"bytes=0-{PART - 1}" and second.headers["Range"].startswith(f"bytes={2 * MIB}-")
    assert second.headers["If-Match"] == '"short"'


def test_new_object_of_one_put_needs_no_statement_of_the_worker(ferryd, db, cos, origin):
    """The worker executes no statement between the claim and the end of the task."""
    wire = PostgresWire(Tripwire(), db.pg.directory, db.pg.port)
    daemon = ferryd({"cos": cos.store()}, start=False, workers=1, http=HTTP)
    daemon.conf["database"] = f"host=127.0.0.1 port={wire.port} dbname={db.name} user=ferry_test_daemon sslmode=disable"
    daemon.write()
    daemon.start()
    try:
        db.done(db.put(origin.url("/size/4096"), f"cos://{BUCKET}/object"))
        assert {name.split("#")[0] for name, _ in wire.trip.points if name.startswith("worker ")} <= {"worker task_done"}
    finally:
        daemon.stop()
        wire.stop()
