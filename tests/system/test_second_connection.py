"""The second connection, which the master opens while tasks end fast: its loss at any moment changes nothing."""

import os
import re
import signal
import time

import pytest

from rig import BUILD, patience, wait_until
from wires import PostgresWire, Tripwire

MANY = 20000
INSTANT = f"{BUILD}/tests/instant"
SECOND = "ferryd settle"


@pytest.fixture
def instant(ferryd, db, spool):
    """A daemon whose workers report each task at once, and whose connections to the database pass a wire: .trip and .wire."""
    made = []

    def make(**options):
        trip = Tripwire()
        wire = PostgresWire(trip, db.pg.directory, db.pg.port)
        made.append(wire)
        daemon = ferryd({"nothing": spool.store()}, start=False, workers=2, worker_program=INSTANT, **options)
        daemon.conf["database"] = f"host=127.0.0.1 port={wire.port} dbname={db.name} user=ferry_test_daemon sslmode=disable"
        daemon.write()
        daemon.trip, daemon.wire = trip, wire
        return daemon
    yield make
    for wire in made:
        wire.stop()


def start(daemon):
    """Starts the daemon; its workers open no database connections to wait for."""
    daemon.start(ready=False)
    daemon.wait_log("is up")
    return daemon


def fill(db, n=MANY, first=1):
    db.sql("INSERT INTO ferry.task (source, destination) SELECT 'nothing://b/' || n, 'nothing://b/' || n FROM generate_series(%s, %s) n",
           (first, first + n - 1))


def sessions(db, program):
    return [s["pid"] for s in db.sessions() if s["application_name"] == program]


def all_done(db, timeout=60):
    wait_until(lambda: db.one("SELECT count(*) FROM ferry.task_live") == 0, timeout,
               lambda: db.sql("SELECT state, count(*) FROM ferry.task GROUP BY 1"), step=0.1)
    assert db.one("SELECT count(*) FROM ferry.task WHERE state <> 'done' OR attempt + crashes + ooms > 0") == 0


def said_done(daemon):
    return re.findall(r'msg="task (\d+) done"', daemon.log_text())


def must_be_done_once(daemon, db, tasks=MANY):
    """Checks that each task was done once, in the table and in the log."""
    all_done(db)
    wait_until(lambda: len(said_done(daemon)) >= tasks, 5, "a line in the log for each task")
    assert len(said_done(daemon)) == len(set(said_done(daemon))) == tasks
    assert not daemon.log("dropped") and not daemon.log(r"Z (error|crit) ")


def test_second_connection_is_open_only_while_tasks_end_fast(instant, db):
    daemon = start(instant())
    first = sessions(db, "ferryd")
    assert len(first) == 1 and not sessions(db, SECOND)
    fill(db)
    wait_until(lambda: sessions(db, SECOND), 20, "the second connection", step=0.005)
    must_be_done_once(daemon, db)
    assert daemon.trip.counts["second settle_done"] > 0
    wait_until(lambda: not sessions(db, SECOND), 30, "the second connection to be closed")
    assert sessions(db, "ferryd") == first
    fill(db, 3, MANY + 1)
    all_done(db)
    assert not sessions(db, SECOND), "three tasks opened the second connection"
    assert daemon.stop() == 0


@pytest.mark.parametrize("phase", ["before", "handled"])
def test_second_connection_breaks_during_a_statement(instant, db, phase):
    daemon = start(instant())
    daemon.trip.arm(("second settle_done#3", phase))
    fill(db)
    wait_until(lambda: daemon.trip.fired, 30, "the cut")
    must_be_done_once(daemon, db)
    assert not daemon.log("database (away|back)"), "the first connection was never away"
    assert len(sessions(db, "ferryd")) == 1


@pytest.mark.parametrize("phase", ["before", "handled"])
def test_both_connections_break_during_a_statement(instant, db, phase):
    daemon = start(instant(lease="20s"))
    daemon.trip.arm(("second settle_done#3", phase), lambda: daemon.wire.down(2))
    fill(db)
    wait_until(lambda: daemon.trip.fired, 30, "the cut")
    all_done(db)
    wait_until(lambda: len(said_done(daemon)) >= MANY, 5, "a line in the log for each task")
    assert len(said_done(daemon)) == len(set(said_done(daemon))) == MANY
    assert not daemon.log("the result of worker"), "a result was dropped although its claim was not revoked"
    for pattern in ("database away", "database back"):
        assert len(daemon.log(pattern)) == 1, pattern


