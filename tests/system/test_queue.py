"""The queue as producers and operators see it: order, limits, deduplication, start times, cancel, retry, several nodes."""

import collections
import os
import signal
import time

import psycopg2
import pytest

from rig import MIB, claimed_once, holds, patience, running, wait_until
from stores import BUCKET


@pytest.fixture
def stores(cos, spool):
    return {"cos": cos.store(), "spool": spool.store()}


def target(name):
    return f"cos://{BUCKET}/{name}"


def test_higher_priority_first_then_oldest(ferryd, db, cos, spool, stores):
    source = spool.put("object", 1000)
    order = [(0, "c"), (0, "d"), (5, "b"), (-1, "e"), (9, "a")]
    tasks = [db.put(source, target(name), priority=priority) for priority, name in order]
    ferryd(stores, workers=1)
    db.done(*tasks)
    assert [e["key"] for e in cos.log("put")] == ["a", "b", "c", "d", "e"]


def test_max_transfers_of_a_store_holds(ferryd, db, cos, spool, stores):
    cos.rate(8 * MIB)
    stores["cos"]["max_transfers"] = 2
    daemon = ferryd(stores, workers=4)
    source = spool.put("object", 2 * MIB)
    tasks = [db.put(source, target(str(n))) for n in range(8)]
    most = 0
    while any(db.state(t) in ("queued", "running") for t in tasks):
        most = max(most, db.one("SELECT count(*) FROM ferry.task WHERE state = 'running'"))
        time.sleep(0.02)
    db.done(*tasks)
    assert most == 2
    assert daemon.alive()


def test_task_of_another_store_passes_tasks_of_a_full_store(ferryd, db, cos, spool, stores, tmp_base):
    cos.rate(2 * MIB)
    stores["cos"]["max_transfers"] = 1
    ferryd(stores, workers=2)
    source = spool.put("object", 4 * MIB)
    slow = [db.put(source, target(str(n)), priority=5) for n in range(3)]
    wait_until(lambda: db.one("SELECT count(*) FROM ferry.task WHERE state = 'running'") == 1, 5, "a task to run")
    copy = db.put(source, "spool://copy")
    db.done(copy, timeout=3)
    cos.rate(0)
    db.done(*slow)


def test_rate_of_a_store_holds_over_all_workers(ferryd, db, cos, spool, stores):
    stores["cos"]["rate"] = "10M"
    ferryd(stores, workers=3)
    tasks = [db.put(spool.put(f"o{n}", 10 * MIB), target(str(n))) for n in range(3)]
    started = time.monotonic()
    db.done(*tasks)
    taken = time.monotonic() - started
    assert 2.2 < taken < 7 * patience(), f"30 MiB at 10 MiB/s took {taken:.1f} s"


def test_dedup_key_has_one_unfinished_task_at_most(ferryd, db, spool, stores):
    source = spool.put("object", 1000)
    first = db.put(source, target("a"), dedup_key="k")
    with pytest.raises(psycopg2.errors.UniqueViolation):
        db.put(source, target("b"), dedup_key="k")
    db.put(source, target("c"), dedup_key="other")
    ferryd(stores, workers=1)
    db.done(first)
    db.done(db.put(source, target("b"), dedup_key="k"))


def test_task_starts_at_its_run_at(ferryd, db, cos, spool, stores):
    ferryd(stores, workers=1)
    due = db.one("SELECT now() + interval '1.5 s'")
    task = db.put(spool.put("object", 1000), target("later"), run_at=due)
    row = db.done(task)
    delay = (row["started_at"] - due).total_seconds()
    assert 0 <= delay < patience(), f"started {delay} s after it was due"


