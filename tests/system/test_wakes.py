"""
Nodes that are idle take turns.  Whatever happens to the node whose turn it is, another one takes the task, and long before it would
look by itself: the poll of these nodes is longer than a test may take.
"""

import contextlib
import os
import random
import signal
import time

import pytest

from rig import BUILD, wait_until

POLL, NODES = "10m", 3
LEASE, SOON = "18s", 10  # a node that is gone is missed after 12 s at least, and that would wake the others
WAITING = "FROM pg_stat_activity WHERE application_name = 'ferryd' AND wait_event_type = 'Lock'"


@pytest.fixture
def fleet(ferryd, db, tmp_base):
    """Nodes with workers that carry nothing, each of which knows of the others."""
    stores = {"nothing": {"kind": "file", "root": tmp_base}}
    made = [ferryd(stores, start=False, workers=2, worker_program=f"{BUILD}/tests/instant", poll=POLL, lease=LEASE) for _ in range(NODES)]
    for daemon in made:
        daemon.start(ready=False)
    for daemon in made:
        daemon.wait_log("is up", timeout=20)
    wait_until(lambda: db.one("SELECT count(*) FROM ferry.node WHERE renewed_at > started_at + interval '1 s'") == NODES, 30, "renewed leases")
    return made


def put(db):
    put.n += 1
    return db.put("nothing://b/k", f"nothing://b/{put.n}")


put.n = 0


def is_soon(row):
    """The task was carried before the lease of any node could lapse: it was the wake that led to it."""
    took = (row["finished_at"] - max(row["created_at"], row["run_at"])).total_seconds()
    assert took < SOON, f"task {row['id']} waited {took} s"


def leader(db, fleet):
    """The daemon that takes a task now, and so leads for a while.  No claim of any node is under way: it could take the next task."""
    name = db.one("SELECT n.name FROM ferry.node n JOIN ferry.task t ON t.node = n.id WHERE t.id = %s" % db.done(put(db))["id"])
    wait_until(lambda: not db.one("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ferryd' AND state <> 'idle'"), 20,
               "the nodes to be idle")
    return next(daemon for daemon in fleet if daemon.name in name)


@contextlib.contextmanager
def stopped(pid):
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_the_leader_is_stopped(db, fleet):
    for _ in range(3):
        with stopped(leader(db, fleet).pid):
            is_soon(db.done(put(db), timeout=20))


def test_the_leader_is_killed(db, fleet):
    leader(db, fleet).kill()
    is_soon(db.done(put(db), timeout=20))


def test_the_leader_has_ended(db, fleet):
    leader(db, fleet).stop()
    is_soon(db.done(put(db), timeout=20))


def test_connections_are_cut_as_a_task_comes(db, fleet):
    for n in range(6):
        pause = n % 3 * 0.02
        leader(db, fleet)
        db.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ferryd'")
        time.sleep(pause)  # the node is away, or connects, or listens again
        is_soon(db.done(put(db), timeout=20))


def test_a_task_is_committed_while_claims_wait(db, fleet):
    """Claims that other tasks have woken wait for a lock; the one who holds it inserts a task and goes."""
    for _ in range(4):
        with contextlib.closing(db.connect()) as conn, conn.cursor() as cur:
            conn.autocommit = False
            cur.execute("LOCK TABLE ferry.task_live IN EXCLUSIVE MODE")
            db.sql("NOTIFY ferry_task")
            wait_until(lambda: db.one(f"SELECT count(*) {WAITING}"), 20, "a claim that waits")
            cur.execute("INSERT INTO ferry.task (source, destination) VALUES ('nothing://b/k', 'nothing://b/in-transaction') RETURNING id")
            task = cur.fetchone()[0]
            conn.commit()
        is_soon(db.done(task, timeout=20))


def test_claims_that_wait_are_cancelled(db, fleet):
    """The server cancels the statements that would have found the task."""
    for _ in range(4):
        with contextlib.closing(db.connect()) as conn, conn.cursor() as cur:
            conn.autocommit = False
            cur.execute("LOCK TABLE ferry.task_live IN EXCLUSIVE MODE")
            cur.execute("INSERT INTO ferry.task (source, destination) VALUES ('nothing://b/k', 'nothing://b/in-transaction') RETURNING id")
            task = cur.fetchone()[0]
            db.sql("NOTIFY ferry_task")
            wait_until(lambda: db.one(f"SELECT count(*) {WAITING}"), 20, "a claim that waits")
            db.sql(f"SELECT pg_cancel_backend(pid) {WAITING}")
            conn.commit()
        is_soon(db.done(task, timeout=20))


def test_tasks_at_any_distance(db, fleet):
    """Each INSERT meets a claim at another moment: before it, under way, just answered."""
    tasks, dice = [], random.Random(7)
    for _ in range(300):
        tasks.append(put(db))
        time.sleep(dice.choice((0, 0.003, 0.02, dice.random() * 0.12)))
    for row in db.done(*tasks, timeout=20):
        is_soon(row)


def test_a_task_that_is_due_later(db, fleet):
    task = db.sql("INSERT INTO ferry.task (source, destination, run_at) VALUES ('nothing://b/k', 'nothing://b/later', "
                  "now() + interval '2 s') RETURNING id")[0]["id"]
    with stopped(leader(db, fleet).pid):
        is_soon(db.done(task, timeout=20))


def test_a_queue_is_let_go(db, fleet):
    for _ in range(3):
        db.sql("UPDATE ferry.queue SET enabled = false WHERE name = 'default'")
        task = put(db)
        db.sql("UPDATE ferry.queue SET enabled = true WHERE name = 'default'")
        is_soon(db.done(task, timeout=20))
