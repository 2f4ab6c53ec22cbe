"""A transfer that moves no byte for too long fails, and the error names the side at fault; a slow transfer does not fail."""

import os
import signal
import time

import pytest

from content import crc64_content
from rig import MIB, holds, wait_until
from stores import BUCKET
from wires import NarrowWire

HTTP = {"allow": ["127.0.0.1"], "private": True}
QUICK = {"stall_timeout": "2s", "answer_timeout": "3s", "connect_timeout": "1s"}


@pytest.fixture
def daemon(ferryd, cos, spool):
    return ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1, http=HTTP, worker=QUICK)


def stalled(row, side, what="no progress"):
    assert (row["state"], row["error_class"]) == ("failed", "transient")
    assert f"({side} side)" in row["error"] and what in row["error"], row["error"]


def test_source_that_sends_heads_and_no_body(daemon, db, cos, origin):
    row = db.wait(db.put(origin.url(f"/stops/{20 * MIB}?after=0"), f"cos://{BUCKET}/object", max_attempts=1))
    stalled(row, "source")
    assert cos.objects() == {}


@pytest.mark.parametrize("size", [300000, 20 * MIB])
def test_destination_that_takes_the_body_and_never_answers(daemon, db, cos, spool, size):
    cos.fault({"hold": "answer"}, op="part" if size > MIB else "put")
    row = db.wait(db.put(spool.put("object", size), f"cos://{BUCKET}/object", max_attempts=1))
    stalled(row, "destination", "no answer for 3 s after the last byte")


@pytest.mark.parametrize("size", [0, 3000, 300000, 20 * MIB, "unsized"])
def test_answer_may_take_longer_than_the_bytes(ferryd, db, cos, spool, origin, size):
    """As of a proxy that keeps a request until it is whole, and only then sends it on."""
    ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1, http=HTTP, worker={**QUICK, "answer_timeout": "5m"})
    source = origin.url(f"/chunked/{2 * MIB}") if size == "unsized" else spool.put("object", size)
    cos.fault({"hold": "answer"}, op="part" if size == 20 * MIB else "put")
    task = db.put(source, f"cos://{BUCKET}/object", max_attempts=1)
    wait_until(cos.held, 20, "the body to be taken")
    holds(lambda: db.state(task) == "running", 4.5, "the worker waits")
    cos.faults()
    row = db.done(task)
    assert cos.object("object")["puts"] == 1 and row["attempt"] == 0


def test_destination_that_stops_reading(daemon, db, cos, origin):
    """The kernel's buffers take the first bytes; then the ring is full."""
    cos.fault({"slow": 1}, op="part")
    stalled(db.wait(db.put(origin.url(f"/size/{20 * MIB}"), f"cos://{BUCKET}/object", max_attempts=1), timeout=40), "destination")


def test_one_byte_a_second_is_slow_and_not_stalled(ferryd, db, cos, origin):
    ferryd({"cos": cos.store()}, workers=1, http=HTTP, worker={**QUICK, "stall_timeout": "5s"})
    row = db.done(db.put(origin.url("/slow/7?rate=1"), f"cos://{BUCKET}/object"))
    assert row["attempt"] == 0 and (row["finished_at"] - row["started_at"]).total_seconds() > 5.5
    assert int(cos.object("object")["crc64"]) == crc64_content("origin", 7)


@pytest.mark.parametrize("path", ["size", "chunked"])
def test_slow_destination_is_not_stalled(ferryd, db, cos, origin, path):
    ferryd({"cos": cos.store()}, workers=1, http=HTTP, worker={"stall_timeout": "8s", "connect_timeout": "1s"})
    cos.rate(2 * MIB)
    row = db.done(db.put(origin.url(f"/{path}/{9 * MIB}"), f"cos://{BUCKET}/object"))
    assert row["attempt"] == 0 and int(cos.object("object")["crc64"]) == crc64_content("origin", 9 * MIB)


def test_slow_line_behind_the_kernels_buffers_is_not_stalled(ferryd, db, cos, spool):
    """
    The kernel takes all of the body at once; then nothing is sent for several times the stall timeout, while the line is busy.
    The worker sees what the other end's kernel has not acknowledged, but not what the other end's program has not read: so this test
    makes the line slow, and not the endpoint.
    """
    line = NarrowWire(cos.port, 300000)
    ferryd({"cos": cos.store(line.port), "spool": spool.store()}, workers=1, worker=QUICK)
    row = db.done(db.put(spool.put("object", 3 * MIB), f"cos://{BUCKET}/object"))
    line.stop()
    assert row["attempt"] == 0 and (row["finished_at"] - row["started_at"]).total_seconds() > 6


long = pytest.mark.skipif("FERRY_LONG" not in os.environ, reason="takes minutes; make check-long")


class Frozen:
    """Stops the COS endpoint's process for a while."""

    def __init__(self, cos):
        self.pid = cos.process.pid

    def __enter__(self):
        os.kill(self.pid, signal.SIGSTOP)

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGCONT)


@long
@pytest.mark.limit(200)
def test_get_is_given_up_before_a_gateway_times_out(ferryd, db, ceph, cos):
    """The destination stands still for 70 s with a full ring: the worker ends the GET after 50 s and later continues at the same byte."""
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
    assert cos.received("object") == {0: 30 * MIB}, "bytes were sent twice"


@long
@pytest.mark.limit(200)
def test_error_blames_the_destination_after_the_get_was_given_up(ferryd, db, cos, origin):
    ferryd({"cos": cos.store()}, workers=1, http=HTTP, worker={"stall_timeout": "55s", "streams": 1, "part_size": "30M"})
    cos.rate(4 * MIB)
    task = db.put(origin.url(f"/size/{30 * MIB}"), f"cos://{BUCKET}/object", max_attempts=1)
    wait_until(lambda: cos.received("object"), 20, "the first bytes")
    with Frozen(cos):
        stalled(db.wait(task, timeout=90), "destination")


@long
@pytest.mark.limit(200)
def test_ring_that_is_full_of_the_last_bytes_for_long(ferryd, db, cos, origin):
    """
    The destination stands still for 70 s when all bytes have come.  How many bytes the kernel holds is not known, so that objects of
    many sizes stand still: some have their last bytes in a ring that is too full to go on.
    """
    ferryd({"cos": cos.store()}, workers=4, http=HTTP, worker={"stall_timeout": "5m", "streams": 1, "part_size": "30M"})
    ferryd({"cos": cos.store()}, workers=4, http=HTTP, worker={"stall_timeout": "5m", "streams": 1, "part_size": "30M"})
    sizes = [n * MIB // 2 + 100000 for n in range(4, 12)]
    with Frozen(cos):
        tasks = [db.put(origin.url(f"/size/{size}"), f"cos://{BUCKET}/{size}") for size in sizes]
        time.sleep(70)
    for size, row in zip(sizes, db.done(*tasks)):
        assert row["attempt"] == 0 and int(row["crc64"]) == crc64_content("origin", size)
    wanted = [r.headers["Range"] for r in origin.requests]
    assert all(int(first) <= int(last) for first, last in (r[6:].split("-") for r in wanted)), wanted
