"""What an earlier attempt has left is taken only if it is provably what this attempt would make."""

import os

import pytest

from content import content_bytes, crc64_content
from rig import MIB, claimed_once, wait_until
from stores import BUCKET, Sums

PART, SIZE = 5 * MIB, 12 * MIB + 5
HTTP = {"allow": ["127.0.0.1"], "private": True}


@pytest.fixture
def sums():
    endpoint = Sums()
    yield endpoint
    endpoint.stop()


@pytest.fixture
def slow(ferryd, db, cos, sums, spool):
    """A ferryd that reads 8 MiB a second, so that it can be stopped between two parts."""
    return ferryd({"cos": cos.store(), "sums": sums.store(verify="md5"), "spool": {**spool.store(), "rate": "8M"}}, workers=1,
                  worker={"streams": 1}, retry_delay="10ms")


def stop_between_parts(daemon, db, task, parts=1):
    wait_until(lambda: db.parts(task) >= parts, 20, f"{parts} parts")
    assert daemon.stop() == 0
    assert db.state(task) == "queued" and parts <= db.parts(task) < 3


def resume(daemon, db, task):
    daemon.start()
    row = db.wait(task, timeout=20)
    assert row["state"] == "done", row["error"]
    return row


def test_source_that_is_replaced_between_two_runs(slow, db, cos, spool):
    """The pin of the checkpoint is another one: the parts so far are of no use."""
    task = db.put(spool.put("object", SIZE, "first"), f"cos://{BUCKET}/object")
    stop_between_parts(slow, db, task)
    os.remove(f"{spool.root}/object")
    spool.put("object", SIZE, "second")
    row = resume(slow, db, task)
    assert int(row["crc64"]) == int(cos.object("object")["crc64"]) == crc64_content("second", SIZE)
    slow.wait_log("the upload that was begun is of no use .source or destination changed.")


def overwrite(sums, db, task, number, body):
    """Another program sends a part of the task's upload."""
    upload = db.one("SELECT upload_id FROM ferry.upload WHERE task = %s", (task,))
    sums.call("PUT", Sums.BUCKET, "object", query={"partNumber": str(number), "uploadId": upload}, body=body)


def test_part_that_the_store_lists_with_another_etag_is_sent_again(slow, db, sums, spool):
    task = db.put(spool.put("object", SIZE), f"sums://{Sums.BUCKET}/object")
    stop_between_parts(slow, db, task)
    overwrite(sums, db, task, 1, content_bytes("other", PART))
    resume(slow, db, task)
    assert sums.get(Sums.BUCKET, "object") == content_bytes("object", SIZE)


def test_part_that_the_table_does_not_know_is_sent_again(slow, db, cos, spool):
    """Its checksum is not known."""
    task = db.put(spool.put("object", SIZE), f"cos://{BUCKET}/object")
    stop_between_parts(slow, db, task, 2)
    db.sql("DELETE FROM ferry.part WHERE task = %s AND number = 1", (task,))
    row = resume(slow, db, task)
    assert row["attempt"] == 0 and int(row["crc64"]) == int(cos.object("object")["crc64"]) == crc64_content("object", SIZE)
    assert cos.received("object")[1] >= 2 * PART > 2 * MIB + cos.received("object")[2]


def test_part_that_the_store_does_not_list_is_sent_again(slow, db, cos, spool):
    task = db.put(spool.put("object", SIZE), f"cos://{BUCKET}/object")
    stop_between_parts(slow, db, task)
    db.sql("INSERT INTO ferry.part (task, upload_id, number, size, crc64, etag) SELECT task, upload_id, 3, %s, crc64, etag FROM ferry.part "
           "WHERE task = %s AND number = 1", (SIZE - 2 * PART, task))
    row = resume(slow, db, task)
    assert row["attempt"] == 0 and int(cos.object("object")["crc64"]) == crc64_content("object", SIZE)


@pytest.fixture
def by_size(ferryd, db, cos, spool):
    """A store that states no checksum, verified by size, with an older object of the same size at the destination."""
    daemon = ferryd({"cos": cos.store(verify="size"), "spool": spool.store()}, workers=1, retry_delay="10ms")
    db.done(db.put(spool.put("old", SIZE), f"cos://{BUCKET}/object"))
    return daemon


def test_older_object_of_equal_size_is_not_ours_after_the_upload_vanished(by_size, db, cos, spool):
    """Complete finds no upload.  What is at the destination has the right size, and is what was there before."""
    cos.faults({"match": {"op": "complete"}, "action": {"status": 404, "code": "NoSuchUpload"}, "times": 1},
               {"match": {"op": "head"}, "action": {"crc": "none"}})
    row = db.done(db.put(spool.put("new", SIZE), f"cos://{BUCKET}/object"))
    assert row["verified_by"] == "size" and row["attempt"] == 1
    assert int(cos.object("object")["crc64"]) == crc64_content("new", SIZE)


def test_older_object_of_equal_size_is_not_ours_for_the_next_attempt(by_size, db, cos, spool):
    """The first attempt was about to complete the upload, which is gone when the second one looks."""
    cos.faults({"match": {"op": "complete"}, "action": {"status": 503, "code": "ServiceUnavailable"}, "times": 3},
               {"match": {"op": "list-parts"}, "action": {"status": 404, "code": "NoSuchUpload"}},
               {"match": {"op": "head"}, "action": {"crc": "none"}})
    row = db.done(db.put(spool.put("new", SIZE), f"cos://{BUCKET}/object"))
    assert not claimed_once(row) and int(cos.object("object")["crc64"]) == crc64_content("new", SIZE)


def test_complete_that_names_no_etag_has_made_nothing_yet(ferryd, db, cos, spool):
    """A look at the destination decides, and Complete is sent again in the same attempt."""
    ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1, retry_delay="10ms")
    cos.fault({"body": "<CompleteMultipartUploadResult><ETag></ETag></CompleteMultipartUploadResult>"}, op="complete", nth=1)
    row = db.done(db.put(spool.put("object", SIZE), f"cos://{BUCKET}/object"))
    assert row["attempt"] == 0 and row["etag"] == cos.object("object")["etag"]
    assert int(cos.object("object")["crc64"]) == crc64_content("object", SIZE)


def test_complete_that_is_answered_with_another_document(ferryd, db, cos, spool):
    ferryd({"cos": cos.store(verify="none"), "spool": spool.store()}, workers=1, retry_delay="10ms")
    cos.fault({"body": "<html><ETag>\"0123456789abcdef0123456789abcdef-3\"</ETag></html>"}, op="complete", nth=1)
    db.done(db.put(spool.put("object", SIZE), f"cos://{BUCKET}/object"))
    assert cos.object("object") is not None and int(cos.object("object")["crc64"]) == crc64_content("object", SIZE)
