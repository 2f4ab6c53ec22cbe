"""The ways of servers that are not Amazon's, one by one: conditions that are unknown, ETags of their own, lists that cannot be had."""

import os
import signal
import threading

import pytest

from content import content_bytes
from rig import MIB, wait_until
from stores import Sums
from wires import HttpWire, Tripwire

SMALL, BIG = 40000, 12 * MIB + 5
HTTP = {"allow": ["127.0.0.1"], "private": True}
PARTS = "CompleteMultipartUpload"


@pytest.fixture
def sums():
    endpoint = Sums()
    yield endpoint
    endpoint.stop()


@pytest.fixture
def start(ferryd, sums, spool):
    for size in (0, 1, SMALL, BIG):
        spool.put(f"v{size}", size, seed="v")

    def make(port=None, **settings):
        settings = {"verify": "auto", "endpoint": f"http://127.0.0.1:{port or sums.port}", **settings}
        return ferryd({"spool": spool.store(), "sums": sums.store(**settings)}, workers=1, http=HTTP, retry_delay="10ms",
                      worker={"streams": 1})
    return make


def put(db, size, key="copy", **columns):
    return db.put(f"spool://v{size}", f"sums://{Sums.BUCKET}/{key}", **columns)


def is_there(sums, size, key="copy"):
    return sums.get(Sums.BUCKET, key) == content_bytes("v", size) and sums.uploads(Sums.BUCKET) == []


# A condition that the store does not know

@pytest.mark.parametrize("if_exists", ["fail", "skip"])
def test_a_put_without_conditions_is_an_upload_and_the_store_is_asked_once(start, db, sums, if_exists):
    daemon = start()
    sums.behave(unconditional=["PutObject"])
    for size in (SMALL, 0, 1):
        row = db.done(put(db, size, str(size), if_exists=if_exists))
        assert (row["attempt"], row["verified_by"]) == (0, "md5") and is_there(sums, size, str(size))
    assert sums.log("PutObject") == [(501, "NotImplemented")] and len(sums.log(PARTS)) == 3
    assert len(daemon.log("does not know the condition of a PUT")) == 1
    row = db.done(put(db, SMALL))
    assert sums.log("PutObject")[1:] == [(200, "")], "a task that may replace an object needs no condition"
    row = db.wait(put(db, 1, if_exists=if_exists))
    assert row["error" if if_exists == "fail" else "verified_by"] == {"fail": "destination exists", "skip": "skipped"}[if_exists]
    assert is_there(sums, SMALL)


@pytest.mark.parametrize("size", [SMALL, BIG])
def test_a_complete_without_conditions_comes_after_a_look(start, db, sums, size):
    daemon = start()
    sums.behave(unconditional=["PutObject", PARTS])
    for key in ("first", "second"):
        row = db.done(put(db, size, key, if_exists="fail"))
        assert (row["attempt"], row["verified_by"]) == (0, "md5") and is_there(sums, size, key)
    assert sums.log(PARTS) == [(501, "NotImplemented"), (200, ""), (200, "")]
    assert len(daemon.log("does not know the condition of a Complete")) == 1
    assert len(daemon.log("does not know the condition of a PUT")) == (1 if size == SMALL else 0)


@pytest.mark.parametrize("learned", [False, True])
def test_object_that_comes_before_a_complete_without_conditions_stays(start, db, sums, learned):
    trip = Tripwire()
    wire = HttpWire(trip, "dest", sums.port)
    start(port=wire.port)
    sums.behave(unconditional=[PARTS])
    if learned:
        db.done(put(db, BIG, "before", if_exists="fail"))
    trip.arm((f"dest Part 3#{2 if learned else 1}", "before"), lambda: sums.put(Sums.BUCKET, "copy", b"theirs"))
    row = db.wait(put(db, BIG, if_exists="fail"))
    assert trip.fired and row["error"] == "destination exists" and sums.get(Sums.BUCKET, "copy") == b"theirs"
    assert sums.uploads(Sums.BUCKET) == []
    wire.stop()


def test_source_of_unknown_length_is_sent_again_from_memory(start, db, sums, origin):
    start()
    sums.behave(unconditional=["PutObject"])
    for key in ("first", "second"):
        row = db.done(db.put(origin.url(f"/chunked/{SMALL}?seed=v"), f"sums://{Sums.BUCKET}/{key}", if_exists="fail"))
        assert (row["attempt"], row["verified_by"]) == (0, "md5") and is_there(sums, SMALL, key)
    assert len(sums.log("PutObject")) == 1 and len([r for r in origin.requests if r.method == "GET"]) <= 4


def test_source_that_nothing_pins_is_opened_anew(start, db, sums, origin):
    start()
    sums.behave(unconditional=["PutObject"])
    row = db.done(db.put(origin.url(f"/etagless/{SMALL}?seed=v"), f"sums://{Sums.BUCKET}/copy", if_exists="fail"))
    assert (row["attempt"], row["verified_by"]) == (0, "md5") and is_there(sums, SMALL)


# ETags

@pytest.mark.parametrize("tags", ["own", "count", "plain"])
def test_an_etag_of_the_stores_own_proves_the_size(start, db, sums, tags):
    start()
    sums.behave(tags=tags)
    row = db.done(put(db, BIG))
    assert (row["attempt"], row["verified_by"]) == (0, "size") and is_there(sums, BIG)


def test_by_name_md5_needs_a_proof(start, db, sums):
    start(verify="md5")
    sums.behave(tags="own")
    row = db.wait(put(db, BIG, max_attempts=1))
    assert row["state"] == "failed" and "not proven" in row["error"] and is_there(sums, BIG)


