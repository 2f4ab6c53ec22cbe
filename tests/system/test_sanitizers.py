"""The programs built with address and undefined-behaviour sanitizers, through a day of work in half a minute: what they report fails the
test (conftest.check_log looks for it in the log, which is their stderr), as does an exit code."""

import os
import signal

import pytest

from rig import MIB, wait_until
from stores import BUCKET

SANITIZED = os.environ.get("FERRY_SAN_BUILD")


@pytest.mark.skipif(not SANITIZED, reason="FERRY_SAN_BUILD names no build with sanitizers; make check does")
def test_a_day_of_work_under_sanitizers(ferryd, db, cos, spool, origin):
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=2, program=f"{os.path.abspath(SANITIZED)}/ferryd",
                    worker={"memory": "900M"}, http={"allow": ["127.0.0.1"], "private": True}, max_crashes=3, poll="1s")
    big = db.put(spool.put("big", 40 * MIB), f"cos://{BUCKET}/big")
    tasks = [db.put(spool.put(f"small-{i}", i * 1000), f"cos://{BUCKET}/small-{i}") for i in range(5)]
    tasks.append(db.put(f"http://127.0.0.1:{origin.port}/size/{7 * MIB}", "spool://from-http"))
    refused = db.put("spool://absent", f"cos://{BUCKET}/absent")
    os.kill(daemon.worker_of(big), signal.SIGKILL)
    db.done(big, *tasks, timeout=90)
    assert db.wait(refused)["state"] == "failed"
    back = db.done(db.put(f"cos://{BUCKET}/big", "spool://back", expect_crc64=spool.crc64("big", 40 * MIB)))
    assert back["verified_by"] == "crc64"
    cos.rate(4 * MIB)
    slow = db.put("spool://big", f"cos://{BUCKET}/slow")
    daemon.worker_of(slow)
    db.sql("SELECT ferry.cancel(%s)", (slow,))
    wait_until(lambda: slow not in daemon.busy(), 5, "the cancelled task to be dropped")
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGTTIN):
        daemon.send(number)
    wait_until(lambda: len(daemon.workers()) == 3, 10, "a third worker")
    again = db.put("spool://big", f"cos://{BUCKET}/again")
    daemon.worker_of(again)
    assert daemon.stop() == 0
    assert db.state(again) == "queued"
