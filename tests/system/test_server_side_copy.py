"""Source and destination in one store: the store copies, no byte passes the worker, and verified_by names what was compared."""

import os

import pytest

from content import content_bytes, crc64_content
from rig import MIB, claimed_once, wait_until
from stores import BUCKET, decoded

BIG = 100 * MIB  # the worker's parts are 5 MiB; the store copies parts of 40 MiB


@pytest.fixture
def inside(ferryd, db, cos, spool):
    """inside(size, ...) makes an object at cos://BUCKET/from and has it copied to cos://BUCKET/to; returns the row of the copy."""
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1)

    def run(size, *faults, **columns):
        db.done(db.put(spool.put("object", size), f"cos://{BUCKET}/from", metadata={"colour": "grün"}, content_type="video/mp4"))
        cos.ask("POST", "/forget", {})
        cos.faults(*faults)
        return db.wait(db.put(f"cos://{BUCKET}/from", f"cos://{BUCKET}/to", **columns))
    run.daemon = daemon
    return run


def ops(cos):
    return [e["op"] for e in cos.log()]


def must_be_right(cos, row, size, seed="object"):
    assert row["state"] == "done", f"{row['error_class']}: {row['error']}"
    stored = cos.object("to")
    assert stored["size"] == size == row["bytes_total"] == row["bytes_done"] and stored["puts"] == 1
    assert int(stored["crc64"]) == crc64_content(seed, size) == int(row["crc64"])
    assert row["verified_by"] == "crc64" and row["etag"] == stored["etag"] and cos.uploads() == []


@pytest.mark.parametrize("size", [1, 12 * MIB])
def test_one_request_copies_an_object_with_its_headers_and_metadata(inside, cos, size):
    row = inside(size, storage_class="STANDARD_IA")
    must_be_right(cos, row, size)
    assert ops(cos).count("copy") == 1 and not {"get", "put", "part"} & set(ops(cos))
    headers = cos.object("to")["headers"]
    assert headers["content-type"] == "video/mp4" and headers["x-cos-storage-class"] == "STANDARD_IA"
    assert headers["x-cos-meta-colour"].encode("latin-1").decode() == "grün"


def test_content_type_of_the_row_replaces_that_of_the_source(inside, cos):
    must_be_right(cos, inside(MIB, content_type="text/x-new"), MIB)
    headers = cos.object("to")["headers"]
    assert headers["content-type"] == "text/x-new" and headers["x-cos-meta-colour"].encode("latin-1").decode() == "grün"
    assert ops(cos).count("copy") == 1


def test_copy_with_if_exists_fail_is_an_upload_of_copied_parts(inside, cos):
    must_be_right(cos, inside(BIG, if_exists="fail"), BIG)
    assert ops(cos).count("copy-part") == 3 and not {"get", "put", "part"} & set(ops(cos))
    assert cos.object("to")["headers"]["content-type"] == "video/mp4"


def test_empty_object(inside, cos):
    must_be_right(cos, inside(0), 0)


def test_copy_onto_itself_changes_the_content_type(inside, db, cos):
    inside(MIB)
    row = db.done(db.put(f"cos://{BUCKET}/from", f"cos://{BUCKET}/from", content_type="text/x-new"))
    assert row["verified_by"] == "crc64" and cos.object("from")["headers"]["content-type"] == "text/x-new"
    assert int(cos.object("from")["crc64"]) == crc64_content("object", MIB)


@pytest.mark.parametrize("action", [{"status": 501, "code": "NotImplemented"}, {"status": 405, "code": "MethodNotAllowed"},
                                    {"status": 403, "code": "AccessDenied"}, {"completeError": "AccessDenied"}],
                         ids=["501", "405", "403", "in a 200"])