def test_node_takes_tasks_of_its_own_enabled_queues_only(ferryd, db, spool, stores):
    source = spool.put("object", 1000)
    db.sql("INSERT INTO ferry.queue (name, enabled) VALUES ('paused', false)")
    daemon = ferryd(stores, workers=1, queues=["default", "paused"], poll="500ms")
    other, paused = db.put(source, target("o"), queue="other"), db.put(source, target("p"), queue="paused")
    db.done(db.put(source, target("d")))
    holds(lambda: {db.state(other), db.state(paused)} == {"queued"}, 1)
    db.sql("UPDATE ferry.queue SET enabled = true WHERE name = 'paused'")
    db.done(paused, timeout=5)
    assert db.state(other) == "queued" and daemon.alive()


def test_cancel_of_a_running_task_within_a_second(ferryd, db, cos, spool, stores):
    cos.rate(5 * MIB)
    daemon = ferryd(stores, workers=1)
    (worker,) = daemon.workers()
    task = db.put(spool.put("object", 60 * MIB), target("object"))
    wait_until(lambda: db.parts(task) >= 2, 20, "two parts")
    assert db.one("SELECT ferry.cancel(%s)", (task,)) is True
    asked = time.monotonic()
    wait_until(lambda: task not in daemon.busy(), 2, "the worker to drop the task")
    wait_until(lambda: cos.uploads() == [], 2, "the upload to be aborted")
    assert time.monotonic() - asked < 2 * patience()
    row = db.task(task)
    assert row["state"] == "cancelled" and row["finished_at"] is not None
    wait_until(lambda: db.sql("SELECT * FROM ferry.upload WHERE task = %s", (task,)) == [], 5, "the upload's row to go")
    assert daemon.workers() == [worker]
    cos.rate(0)
    db.done(db.put(spool.put("small", 10), target("next")), timeout=5)


def test_cancel_by_a_plain_update_is_seen_too(ferryd, db, cos, spool, stores):
    cos.rate(5 * MIB)
    daemon = ferryd(stores, workers=1)
    task = db.put(spool.put("object", 60 * MIB), target("object"))
    daemon.worker_of(task)
    db.sql("UPDATE ferry.task SET state = 'cancelled', finished_at = now() WHERE id = %s", (task,))
    wait_until(lambda: task not in daemon.busy(), 2, "the worker to drop the task")
    assert db.state(task) == "cancelled"


def test_cancel_of_a_queued_task(ferryd, db, spool, stores, cos):
    task = db.put(spool.put("object", 10), target("object"))
    assert db.one("SELECT ferry.cancel(%s)", (task,)) is True
    assert db.one("SELECT ferry.cancel(%s)", (task,)) is False
    ferryd(stores, workers=1)
    db.done(db.put("spool://object", target("other")))
    assert db.state(task) == "cancelled" and cos.object("object") is None


def test_retry_of_a_failed_task_and_of_a_cancelled_one(ferryd, db, cos, spool, stores):
    ferryd(stores, workers=1)
    spool.put("another", 1)  # an empty root may be a mount that is late
    task = db.put("spool://object", target("object"))
    assert db.wait(task)["state"] == "failed"
    spool.put("object", 1000)
    assert db.one("SELECT ferry.retry(%s)", (task,)) is True
    row = db.done(task)
    assert row["error"] is None and row["attempt"] == 0 and not claimed_once(row)
    assert db.one("SELECT ferry.retry(%s)", (task,)) is False


def test_transient_failures_back_off_and_end_at_max_attempts(ferryd, db, cos, spool, stores):
    cos.fault({"status": 500}, op="put")
    ferryd(stores, workers=1, retry_delay="200ms")
    task = db.put(spool.put("object", 1000), target("object"), max_attempts=3)
    row = db.wait(task, timeout=30)
    assert (row["state"], row["error_class"], row["attempt"]) == ("failed", "transient", 3)
    assert (row["finished_at"] - row["created_at"]).total_seconds() > 0.2


