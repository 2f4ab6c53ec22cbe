"""COS as source and destination.  The endpoint checks requests with the vendor's client, and misbehaves as the store may."""

import os
import shutil
import subprocess

import pytest

import stores
from content import content_bytes, crc64_bytes, write_content
from origin import make_certificate
from rig import MIB, trusting, wait_until
from stores import BUCKET, REGION

PART = 5 * MIB


@pytest.fixture
def carry(ferryd, db, cos, spool):
    """carry(size, key, ...) carries an object from a file to COS and returns the row of the task when it has ended."""
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1)

    def run(size, key, **columns):
        return db.wait(db.put(spool.put("object", size), f"cos://{BUCKET}/{key}", **columns))
    run.daemon = daemon
    return run


def must_be_there(cos, spool, row, size, key):
    assert row["state"] == "done", f"{row['error_class']}: {row['error']}"
    stored = cos.object(key)
    assert stored["size"] == size
    assert int(row["crc64"]) == spool.crc64("object", size) == int(stored["crc64"])
    assert row["verified_by"] == "crc64" and row["etag"].strip('"') == stored["etag"]
    assert cos.uploads() == []


def refusals(cos):
    return [(e["op"], e["status"], e.get("code")) for e in cos.log() if e["status"] >= 400 and e["status"] != 404]


@pytest.mark.parametrize("size", [0, 1, 5 * MIB - 1, 5 * MIB, 5 * MIB + 1, 20 * MIB, 23 * MIB + 7])
def test_sizes_around_the_part_size(carry, cos, spool, size):
    must_be_there(cos, spool, carry(size, "object"), size, "object")
    assert refusals(cos) == []
    assert cos.object("object")["puts"] == 1
    assert sum(cos.received("object").values()) == size


ODD = ["with space", "ünïcödé/日本語", "plus+and&amp=eq?query#hash%41~", "a//b/../c/./d", "!'()*:;@,$[]{}|\\^`\"<>", "x" * 850, "end/"]


@pytest.mark.parametrize("key", ODD, ids=[f"odd{n}" for n in range(len(ODD))])
def test_odd_keys_in_both_directions(ferryd, db, cos, spool, tmp_base, key):
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1)
    there = db.put(spool.put("object", 6 * MIB), f"cos://{BUCKET}/{key}")
    db.done(there)
    assert list(cos.objects()) == [(BUCKET, key)]
    back = db.put(f"cos://{BUCKET}/{key}", "spool://back")
    db.done(back)
    assert open(f"{spool.root}/back", "rb").read() == content_bytes("object", 6 * MIB)
    assert refusals(cos) == [] and daemon.alive()


def test_content_type_metadata_and_storage_class(carry, cos):
    row = carry(6 * MIB, "object", content_type="video/mp4", storage_class="STANDARD_IA",
                metadata={"Colour": "grün", "owner": "a b"})
    assert row["state"] == "done", row["error"]
    headers = cos.object("object")["headers"]
    assert headers["content-type"] == "video/mp4" and headers["x-cos-storage-class"] == "STANDARD_IA"
    assert headers["x-cos-meta-owner"] == "a b"
    assert headers["x-cos-meta-colour"].encode("latin-1").decode() == "grün"


@pytest.mark.parametrize("size", [1000, 6 * MIB])
def test_if_exists(ferryd, db, cos, spool, size):
    ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1)
    target = f"cos://{BUCKET}/object"
    db.done(db.put(spool.put("first", size), target))
    etag = cos.object("object")["etag"]
    row = db.done(db.put(spool.put("second", size), target, if_exists="skip"))
    assert row["verified_by"] == "skipped" and cos.object("object")["etag"] == etag
    row = db.wait(db.put("spool://second", target, if_exists="fail"))
    assert row["state"] == "failed" and row["error_class"] == "permanent" and "exists" in row["error"]
    assert cos.object("object")["etag"] == etag and cos.uploads() == []
    db.done(db.put("spool://second", target, if_exists="overwrite"))
    assert int(cos.object("object")["crc64"]) == spool.crc64("second", size)