def test_second_connection_ends_with_the_first(instant, db):
    """Both connections must always lead to the same server."""
    daemon = start(instant(lease="20s"))
    fill(db)
    second = wait_until(lambda: sessions(db, SECOND), 20, "the second connection", step=0.005)
    db.sql("SELECT pg_terminate_backend(%s)", (sessions(db, "ferryd")[0],))
    wait_until(lambda: second[0] not in sessions(db, SECOND), 5, "the second connection to end with the first")
    fill(db, MANY, MANY + 1)
    all_done(db)
    wait_until(lambda: len(set(said_done(daemon))) == 2 * MANY, 5, "a line in the log for each task")
    assert len(said_done(daemon)) == 2 * MANY and not daemon.log("the result of worker")


def test_second_connection_is_refused(instant, db):
    daemon = instant()
    db.pg.admin("ALTER ROLE ferry_test_daemon CONNECTION LIMIT 1")
    try:
        start(daemon)
        fill(db)
        must_be_done_once(daemon, db)
    finally:
        db.pg.admin("ALTER ROLE ferry_test_daemon CONNECTION LIMIT -1")
    assert daemon.trip.counts["second settle_done"] == 0 < daemon.trip.counts["master settle_done"]
    assert not daemon.log("database (away|back)")


@pytest.mark.parametrize("phase", ["before", "handled"])
def test_master_is_killed_during_a_statement(instant, ferryd, db, phase):
    daemon = instant(lease="2s")

    def kill():
        os.kill(daemon.pid, signal.SIGKILL)
        daemon.killed = True
    start(daemon)
    daemon.trip.arm(("second settle_done#3", phase), kill)
    fill(db, 3 * MANY)
    wait_until(lambda: not daemon.alive(), 30, "the master to be killed")
    confirmed = set(said_done(daemon))
    assert db.one("SELECT count(*) FROM ferry.task_live") > 0, "all tasks were done before the kill"
    kept = {str(row["id"]): row["claim"] for row in db.sql("SELECT id, claim FROM ferry.task WHERE state = 'done'")}
    assert confirmed <= kept.keys()
    start(instant(lease="2s"))
    all_done(db)
    after = {str(row["id"]): row["claim"] for row in db.sql("SELECT id, claim FROM ferry.task")}
    assert kept.items() <= after.items(), "a task that was done was claimed again"


def test_master_is_stopped_under_load(instant, db):
    daemon = start(instant())
    daemon.trip.arm(("second settle_done#5", "before"), lambda: daemon.send(signal.SIGTERM))
    fill(db)
    assert daemon.wait(30) == 0
    states = {r["state"]: r["n"] for r in db.sql("SELECT state, count(*) AS n FROM ferry.task GROUP BY 1")}
    assert set(states) == {"queued", "done"}, states
    assert len(said_done(daemon)) == len(set(said_done(daemon))) == states["done"]
    assert db.sql("SELECT * FROM ferry.node") == [], daemon.log_text()[-1500:]
    wait_until(lambda: db.sessions() == [], 20, "the sessions to close")


def test_answer_that_arrives_before_poll_is_handled_at_once(instant, db):
    """The master must not handle it only when its clock wakes it, a second later.  At a stop, the last answer ends the master."""
    daemon, took = instant(), []
    daemon.environment = {"LD_PRELOAD": os.path.abspath(f"{BUILD}/tests/late.so")}
    for _ in range(8):
        daemon.start(ready=False)
        before = len(said_done(daemon))
        fill(db)
        wait_until(lambda: len(said_done(daemon)) > before, 20, "the load")
        daemon.send(signal.SIGTERM)
        began = time.monotonic()
        assert daemon.wait(30) == 0
        took.append(time.monotonic() - began)
        db.sql("DELETE FROM ferry.task")
    assert sorted(took)[4] < 0.9 * patience(), took
