"""S3's CRC32C: with an endpoint that knows it, a line that changes bits, a server that lies, and a gateway that does not know it."""

import json
import os
import signal
import subprocess

import pytest

from content import content_bytes
from rig import MIB, ROOT, claimed_once, wait_until
from stores import Sums
from wires import HttpWire, Tripwire

BIG, SMALL = 12 * MIB + 5, 40000
SIZES = [0, SMALL, 5 * MIB + 1, BIG]


@pytest.fixture
def sums():
    endpoint = Sums()
    yield endpoint
    endpoint.stop()


@pytest.fixture
def trip():
    return Tripwire()


@pytest.fixture
def line(trip, sums, ferryd, db, spool):
    """A ferryd whose connections to the endpoint pass a wire."""
    wire = HttpWire(trip, "dest", sums.port)
    for size in SIZES:
        spool.put(f"v{size}", size, seed="v")
    yield ferryd({"spool": spool.store(), "sums": sums.store(endpoint=f"http://127.0.0.1:{wire.port}")}, workers=1,
                 retry_delay="10ms", worker={"streams": 1})
    wire.stop()


def test_the_endpoint_serves_the_vendors_own_client(sums):
    out = subprocess.run(["node", f"{ROOT}/tests/servers/s3/client.js", str(sums.port), Sums.BUCKET, Sums.ID, Sums.SECRET],
                         check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    found = json.loads(out.stdout)
    assert len(found) == 9 and all(found.values()), found


def put(db, size, **columns):
    return db.put(f"spool://v{size}", f"sums://{Sums.BUCKET}/copy", **columns)


def is_there(sums, size):
    return sums.head(Sums.BUCKET, "copy") is not None and sums.get(Sums.BUCKET, "copy") == content_bytes("v", size)


@pytest.mark.parametrize("size", SIZES)
def test_the_server_holds_the_bytes_that_were_sent(line, db, sums, size):
    row = db.done(put(db, size))
    assert row["verified_by"] == "crc32c" and is_there(sums, size)
    assert {status for status, _ in sums.log()} <= {200}
    answer = sums.request("HEAD", Sums.BUCKET, "copy", headers={"x-amz-checksum-mode": "ENABLED"})
    answer.read()
    assert answer.getheader("x-amz-checksum-type") == "FULL_OBJECT" and len(answer.getheader("x-amz-checksum-crc32c")) == 8


def test_the_objects_coding_is_kept_and_the_framing_is_not(line, db, sums):
    for size in (SMALL, 5 * MIB + 1):
        sums.put(Sums.BUCKET, "coded", b"x" * size, Content_Encoding="gzip", Content_Type="text/x-test")
        db.done(db.put(f"sums://{Sums.BUCKET}/coded", f"sums://{Sums.BUCKET}/copy"))
        assert {k: sums.head(Sums.BUCKET, "copy")[k] for k in ("content-encoding", "content-type")} == {
            "content-encoding": "gzip", "content-type": "text/x-test"}


@pytest.mark.parametrize("size", [BIG, SMALL])
def test_a_source_of_unknown_length(ferryd, db, sums, origin, trip, size):
    wire = HttpWire(trip, "dest", sums.port)
    ferryd({"sums": sums.store(endpoint=f"http://127.0.0.1:{wire.port}")}, workers=1, retry_delay="10ms",
           http={"allow": ["127.0.0.1"], "private": True})
    trip.flip = ("dest P", 1)
    row = db.done(db.put(f"http://127.0.0.1:{origin.port}/chunked/{size}?seed=v", f"sums://{Sums.BUCKET}/copy"))
    assert row["verified_by"] == "crc32c" and is_there(sums, size) and len(trip.fired) == 1
    wire.stop()


@pytest.mark.parametrize("size", [BIG, SMALL])
def test_the_server_refuses_a_bit_that_changes_once(line, trip, db, sums, size):
    trip.flip = ("dest P", 1)
    assert db.done(put(db, size))["verified_by"] == "crc32c"
    assert len(trip.fired) == 1 and (400, "BadDigest") in sums.log("UploadPart" if size == BIG else "PutObject")
    assert is_there(sums, size)


@pytest.mark.parametrize("size", [BIG, SMALL])
def test_a_line_that_changes_every_body_fails_the_task(line, trip, db, sums, size):
    trip.flip = ("dest P", -1)
    row = db.wait(put(db, size, max_attempts=2))
    assert row["state"] == "failed" and "BadDigest" in row["error"] and row["verified_by"] is None
    assert sums.head(Sums.BUCKET, "copy") is None and sums.uploads(Sums.BUCKET) == []


@pytest.mark.parametrize("size,operation", [(BIG, "UploadPart"), (SMALL, "PutObject"), (BIG, "HeadObject")])
def test_a_server_that_states_wrong_sums_fails_the_task(line, db, sums, size, operation):
    sums.wrong(operation)
    row = db.wait(put(db, size, max_attempts=2))
    assert row["state"] == "failed" and "destination differs" in row["error"] and row["verified_by"] is None
    sums.wrong("")
    assert sums.uploads(Sums.BUCKET) == []
    assert operation == "HeadObject" or sums.head(Sums.BUCKET, "copy") is None


def kill_worker(daemon):
    os.kill(daemon.workers()[0], signal.SIGKILL)


def test_a_task_resumes_with_the_sums_that_the_server_lists(line, trip, db, sums):
    trip.arm(("dest Part 3#1", "before"), lambda: kill_when_recorded(line, db, 2))
    row = db.done(put(db, BIG))
    assert trip.fired and not claimed_once(row) and row["verified_by"] == "crc32c" and is_there(sums, BIG)
    assert sums.log("ListParts") == [(200, "")] and len(sums.log("UploadPart")) == 3


def kill_when_recorded(daemon, db, parts):
    wait_until(lambda: db.one("SELECT count(*) FROM ferry.part") == parts, 10, "the parts to be recorded")
    kill_worker(daemon)


@pytest.mark.parametrize("death", [("dest Complete#1", "before"), ("dest Complete#1", "handled")])
def test_a_worker_may_die_before_and_after_complete(line, trip, db, sums, death):
    trip.arm(death, lambda: kill_worker(line))
    row = db.done(put(db, BIG))
    assert trip.fired and not claimed_once(row) and row["verified_by"] == "crc32c" and is_there(sums, BIG)
    assert len(sums.log("UploadPart")) == 3 and sums.uploads(Sums.BUCKET) == []


def set_verify(daemon, verify):
    daemon.stores["sums"]["verify"] = verify
    daemon.write()
    daemon.mark = len(daemon.log_text())
    os.kill(daemon.pid, signal.SIGHUP)
    wait_until(lambda: "msg=\"reloaded" in daemon.log_text()[daemon.mark:], 10, "the new configuration")


def change_and_kill(daemon, db, verify):
    wait_until(lambda: db.one("SELECT count(*) FROM ferry.part") == 2, 10, "the parts to be recorded")
    set_verify(daemon, verify)
    kill_worker(daemon)


@pytest.mark.parametrize("first,then", [("crc32c", "md5"), ("md5", "crc32c")])
def test_a_change_of_verify_begins_the_upload_anew(line, trip, db, sums, first, then):
    set_verify(line, first)
    trip.arm(("dest Part 3#1", "before"), lambda: change_and_kill(line, db, then))
    row = db.done(put(db, BIG))
    assert row["verified_by"] == then and is_there(sums, BIG) and sums.uploads(Sums.BUCKET) == []
    assert ("which verify asks for no more" if first == "crc32c" else "the CRC32C that verify asks for") in line.log_text()


@pytest.mark.parametrize("size", [BIG, SMALL])
def test_a_gateway_without_checksums_fails_the_task(ferryd, db, spool, ceph, size):
    spool.put("v", size, seed="v")
    ferryd({"spool": spool.store(), "ceph": ceph.store(verify="crc32c")}, workers=1, retry_delay="10ms")
    row = db.wait(db.put("spool://v", f"ceph://{ceph.TARGET}/unsummed"))
    assert row["state"] == "failed" and row["verified_by"] is None and row["attempt"] == 1
    assert row["error_class"] == "permanent" and "set verify" in row["error"]
    found = ceph.head(ceph.TARGET, "unsummed")
    # Ceph 16 refuses the frame; Ceph 18 takes it and says no checksum: nothing is known of that object, so it stays
    assert (found is None or size == SMALL and found["content-length"] == str(size)) and ceph.uploads(ceph.TARGET) == []
