"""Every kind of source to every kind of destination: sizes around a part, headers and metadata, temporary keys."""


import itertools

import pytest

import stores
from content import content_bytes, crc64_bytes
from rig import MIB
from stores import BUCKET, decoded

HTTP = {"allow": ["127.0.0.1"], "private": True}
PART = 5 * MIB
SOURCES, TARGETS = ["ceph", "cos", "file", "http"], ["ceph", "cos", "file"]
HEADERS = {"content-type": "video/x-odd", "cache-control": "max-age=60, private",
           "content-disposition": 'attachment; filename="ä b.mp4"', "content-encoding": "gzip", "content-language": "de, en", "expires": "Thu, 01 Jan 2032 00:00:00 GMT"}
METADATA = {"colour": "grün, 緑", "n": "7"}


class Kinds:
    def __init__(self, db, ceph, cos, spool, origin):
        self.db, self.ceph, self.cos, self.spool, self.origin = db, ceph, cos, spool, origin

    def put(self, kind, size):
        """Makes an object of that size at a source; returns its URI."""
        data = content_bytes("origin", size)
        if kind == "http":
            return self.origin.url(f"/size/{size}")
        if kind == "ceph":
            self.ceph.put(self.ceph.SOURCE, "kinds", data)
            return f"ceph://{self.ceph.SOURCE}/kinds"
        uri = self.spool.put("kinds", size, "origin")
        if kind == "cos":
            self.db.done(self.db.put(uri, f"cos://{BUCKET}/kinds"))
            return f"cos://{BUCKET}/kinds"
        return uri

    def uri(self, kind):
        return {"ceph": f"ceph://{self.ceph.TARGET}/kinds", "cos": f"cos://{BUCKET}/out", "file": "spool://out"}[kind]

    def crc64(self, kind):
        """Returns the CRC64 of the object at the destination."""
        if kind == "cos":
            return int(self.cos.object("out")["crc64"])
        if kind == "ceph":
            return crc64_bytes(self.ceph.get(self.ceph.TARGET, "kinds"))
        with open(f"{self.spool.root}/out", "rb") as f:
            return crc64_bytes(f.read())


@pytest.fixture
def kinds(ferryd, db, ceph, cos, spool, origin):
    ferryd({"ceph": ceph.store(), "cos": cos.store(), "spool": spool.store()}, workers=2, http=HTTP)
    yield Kinds(db, ceph, cos, spool, origin)
    for bucket in (ceph.SOURCE, ceph.TARGET):
        ceph.request("DELETE", bucket, "kinds").read()


@pytest.mark.parametrize("source", SOURCES)
def test_sizes(kinds, db, source):
    for size, target in itertools.product((0, 1, PART - 1, PART, PART + 1), TARGETS):
        row = db.done(db.put(kinds.put(source, size), kinds.uri(target)))
        assert row["bytes_total"] == row["bytes_done"] == size and row["verified_by"] in ("crc64", "md5", "etag"), row
        assert row["crc64"] is not None or (source, target) == ("ceph", "ceph")
        there = kinds.crc64(target)
        assert there == int(row["crc64"] or there) == crc64_bytes(content_bytes("origin", size)), f"{size} bytes"
    assert kinds.cos.uploads() == [] and kinds.ceph.uploads(kinds.ceph.TARGET) == []


def belongs(found, metadata):
    """Checks headers and metadata in found."""
    for name, value in {**HEADERS, **{metadata + n: v for n, v in METADATA.items()}}.items():
        assert decoded(found[name]) == value, name


