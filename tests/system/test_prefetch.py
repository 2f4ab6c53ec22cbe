"""A busy worker holds its next task: the task is not lost with the worker, not blamed for its death, and not kept for long."""

import os
import re
import signal

import pytest

from rig import claimed_once, wait_until
from stores import BUCKET

TINY = 800


@pytest.fixture
def crowd(ferryd, db, cos, spool):
    """
    crowd(workers) inserts so many short tasks that ferryd claims ahead, then "slow", whose PUT the store holds, then as many short
    tasks again.  It stops the worker of "slow" and returns the daemon, slow, the worker's pid, and the worker's next task.
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
        wait_until(lambda: cos.held() == 1, 30, "the PUT of the slow task", step=0.002)
        (number, pid), = re.findall(rf"task {slow}: given to worker (\d+) \(pid (\d+)\)", daemon.log_text())
        if stop:
            os.kill(int(pid), signal.SIGSTOP)
        wait_until(lambda: given(daemon, pid)[-1] > slow, 5, "a next task for its worker")
        return daemon, slow, int(pid), given(daemon, pid)[-1]
    yield start
    cos.faults()


def given(daemon, pid):
    """Returns the tasks that the master gave to that worker."""
    return [int(task) for task in re.findall(rf"task (\d+): given to worker \d+ \(pid {pid}\)", daemon.log_text())]


def finish(db, timeout=30):
    wait_until(lambda: db.one("SELECT count(*) FROM ferry.task WHERE state IN ('queued', 'running')") == 0, timeout, "all to end")


def test_worker_that_stays_busy_returns_its_next_task(crowd, db, cos):
    daemon, slow, pid, following = crowd(stop=False)
    daemon.wait_log(f"task {following}: returned by worker")
    wait_until(lambda: db.one("SELECT count(*) FROM ferry.task WHERE state <> 'done'") == 1, 30, "all tasks but the slow one")
    row = db.task(following)
    assert db.state(slow) == "running" and row["attempt"] + row["crashes"] == 0
    cos.faults()
    db.done(slow)


def test_death_of_a_worker_is_charged_only_to_its_task_in_work(crowd, db, cos):
    daemon, slow, pid, following = crowd()
    os.kill(pid, signal.SIGKILL)
    cos.faults()
    finish(db)
    assert db.one("SELECT count(*) FROM ferry.task WHERE state <> 'done'") == 0
    assert [(row["id"], row["crashes"], claimed_once(row))
            for row in db.sql("SELECT * FROM ferry.task WHERE crashes + attempt > 0")] == [(slow, 1, False)]
    assert len(re.findall(rf"task {following}: given to worker", daemon.log_text())) >= 2


def test_cancelled_next_task_is_not_begun(crowd, db, cos, spool):
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
def test_master_that_stops_gives_the_next_task_back(crowd, db, cos, number):
    daemon, slow, pid, following = crowd()
    daemon.send(number)
    daemon.wait_log("stopping: |draining: ")  # or the worker could end its task before the master has the signal
    os.kill(pid, signal.SIGCONT)
    cos.faults()
    assert daemon.wait() == 0
    daemon.killed = True
    assert db.one("SELECT count(*) FROM ferry.task WHERE state = 'running'") == 0
    assert db.state(following) in ("queued", "done") and db.task(following)["crashes"] == 0
    assert db.state(slow) == ("queued" if number == signal.SIGTERM else "done")


def test_next_task_of_a_killed_master_returns_with_the_lease(crowd, db, cos):
    daemon, slow, pid, following = crowd()
    os.kill(daemon.pid, signal.SIGKILL)
    os.kill(pid, signal.SIGCONT)
    daemon.wait()
    cos.faults()
    daemon.start()
    finish(db, 60)
    assert db.one("SELECT count(*) FROM ferry.task WHERE state <> 'done' OR crashes > 0") == 0
