"""
Why tasks wait: ferry.progress, ferryctl and the log of one node say it.
"""

import contextlib
import re

import pytest

from rig import MIB, ferryctl, holds, wait_until
from stores import BUCKET

SOON = {"wait_notice": "1s"}


def node(db, number, queues="{default}", stores=("a", "c"), states=("idle",), age="0 s"):
    """A node that has registered; "states" are those of its workers."""
    workers = ",".join(f'{{"slot":{n},"state":"{state}"}}' for n, state in enumerate(states, 1))
    db.sql("INSERT INTO ferry.node (id, name, pid, version, lease, renewed_at, queues, workers) "
           "VALUES (%s, 'n', 1, 'x', '30 s', now() - %s::interval, %s, %s)", (number, age, queues, f"[{workers}]"))
    for store in stores:
        db.sql("INSERT INTO ferry.node_store (node, store) VALUES (%s, %s)", (number, store))


def put(db, source="a://b/k", destination="c://d/k", **columns):
    columns.setdefault("created_by", "ferry_test_producer")
    names = "".join(f", {name}" for name in columns)
    return db.one(f"INSERT INTO ferry.task (source, destination{names}) VALUES (%s, %s{', %s' * len(columns)}) RETURNING id",
                  (source, destination, *columns.values()))


def waiting_for(db, task):
    """What a producer sees."""
    with contextlib.closing(db.connect("ferry_test_producer")) as conn, conn.cursor() as cur:
        cur.execute("SELECT waiting_for FROM ferry.progress WHERE id = %s", (task,))
        return cur.fetchone()[0]


def waits(db, asker=1, waited="0 s"):
    """{reason: tasks} as the daemon's role is told."""
    with contextlib.closing(db.connect("ferry_test_daemon")) as conn, conn.cursor() as cur:
        cur.execute("SELECT * FROM ferry.waits(%s, %s)", (asker, waited))
        return {row["reason"]: row["tasks"] for row in cur.fetchall()}


def run(db, number, **columns):
    """A running task of a node."""
    task = put(db, destination=f"c://d/running{number}-{columns}", node=number, state="running", claim=1, first_claim=1, **columns)
    assert waiting_for(db, task) is None
    return task


# The column of the view, and the reason that the log is told

def must_be(db, task, reason, asker=1):
    assert waiting_for(db, task) == reason
    assert waits(db, asker) == ({reason: 1} if reason else {})


def test_a_task_that_may_start_waits_for_nothing(db):
    node(db, 1)
    must_be(db, put(db), None)
    must_be(db, put(db, source="https://host/x", destination="c://d/other"), None)


def test_no_node(db):
    task = put(db)
    assert waiting_for(db, task) == "no node is alive"
    node(db, 1, age="31 s")
    assert waiting_for(db, task) == "no node is alive"


def test_paused_queue(db):
    node(db, 1)
    task = put(db)
    db.sql("SELECT ferry.pause('default')")
    must_be(db, task, "queue default is paused")


def test_queue_that_nobody_serves(db):
    node(db, 1), node(db, 2, queues="{bulk}", age="31 s")
    must_be(db, put(db, queue="bulk"), "no node serves queue bulk")


def test_queue_of_a_node_that_has_not_said_what_it_serves(db):
    node(db, 1), node(db, 2, queues=None)
    must_be(db, put(db, queue="bulk"), None)


@pytest.mark.parametrize("source, destination", [("x://b/k", "c://d/k"), ("a://b/k", "X://d/k")])
def test_store_that_no_node_has(db, source, destination):
    node(db, 1)
    must_be(db, put(db, source, destination), "no node has store x")


def test_stores_that_no_node_has_together(db):
    node(db, 1, stores=["a"]), node(db, 2, stores=["c"])
    must_be(db, put(db), "no node that serves queue default has the stores a and c")


def test_no_worker(db):
    node(db, 1, states=["stopping"])
    must_be(db, put(db), "no worker can take tasks")


