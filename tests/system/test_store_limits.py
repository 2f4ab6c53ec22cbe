"""Stores and proxies with limits of their own: fewer parts, larger parts, smaller requests than the documents of S3 and COS say."""

import os
import signal

import pytest

from content import crc64_content
from rig import MIB, wait_until
from stores import BUCKET, REGION, Ceph, Sums
from wires import RenamingWire

HTTP = {"allow": ["127.0.0.1"], "private": True}
SIZE = 50 * MIB  # ten parts
SWIFT = {"status": 400, "code": "InvalidArgument", "message": "Part number must be an integer between 1 and 6, inclusive"}
MUTE = {"status": 400, "code": "InvalidPartNumber", "message": ""}
NGINX = {"status": 413, "proxy": "nginx/1.22.1"}


@pytest.fixture
def daemon(ferryd, cos, spool):
    return ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1, http=HTTP)


@pytest.fixture
def sums():
    endpoint = Sums()
    yield endpoint
    endpoint.stop()


def carried(db, cos, spool, task, name="object", size=SIZE):
    """The object as the endpoint has it."""
    row = db.done(task)
    stored = cos.object("object")
    assert row["attempt"] == 0 and int(stored["crc64"]) == spool.crc64(name, size), row["error"]
    assert cos.uploads() == [] and db.one("SELECT count(*) FROM ferry.upload") == 0
    return stored


def refused(cos):
    return [e for e in cos.log() if e["status"] in (400, 413)]


@pytest.mark.parametrize("refusal", [SWIFT, MUTE], ids=["says the number", "says no number"])
def test_fewer_parts_than_planned(daemon, db, cos, spool, refusal):
    source = spool.put("object", SIZE)
    cos.fault(refusal, op="part", beyond=6)
    assert carried(db, cos, spool, db.put(source, f"cos://{BUCKET}/object"))["parts"] <= 6
    daemon.wait_log(r"store cos: an upload may have \d parts at most.*parts_max = \d in its section")
    # the worker has learned it
    before = len(refused(cos))
    assert before > 0
    carried(db, cos, spool, db.put(source, f"cos://{BUCKET}/object"))
    assert len(refused(cos)) == before


def test_key_for_fewer_parts(ferryd, db, cos, spool):
    ferryd({"cos": cos.store(parts_max=6), "spool": spool.store()}, workers=1)
    cos.fault(SWIFT, op="part", beyond=6)
    carried(db, cos, spool, db.put(spool.put("object", SIZE), f"cos://{BUCKET}/object"))
    assert refused(cos) == []


def test_key_for_fewer_parts_and_a_real_gateway(ferryd, db, ceph, spool):
    ferryd({"ceph": ceph.store(parts_max=3), "spool": spool.store()}, workers=1)
    row = db.done(db.put(spool.put("object", SIZE), f"ceph://{Ceph.TARGET}/fewer"))
    assert row["etag"].endswith("-3") and row["verified_by"] == "md5"


def test_source_of_unknown_length_has_fewer_and_larger_parts(ferryd, db, cos, origin):
    ferryd({"cos": cos.store(parts_max=5000)}, workers=1, http=HTTP, worker={"memory": "128M"})
    size = 40 * MIB
    db.done(db.put(origin.url(f"/chunked/{size}"), f"cos://{BUCKET}/object"))
    stored = cos.object("object")
    assert int(stored["crc64"]) == crc64_content("origin", size)
    assert stored["parts"] < size / (5 * MIB), stored["parts"]


@pytest.mark.limit(60)
def test_larger_parts_survive_a_crash(daemon, db, cos, spool):
    cos.fault(SWIFT, op="part", beyond=6)
    cos.rate(20 * MIB)
    task = db.put(spool.put("object", SIZE), f"cos://{BUCKET}/object")
    wait_until(lambda: db.one("SELECT count(*) FROM ferry.part JOIN ferry.upload USING (task, upload_id) WHERE part_size > 5 * 1048576"),
               40, "a part of the second upload")
    os.kill(daemon.worker_of(task), signal.SIGKILL)
    cos.rate(0)
    carried(db, cos, spool, task)
    daemon.wait_log(f"task {task} started.* parts=[56] resumed=")


def test_parts_that_are_too_small_for_the_store(daemon, db, cos, spool):
    cos.fault({"status": 400, "code": "EntityTooSmall"}, op="complete", times=1)
    assert carried(db, cos, spool, db.put(spool.put("object", SIZE), f"cos://{BUCKET}/object"))["parts"] == 3


def test_larger_parts_are_tried_once(daemon, db, cos, spool):
    cos.fault({"status": 400, "code": "EntityTooSmall"}, op="complete")
    row = db.wait(db.put(spool.put("object", SIZE), f"cos://{BUCKET}/object"))
    assert (row["state"], row["error_class"], row["attempt"]) == ("failed", "permanent", 1) and "EntityTooSmall" in row["error"]
    assert len(cos.log("initiate")) == 2 and cos.uploads() == []


def test_refusal_that_is_not_about_the_number_begins_nothing_anew(daemon, db, cos, spool):
    cos.fault({"status": 400, "code": "InvalidArgument", "message": "something else"}, op="part", beyond=6)
    row = db.wait(db.put(spool.put("object", SIZE), f"cos://{BUCKET}/object"))
    assert row["state"] == "failed" and len(cos.log("initiate")) == 1


def test_copy_within_the_store_that_may_have_fewer_parts(daemon, db, cos, spool):
    source = spool.put("object", 90 * MIB)
    db.done(db.put(source, f"cos://{BUCKET}/first"))
    cos.fault(dict(SWIFT, message="Part number must be an integer between 1 and 2, inclusive"), beyond=2)
    row = db.done(db.put(f"cos://{BUCKET}/first", f"cos://{BUCKET}/object", if_exists="fail"))
    stored = cos.object("object")
    assert stored["parts"] == 2 and int(stored["crc64"]) == spool.crc64("object", 90 * MIB) and row["attempt"] == 0
    assert cos.uploads() == []


