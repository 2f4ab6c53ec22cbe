"""Keys with fewer rights: what is needed for what, and which right a failed task lacks."""

import os
import signal

import pytest

from content import content_bytes, crc64_content
from rig import MIB, claimed_once, wait_until
from stores import BUCKET, Sums
from wires import HttpWire, Tripwire

SMALL, BIG = 40000, 12 * MIB + 5


@pytest.fixture
def sums():
    endpoint = Sums()
    yield endpoint
    endpoint.stop()


@pytest.fixture
def start(ferryd, db, sums, cos, spool):
    for size in (SMALL, BIG):
        spool.put(f"v{size}", size, seed="v")

    def make(port=None, **settings):
        there = sums.store(**{"endpoint": f"http://127.0.0.1:{port or sums.port}", "verify": "auto", **settings})
        return ferryd({"spool": spool.store(), "sums": there, "cos": cos.store()}, workers=1,
                      retry_delay="10ms", worker={"streams": 1})
    return make


def put(db, size, **columns):
    return db.put(f"spool://v{size}", f"sums://{Sums.BUCKET}/copy", **columns)


def is_there(sums, size):
    sums.deny("")
    return sums.get(Sums.BUCKET, "copy") == content_bytes("v", size)


READS = ("HeadObject", "GetObject", "ListParts", "ListMultipartUploads")


@pytest.mark.parametrize("size", [SMALL, BIG])
def test_without_verification_writing_is_enough(start, db, sums, size):
    start(verify="none")
    sums.deny(*READS)
    assert db.done(put(db, size))["verified_by"] == "none"
    assert sums.log("HeadObject") == [] and is_there(sums, size)


def test_a_single_put_is_verified_by_its_own_answer(start, db, sums, cos):
    start()
    sums.deny(*READS)
    cos.fault({"status": 403, "code": "AccessDenied"}, op="head")
    assert db.done(put(db, SMALL))["verified_by"] == "md5" and is_there(sums, SMALL)
    assert db.done(db.put(f"spool://v{SMALL}", f"cos://{BUCKET}/copy"))["verified_by"] == "crc64"


def test_an_object_of_parts_that_cannot_be_looked_at_stays(start, db, sums):
    start()
    sums.deny("HeadObject")
    row = db.waits(put(db, BIG, max_attempts=2))
    assert row["error_class"] == "credentials"
    assert "HEAD: HTTP 403; the key may lack the right s3:GetObject, or s3:ListBucket" in row["error"], row["error"]
    assert sums.log("DeleteObject") == [] and is_there(sums, BIG)


@pytest.mark.parametrize("operation,size,right", [
    ("PutObject", SMALL, "s3:PutObject"), ("CreateMultipartUpload", BIG, "s3:PutObject"), ("UploadPart", BIG, "s3:PutObject"),
    ("CompleteMultipartUpload", BIG, "s3:PutObject")])
def test_the_missing_right_is_named(start, db, sums, operation, size, right):
    start()
    sums.deny(operation)
    row = db.waits(put(db, size, max_attempts=2))
    assert row["error_class"] == "credentials" and f"the key may lack the right {right}" in row["error"], row["error"]


def test_looking_for_an_object_needs_a_right(start, db, sums):
    start(verify="none")
    sums.deny("HeadObject")
    row = db.waits(put(db, SMALL, if_exists="fail", max_attempts=2))
    assert row["error_class"] == "credentials" and "s3:ListBucket if there is no such object" in row["error"]


@pytest.mark.parametrize("op,size,right", [("put", SMALL, "name/cos:PutObject"), ("head", BIG, "name/cos:HeadObject"),
                                           ("initiate", BIG, "name/cos:InitiateMultipartUpload"), ("part", BIG, "name/cos:UploadPart"),
                                           ("complete", BIG, "name/cos:CompleteMultipartUpload")])
def test_cos_has_names_of_its_own(start, db, cos, op, size, right):
    start()
    cos.fault({"status": 403, "code": "AccessDenied"}, op=op)
    row = db.waits(db.put(f"spool://v{size}", f"cos://{BUCKET}/copy", max_attempts=2))
    assert row["error_class"] == "credentials" and right in row["error"], row["error"]


