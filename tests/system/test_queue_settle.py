"""Outages, deaths and revoked claims after a task was carried and before its row is settled; and tasks that are claimed ahead."""

import contextlib
import os
import signal
import subprocess
import time

import pytest

from rig import BUILD, MIB, ROOT, SCHEMA, claimed_once, old_schema, patience, wait_until
from stores import BUCKET
from wires import PostgresWire, Tripwire

TINY = 400
GATHER = 0.005


def target(name):
    return f"cos://{BUCKET}/{name}"


@pytest.fixture
def stores(cos, spool):
    return {"cos": cos.store(), "spool": spool.store()}


@pytest.fixture
def wired(ferryd, db, cos, stores):
    """A daemon whose connections to the database pass a wire: .trip and .wire."""
    trip = Tripwire()
    wire = PostgresWire(trip, db.pg.directory, db.pg.port)
    daemon = ferryd(stores, start=False, workers=1, lease="2s")
    daemon.conf["database"] = f"host=127.0.0.1 port={wire.port} dbname={db.name} user=ferry_test_daemon sslmode=disable"
    daemon.write()
    daemon.start()
    daemon.trip, daemon.wire = trip, wire
    yield daemon
    wire.stop()


def test_carried_task_is_settled_when_the_database_is_back(wired, db, cos, spool):
    wired.trip.arm(("master settle_done#1", "before"), lambda: wired.wire.down(2))
    task = db.put(spool.put("object", 1000), target("object"))
    wait_until(lambda: wired.trip.fired, 10, "the result")
    (worker,) = wired.workers()
    assert db.state(task) == "running" and not wired.log(f'msg="task {task} done"')
    row = db.done(task, timeout=15)
    assert claimed_once(row) and (row["attempt"], row["crashes"]) == (0, 0)
    assert cos.object("object")["puts"] == 1 and wired.workers() == [worker]
    wired.wait_log(f'msg="task {task} done".* worker=1 bytes=1000 .*verified_by=crc64')


def test_settling_is_repeated_after_a_lost_answer(wired, db, cos, spool):
    wired.trip.arm(("master settle_done#1", "handled"))
    task = db.put(spool.put("object", 1000), target("object"))
    wired.wait_log(f'msg="task {task} done"', timeout=15)
    assert wired.trip.counts["master settle_done"] == 2
    assert claimed_once(db.done(task)) and not wired.log("dropped")


def test_result_with_a_revoked_claim_changes_nothing(wired, db, cos, spool):
    def take_away():  # perhaps before put() has returned the task's id
        db.sql("SELECT ferry.cancel(id) FROM ferry.task")
        db.sql("SELECT ferry.retry(id) FROM ferry.task")
    wired.trip.arm(("master settle_done#1", "before"), take_away)
    task = db.put(spool.put("object", 1000), target("object"))
    wired.wait_log(f'task {task}: the claim was revoked; the result of worker 1 was dropped', timeout=15)
    row = db.done(task)
    assert not claimed_once(row) and len(wired.wait_log(f'msg="task {task} done"')) == 1


def test_master_killed_before_it_settled(wired, db, cos, spool, ferryd, stores):
    def kill():
        os.kill(wired.pid, signal.SIGKILL)
        wired.killed = True
    wired.trip.arm(("master settle_done#1", "before"), kill)
    task = db.put(spool.put("object", 12 * MIB), target("object"))
    wait_until(lambda: not wired.alive(), 20, "the master to be killed")
    assert db.state(task) == "running"
    ferryd(stores, workers=1, lease="2s")
    row = db.done(task)
    assert not claimed_once(row) and row["verified_by"] == "crc64" and (row["attempt"], row["crashes"]) == (0, 0)
    assert cos.object("object")["puts"] == 1 and cos.uploads() == []


def test_stopping_master_settles_before_it_exits(wired, db, cos, spool):
    def stop():
        wired.send(signal.SIGTERM)
        wired.wire.down(2)
    wired.trip.arm(("master settle_done#1", "before"), stop)
    task = db.put(spool.put("object", 1000), target("object"))
    assert wired.wait() == 0
    row = db.task(task)
    assert row["state"] == "done" and claimed_once(row)
    assert db.sql("SELECT * FROM ferry.node") == []


def test_row_that_the_database_refuses_delays_no_other(ferryd, db, spool, stores):
    spool.put("object", 10)
    db.sql("ALTER TABLE ferry.task ADD CONSTRAINT odd CHECK (state <> 'done' OR priority <> 9)")
    daemon = ferryd(stores, workers=2)
    good = [db.put("spool://object", f"spool://copy{n}", priority=10 if n < 20 else 1) for n in range(40)]
    odd = db.put("spool://object", "spool://odd", priority=9)
    db.done(*good)
    daemon.wait_log(f"task {odd}: its end cannot be recorded")
    assert db.state(odd) == "running"
    db.sql("ALTER TABLE ferry.task DROP CONSTRAINT odd")
    db.done(odd, timeout=10)