@pytest.mark.parametrize("if_exists", ["overwrite", "fail"])
def test_worker_carries_the_object_if_the_store_refuses_to_copy(inside, cos, action, if_exists):
    row = inside(12 * MIB, {"match": {"op": "copy"}, "action": action}, {"match": {"op": "copy-part"}, "action": action},
                 if_exists=if_exists)
    must_be_right(cos, row, 12 * MIB)
    assert row["attempt"] == 0 and ops(cos).count("part") == 3
    assert inside.daemon.log("the store does not copy")


@pytest.mark.parametrize("if_exists", ["overwrite", "fail"])
@pytest.mark.parametrize("action", [{"completeError": "InternalError"}, {"truncate": True}, {"close": "after"},
                                    {"status": 503, "code": "SlowDown"}], ids=lambda a: next(iter(a)))
def test_trouble_that_passes(inside, cos, action, if_exists):
    row = inside(MIB, *[{"match": {"op": op, "nth": 1}, "action": action} for op in ("copy", "copy-part")], if_exists=if_exists)
    assert row["state"] == "done" and row["attempt"] == 0 and "get" not in ops(cos)
    assert int(cos.object("to")["crc64"]) == crc64_content("object", MIB) and cos.uploads() == []


@pytest.mark.parametrize("if_exists", ["overwrite", "fail"])
def test_copy_that_differs_from_its_source_is_found(inside, cos, if_exists):
    """The store's CRC64 of source and copy differ; if every copy is wrong, the task fails and leaves no object."""
    rules = [{"match": {"op": op}, "action": {"corrupt": True}} for op in ("copy", "copy-part")]
    row = inside(MIB, *rules, if_exists=if_exists, max_attempts=2)
    assert row["state"] == "failed" and "destination" in row["error"], row["error"]
    assert cos.object("to") is None and cos.uploads() == []


@pytest.mark.parametrize("held", [True, "work"])
def test_source_that_changes_before_the_copy_costs_an_attempt(ferryd, db, cos, spool, held):
    ferryd({"cos": cos.store(), "spool": spool.store()}, workers=2)
    db.done(db.put(spool.put("object", MIB), f"cos://{BUCKET}/from"))
    cos.fault({"hold": held}, op="copy", nth=1)
    task = db.put(f"cos://{BUCKET}/from", f"cos://{BUCKET}/again")
    wait_until(lambda: cos.held() == 1, 10, "the request for a copy")
    db.done(db.put(spool.put("other", 2 * MIB), f"cos://{BUCKET}/from"))
    cos.release()
    row = db.done(task)
    assert row["attempt"] == 1 and cos.object("again")["size"] == 2 * MIB
    assert int(row["crc64"]) == crc64_content("other", 2 * MIB)


def test_expectations_are_checked_before_the_copy(inside, cos):
    row = inside(MIB, expect_crc64=4711)
    assert row["state"] == "failed" and row["error_class"] == "permanent" and "expect_crc64" in row["error"]
    assert cos.object("to") is None and "copy" not in ops(cos)


def test_copy_never_is_obeyed(ferryd, db, cos, spool):
    ferryd({"cos": cos.store(copy="never"), "spool": spool.store()}, workers=1)
    db.done(db.put(spool.put("object", MIB), f"cos://{BUCKET}/from"))
    must_be_right(cos, db.done(db.put(f"cos://{BUCKET}/from", f"cos://{BUCKET}/to")), MIB)
    assert "copy" not in ops(cos) and "get" in ops(cos)


def test_task_resumes_with_the_copied_parts_after_a_kill(inside, db, cos):
    row = inside(BIG)
    cos.ask("POST", "/forget", {})
    cos.fault({"hold": True}, op="copy-part", part=3, nth=1)
    task = db.put(f"cos://{BUCKET}/from", f"cos://{BUCKET}/fourth", if_exists="fail")
    wait_until(lambda: db.parts(task) == 2 and cos.held() == 1, 20, "two parts")
    os.kill(inside.daemon.worker_of(task), 9)
    wait_until(lambda: not claimed_once(db.task(task)), 10, "the death to be settled")
    cos.release()
    row = db.done(task)
    assert row["verified_by"] == "crc64" and int(row["crc64"]) == crc64_content("object", BIG)
    assert sorted(e["part"] for e in cos.log("copy-part")) in ([1, 2, 3], [1, 2, 3, 3])
    assert cos.uploads() == [] and cos.object("fourth")["puts"] == 1


