"""No two processes share a database connection, so the death of one breaks no other's work."""

import os
import re
import signal
import time

import pytest

from rig import MIB, sockets, title, wait_until
from stores import BUCKET


def test_no_worker_holds_a_socket_of_the_master_or_of_a_sibling(ferryd, db, cos, spool):
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=4)
    held = {pid: sockets(pid) for pid in [daemon.pid, *daemon.workers()]}
    assert len(held) == 5 and all(held.values())
    for pid, inodes in held.items():
        for other, theirs in held.items():
            assert pid == other or not inodes & theirs, f"{title(pid)} shares a socket with {title(other)}"


def test_each_process_has_one_backend_that_names_it(ferryd, db, cos, spool):
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=4, database_idle="1h")
    cos.rate(4 * MIB)
    source = spool.put("object", 12 * MIB)
    tasks = [db.put(source, f"cos://{BUCKET}/{n}") for n in range(4)]
    wait_until(lambda: len(db.sessions()) == 5, 20, "each worker to need its connection")
    names = sorted(s["application_name"] for s in db.sessions())
    assert len(names) == 5, names
    assert [n for n in names if re.fullmatch(r"ferry-worker [1-4]", n)] == [f"ferry-worker {n}" for n in range(1, 5)]
    assert any(n.startswith("ferryd") for n in names), names
    assert {s["usename"] for s in db.sessions()} == {"ferry_test_daemon"}
    cos.rate(0)
    db.done(*tasks)
    assert daemon.alive()


def master_session(db):
    return [s["pid"] for s in db.sessions() if s["application_name"].startswith("ferryd")]


def slot_with_task(daemon, slot):
    for pid in daemon.workers():
        if re.match(rf"ferry-worker {slot}: task \d+", title(pid)):
            return pid
    return None


@pytest.mark.limit(240)
def test_50_kills_under_load_lose_no_task_and_repeat_none(ferryd, db, cos, spool):
    size, tasks = 20 * MIB, []
    cos.rate(30 * MIB)
    source = spool.put("object", size)
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=8, max_crashes=1000)
    backend = master_session(db)
    assert len(backend) == 1

    def feed():
        while db.one("SELECT count(*) FROM ferry.task WHERE state = 'queued'") < 8:
            tasks.append(db.put(source, f"cos://{BUCKET}/{len(tasks)}"))

    for n in range(50):
        feed()
        pid = wait_until(lambda: slot_with_task(daemon, n % 8 + 1), 30, f"worker {n % 8 + 1} to have a task")
        os.kill(pid, signal.SIGKILL)
        assert master_session(db) == backend
        time.sleep(0.03)
    cos.rate(0)
    rows = db.done(*tasks, timeout=120)
    assert master_session(db) == backend
    assert {(r["attempt"], r["ooms"]) for r in rows} == {(0, 0)}, "a transfer failed whose worker was not killed"
    deaths = daemon.wait_log(r"worker \d \(pid \d+\) killed by SIGKILL, by someone outside", count=50)
    assert len(deaths) == 50
    with_task = [line for line in deaths if re.search(r"task \d+ spool://object at .* task requeued, (?:resumes at part \d+|starts over), crash",
                                                               line)]
    assert len(with_task) > 40
    assert sum(r["crashes"] for r in rows) == len([line for line in with_task if "crash not counted" not in line])
    crc = spool.crc64("object", size)
    stored = cos.objects()
    assert len(stored) == len(tasks)
    assert {(int(o["crc64"]), o["puts"]) for o in stored.values()} == {(crc, 1)}
    # a worker that was killed while it began an upload has left one whose id only the reaper can find
    wait_until(lambda: cos.uploads() == [], 130, "the uploads without a known id to be aborted")


def test_task_whose_workers_always_die_fails_at_max_crashes(ferryd, db, cos, spool):
    cos.rate(MIB)  # no part is finished before the worker dies
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=2, max_crashes=3)
    task = db.put(spool.put("object", 60 * MIB), f"cos://{BUCKET}/object")
    other = db.put(spool.put("other", 12 * MIB), f"cos://{BUCKET}/other")
    for n in range(3):
        os.kill(daemon.worker_of(task), signal.SIGKILL)
        wait_until(lambda: db.task(task)["crashes"] == n + 1, 5, "the death to be settled")
    row = db.wait(task)
    assert (row["state"], row["error_class"], row["crashes"], row["attempt"]) == ("failed", "crash", 3, 0)
    assert "killed by SIGKILL" in row["error"]
    cos.rate(0)
    assert db.done(other)["crashes"] == 0
    assert len(daemon.wait_log(rf"killed by SIGKILL, by someone outside; nothing says that memory was short, task {task} ", count=3)) == 3
    wait_until(lambda: cos.uploads() == [], 15, "the failed task's upload to be aborted")