def ahead(db):
    return [r["id"] for r in db.sql("SELECT id FROM ferry.task WHERE state = 'running' AND worker IS NULL ORDER BY run_at, id")]


def tiny(db, spool, n=TINY, **columns):
    spool.put("tiny", 10)
    db.sql("INSERT INTO ferry.task (source, destination, priority) SELECT 'spool://tiny', 'spool://t' || n, 5 "
           "FROM generate_series(1, %s) n", (n,))


def test_results_that_come_fast_are_settled_together(wired, db, spool):
    """One statement for each task would cost more than carrying the tasks."""
    tiny(db, spool)
    wait_until(lambda: db.one("SELECT count(*) FROM ferry.task WHERE state = 'done'") == TINY, 60, "the tasks")
    passed = db.one("SELECT extract(epoch FROM max(finished_at) - min(started_at))::float FROM ferry.task")
    assert wired.trip.counts["master settle_done"] <= passed / GATHER + TINY / 100 + 2


def test_tasks_claimed_ahead_return_at_a_stop(ferryd, db, spool, stores):
    daemon = ferryd(stores, workers=1)
    tiny(db, spool)
    wait_until(lambda: ahead(db), 20, "tasks claimed ahead", step=0.001)
    assert daemon.stop() == 0
    states = {r["state"]: r["n"] for r in db.sql("SELECT state, count(*) AS n FROM ferry.task GROUP BY 1")}
    assert set(states) <= {"queued", "done"} and states.get("queued", 0) > 0, states
    assert db.one("SELECT count(*) FROM ferry.task WHERE state = 'queued' AND (node IS NOT NULL OR worker IS NOT NULL)") == 0
    assert db.one("SELECT max(crashes + attempt) FROM ferry.task") == 0


def test_tasks_claimed_ahead_do_not_wait_for_a_long_task(ferryd, db, cos, spool, stores):
    cos.rate(MIB)
    daemon = ferryd(stores, workers=1, start=False, log_level="debug")
    long = db.put(spool.put("object", 60 * MIB), target("object"), priority=4)
    tiny(db, spool)
    db.sql("INSERT INTO ferry.task (source, destination) SELECT 'spool://tiny', 'spool://u' || n FROM generate_series(1, 400) n")
    daemon.start()
    daemon.wait_log("tasks that were claimed ahead are requeued", 30)
    assert db.state(long) == "running"
    wait_until(lambda: db.one("SELECT count(*) FROM ferry.task WHERE state = 'running'") == 1, 10, "tasks claimed ahead to be given back")
    wait_until(lambda: db.task(long)["worker"] == 1, 10, "the row to name the worker")
    db.sql("SELECT ferry.cancel(%s)", (long,))
    cos.rate(0)


def test_task_claimed_ahead_can_be_cancelled(ferryd, db, spool, stores):
    daemon = ferryd(stores, workers=1)
    (worker,) = daemon.workers()
    tiny(db, spool, 1000)

    def stop_with_tasks_ahead():
        """Returns a task that is held ahead.  The node gives such tasks back after a second, which a busy machine may let pass."""
        wait_until(lambda: len(ahead(db)) > 5, 20, "tasks claimed ahead", step=0.001)
        os.kill(worker, signal.SIGSTOP)
        time.sleep(0.1)  # meanwhile the results that the worker had sent are settled
        held = ahead(db)[-1:]
        if not held:
            os.kill(worker, signal.SIGCONT)
        return held
    try:
        held = wait_until(stop_with_tasks_ahead, 20, "a stopped worker with tasks ahead")
        assert db.one("SELECT ferry.cancel(%s)", (held[0],)) is True
        time.sleep(0.2)
    finally:
        os.kill(worker, signal.SIGCONT)
    wait_until(lambda: db.one("SELECT count(*) FROM ferry.task WHERE state = 'done'") == 999, 60, "the other tasks")
    row = db.task(held[0])
    assert row["state"] == "cancelled" and not os.path.exists(f"{spool.root}/{row['destination'].rpartition('/')[2]}")


def test_higher_priority_waits_for_a_second_at_most(ferryd, db, spool, stores):
    ferryd(stores, workers=1)
    tiny(db, spool, 3000)
    wait_until(lambda: ahead(db), 20, "tasks claimed ahead", step=0.001)
    task = db.put("spool://tiny", "spool://urgent", priority=9)
    asked = time.monotonic()
    db.done(task, timeout=5)
    assert time.monotonic() - asked < 1.5 * patience()
    assert db.one("SELECT count(*) FROM ferry.task WHERE state = 'queued'") > 0, "it was not urgent enough to tell"