@pytest.mark.parametrize("verify", ["auto", "md5"])
def test_a_damaged_object_of_parts_is_removed(start, db, sums, verify):
    start(verify=verify)
    sums.behave(damaged=[PARTS])
    row = db.wait(put(db, BIG, max_attempts=1))
    assert row["state"] == "failed" and "destination differs" in row["error"] and row["verified_by"] is None
    assert sums.log("DeleteObject") == [(204, "")] and sums.head(Sums.BUCKET, "copy") is None
    assert db.one("SELECT count(*) FROM ferry.upload") == 0


def copy(db, sums, size, **columns):
    sums.put(Sums.BUCKET, "from", content_bytes("v", size))
    return db.put(f"sums://{Sums.BUCKET}/from", f"sums://{Sums.BUCKET}/copy", **columns)


@pytest.mark.parametrize("if_exists", ["overwrite", "fail"])
def test_a_damaged_copy_is_removed(start, db, sums, if_exists):
    """Of a copy by parts the last step is damaged: a part's ETag is all that is known of the part."""
    start()
    sums.behave(damaged=["CopyObject", PARTS])
    row = db.wait(copy(db, sums, SMALL, if_exists=if_exists, max_attempts=1))
    assert row["state"] == "failed" and "destination differs" in row["error"]
    assert sums.log("DeleteObject") == [(204, "")] and sums.head(Sums.BUCKET, "copy") is None


@pytest.mark.parametrize("tags", ["own", "count"])
def test_a_copy_of_parts_with_an_etag_of_the_stores_own(start, db, sums, tags):
    start()
    sums.behave(tags=tags)
    row = db.done(copy(db, sums, SMALL, if_exists="fail"))
    assert row["verified_by"] == "size" and is_there(sums, SMALL) and sums.log("UploadPartCopy") == [(200, "")]


ANSWERS = [["HeadObject"], ["GetObject"], ["PutObject", "UploadPart"], ["HeadObject", "GetObject", "PutObject", "UploadPart"]]


@pytest.mark.parametrize("weak", ANSWERS, ids="-".join)
@pytest.mark.parametrize("size", [SMALL, BIG])
def test_an_etag_that_some_answers_weaken_is_the_same(start, db, sums, spool, weak, size):
    start()
    sums.behave(weak=weak)
    row = db.done(put(db, size))
    assert (row["attempt"], row["verified_by"]) == (0, "md5") and is_there(sums, size)
    row = db.done(db.put(f"sums://{Sums.BUCKET}/copy", "spool://back"))
    assert row["attempt"] == 0
    with open(f"{spool.root}/back", "rb") as f:
        assert f.read() == content_bytes("v", size)
    if "HeadObject" not in weak:
        assert db.done(db.put(f"sums://{Sums.BUCKET}/copy", f"sums://{Sums.BUCKET}/again"))["verified_by"] == "etag"


def test_a_copy_whose_source_is_weak_at_the_last_look(start, db, sums):
    """The source is opened with a strong ETag, and copied; the look after the copy gets a weak one."""
    trip = Tripwire()
    wire = HttpWire(trip, "dest", sums.port)
    start(port=wire.port)
    trip.arm(("dest PUT#1", "before"), lambda: sums.behave(weak=["HeadObject"]))
    row = db.done(copy(db, sums, SMALL))
    assert trip.fired and (row["attempt"], row["verified_by"]) == (0, "etag")
    assert sums.log("CopyObject") == [(200, "")]
    wire.stop()


# Lists of parts

@pytest.fixture
def interrupted(start, db, sums):
    """interrupted(verify, then) carries an object; its worker is killed when two of three parts are recorded."""
    made = []

    def run(verify, then=lambda: None):
        trip = Tripwire()
        made.append(HttpWire(trip, "dest", sums.port))
        daemon = start(port=made[0].port, verify=verify)

        def kill():
            wait_until(lambda: db.one("SELECT count(*) FROM ferry.part") == 2, 10, "the parts to be recorded")
            then()
            os.kill(daemon.workers()[0], signal.SIGKILL)
        trip.arm(("dest Part 3#1", "before"), kill)
        return daemon, db.done(put(db, BIG))
    yield run
    for wire in made:
        wire.stop()


@pytest.mark.parametrize("verify", ["crc32c", "auto"])
def test_a_list_that_states_the_checksums_of_parts_alone(interrupted, sums, verify):
    sums.behave(lists="parts only")
    daemon, row = interrupted(verify)
    assert (row["crashes"], row["attempt"]) == (0, 0) and is_there(sums, BIG)
    assert row["verified_by"] == ("md5" if verify == "auto" else "crc32c")
    assert len(sums.log("UploadPart")) == 3 and not daemon.log("of no use")


@pytest.mark.parametrize("lists", ["405", "501", "400", "other"])
@pytest.mark.parametrize("verify", ["crc32c", "auto"])
def test_a_list_that_cannot_be_had_fails_no_task(interrupted, sums, lists, verify):
    """With MD5s the parts of the table are taken, since the object's ETag proves the whole; else the upload begins anew."""
    sums.behave(lists=lists)
    daemon, row = interrupted(verify)
    assert (row["crashes"], row["attempt"]) == (0, 0) and is_there(sums, BIG)
    assert len(sums.log("UploadPart")) == (3 if verify == "auto" else 5)
    assert daemon.log("its parts cannot be listed: sums: ListParts")


def test_a_page_of_a_proxy_instead_of_a_list_costs_attempts_and_no_part(interrupted, db, sums):
    sums.behave(lists="html")

    def pass_by():
        wait_until(lambda: len(sums.log("ListParts")) >= 2, 30, "two lists")
        sums.behave()
    threading.Thread(target=pass_by, daemon=True).start()
    daemon, row = interrupted("crc32c")
    assert is_there(sums, BIG) and len(sums.log("UploadPart")) == 3 and not daemon.log("of no use")