@pytest.mark.parametrize("size", [3 * MIB, 12 * MIB, SIZE])
def test_proxy_that_takes_small_requests_only(daemon, db, cos, spool, size):
    cos.fault(NGINX, larger=2 * MIB)
    stored = carried(db, cos, spool, db.put(spool.put("object", size), f"cos://{BUCKET}/object"), size=size)
    assert stored["parts"] >= size / (2 * MIB)
    before = len(refused(cos))
    carried(db, cos, spool, db.put(spool.put("object", size), f"cos://{BUCKET}/object"), size=size)
    assert len(refused(cos)) == before


@pytest.mark.parametrize("path", ["chunked", "etagless"])
def test_source_that_must_be_read_anew_for_smaller_requests(daemon, db, cos, origin, path):
    size = 9 * MIB
    cos.fault(NGINX, larger=2 * MIB)
    row = db.done(db.put(origin.url(f"/{path}/{size}"), f"cos://{BUCKET}/object"))
    assert int(cos.object("object")["crc64"]) == crc64_content("origin", size) and row["attempt"] == 0
    assert cos.uploads() == []


@pytest.mark.parametrize("if_exists", ["fail", "skip"])
def test_smaller_requests_keep_the_condition(daemon, db, cos, spool, if_exists):
    cos.fault(NGINX, larger=2 * MIB)
    carried(db, cos, spool, db.put(spool.put("object", 3 * MIB), f"cos://{BUCKET}/object", if_exists=if_exists), size=3 * MIB)
    row = db.wait(db.put(spool.put("other", 3 * MIB), f"cos://{BUCKET}/object", if_exists=if_exists))
    assert row["state"] == {"fail": "failed", "skip": "done"}[if_exists]
    assert int(cos.object("object")["crc64"]) == spool.crc64("object", 3 * MIB)


def test_proxy_that_takes_no_request_of_a_part(daemon, db, cos, spool):
    """The error says what went through, what did not, and who refused it."""
    cos.fault(NGINX, larger=900000)
    db.done(db.put(spool.put("small", 800000), f"cos://{BUCKET}/small"))
    row = db.wait(db.put(spool.put("object", SIZE), f"cos://{BUCKET}/object"))
    assert (row["state"], row["error_class"], row["attempt"]) == ("failed", "permanent", 1)
    for words in ("413", "nginx/1.22.1", "a request of 1.0 MiB was refused", "the largest that went through had 781.2 KiB"):
        assert words in row["error"], row["error"]
    assert cos.uploads() == [] and cos.object("object") is None


def test_more_bytes_than_a_proxy_and_the_number_of_parts_allow(ferryd, db, cos, spool):
    ferryd({"cos": cos.store(parts_max=6), "spool": spool.store()}, workers=1)
    cos.fault(NGINX, larger=5 * MIB)
    row = db.wait(db.put(spool.put("object", SIZE), f"cos://{BUCKET}/object"))
    assert (row["state"], row["error_class"]) == ("failed", "permanent")
    assert f"{SIZE} bytes in 6 parts at most" in row["error"], row["error"]


# A proxy that rewrites Host

def refused_signature(db, task):
    error = wait_until(lambda: db.task(task)["error"], 20, "the attempt to fail")
    assert "SignatureDoesNotMatch" in error, error
    return error


def test_host_that_a_proxy_rewrites_is_named_by_cos(ferryd, db, cos, spool):
    host = f"{BUCKET}.cos.{REGION}.myqcloud.com"
    proxy = RenamingWire(cos.port, f"{host}:8080")
    ferryd({"cos": cos.store(proxy.port), "spool": spool.store()}, workers=1)
    error = refused_signature(db, db.put(spool.put("object", 1000), f"cos://{BUCKET}/object", max_attempts=1))
    assert f"the store saw Host {host}:8080, but {host}:{proxy.port} was sent and signed" in error, error
    proxy.stop()


def test_host_that_a_proxy_rewrites_is_named_by_s3(ferryd, db, sums, spool):
    proxy = RenamingWire(sums.port, "backend:80")
    ferryd({"sums": dict(sums.store(), endpoint=f"http://127.0.0.1:{proxy.port}"), "spool": spool.store()}, workers=1)
    error = refused_signature(db, db.put(spool.put("object", 1000), f"sums://{Sums.BUCKET}/object", max_attempts=1))
    assert f"the store saw Host backend:80, but 127.0.0.1:{proxy.port} was sent and signed" in error, error
    proxy.stop()


def test_host_that_a_proxy_rewrites_may_be_why_a_gateway_refuses(ferryd, db, ceph, spool):
    """Ceph's error says nothing of what it has signed."""
    proxy = RenamingWire(ceph.port, "backend:80")
    ferryd({"ceph": dict(ceph.store(), endpoint=f"http://127.0.0.1:{proxy.port}"), "spool": spool.store()}, workers=1)
    error = refused_signature(db, db.put(spool.put("object", 1000), f"ceph://{Ceph.TARGET}/object", max_attempts=1))
    assert f"the secret is wrong, or a proxy before the store rewrites Host (127.0.0.1:{proxy.port})" in error, error
    proxy.stop()


def test_wrong_secret_is_not_blamed_on_a_proxy(ferryd, db, cos, spool):
    ferryd({"cos": cos.store(secret="wrong"), "spool": spool.store()}, workers=1)
    assert "Host" not in refused_signature(db, db.put(spool.put("object", 1000), f"cos://{BUCKET}/object", max_attempts=1))
