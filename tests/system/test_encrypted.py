"""Destinations that encrypt: an ETag that is no MD5 proves nothing, and nothing is removed on a doubt."""

import pytest

from content import content_bytes
from rig import MIB
from stores import BUCKET, Sums

SMALL, BIG = 40000, 12 * MIB + 5
KINDS = ["aws:kms", "aws:kms:dsse", "SSE-C"]


@pytest.fixture
def sums():
    endpoint = Sums()
    yield endpoint
    endpoint.stop()


@pytest.fixture
def start(ferryd, db, sums, spool):
    """start(...) makes a ferryd whose store "sums" has these settings."""
    for size in (0, SMALL, BIG):
        spool.put(f"v{size}", size, seed="v")

    def make(**settings):
        return ferryd({"spool": spool.store(), "sums": sums.store(**settings)}, workers=1, retry_delay="10ms",
                      worker={"streams": 2})
    return make


def put(db, size, **columns):
    return db.put(f"spool://v{size}", f"sums://{Sums.BUCKET}/copy", **columns)


def is_there(sums, size):
    return sums.head(Sums.BUCKET, "copy") is not None and sums.get(Sums.BUCKET, "copy") == content_bytes("v", size)


def removals(sums):
    return sums.log("DeleteObject")


@pytest.mark.parametrize("kind", [*KINDS, "aws:kms quiet"])
@pytest.mark.parametrize("size", [0, SMALL, BIG])
def test_a_bucket_that_encrypts_with_keys_of_a_service_is_verified_by_size(start, db, sums, kind, size):
    if size == BIG and kind.endswith("quiet"):
        pytest.skip("a part's ETag is compared with what its answer says")
    start(verify="auto")
    sums.encrypt(kind)
    row = db.done(put(db, size))
    assert row["verified_by"] == "size" and row["attempt"] == 0 and is_there(sums, size) and removals(sums) == []


@pytest.mark.parametrize("size", [SMALL, BIG])
def test_with_keys_of_the_store_the_etag_stays_the_md5(start, db, sums, size):
    start(verify="auto")
    sums.encrypt("AES256")
    assert db.done(put(db, size))["verified_by"] == "md5" and is_there(sums, size)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [SMALL, BIG])
def test_crc32c_proves_what_the_etag_does_not(start, db, sums, kind, size):
    start(verify="crc32c")
    sums.encrypt(kind)
    assert db.done(put(db, size))["verified_by"] == "crc32c" and is_there(sums, size)


@pytest.mark.parametrize("kind", ["aws:kms", "aws:kms quiet"])
@pytest.mark.parametrize("size", [SMALL, BIG])
def test_md5_by_name_cannot_prove_it_so_the_task_fails_and_the_object_stays(start, db, sums, kind, size):
    start(verify="md5")
    sums.encrypt(kind)
    row = db.wait(put(db, size, max_attempts=1))
    assert row["state"] == "failed" and row["verified_by"] is None
    assert ("is no MD5" in row["error"] or "not proven" in row["error"] or size == BIG), row["error"]
    assert removals(sums) == [] and sums.uploads(Sums.BUCKET) == []
    assert size == BIG or is_there(sums, size)
    assert db.one("SELECT count(*) FROM ferry.upload") == 0


def test_an_older_object_is_not_removed_with_the_doubt(start, db, sums):
    start(verify="md5")
    sums.put(Sums.BUCKET, "copy", b"older")
    sums.encrypt("aws:kms")
    row = db.wait(put(db, BIG, max_attempts=2))
    assert row["state"] == "failed" and sums.get(Sums.BUCKET, "copy") == b"older" and removals(sums) == []


def test_a_store_that_does_not_encrypt_and_states_another_md5_holds_other_bytes(start, db, sums):
    start(verify="auto")
    sums.encrypt("own")
    row = db.wait(put(db, SMALL, max_attempts=1))
    assert row["state"] == "failed" and "destination differs" in row["error"]
    assert removals(sums) == [(204, "")] and sums.head(Sums.BUCKET, "copy") is None


def test_a_server_without_checksums_loses_no_object(start, db, ceph, spool, ferryd):
    """verify = crc32c at a server that does not know it: nothing is known of the object, so it stays."""
    ferryd({"spool": spool.store(), "ceph": ceph.store(verify="crc32c")}, workers=1)
    ceph.put(ceph.TARGET, "kept", b"older")
    row = db.wait(db.put(f"spool://v{SMALL}", f"ceph://{ceph.TARGET}/kept"))
    assert row["state"] == "failed" and row["error_class"] == "permanent"
    assert ceph.head(ceph.TARGET, "kept") is not None
    ceph.delete(ceph.TARGET, "kept")


@pytest.mark.parametrize("size", [SMALL, BIG])
def test_encryption_is_asked_for(start, db, sums, size):
    start(verify="auto", encryption="aws:kms", kms_key="alias/ours")
    assert db.done(put(db, size))["verified_by"] == "size"
    assert sums.encryption("copy") == {"encryption": "aws:kms", "key": "alias/ours"} and is_there(sums, size)


@pytest.mark.parametrize("size", [SMALL, BIG])
def test_a_store_that_does_not_encrypt_as_asked_fails_the_task(start, db, sums, size):
    start(verify="auto", encryption="AES256")
    sums.encrypt("ignore")
    row = db.wait(put(db, size))
    assert (row["state"], row["error_class"]) == ("failed", "permanent")
    assert 'as encryption = "AES256" of the store asks' in row["error"], row["error"]
    assert sums.log("UploadPart") == [] and sums.uploads(Sums.BUCKET) == []


@pytest.mark.parametrize("size", [SMALL, BIG])
def test_cos_encrypts_as_asked(ferryd, db, cos, spool, size):
    ferryd({"spool": spool.store(), "cos": cos.store(encryption="cos/kms", kms_key="k-1")}, workers=1)
    source = spool.put("v", size)
    assert db.done(db.put(source, f"cos://{BUCKET}/out"))["verified_by"] == "crc64"
    headers = cos.object("out")["headers"]
    assert (headers["x-cos-server-side-encryption"], headers["x-cos-server-side-encryption-cos-kms-key-id"]) == ("cos/kms", "k-1")
    db.done(db.put(f"cos://{BUCKET}/out", f"cos://{BUCKET}/again"))
    assert len(cos.log("copy")) == 1 and cos.object("again")["headers"]["x-cos-server-side-encryption"] == "cos/kms"


def test_a_damaged_object_of_parts_is_removed(ferryd, db, cos, spool):
    """Its own CRC64 says that it differs, and its ETag that Complete has made it."""
    ferryd({"spool": spool.store(), "cos": cos.store()}, workers=1, retry_delay="10ms")
    cos.fault({"crc": "wrong"}, op="head")
    row = db.wait(db.put(spool.put("v", BIG), f"cos://{BUCKET}/out", max_attempts=1))
    assert row["state"] == "failed" and "destination differs" in row["error"]
    assert cos.object("out") is None and db.one("SELECT count(*) FROM ferry.upload") == 0
