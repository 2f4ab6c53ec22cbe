"""A real Ceph gateway as source and as destination."""

import os
import re

import pytest

from content import content_bytes
from rig import MIB, wait_until
from stores import BUCKET

ODD = ["with space", "ünïcödé/日本語", "plus+and&amp=eq?query#hash%41~", "a//b/../c/./d", "!'()*:;@,$", "k" * 1000]


@pytest.fixture
def clean(ceph):
    """Empties the target bucket after the test."""
    yield ceph
    text = ceph.call("GET", ceph.TARGET)[1].decode()
    for key in re.findall(r"<Key>([^<]*)</Key>", text):
        ceph.delete(ceph.TARGET, key.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"').replace("&amp;", "&"))


@pytest.mark.parametrize("key", ODD, ids=[f"odd{n}" for n in range(len(ODD))])
def test_odd_keys_in_both_directions(ferryd, db, clean, spool, key):
    ceph, size = clean, 6 * MIB
    ferryd({"ceph": ceph.store(), "spool": spool.store()}, workers=1)
    row = db.done(db.put(spool.put("object", size), f"ceph://{ceph.TARGET}/{key}"))
    assert row["verified_by"] == "md5"
    assert ceph.get(ceph.TARGET, key) == content_bytes("object", size)
    db.done(db.put(f"ceph://{ceph.TARGET}/{key}", "spool://back"))
    assert open(f"{spool.root}/back", "rb").read() == content_bytes("object", size)
    ceph.delete(ceph.TARGET, key)


@pytest.mark.parametrize("size", [0, 1, 5 * MIB, 5 * MIB + 1, 17 * MIB])
def test_sizes_and_the_empty_etag_on_complete(ferryd, db, clean, spool, size):
    """This gateway answers Complete with an empty ETag, so the row must have the ETag from the HEAD that follows."""
    ceph = clean
    ferryd({"ceph": ceph.store(), "spool": spool.store()}, workers=1)
    row = db.done(db.put(spool.put("object", size), f"ceph://{ceph.TARGET}/object"))
    head = ceph.head(ceph.TARGET, "object")
    assert int(head["content-length"]) == size and row["etag"].strip('"') == head["etag"].strip('"') != ""
    assert row["verified_by"] == "md5" and int(row["crc64"]) == spool.crc64("object", size)
    assert ceph.get(ceph.TARGET, "object") == content_bytes("object", size)
    assert ceph.uploads(ceph.TARGET) == []


def test_metadata_goes_from_ceph_to_cos_and_back(ferryd, db, clean, cos):
    ceph = clean
    ceph.call("PUT", ceph.SOURCE, "described", body=content_bytes("d", 6 * MIB), headers={
        "content-type": "video/x-odd", "cache-control": "max-age=60", "content-disposition": "attachment; filename=a.mp4",
        "x-amz-meta-colour": "green", "x-amz-meta-n": "7"})
    ferryd({"ceph": ceph.store(), "cos": cos.store()}, workers=1)
    db.done(db.put(f"ceph://{ceph.SOURCE}/described", f"cos://{BUCKET}/described"))
    headers = cos.object("described")["headers"]
    assert headers["content-type"] == "video/x-odd" and headers["cache-control"] == "max-age=60"
    assert headers["content-disposition"] == "attachment; filename=a.mp4"
    assert headers["x-cos-meta-colour"] == "green" and headers["x-cos-meta-n"] == "7"
    db.done(db.put(f"cos://{BUCKET}/described", f"ceph://{ceph.TARGET}/described"))
    head = ceph.head(ceph.TARGET, "described")
    assert head["content-type"] == "video/x-odd" and head["x-amz-meta-colour"] == "green"
    ceph.delete(ceph.SOURCE, "described")


def test_task_whose_upload_was_aborted_starts_over(ferryd, db, clean, spool):
    """The upload is aborted between two attempts; this gateway then answers ListParts with NoSuchKey."""
    ceph, size = clean, 60 * MIB
    daemon = ferryd({"ceph": ceph.store(rate="12M"), "spool": spool.store()}, workers=1)
    task = db.put(spool.put("object", size), f"ceph://{ceph.TARGET}/object")
    wait_until(lambda: db.parts(task) >= 2, 30, "two parts")
    assert daemon.stop() == 0
    (upload,) = ceph.uploads(ceph.TARGET)
    assert upload == db.one("SELECT upload_id FROM ferry.upload WHERE task = %s AND NOT abandoned", (task,))
    ceph.call("DELETE", ceph.TARGET, "object", query={"uploadId": upload})
    daemon.stores["ceph"].pop("rate")
    daemon.write()
    daemon.start()
    row = db.done(task)
    assert row["attempt"] == 0 and int(row["crc64"]) == spool.crc64("object", size)
    assert ceph.get(ceph.TARGET, "object") == content_bytes("object", size)
    assert ceph.uploads(ceph.TARGET) == []


def test_task_of_a_worker_killed_in_mid_upload_resumes_in_ceph(ferryd, db, clean, spool):
    ceph, size = clean, 60 * MIB
    daemon = ferryd({"ceph": ceph.store(rate="15M"), "spool": spool.store()}, workers=2)
    task = db.put(spool.put("object", size), f"ceph://{ceph.TARGET}/object")
    wait_until(lambda: db.parts(task) >= 3, 30, "three parts")
    os.kill(daemon.worker_of(task), 9)
    row = db.done(task)
    assert (row["crashes"], row["attempt"]) == (0, 0) and int(row["crc64"]) == spool.crc64("object", size)
    assert ceph.get(ceph.TARGET, "object") == content_bytes("object", size)
    assert ceph.uploads(ceph.TARGET) == []