def test_all_workers_are_busy(db):
    node(db, 1, states=["busy", "idle"]), node(db, 2, queues="{bulk}")
    task = put(db)
    run(db, 1)
    must_be(db, task, None)
    run(db, 1, queue="other")
    must_be(db, task, "all workers are busy")


def hold(db, number, store, held_as):
    db.sql("INSERT INTO ferry.hold VALUES (%s, %s, %s, 'held', 'store', 'transient', 'away', now())", (number, store, held_as))


@pytest.mark.parametrize("store, held_as, other", [("a", "source", "destination"), ("c", "destination", "source")])
def test_store_that_every_node_holds(db, store, held_as, other):
    node(db, 1), node(db, 2), node(db, 3, stores=["a"]), node(db, 4, queues="{bulk}"), node(db, 5, age="31 s")
    task = put(db)
    hold(db, 1, store, held_as), hold(db, 2, store, other), hold(db, 2, "b", held_as)
    must_be(db, task, None)
    hold(db, 2, store, held_as)
    must_be(db, task, f"store {store} is held as a {held_as} (ferry.store says why)")


def test_limit_of_a_queue(db):
    node(db, 1, states=["idle"] * 5)
    db.sql("UPDATE ferry.queue SET max_transfers = 2")
    task = put(db)
    run(db, 1, priority=1), run(db, 2)
    must_be(db, task, "queue default has as many tasks as its max_transfers, 2")


@pytest.mark.parametrize("store", ["a", "c"])
def test_limit_of_a_store(db, store):
    node(db, 1, states=["idle"] * 5)
    db.sql("UPDATE ferry.node_store SET max_transfers = 1 WHERE store = %s", (store,))
    task = put(db)
    run(db, 1, queue="other")
    must_be(db, task, f"store {store} has as many tasks as its max_transfers, 1")


def test_run_at(db):
    node(db, 1)
    task = put(db, run_at="2099-01-01 00:00:00+00")
    assert waiting_for(db, task).startswith("run_at, 2099-01-01 ")
    assert waits(db) == {"run_at is to come": 1}
    db.sql("UPDATE ferry.task SET started_at = now()")  # it waits for its next attempt
    assert waits(db) == {}


def test_earlier_task_of_the_same_destination(db):
    node(db, 1)
    first, second = put(db), put(db, behind=True)
    assert waiting_for(db, second) == f"task {first}, which has the same destination"
    assert waits(db) == {"an earlier task has the same destination": 1}


def test_id_of_a_task_that_has_ended(db):
    node(db, 1)
    task = put(db, behind=True)
    put(db, destination="c://d/ended", state="done")
    db.sql("ALTER TABLE ferry.task ALTER id SET GENERATED BY DEFAULT")
    db.sql("UPDATE ferry.task SET id = %s WHERE state = 'done'", (task,))
    with contextlib.closing(db.connect("ferry_test_producer")) as conn, conn.cursor() as cur:
        cur.execute("SELECT waiting_for FROM ferry.progress WHERE id = %s", (task,))
        assert cur.fetchone()[0] == f"another id: a task that has ended has {task} too"


def test_row_that_another_transaction_has_locked(db):
    node(db, 1)
    task = put(db)
    with contextlib.closing(db.connect()) as conn, conn.cursor() as cur:
        conn.autocommit = False
        cur.execute("SELECT pg_backend_pid() FROM ferry.task WHERE id = %s FOR UPDATE", (task,))
        reason = f"the transaction of pid {cur.fetchone()[0]} (test) has locked the row"
        must_be(db, task, reason)
        conn.rollback()  # the server would notice later that a connection is closed
    must_be(db, task, None)


def test_only_one_node_of_those_that_live_and_ask_is_told(db):
    node(db, 1, age="31 s"), node(db, 2, queues=None), node(db, 3), node(db, 4)
    put(db, queue="bulk")
    db.sql("DELETE FROM ferry.node WHERE id = 2")
    assert [bool(waits(db, asker)) for asker in (3, 4)] == [True, False]


