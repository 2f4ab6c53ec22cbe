"""Sources of unknown length: empty, of sizes around the parts that memory allows, cut; to each kind of destination."""

import itertools

import pytest

from content import content_bytes, crc64_bytes, crc64_content
from rig import MIB
from stores import BUCKET

HTTP = {"allow": ["127.0.0.1"], "private": True}
PART = 3 * MIB  # the parts for COS, with a ring of 4 MiB; S3 needs parts of 5 MiB at least, and so a ring of 8 MiB


@pytest.mark.parametrize("path", ["/chunked/{}", "/ancient/{}?length=0"])
def test_sizes(ferryd, db, cos, origin, spool, path):
    ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1, http=HTTP)
    for size in (0, 1, PART - 1, PART, PART + 1, 2 * PART):
        expect = {"expect_size": size} if "ancient" in path else {}
        row = db.done(db.put(origin.url(path.format(size)), f"cos://{BUCKET}/object", **expect))
        stored = cos.object("object")
        assert stored["size"] == size == row["bytes_total"] == row["bytes_done"] and row["verified_by"] == "crc64"
        assert int(stored["crc64"]) == int(row["crc64"]) == crc64_content("origin", size)
        assert stored["parts"] == max(1, -(-size // PART)) and cos.uploads() == []
        db.done(db.put(origin.url(path.format(size)), "spool://out", **expect))
        with open(f"{spool.root}/out", "rb") as f:
            assert f.read() == content_bytes("origin", size)


def test_to_ceph(ferryd, db, ceph, origin):
    ferryd({"ceph": ceph.store()}, workers=1, http=HTTP)
    for size in (0, 1000, 7 * MIB, 7 * MIB + 1):
        row = db.done(db.put(origin.url(f"/chunked/{size}"), f"ceph://{ceph.TARGET}/unknown"))
        assert row["verified_by"] == "md5"
        assert crc64_bytes(ceph.get(ceph.TARGET, "unknown")) == int(row["crc64"]) == crc64_content("origin", size)
    ceph.delete(ceph.TARGET, "unknown")


def test_source_that_is_cut_makes_no_object(ferryd, db, cos, origin):
    ferryd({"cos": cos.store()}, workers=1, http=HTTP, retry_delay="10ms")
    for cut in (0, 1000, PART + 1000):
        row = db.wait(db.put(origin.url(f"/chunked/{2 * PART}?cut={cut}"), f"cos://{BUCKET}/object", max_attempts=2))
        assert (row["state"], row["error_class"], row["attempt"]) == ("failed", "transient", 2)
        assert cos.objects() == {} and cos.uploads() == []


def test_expectations_hold_at_the_end(ferryd, db, cos, origin):
    ferryd({"cos": cos.store()}, workers=1, http=HTTP)
    for size, name in itertools.product((1000, PART + 1), ("expect_size", "expect_crc64")):
        row = db.wait(db.put(origin.url(f"/chunked/{size}"), f"cos://{BUCKET}/object", **{name: 4711}))
        assert row["state"] == "failed" and row["error_class"] == "permanent" and name in row["error"]
        assert cos.objects() == {} and cos.uploads() == []
