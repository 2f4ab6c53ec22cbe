"""A day of work in half a minute for programs built with the address and undefined-behaviour sanitizers.  A report fails the test
(conftest.check_log finds it in the log, which is the programs' stderr), and so does an exit code."""

import os
import signal

import pytest

from exporter import Exporter
from rig import MIB, free_port, wait_until
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


@pytest.mark.skipif(not SANITIZED, reason="FERRY_SAN_BUILD names no build with sanitizers; make check does")
def test_the_exporter_under_sanitizers(ferryd, db, cos, spool):
    """Every document, of a ferryd that works, whose worker dies, whose database goes and comes; nonsense in requests."""
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=2, program=f"{os.path.abspath(SANITIZED)}/ferryd",
                    worker={"memory": "900M"}, metrics={"listen": f"127.0.0.1:{free_port()}"})
    exporter = Exporter(daemon)
    wait_until(lambda: exporter.status("/healthz")[0] == 200, 20, "the exporter")
    pid = exporter.pid()
    cos.rate(8 * MIB)
    task = db.put(spool.put("big", 40 * MIB), f"cos://{BUCKET}/big")
    small = [db.put(spool.put(f"small-{i}", 1000), f"cos://{BUCKET}/small-{i}", queue="default") for i in range(30)]
    os.kill(daemon.worker_of(task), signal.SIGKILL)
    paths = ("/", "/metrics", "/readyz", "/page/node", "/page/fleet", "/page/tasks", f"/page/task?id={task}")

    def all_answer():
        return all(exporter.status(path)[0] == 200 for path in paths) and exporter.status(f"/page/task?id={task}")[1].find('"uploads"') > 0
    wait_until(all_answer, 30, "all documents")
    for version in (0, 1, -1, 1 << 62):
        assert exporter.status(f"/page/tasks?since={version}")[0] == exporter.status(f"/page/node?since={version}")[0] == 200
    for number in range(20):
        assert exporter.status(f"/page/task?id={number * 7 - 50}")[0] in (200, 503)
    for path in ("/page/task", "/page/task?id=x", "/page/task?id=99999999999999999999", "/page/node?since=%00%ff", "/page/" + "x" * 5000):
        assert exporter.status(path)[0] in (200, 404, 414, 503), path
    db.sql("DELETE FROM ferry.task WHERE id = %s", (small[0],))
    db.pg.restart("immediate")
    wait_until(lambda: all_answer() and '"up":true' in exporter.status("/page/fleet")[1], 40, "all documents again")
    cos.rate(0)
    db.done(task, *small[1:], timeout=90)
    assert exporter.pid() == pid, "it ended meanwhile"