@pytest.mark.parametrize("size", [1000, 6 * MIB])
def test_if_exists_fail_holds_in_a_race(ferryd, db, cos, spool, size):
    """The object appears after the worker has looked at the destination and before it writes: the store's own condition must refuse."""
    # Tasks of one destination run one after the other.  The other writer gives the store another name.
    ferryd({"cos": cos.store(), "other": cos.store(), "spool": spool.store()}, workers=2)
    cos.fault({"hold": True}, op="complete" if size > PART else "put", nth=1)
    late = db.put(spool.put("late", size), f"cos://{BUCKET}/object", if_exists="fail")
    wait_until(lambda: cos.held() == 1, 10, "the write to arrive")
    db.done(db.put(spool.put("early", size), f"other://{BUCKET}/object"))
    cos.release()
    row = db.wait(late)
    assert row["state"] == "failed" and row["error_class"] == "permanent" and "exists" in row["error"]
    assert int(cos.object("object")["crc64"]) == spool.crc64("early", size) and cos.object("object")["puts"] == 1
    assert cos.uploads() == []


WORKS_OUT = {
    "complete's answer is lost": [{"match": {"op": "complete", "nth": 1}, "action": {"close": "after"}}],
    "complete fails in a 200, then works": [{"match": {"op": "complete", "nth": 1}, "action": {"completeError": "InternalError"}}],
    "complete's answer is cut": [{"match": {"op": "complete", "nth": 1}, "action": {"truncate": True}}],
    "complete gets 503": [{"match": {"op": "complete", "nth": 1}, "action": {"status": 503, "code": "ServiceUnavailable"}}],
    "a part gets 500": [{"match": {"op": "part", "part": 2, "nth": 1}, "action": {"status": 500}}],
    "a part is told to slow down": [{"match": {"op": "part", "part": 2, "nth": 1}, "action": {"status": 503, "code": "SlowDown"}}],
    "a part's connection breaks": [{"match": {"op": "part", "part": 3, "nth": 1}, "action": {"close": "mid", "bytes": 2000000}}],
    "a part's answer is lost": [{"match": {"op": "part", "part": 1, "nth": 1}, "action": {"close": "after"}}],
    "a part is corrupted on the way": [{"match": {"op": "part", "part": 2, "nth": 1}, "action": {"corrupt": True}}],
    "a part has no checksum": [{"match": {"op": "part"}, "action": {"crc": "none"}}],
    "initiate gets 500": [{"match": {"op": "initiate", "nth": 1}, "action": {"status": 500}}],
    "initiate's connection is refused its answer": [{"match": {"op": "initiate", "nth": 1}, "action": {"close": "before"}}],
    "the clocks differ": [{"match": {"op": "part", "nth": 1}, "action": {"status": 403, "code": "RequestTimeTooSkewed"}}],
    "the look afterwards gets 500": [{"match": {"op": "head", "after": 1}, "times": 1, "action": {"status": 500}}],
}


@pytest.mark.parametrize("name", WORKS_OUT)
def test_trouble_that_passes(carry, cos, spool, name):
    cos.faults(*WORKS_OUT[name])
    row = carry(12 * MIB, "object")
    must_be_there(cos, spool, row, 12 * MIB, "object")
    assert cos.object("object")["puts"] == 1


@pytest.mark.parametrize("action", [{"close": "after"}, {"corrupt": True}, {"status": 500}, {"close": "mid"}])
def test_trouble_that_passes_with_one_put(carry, cos, spool, action):
    cos.fault(action, op="put", nth=1)
    must_be_there(cos, spool, carry(100000, "object"), 100000, "object")


def test_source_in_cos_whose_body_is_cut(ferryd, db, cos, spool):
    ferryd({"cos": cos.store(copy="never"), "spool": spool.store()}, workers=1)
    db.done(db.put(spool.put("object", 12 * MIB), f"cos://{BUCKET}/object"))
    cos.fault({"close": "mid", "bytes": 1000000}, op="get", nth=2)
    db.done(db.put(f"cos://{BUCKET}/object", f"cos://{BUCKET}/copy"))
    assert int(cos.object("copy")["crc64"]) == spool.crc64("object", 12 * MIB)


