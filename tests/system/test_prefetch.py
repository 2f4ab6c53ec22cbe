"""A busy worker has its next task already: never lost with it, never blamed for it, never kept by it."""

import os
import re
import signal

import pytest

from rig import wait_until
from stores import BUCKET

TINY = 800


@pytest.fixture
def crowd(ferryd, db, cos, spool):
    """
    crowd(workers): so many tasks that are over at once that the next is claimed ahead, then "slow", whose PUT the store holds, then
    as many tiny ones again.  Returns the daemon, slow, the worker that has it, stopped at once, and the task that it has besides.
    """
    spool.put("tiny", 10)
    spool.put("slow", 1000)
    held = []

    def start(workers=2, stop=True):
        daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=workers, log_level="debug")
        held.append(daemon)
        cos.fault({"hold": True}, op="put", nth=1)
        columns, rows = "INSERT INTO ferry.task (source, destination, priority)", "generate_series(1, %s) n"
        db.sql(f"{columns} SELECT 'spool://tiny', 'spool://out/' || n, 9 FROM {rows} UNION ALL "
               f"SELECT 'spool://slow', 'cos://{BUCKET}/slow', 5 UNION ALL "
               f"SELECT 'spool://tiny', 'spool://after/' || n, 1 FROM {rows}", (TINY, TINY))
        slow = db.one("SELECT id FROM ferry.task WHERE source = 'spool://slow'")
        wait_until(lambda: cos.held() == 1, 30, "the slow one to be carried", step=0.002)
        (number, pid), = re.findall(rf"task {slow}: given to worker (\d+) \(pid (\d+)\)", daemon.log_text())
        if stop:
            os.kill(int(pid), signal.SIGSTOP)
        wait_until(lambda: given(daemon, pid)[-1] > slow, 5, "a next task for its worker")
        return daemon, slow, int(pid), given(daemon, pid)[-1]
    yield start
    cos.faults()


def given(daemon, pid):
    """The tasks that were given to that worker."""
    return [int(task) for task in re.findall(rf"task (\d+): given to worker \d+ \(pid {pid}\)", daemon.log_text())]


def finish(db, timeout=30):
    wait_until(lambda: db.one("SELECT count(*) FROM ferry.task WHERE state IN ('queued', 'running')") == 0, timeout, "all to end")


def test_worker_that_is_long_at_work_returns_it(crowd, db, cos):
    daemon, slow, pid, following = crowd(stop=False)
    daemon.wait_log(f"task {following}: returned by worker")
    wait_until(lambda: db.one("SELECT count(*) FROM ferry.task WHERE state <> 'done'") == 1, 30, "all but the slow one")
    assert db.state(slow) == "running" and db.task(following)["claim"] == 1
    cos.faults()
    db.done(slow)


def test_killed_worker_takes_only_the_one_in_work_along(crowd, db, cos):
    daemon, slow, pid, following = crowd()
    os.kill(pid, signal.SIGKILL)
    cos.faults()
    finish(db)
    assert db.one("SELECT count(*) FROM ferry.task WHERE state <> 'done'") == 0
    assert [(row["id"], row["crashes"], row["claim"]) for row in db.sql("SELECT * FROM ferry.task WHERE crashes > 0 OR claim > 1")] == \
        [(slow, 1, 2)]
    assert len(re.findall(rf"task {following}: given to worker", daemon.log_text())) == 2


def test_cancelled_one_is_not_begun(crowd, db, cos, spool):
    daemon, slow, pid, following = crowd()
    assert db.one("SELECT ferry.cancel(%s)", (following,))
    os.kill(pid, signal.SIGCONT)
    daemon.wait_log(f"task {following}: returned by worker")
    cos.faults()
    finish(db)
    row = db.task(following)
    assert row["state"] == "cancelled" and not os.path.exists(row["destination"].replace("spool:/", spool.root))
    assert db.one("SELECT count(*) FROM ferry.task WHERE state = 'done'") == 2 * TINY


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
def test_master_that_ends_gives_it_back(crowd, db, cos, number):
    daemon, slow, pid, following = crowd()
    daemon.send(number)
    os.kill(pid, signal.SIGCONT)
    cos.faults()
    assert daemon.wait() == 0
    daemon.killed = True
    assert db.one("SELECT count(*) FROM ferry.task WHERE state = 'running'") == 0
    assert db.state(following) in ("queued", "done") and db.task(following)["crashes"] == 0
    assert db.state(slow) == ("queued" if number == signal.SIGTERM else "done")


def test_master_that_is_killed_leaves_it_to_the_lease(crowd, db, cos):
    daemon, slow, pid, following = crowd()
    os.kill(daemon.pid, signal.SIGKILL)
    os.kill(pid, signal.SIGCONT)
    daemon.wait()
    cos.faults()
    daemon.start()
    finish(db, 60)
    assert db.one("SELECT count(*) FROM ferry.task WHERE state <> 'done' OR crashes > 0") == 0