def test_only_tasks_that_have_waited_so_long_count(db):
    node(db, 1)
    put(db, queue="bulk"), put(db, queue="bulk", destination="c://d/other", run_at="2020-01-01")
    assert waits(db, waited="1 hour") == {}
    db.sql("UPDATE ferry.task SET created_at = '2020-01-01'")
    assert waits(db, waited="1 hour") == {"no node serves queue bulk": 1}


def test_reasons_of_many_lanes_are_added_up(db):
    node(db, 1)
    db.sql("INSERT INTO ferry.task (source, destination, queue, priority) "
           "SELECT 'a' || n % 3 || '://b/k', 'c://d/k' || n, 'bulk', n % 5 FROM generate_series(1, 3000) n")
    put(db, queue="video"), put(db, destination="c://d/other")
    assert waits(db) == {"no node serves queue bulk": 3000, "no node serves queue video": 1}


# The log and ferryctl

def said(daemon, reason=""):
    return daemon.log(rf'tasks? ha(s|ve) waited \d+ s: {reason}')


@pytest.fixture
def daemon(ferryd, cos, spool):
    return ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1, **SOON)


def test_the_log_says_once_why_tasks_wait(daemon, db, spool):
    db.sql("SELECT ferry.pause('default')")
    tasks = [db.put(spool.put(f"o{n}", 1000), f"cos://{BUCKET}/o{n}") for n in range(2)]
    lost = db.put(spool.put("lost", 1000), f"cos://{BUCKET}/lost", queue="bulk")
    assert "2 tasks have waited 1 s: queue default is paused" in daemon.wait_log("default is paused")[0]
    assert "1 task has waited 1 s: no node serves queue bulk" in daemon.wait_log("no node serves")[0]
    later = db.put(spool.put("later", 1000), f"cos://{BUCKET}/later", run_at="2099-01-01")
    daemon.wait_log("run_at is to come")
    assert len(said(daemon)) == 3, "a reason was said twice"
    shown = ferryctl("ls", conninfo=db.conninfo("ferry_test_producer")).stdout
    assert re.search(rf"^\s*{tasks[0]}\s+queued\s.*/o0\s+queue default is paused$", shown, re.M), shown
    assert "queue default is paused" in ferryctl("show", tasks[0], conninfo=db.conninfo("ferry_test_producer")).stdout
    db.sql("SELECT ferry.resume('default')")
    db.done(*tasks)
    shown = ferryctl("ls", conninfo=db.conninfo()).stdout
    assert re.search(rf"^\s*{tasks[0]}\s+done\s.*/o0\s+-$", shown, re.M), shown
    assert db.state(lost) == db.state(later) == "queued"


def test_a_reload_tells_which_queues_are_served(daemon, db, spool, cos):
    task = db.put(spool.put("o", 1000), f"cos://{BUCKET}/o", queue="bulk")
    daemon.wait_log("no node serves queue bulk")
    daemon.conf["queues"] = ["default", "bulk"]
    daemon.write()
    daemon.send(1)
    db.done(task)
    assert db.one("SELECT queues FROM ferry.node") == ["default", "bulk"]


def test_busy_workers_and_destinations_are_said(daemon, db, cos, spool):
    cos.rate(256 * 1024)
    spool.put("o", MIB)
    first = db.put("spool://o", f"cos://{BUCKET}/o")
    db.wait(first, "running")
    db.put("spool://o", f"cos://{BUCKET}/o"), db.put("spool://o", f"cos://{BUCKET}/other", priority=1)
    daemon.wait_log("all workers are busy", 20)
    cos.rate(None)


def test_one_of_two_nodes_says_it(ferryd, cos, spool, db):
    nodes = [ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1, **SOON) for _ in range(2)]
    db.sql("SELECT ferry.pause('default')")
    db.put(spool.put("o", 1000), f"cos://{BUCKET}/o")
    wait_until(lambda: any(said(n) for n in nodes), 10, "a line")
    holds(lambda: sum(len(said(n)) for n in nodes) == 1, 3, "one node says it, once")