def test_two_nodes_share_a_queue_and_carry_each_task_once(ferryd, db, cos, spool, stores):
    source = spool.put("object", 20000)
    nodes = [ferryd(stores, workers=3, start=False) for _ in range(2)]
    for node in nodes:
        node.start(ready=False)
    tasks = [db.put(source, target(str(n))) for n in range(150)]
    rows = db.done(*tasks)
    assert len({r["claim"] for r in rows}) == 150
    assert {o["puts"] for o in cos.objects().values()} == {1} and len(cos.objects()) == 150
    by_node = collections.Counter(r["node"] for r in db.sql("SELECT node FROM ferry.task"))
    assert len(by_node) == 2 or None in by_node


def test_another_node_takes_the_tasks_of_a_lapsed_node(ferryd, db, cos, spool, stores):
    """A node whose processes are all stopped, like a machine that stands still, loses its tasks when its lease lapses."""
    cos.rate(5 * MIB)
    first = ferryd(stores, workers=1, lease="2s")
    task = db.put(spool.put("object", 40 * MIB), target("object"))
    worker = first.worker_of(task)
    wait_until(lambda: db.parts(task) >= 1, 20, "a part")
    for pid in (first.pid, worker):
        os.kill(pid, signal.SIGSTOP)
    second = ferryd(stores, workers=1, lease="2s", start=False)
    second.start(ready=False)
    wait_until(lambda: task in second.busy(), 10, "the second node to take the task")
    for pid in (first.pid, worker):
        os.kill(pid, signal.SIGCONT)
    cos.rate(0)
    row = db.done(task)
    assert not claimed_once(row) and (row["attempt"], row["crashes"]) == (0, 0)
    assert int(row["crc64"]) == spool.crc64("object", 40 * MIB) == int(cos.object("object")["crc64"])
    assert cos.object("object")["puts"] == 1 and cos.uploads() == []
    db.done(db.put(spool.put("small", 10), target("small")))
    wait_until(lambda: db.one("SELECT count(*) FROM ferry.node") == 2, 10, "the first node to be back")
    assert running(first.pid)


@pytest.fixture
def steady_load(db, spool):
    """steady_load() inserts short tasks, so many that they do not all end during the test."""
    spool.put("tiny", 10)

    def start(n=30000):
        db.sql("INSERT INTO ferry.task (source, destination) SELECT 'spool://tiny', 'spool://out/' || n %% 50 "
               "FROM generate_series(1, %s) n", (n,))
    yield start
    db.sql("UPDATE ferry.task SET state = 'cancelled', finished_at = now() WHERE state = 'queued'")


def queued(db):
    return db.one("SELECT count(*) FROM ferry.task WHERE state = 'queued'")


@pytest.mark.parametrize("bound", [{"max_tasks": 20}, {"max_age": "1s"}], ids=lambda b: next(iter(b)))
def test_workers_retire_at_max_tasks_and_max_age(ferryd, db, spool, steady_load, bound):
    """Workers retire although the next task always waits for them."""
    daemon = ferryd({"spool": spool.store()}, workers=2, worker=bound)
    steady_load()
    daemon.wait_log("retired", 15, count=4)
    assert queued(db) > 0, "all tasks ended too early"
    if "max_tasks" in bound:
        done = db.one("SELECT count(*) FROM ferry.task WHERE state = 'done'")
        assert done <= 20 * (len(daemon.log("retired")) + 2 + 2)


def test_abandoned_uploads_are_looked_for_under_load(ferryd, db, spool, steady_load):
    daemon = ferryd({"spool": spool.store()}, workers=1, reap_interval="1s")
    steady_load()
    wait_until(lambda: db.one("SELECT count(*) FROM ferry.task WHERE state = 'done'") > 500, 20, "tasks to end")
    db.sql("INSERT INTO ferry.upload (task, upload_id, destination, claim, source_size, source_etag, part_size, first_claim) "
           "VALUES (1000000, 'left', 'elsewhere://bucket/key', 1, 1, '', 5242880, 1)")
    daemon.wait_log("could not be aborted: there is no store", 10)
    assert queued(db) > 0, "all tasks ended too early"