# The real gateway

@pytest.fixture
def gateway(ferryd, db, ceph):
    ferryd({"ceph": ceph.store()}, workers=1)
    yield ceph
    for key in ("to", "from"):
        ceph.request("DELETE", ceph.TARGET, key).read()


@pytest.mark.parametrize("key", ["from", "ünïcödé +&=?#/../x"])
@pytest.mark.parametrize("if_exists", ["overwrite", "fail"])
def test_ceph_copies(gateway, db, key, if_exists):
    size = 60 * MIB if if_exists == "fail" else 6 * MIB
    gateway.call("PUT", gateway.TARGET, key, body=content_bytes("c", size), headers={"content-type": "video/x", "x-amz-meta-n": "7"})
    row = db.done(db.put(f"ceph://{gateway.TARGET}/{key}", f"ceph://{gateway.TARGET}/to", if_exists=if_exists))
    assert row["verified_by"] == "etag" and row["crc64"] is None and row["bytes_done"] == size
    head = gateway.head(gateway.TARGET, "to")
    assert head["content-type"] == "video/x" and head["x-amz-meta-n"] == "7" and head["etag"].strip('"') == row["etag"]
    assert gateway.get(gateway.TARGET, "to") == content_bytes("c", size)
    assert gateway.uploads(gateway.TARGET) == []
    gateway.delete(gateway.TARGET, key)


@pytest.mark.parametrize("if_exists", ["overwrite", "fail"])
def test_ceph_is_not_asked_for_keys_that_it_decodes_twice(gateway, db, if_exists):
    """This gateway would take from%62 for fromb, and ends itself over a name that is nothing any more when decoded once too often."""
    gateway.put(gateway.TARGET, "fromb", content_bytes("wrong", 6 * MIB))
    for key in ("from%62", "ünï =%?#/../x"):
        gateway.put(gateway.TARGET, key, content_bytes("right", 6 * MIB))
        row = db.done(db.put(f"ceph://{gateway.TARGET}/{key}", f"ceph://{gateway.TARGET}/to", if_exists=if_exists))
        assert row["verified_by"] == "md5" and gateway.get(gateway.TARGET, "to") == content_bytes("right", 6 * MIB)
        gateway.delete(gateway.TARGET, key)
        gateway.delete(gateway.TARGET, "to")
    gateway.delete(gateway.TARGET, "fromb")


def test_ceph_copy_with_headers_of_the_row(gateway, db):
    gateway.call("PUT", gateway.TARGET, "from", body=b"x" * 1000, headers={"content-type": "video/x", "x-amz-meta-n": "7"})
    row = db.done(db.put(f"ceph://{gateway.TARGET}/from", f"ceph://{gateway.TARGET}/to", metadata={"colour": "grün"}))
    head = gateway.head(gateway.TARGET, "to")
    assert row["verified_by"] == "etag" and head["content-type"] == "video/x" and "x-amz-meta-n" not in head
    assert decoded(head["x-amz-meta-colour"]) == "grün"


def test_expected_sum_that_the_store_cannot_state_is_computed_here(gateway, db):
    gateway.put(gateway.TARGET, "from", content_bytes("c", MIB))
    row = db.done(db.put(f"ceph://{gateway.TARGET}/from", f"ceph://{gateway.TARGET}/to", expect_crc64=crc64_content("c", MIB)))
    assert row["verified_by"] == "md5" and int(row["crc64"]) == crc64_content("c", MIB)
    row = db.wait(db.put(f"ceph://{gateway.TARGET}/from", f"ceph://{gateway.TARGET}/to", expect_crc64=4711))
    assert row["state"] == "failed" and "expect_crc64" in row["error"]
