"""No byte for too long, in either direction, and whose fault it is; slow is not stalled."""

import os
import signal
import time

import pytest

from content import crc64_content
from rig import MIB, wait_until
from stores import BUCKET
from wires import NarrowWire

HTTP = {"allow": ["127.0.0.1"], "private": True}
QUICK = {"stall_timeout": "2s", "connect_timeout": "1s"}


@pytest.fixture
def daemon(ferryd, cos, spool):
    return ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1, http=HTTP, worker=QUICK)


def stalled(row, side):
    assert (row["state"], row["error_class"]) == ("failed", "transient")
    assert f"({side} side)" in row["error"] and "no progress" in row["error"], row["error"]


@pytest.mark.parametrize("after", [0, 3 * MIB])
def test_source_that_stops_in_the_middle(daemon, db, cos, origin, after):
    row = db.wait(db.put(origin.url(f"/stops/{20 * MIB}?after={after}"), f"cos://{BUCKET}/object", max_attempts=1))
    stalled(row, "source")
    assert cos.objects() == {}


@pytest.mark.parametrize("size", [300000, 20 * MIB])
def test_destination_that_takes_the_body_and_never_answers(daemon, db, cos, spool, size):
    cos.fault({"hold": True}, op="part" if size > MIB else "put")
    row = db.wait(db.put(spool.put("object", size), f"cos://{BUCKET}/object", max_attempts=1))
    stalled(row, "destination")


def test_destination_that_stops_reading(daemon, db, cos, origin):
    """The kernel's buffers take the beginning, then the ring is full."""
    cos.fault({"slow": 1}, op="part")
    stalled(db.wait(db.put(origin.url(f"/size/{20 * MIB}"), f"cos://{BUCKET}/object", max_attempts=1), timeout=40), "destination")


def test_one_byte_a_second_is_slow_and_not_stalled(ferryd, db, cos, origin):
    ferryd({"cos": cos.store()}, workers=1, http=HTTP, worker=QUICK)
    row = db.done(db.put(origin.url("/slow/7?rate=1"), f"cos://{BUCKET}/object"))
    assert row["attempt"] == 0 and (row["finished_at"] - row["started_at"]).total_seconds() > 5
    assert int(cos.object("object")["crc64"]) == crc64_content("origin", 7)


@pytest.mark.parametrize("path", ["size", "chunked"])
def test_slow_sink_is_not_a_stalled_one(ferryd, db, cos, origin, path):
    ferryd({"cos": cos.store()}, workers=1, http=HTTP, worker={"stall_timeout": "8s", "connect_timeout": "1s"})
    cos.rate(2 * MIB)
    row = db.done(db.put(origin.url(f"/{path}/{9 * MIB}"), f"cos://{BUCKET}/object"))
    assert row["attempt"] == 0 and int(cos.object("object")["crc64"]) == crc64_content("origin", 9 * MIB)


def test_what_the_kernel_holds_back_for_a_slow_line_is_not_a_stall(ferryd, db, cos, spool):
    """
    It takes all of the body at once, and then nothing for several times as long as may be silence.  What the other end's kernel has
    acknowledged and its program has not read is out of sight, so the line is slow and the endpoint is not.
    """
    line = NarrowWire(cos.port, 300000)
    ferryd({"cos": cos.store(line.port), "spool": spool.store()}, workers=1, worker=QUICK)
    row = db.done(db.put(spool.put("object", 3 * MIB), f"cos://{BUCKET}/object"))
    line.stop()
    assert row["attempt"] == 0 and (row["finished_at"] - row["started_at"]).total_seconds() > 6


long = pytest.mark.skipif("FERRY_LONG" not in os.environ, reason="takes minutes; make check-long")


class Frozen:
    """A COS endpoint that stands still for a while."""

    def __init__(self, cos):
        self.pid = cos.process.pid

    def __enter__(self):
        os.kill(self.pid, signal.SIGSTOP)

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGCONT)


@long
@pytest.mark.limit(200)
def test_no_get_is_left_unread_for_as_long_as_a_gateway_waits(ferryd, db, ceph, cos):
    """A sink that stands still for 70 s while the ring is full: the gateway's GET is given up after 50 s and taken up where it was."""
    ceph.put_content(ceph.SOURCE, "unread", "unread", 30 * MIB)
    ferryd({"ceph": ceph.store(), "cos": cos.store()}, workers=1, worker={"stall_timeout": "5m", "streams": 1, "part_size": "30M"})
    cos.rate(4 * MIB)
    task = db.put(f"ceph://{ceph.SOURCE}/unread", f"cos://{BUCKET}/object")
    wait_until(lambda: cos.received("object"), 20, "the first bytes")
    with Frozen(cos):
        time.sleep(70)
    cos.rate(0)
    row = db.done(task)
    assert row["attempt"] == 0 and int(row["crc64"]) == crc64_content("unread", 30 * MIB)
    assert cos.received("object") == {0: 30 * MIB}, "what had been sent was sent again"


@long
@pytest.mark.limit(200)
def test_destination_is_blamed_also_when_the_get_was_given_up_meanwhile(ferryd, db, cos, origin):
    ferryd({"cos": cos.store()}, workers=1, http=HTTP, worker={"stall_timeout": "55s", "streams": 1, "part_size": "30M"})
    cos.rate(4 * MIB)
    task = db.put(origin.url(f"/size/{30 * MIB}"), f"cos://{BUCKET}/object", max_attempts=1)
    wait_until(lambda: cos.received("object"), 20, "the first bytes")
    with Frozen(cos):
        stalled(db.wait(task, timeout=90), "destination")