def test_a_wrong_key_lacks_no_right(start, db, sums):
    start(access_key="SOMEBODYELSE")
    row = db.waits(put(db, SMALL))
    assert "InvalidAccessKeyId" in row["error"] and "lack" not in row["error"]


def test_a_source_that_may_not_be_read_is_named(start, db, sums, cos):
    start()
    sums.deny("GetObject", "HeadObject")
    row = db.waits(db.put(f"sums://{Sums.BUCKET}/copy", f"cos://{BUCKET}/copy", max_attempts=2))
    assert row["error_class"] == "credentials" and "s3:GetObject" in row["error"], row["error"]


@pytest.fixture
def interrupted(start, sums, db):
    """interrupted(verify) carries an object; its worker is killed when two of three parts are recorded."""
    made = []

    def run(verify, then=lambda: None):
        trip = Tripwire()
        wire = HttpWire(trip, "dest", sums.port)
        made.append(wire)
        daemon = start(port=wire.port, verify=verify)

        def kill():
            wait_until(lambda: db.one("SELECT count(*) FROM ferry.part") == 2, 10, "the parts to be recorded")
            then()
            os.kill(daemon.workers()[0], signal.SIGKILL)
        trip.arm(("dest Part 3#1", "before"), kill)
        return daemon, put(db, BIG)
    yield run
    for wire in made:
        wire.stop()


def test_parts_that_may_not_be_listed_are_those_of_the_table_if_the_whole_is_proven(interrupted, db, sums):
    sums.deny("ListParts")
    daemon, task = interrupted("auto")
    row = db.done(task)
    assert not claimed_once(row) and row["verified_by"] == "md5" and is_there(sums, BIG)
    assert len(sums.log("UploadPart")) == 3 and sums.uploads(Sums.BUCKET) == []
    assert "the key may lack the right s3:ListMultipartUploadParts" in daemon.log_text()


@pytest.mark.parametrize("verify", ["crc32c", "size", "none"])
def test_else_the_upload_is_begun_anew(interrupted, db, sums, verify):
    sums.deny("ListParts")
    daemon, task = interrupted(verify)
    row = db.done(task)
    assert not claimed_once(row) and row["verified_by"] == verify and is_there(sums, BIG)
    assert len(sums.log("UploadPart")) == 5 and sums.uploads(Sums.BUCKET) == []
    assert "its parts cannot be listed" in daemon.log_text()


def test_an_upload_that_is_gone_and_may_not_be_listed_is_begun_anew(interrupted, db, sums):
    def abort():
        for upload in sums.uploads(Sums.BUCKET):
            sums.call("DELETE", Sums.BUCKET, "copy", query={"uploadId": upload})
        sums.deny("ListParts")
    _, task = interrupted("auto", abort)
    row = db.done(task)
    assert row["verified_by"] == "md5" and is_there(sums, BIG) and sums.uploads(Sums.BUCKET) == []


def test_without_verification_a_lost_answer_to_complete_costs_a_second_upload_at_most(start, db, sums):
    """No HEAD may tell whether Complete has made the object, so a vanished upload is sent again."""
    trip = Tripwire()
    wire = HttpWire(trip, "dest", sums.port)
    daemon = start(port=wire.port, verify="none")
    trip.arm(("dest Complete#1", "handled"), lambda: os.kill(daemon.workers()[0], signal.SIGKILL))
    row = db.done(put(db, BIG))
    assert trip.fired and row["verified_by"] == "none" and sums.log("HeadObject") == [] and is_there(sums, BIG)
    wire.stop()


def test_crc64_of_the_whole_proves_parts_of_the_table_at_cos(start, db, cos, spool):
    daemon = start()
    cos.fault({"status": 403, "code": "AccessDenied"}, op="list-parts")
    cos.rate(4 * MIB)
    task = db.put(f"spool://v{BIG}", f"cos://{BUCKET}/copy")
    wait_until(lambda: db.parts(task) == 1, 20, "a part to be recorded")
    os.kill(daemon.workers()[0], signal.SIGKILL)
    cos.rate(0)
    row = db.done(task)
    assert row["verified_by"] == "crc64" and int(cos.object("copy")["crc64"]) == crc64_content("v", BIG)
    assert cos.log("list-parts") and len([e for e in cos.log("part") if e.get("part") == 1]) == 1