def test_database_of_version_3_keeps_its_rows(pg):
    name = "ferry_version3"
    pg.admin(f"CREATE DATABASE {name}")
    try:
        with contextlib.closing(db_of(pg, name)) as conn, conn.cursor() as cur:
            old_schema(cur, 3)
            cur.execute("""INSERT INTO ferry.task (source, destination, priority, dedup_key, metadata, expect_crc64, state, finished_at)
                SELECT 'a://' || s, 'b://' || s, n, 'key' || s, '{"a": "b"}', 18446744073709551615, s::ferry.state,
                    CASE WHEN s NOT IN ('queued', 'running') THEN now() END
                FROM unnest(enum_range(NULL::ferry.state)::text[]) WITH ORDINALITY AS s(s, n)""")
            cur.execute("SELECT to_jsonb(t) FROM ferry.task t ORDER BY id")
            before = cur.fetchall()
            done = subprocess.run([f"{BUILD}/ferryctl", "migrate"], stdout=subprocess.PIPE, text=True, check=True, env={
                "FERRYCTL_DATABASE": pg.conninfo(name), "PATH": "/usr/bin:/bin", "FERRY_SCHEMA_DIR": f"{ROOT}/etc"})
            assert f"3 → {SCHEMA}" in done.stdout
            cur.execute("SELECT to_jsonb(t) - '{first_claim,warning,behind,bytes_gained,created_by,tags,notify}'::text[] FROM ferry.task t ORDER BY id")
            assert len(before) == 5 and cur.fetchall() == before
            cur.execute("SET ROLE ferry_producer")
            insert = "INSERT INTO ferry.task (source, destination, dedup_key) VALUES ('a://x', 'b://x', %s) ON CONFLICT DO NOTHING RETURNING id"
            # nobody knows whose the old rows are: their keys are free
            for key, row in (("keyqueued", (6,)), ("keydone", (7,)), ("keydone", None)):
                cur.execute(insert, (key,))
                assert cur.fetchone() == row, key
            cur.execute("RESET ROLE")
            cur.execute("SELECT ferry.cancel(1), ferry.cancel(1), ferry.retry(1), ferry.retry(3)")
            assert cur.fetchone() == (True, False, True, False)
            cur.execute("SELECT state, claim > 1000, tableoid::regclass::text FROM ferry.task WHERE id = 1")
            assert cur.fetchone() == ("queued", True, "ferry.task_live")
    finally:
        pg.admin(f"DROP DATABASE {name} WITH (FORCE)")


def db_of(pg, name):
    import psycopg2
    conn = psycopg2.connect(pg.conninfo(name))
    conn.autocommit = True
    return conn


def test_transaction_that_holds_up_vacuums_is_reported_once(ferryd, db, stores):
    """The daemon's role does not see when another role's transaction began, so the age counts from when it first saw it."""
    daemon = ferryd(stores, workers=1, transaction_warning="2s")
    with contextlib.closing(db.connect()) as conn, conn.cursor() as cur:
        conn.set_session(isolation_level="REPEATABLE READ", autocommit=False)
        cur.execute("SELECT pg_backend_pid()")
        (pid,) = cur.fetchone()
        daemon.wait_log(rf"the transaction of pid {pid} \(test, user postgres\) is open for \d+ s", timeout=20)
        time.sleep(5)
        assert len(daemon.log(f"transaction of pid {pid} ")) == 1


def test_retention_deletes_tasks_that_ended_long_ago(ferryd, db, spool, stores):
    db.sql("""INSERT INTO ferry.task (source, destination, state, finished_at)
        SELECT 'spool://x', 'spool://y', CASE n % 3 WHEN 0 THEN 'done' WHEN 1 THEN 'failed' ELSE 'cancelled' END::ferry.state,
            now() - CASE WHEN n <= 2500 THEN interval '8 days' ELSE interval '6 days' END FROM generate_series(1, 2600) n""")
    db.sql("""INSERT INTO ferry.upload (task, upload_id, destination, claim, source_size, source_etag, part_size, first_claim)
        VALUES (7, 'u', 'gone://b/k', 0, 1, 'e', 1, 1)""")
    db.began(7)
    daemon = ferryd(stores, workers=1, retention="7d")
    wait_until(lambda: db.one("SELECT count(*) FROM ferry.task") == 101, 20, "old tasks to be deleted")
    assert db.one("SELECT min(id) FROM ferry.task") == 7
    daemon.wait_log("2499 tasks deleted")
    fresh = db.put(spool.put("object", 10), "spool://copy")
    db.done(fresh)
