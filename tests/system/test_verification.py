"""A bit that changes on the way is found before the task is done, wherever a checksum can find it."""

import os

import pytest

from content import content_bytes, crc64_content
from rig import MIB, ferryctl
from stores import BUCKET
from wires import HttpWire, Tripwire

BIG, SMALL = 12 * MIB + 5, 40000


@pytest.fixture
def trip():
    return Tripwire()


@pytest.fixture
def lines(trip, ferryd, db, ceph, cos, tmp_base):
    """A ferryd whose connections to the stores all pass wires that can change a bit."""
    wires = {(side, kind): HttpWire(trip, side, {"ceph": ceph, "cos": cos}[kind].port)
             for side in ("source", "dest") for kind in ("ceph", "cos")}
    root = f"{tmp_base}/out"
    os.mkdir(root)
    os.chmod(root, 0o777)

    def through(side, kind):
        port = wires[side, kind].port
        if kind == "ceph":
            return ceph.store(endpoint=f"http://127.0.0.1:{port}")
        return cos.store(port)
    ferryd({"from-ceph": through("source", "ceph"), "from-cos": through("source", "cos"), "ceph": through("dest", "ceph"),
            "cos": through("dest", "cos"), "out": {"kind": "file", "root": root}}, workers=1, retry_delay="10ms")
    yield root
    for wire in wires.values():
        wire.stop()


@pytest.fixture
def source(lines, db, ceph, cos):
    """source(kind, size) returns the URI of the object, which is in both stores."""
    for size in (BIG, SMALL):
        ceph.put(ceph.SOURCE, f"v{size}", content_bytes("v", size))
        db.done(db.put(f"from-ceph://{ceph.SOURCE}/v{size}", f"cos://{BUCKET}/v{size}"))
    return lambda kind, size: f"from-ceph://{ceph.SOURCE}/v{size}" if kind == "ceph" else f"from-cos://{BUCKET}/v{size}"


def destination(kind, ceph):
    return {"ceph": f"ceph://{ceph.TARGET}/copy", "cos": f"cos://{BUCKET}/copy", "out": "out://copy"}[kind]


def arrived(kind, ceph, cos, root):
    """Returns the CRC64 of the object at the destination, or None."""
    if kind == "cos":
        found = cos.object("copy")
        return found and int(found["crc64"])
    if kind == "ceph":
        answer = ceph.request("GET", ceph.TARGET, "copy")
        body = answer.read()
        return content_crc(body) if answer.status == 200 else None
    path = f"{root}/copy"
    if not os.path.exists(path):
        return None
    with open(path, "rb") as f:
        return content_crc(f.read())


def content_crc(body):
    return crc64_content("v", len(body)) if body == content_bytes("v", len(body)) else 0


SEGMENTS = [("cos", "ceph", "source GET"), ("cos", "cos", "source GET"), ("cos", "out", "source GET"),
            ("ceph", "cos", "dest P"), ("ceph", "ceph", "dest P")]


@pytest.mark.parametrize("size", [BIG, SMALL])
@pytest.mark.parametrize("origin,kind,where", SEGMENTS)
def test_a_bit_that_changes_once_is_found_and_carried_again(trip, source, db, ceph, cos, lines, origin, kind, where, size):
    trip.flip = (where, 1)
    row = db.done(db.put(source(origin, size), destination(kind, ceph)))
    assert len(trip.fired) == 1
    assert arrived(kind, ceph, cos, lines) == int(row["crc64"]) == crc64_content("v", size)
    ceph.request("DELETE", ceph.TARGET, "copy").read()


@pytest.mark.parametrize("size", [BIG, SMALL])
@pytest.mark.parametrize("origin,kind,where", SEGMENTS)
def test_a_line_that_changes_every_body_fails_the_task(trip, source, db, ceph, cos, lines, origin, kind, where, size):
    uri = source(origin, size)
    trip.flip = (where, -1)
    row = db.wait(db.put(uri, destination(kind, ceph), max_attempts=2))
    assert row["state"] == "failed" and row["verified_by"] is None, row
    assert ("changed on the way" if where == "source GET" else "destination differs") in row["error"]
    trip.flip = None
    assert arrived(kind, ceph, cos, lines) is None
    ferryctl("reap", conninfo=db.conninfo(), check=False)
    assert ceph.uploads(ceph.TARGET) == [] and cos.uploads() == []


def test_expect_crc64_finds_a_changed_bit_of_an_s3_source(trip, source, db, ceph, cos):
    uri = source("ceph", BIG)
    trip.flip = ("source GET", -1)
    row = db.wait(db.put(uri, destination("cos", ceph), expect_crc64=crc64_content("v", BIG), max_attempts=2))
    assert row["state"] == "failed" and "expect_crc64" in row["error"] and cos.object("copy") is None