def test_tls_with_a_private_ca(ferryd, db, base, spool, tmp_base):
    certificate = make_certificate(tmp_base, f"cos.{REGION}.myqcloud.com")
    os.chmod(certificate[0], 0o644)
    endpoint = stores.Cos(f"{tmp_base}/cos-tls", tls=certificate)
    try:
        ferryd({"cos": endpoint.store(ca_file=certificate[0]), "spool": spool.store()}, workers=1)
        db.done(db.put(spool.put("object", 6 * MIB), f"cos://{BUCKET}/object"))
        assert int(endpoint.object("object")["crc64"]) == spool.crc64("object", 6 * MIB)
    finally:
        endpoint.stop()


def test_ca_file_replaces_the_trust_of_the_system(ferryd, db, spool, tmp_base, certificate):
    """The endpoint's certificate is trusted by the system, in its file and in its directory, but ca_file names another."""
    trusted = make_certificate(tmp_base, f"cos.{REGION}.myqcloud.com")
    system = f"{tmp_base}/system"
    os.mkdir(system)
    shutil.copy(trusted[0], f"{system}/ca-certificates.crt")
    name = subprocess.run(["openssl", "x509", "-hash", "-noout", "-in", trusted[0]], check=True, capture_output=True, text=True).stdout
    shutil.copy(trusted[0], f"{system}/{name.strip()}.0")
    os.chmod(certificate[0], 0o644)
    endpoint = stores.Cos(f"{tmp_base}/cos-tls", tls=trusted)
    try:
        daemon = ferryd({"cos": endpoint.store(ca_file=certificate[0]), "plain": endpoint.store(), "spool": spool.store()}, start=False,
                        workers=1)
        daemon.prefix = trusting(system)
        daemon.start()
        task = db.put(spool.put("object", MIB), f"cos://{BUCKET}/object", max_attempts=1)
        wait_until(lambda: "certificate" in (db.task(task)["error"] or ""), 20, "the certificate to be refused")
        assert endpoint.objects() == {}
        db.done(db.put(spool.put("object", MIB), f"plain://{BUCKET}/object"))
    finally:
        endpoint.stop()


def test_part_numbers_are_contiguous_and_listed_in_pages(ferryd, db, cos, spool):
    """A successor resumes with all parts, of which there are more than a page of ListParts holds: here a page holds two."""
    count = 13
    cos.fault({"perPage": 2}, op="list-parts")
    cos.rate(20 * MIB)
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1)
    task = db.put(spool.put("object", count * PART), f"cos://{BUCKET}/object")
    wait_until(lambda: db.parts(task) >= 5, 30, "five parts")
    assert daemon.stop() == 0
    known = db.parts(task)
    cos.rate(0)
    daemon.start()
    db.done(task)
    assert len(cos.log("list-parts", "object")) >= known // 2 >= 2
    sent = cos.received("object")
    assert len([n for n, b in sent.items() if b > PART]) <= 4 and cos.object("object")["parts"] == count
    assert len([n for n, b in cos.received("object").items() if b == PART]) >= known


def test_file_is_written_whole(ferryd, db, cos, spool):
    """COS to a file: the file is read back and renamed into place, and no temporary file is left."""
    ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1)
    db.done(db.put(spool.put("object", 12 * MIB), f"cos://{BUCKET}/object"))
    row = db.done(db.put(f"cos://{BUCKET}/object", "spool://deep/er/copy"))
    assert row["verified_by"] == "crc64"
    data = open(f"{spool.root}/deep/er/copy", "rb").read()
    assert crc64_bytes(data) == spool.crc64("object", 12 * MIB) == int(row["crc64"])
    assert sorted(os.listdir(f"{spool.root}/deep/er")) == ["copy"]
    write_content(f"{spool.root}/deep/er/copy", "other", 10)
    cos.fault({"status": 404, "code": "NoSuchKey"}, op="get")
    failed = db.wait(db.put(f"cos://{BUCKET}/object", "spool://deep/er/copy"))
    assert failed["state"] == "failed"
    assert open(f"{spool.root}/deep/er/copy", "rb").read() == content_bytes("other", 10)
    assert sorted(os.listdir(f"{spool.root}/deep/er")) == ["copy"]