@pytest.mark.parametrize("size", [1000, PART + 1])
def test_headers_and_metadata_go_along(kinds, db, size):
    """Ceph to COS and back to Ceph keeps them; a file keeps only bytes."""
    ceph, cos = kinds.ceph, kinds.cos
    ceph.call("PUT", ceph.SOURCE, "kinds", body=content_bytes("k", size),
              headers={**HEADERS, **{f"x-amz-meta-{n}": v for n, v in METADATA.items()}})
    db.done(db.put(f"ceph://{ceph.SOURCE}/kinds", f"cos://{BUCKET}/out"))
    belongs(cos.object("out")["headers"], "x-cos-meta-")
    db.done(db.put(f"cos://{BUCKET}/out", f"ceph://{ceph.TARGET}/kinds"))
    belongs(ceph.head(ceph.TARGET, "kinds"), "x-amz-meta-")
    db.done(db.put(f"cos://{BUCKET}/out", "spool://out"))
    db.done(db.put("spool://out", f"cos://{BUCKET}/bare", content_type="a/b", metadata={"x": "y"}))
    headers = cos.object("bare")["headers"]
    assert headers["content-type"] == "a/b" and headers["x-cos-meta-x"] == "y" and "cache-control" not in headers


def test_names_with_dots_and_underscores(kinds, db):
    """COS keeps neither in names of metadata: both become dashes."""
    ceph = kinds.ceph
    ceph.call("PUT", ceph.SOURCE, "kinds", body=b"k" * 1000, headers={"x-amz-meta-camera_model": "x", "x-amz-meta-gps.lat": "1"})
    stored = {n: v for n, v in ceph.head(ceph.SOURCE, "kinds").items() if "meta" in n}
    db.done(db.put(f"ceph://{ceph.SOURCE}/kinds", f"cos://{BUCKET}/out"), db.put(f"ceph://{ceph.SOURCE}/kinds", kinds.uri("ceph")))
    assert {n: v for n, v in kinds.cos.object("out")["headers"].items() if "meta" in n} == {
        "x-cos-meta-camera-model": "x", "x-cos-meta-gps-lat": "1"}
    assert {n: v for n, v in ceph.head(ceph.TARGET, "kinds").items() if "meta" in n} == stored


def test_storage_class(kinds, db):
    uri = kinds.put("file", 1000)
    db.done(db.put(uri, f"cos://{BUCKET}/out", storage_class="STANDARD_IA"))
    assert kinds.cos.object("out")["headers"]["x-cos-storage-class"] == "STANDARD_IA"
    for there in (f"cos://{BUCKET}/out", kinds.uri("ceph")):
        row = db.wait(db.put(uri, there, storage_class="no_such"))
        assert row["state"] == "failed" and row["error_class"] == "permanent" and "HTTP 400" in row["error"]


# Temporary keys

@pytest.fixture
def sts(tmp_base, monkeypatch):
    """A COS endpoint that accepts its key only together with a token."""
    monkeypatch.setattr(stores, "COS_SECRET", stores.COS_SECRET + ":first-token")
    endpoint = stores.Cos(f"{tmp_base}/sts")
    monkeypatch.undo()
    yield endpoint
    endpoint.stop()


def token_file(daemon, text):
    return daemon.secret("token", text)


@pytest.mark.parametrize("size", [1000, 2 * PART + 1])
def test_session_token_is_sent_with_every_request(ferryd, db, sts, spool, size):
    daemon = ferryd({"cos": sts.store(), "spool": spool.store()}, workers=1, start=False)
    daemon.stores["cos"]["session_token_file"] = token_file(daemon, "first-token")
    daemon.write()
    daemon.start()
    db.done(db.put(spool.put("o", size), f"cos://{BUCKET}/o"))
    db.done(db.put(f"cos://{BUCKET}/o", "spool://back"))
    assert [e for e in sts.log() if e["status"] in (401, 403)] == []


def test_a_task_waits_for_a_new_token_and_hup_reads_a_new_one(ferryd, db, sts, spool):
    daemon = ferryd({"cos": sts.store(), "spool": spool.store()}, workers=1, start=False)
    daemon.stores["cos"]["session_token_file"] = token_file(daemon, "an-old-token")
    daemon.write()
    daemon.start()
    task = db.put(spool.put("o", 1000), f"cos://{BUCKET}/o")
    row = db.waits(task)
    assert row["error_class"] == "credentials" and "SecurityToken" in row["error"]
    token_file(daemon, "first-token")
    daemon.send(1)
    daemon.wait_log("reload")
    db.done(task)
    text = daemon.log_text()
    assert "first-token" not in text and "an-old-token" not in text
