"""
One task at most runs for a destination, in the order of the ids, so that the newest content stays.  A task of a dedup_key that has begun
gives way to a newer one.
"""

import contextlib
import os
import signal

import psycopg2
import pytest

from rig import MIB, holds, wait_until
from stores import BUCKET

LANES = {"in order": "SELECT", "by lanes": "UPDATE ferry.queue SET weight = 3"}


@pytest.fixture
def stores(cos, spool):
    return {"cos": cos.store(), "spool": spool.store()}


def target(name):
    return f"cos://{BUCKET}/{name}"


def overlaps(db, tasks):
    """
    The pairs of tasks, in the order of their ids, of which the second began before the first had ended.  A transaction may have its time
    some milliseconds before it sees the end of another.
    """
    return db.sql("SELECT a.id, b.id AS next FROM ferry.task a JOIN ferry.task b "
                  "ON b.id > a.id AND b.started_at < a.finished_at - interval '50 milliseconds' "
                  "WHERE a.id = ANY (%s) AND b.id = ANY (%s)", (list(tasks), list(tasks)))


def insert(db, *destinations, state="queued", **columns):
    """Rows as a superuser may make them; returns their ids."""
    columns["state"] = state
    names, marks = ", ".join(columns), ", ".join(["%s"] * len(columns))
    return [db.one(f"INSERT INTO ferry.task (source, destination, {names}) VALUES ('s://b/k', %s, {marks}) RETURNING id",
                   (d, *columns.values())) for d in destinations]


def is_behind(db, task):
    return db.one("SELECT behind FROM ferry.task WHERE id = %s", (task,))


@pytest.mark.parametrize("lanes", LANES)
def test_the_newest_of_three_stays_whatever_the_priorities(ferryd, db, cos, spool, stores, lanes):
    db.sql(LANES[lanes])
    cos.rate(2 * MIB)
    tasks = [db.put(spool.put(f"o{n}", size), target("a"), priority=n) for n, size in enumerate((3 * MIB, 2 * MIB, 1000))]
    other = db.put(spool.put("other", 1000), target("b"))
    ferryd(stores, workers=4)
    db.wait(tasks[0], "running", timeout=15)
    db.done(other, timeout=15)
    waiting = db.sql("SELECT waiting_for FROM ferry.progress WHERE id = ANY (%s) AND state = 'queued'", (tasks,))
    assert {row["waiting_for"] for row in waiting} == {f"task {tasks[0]}, which has the same destination"}
    db.done(*tasks, timeout=15)
    assert not overlaps(db, tasks)
    assert cos.object("a")["size"] == 1000


@pytest.mark.parametrize("spelling", ["COS", "Cos"])
def test_the_name_of_a_store_may_be_spelt_otherwise(ferryd, db, cos, spool, stores, spelling):
    cos.rate(4 * MIB)
    tasks = [db.put(spool.put("old", 2 * MIB), target("a")),
             db.put(spool.put("new", 1000), f"{spelling}://{BUCKET}/a")]
    ferryd(stores, workers=2)
    db.done(*tasks, timeout=15)
    assert not overlaps(db, tasks)
    assert cos.object("a")["size"] == 1000


@pytest.mark.parametrize("lanes", LANES)
def test_a_thousand_tasks_for_one_destination_on_four_nodes(ferryd, db, cos, spool, stores, lanes):
    count = 1000 if lanes == "in order" else 200
    db.sql(LANES[lanes])
    for n in range(8):
        spool.put(f"o{n}", 100 + n)
    db.sql("INSERT INTO ferry.task (source, destination) SELECT 'spool://o' || n %% 8, %s FROM generate_series(1, %s) n",
           (target("a"), count))
    for _ in range(4):
        ferryd(stores, workers=2)
    wait_until(lambda: db.one("SELECT count(*) FROM ferry.task_live") == 0, 200, "all to end", step=0.5)
    tasks = [row["id"] for row in db.sql("SELECT id FROM ferry.task WHERE state = 'done' ORDER BY id")]
    assert len(tasks) == count
    sent = [e["bytes"] for e in cos.log("put", "a")]
    assert sent == [100 + n % 8 for n in range(1, count + 1)]


ENDS = {
    "fails": ("UPDATE ferry.task SET state = 'failed', finished_at = now() WHERE id = %s", False),
    "is done": ("UPDATE ferry.task SET state = 'done', finished_at = now() WHERE id = %s", False),
    "is deleted": ("DELETE FROM ferry.task WHERE id = %s", False),
    "returns to the queue": ("UPDATE ferry.task SET state = 'queued', node = NULL WHERE id = %s", True),
}


@pytest.mark.parametrize("end", ENDS)
def test_the_next_is_freed_when_its_forerunner(db, end):
    statement, stays = ENDS[end]
    first, = insert(db, "d://b/k", state="running", node=1, claim=1)
    second, third = insert(db, "d://b/k", "d://b/k", behind=True)
    db.sql(statement, (first,))
    assert is_behind(db, second) is stays
    assert is_behind(db, third)
    assert db.one("SELECT count(*) FROM ferry.lingering") == (end == "is deleted")


REMOVALS = {"DELETE": "DELETE FROM ferry.task", "DELETE of the partition": "DELETE FROM ferry.task_live",
            "TRUNCATE": "TRUNCATE ferry.task", "TRUNCATE of the partition": "TRUNCATE ferry.task_live"}


@pytest.mark.parametrize("removal", REMOVALS)
def test_rows_that_are_removed_by_hand_while_their_task_runs_hold_the_destination(db, removal):
    db.sql("INSERT INTO ferry.node (id, name, pid, version, lease) VALUES (7, 'other', 1, '0', '1 hour')")
    old, = insert(db, "d://b/k", state="running", node=7, claim=5)
    insert(db, "d://b/2")
    db.sql(REMOVALS[removal])
    assert db.sql("SELECT claim, task, node FROM ferry.lingering") == [{"claim": 5, "task": old, "node": 7}]
    new, = insert(db, "d://b/k")
    assert db.one("SELECT array_agg(f) FROM ferry.forerunners(ferry.object('d', 'd://b/k'), %s) f", (new,)) == [old]


def test_an_object_is_not_made_beside_the_worker_of_a_deleted_row(ferryd, db, cos, spool, stores):
    cos.rate(2 * MIB)
    daemon = ferryd(stores, workers=2)
    old = db.put(spool.put("old", 2 * MIB), target("a"))
    wait_until(lambda: cos.received("a"), 10, "the transfer to begin")
    pid = daemon.worker_of(old)
    os.kill(pid, signal.SIGSTOP)
    try:
        db.sql("DELETE FROM ferry.task WHERE id = %s", (old,))
        new = db.put(spool.put("new", 1000), target("a"))
        holds(lambda: db.state(new) == "queued", 2, "the newer task waits")
    finally:
        os.kill(pid, signal.SIGCONT)
    db.done(new, timeout=15)
    assert cos.object("a")["size"] == 1000


def test_the_next_is_freed_when_its_forerunner_fails_in_a_worker_and_when_it_is_cancelled(ferryd, db, cos, spool, stores):
    db.sql("INSERT INTO ferry.task (source, destination, run_at) VALUES ('spool://nothing', %s, now()), ('spool://none', %s, 'infinity')",
           (target("a"), target("b")))
    lost, late = (row["id"] for row in db.sql("SELECT id FROM ferry.task ORDER BY id"))
    after_lost, after_late = (db.put(spool.put(f"o{n}", 1000), target(n)) for n in "ab")
    ferryd(stores, workers=2)
    db.done(after_lost, timeout=15)
    assert db.state(lost) == "failed"
    wait_until(lambda: is_behind(db, after_late), 10, "the mark")
    db.sql("SELECT ferry.cancel(%s)", (late,))
    db.done(after_late, timeout=10)


def test_a_mark_that_was_set_too_late_is_found(ferryd, db, spool, stores):
    tasks = [db.put(spool.put("object", 1000), target(str(n % 300))) for n in range(3)]
    db.sql("INSERT INTO ferry.task (source, destination) SELECT 'spool://object', %s || n FROM generate_series(1000, 1500) n", (target(""),))
    db.sql("UPDATE ferry.task SET behind = true")
    ferryd(stores, workers=2)
    db.done(*tasks, timeout=15)
    wait_until(lambda: db.one("SELECT count(*) FROM ferry.task_live") == 0, 30, "all to end", step=0.2)


def test_two_cannot_run_for_one_destination(db):
    insert(db, "d://b/k", state="running")
    with pytest.raises(psycopg2.errors.UniqueViolation):
        insert(db, "D://b/k", state="running")
    insert(db, "d://b/K", state="running")


def test_a_claim_that_meets_another_for_its_destination_is_tried_again(ferryd, db, cos, spool, stores):
    source = spool.put("object", 1000)
    older, newer = db.put(source, target("a")), db.put(source, target("a"))
    with contextlib.closing(db.connect()) as conn, conn.cursor() as cur:
        conn.autocommit = False
        cur.execute("UPDATE ferry.task SET state = 'running', claim = 7 WHERE id = %s", (newer,))
        daemon = ferryd(stores, workers=2, log_level="debug")
        wait_until(lambda: db.one("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = %s", (db.name,)), 10,
                   "the claim to wait")
        cur.execute("INSERT INTO ferry.node (id, name, pid, version, lease) VALUES (7, 'other', 1, '0', '1 hour')")
        cur.execute("UPDATE ferry.task SET node = 7 WHERE id = %s", (newer,))
        conn.commit()
    wait_until(lambda: is_behind(db, older), 10, "the mark")
    db.sql("UPDATE ferry.task SET state = 'done', finished_at = now() WHERE id = %s", (newer,))
    db.done(older, timeout=10)
    assert "refuses" not in daemon.log_text()


def test_an_object_is_not_made_beside_a_cancelled_worker(ferryd, db, cos, spool, stores):
    """The worker of a cancelled task does not hear of it while it is stopped, and sends the old object when it goes on."""
    cos.rate(2 * MIB)
    daemon = ferryd(stores, workers=2)
    old = db.put(spool.put("old", 2 * MIB), target("a"))
    wait_until(lambda: cos.received("a"), 10, "the transfer to begin")
    pid = daemon.worker_of(old)
    os.kill(pid, signal.SIGSTOP)
    try:
        db.sql("SELECT ferry.cancel(%s)", (old,))
        new = db.put(spool.put("new", 1000), target("a"))
        holds(lambda: db.state(new) == "queued", 2, "the newer task waits")
        assert db.one("SELECT waiting_for FROM ferry.progress WHERE id = %s", (new,)) == f"task {old}, which has the same destination"
        db.sql("SELECT ferry.retry(%s)", (old,))
        holds(lambda: db.state(old) == "queued", 1, "the task waits for its own worker")
        db.sql("SELECT ferry.cancel(%s)", (old,))
    finally:
        os.kill(pid, signal.SIGCONT)
    db.done(new, timeout=15)
    wait_until(lambda: db.one("SELECT count(*) FROM ferry.lingering") == 0, 10, "nothing to linger")
    assert cos.object("a")["size"] == 1000
    assert daemon.alive()


def test_a_cancelled_claim_of_a_node_that_is_gone_holds_nothing(ferryd, db, cos, spool, stores):
    db.sql("INSERT INTO ferry.node (id, name, pid, version, lease) VALUES (7, 'other', 1, '0', '2 s')")
    old, = insert(db, target("a"), state="running", node=7, claim=5)
    db.sql("SELECT ferry.cancel(%s)", (old,))
    new = db.put(spool.put("new", 1000), target("a"))
    ferryd(stores, workers=1)
    db.done(new, timeout=20)
    wait_until(lambda: db.one("SELECT count(*) FROM ferry.lingering") == 0, 20, "nothing to linger")


def test_a_cancelled_claim_is_a_forerunner_as_long_as_its_node_has_a_row(db):
    db.sql("INSERT INTO ferry.node (id, name, pid, version, lease) VALUES (7, 'other', 1, '0', '1 hour')")
    old, = insert(db, "d://b/k", state="running", node=7, claim=5)
    db.sql("SELECT ferry.cancel(%s)", (old,))
    forerunners = "SELECT array_agg(f) FROM ferry.forerunners(ferry.object('d', 'd://b/k'), %s) f"
    assert db.one(forerunners, (old + 1,)) == [old]
    db.sql("DELETE FROM ferry.node")
    assert db.one(forerunners, (old + 1,)) is None


def test_claims_do_not_walk_over_tasks_that_wait(ferryd, db, spool, stores):
    """Twenty thousand tasks wait for one destination whose task is not due; fifty others are carried."""
    spool.put("object", 10)
    db.sql("INSERT INTO ferry.task (source, destination, run_at) VALUES ('spool://object', 'spool://o', now() + '1 hour')")
    db.sql("INSERT INTO ferry.task (source, destination) SELECT 'spool://object', 'spool://o' FROM generate_series(1, 20000)")
    daemon = ferryd(stores, workers=2)
    wait_until(lambda: db.one("SELECT count(*) FROM ferry.task_live WHERE behind") == 20000, 120, "all to be marked", step=0.5)
    assert daemon.stop() == 0
    db.sql("VACUUM ferry.task_live")
    db.sql("SELECT pg_stat_reset()")
    daemon = ferryd(stores, workers=2)
    for n in range(5):
        db.sql("INSERT INTO ferry.task (source, destination) SELECT 'spool://object', 'spool://' || %s || n FROM generate_series(1, 10) n",
               (f"n{n}-",))
        wait_until(lambda: db.one("SELECT count(*) FROM ferry.task_live WHERE NOT behind") == 1, 30, "the others to end")
    assert daemon.stop() == 0
    read = {r["indexrelname"]: r["idx_tup_read"] for r in db.sql(
        "SELECT indexrelname, idx_tup_read FROM pg_stat_user_indexes WHERE relname = 'task_live'")}
    assert max(read.values()) < 3000, read


def test_a_source_written_again_while_its_task_runs_is_carried_again(ferryd, db, cos, spool, stores):
    cos.rate(2 * MIB)
    old = db.put(spool.put("object", 3 * MIB), target("a"), dedup_key="k")
    ferryd(stores, workers=2)
    wait_until(lambda: cos.received("a"), 10, "the transfer to begin")
    spool.put("object", 1000, seed="written again")
    new = db.put("spool://object", target("a"), dedup_key="k")
    with pytest.raises(psycopg2.errors.UniqueViolation):
        db.put("spool://object", target("a"), dedup_key="k")
    db.done(new, timeout=15)
    row = db.wait(old, timeout=15)
    assert row["state"] == "done" or row["error"] == f"superseded by task {new}"
    assert cos.object("a")["size"] == 1000


def test_a_task_whose_worker_dies_gives_way_to_a_newer_one(ferryd, db, cos, spool, stores):
    cos.rate(2 * MIB)
    daemon = ferryd(stores, workers=1)
    old = db.put(spool.put("object", 4 * MIB), target("a"), dedup_key="k")
    wait_until(lambda: cos.received("a"), 10, "the transfer to begin")
    new = db.put(spool.put("object", 1000, seed="again"), target("a"), dedup_key="k")
    os.kill(daemon.worker_of(old), signal.SIGKILL)
    db.done(new, timeout=15)
    row = db.task(old)
    assert (row["state"], row["error"], row["node"]) == ("cancelled", f"superseded by task {new}", None)
    assert row["finished_at"] is not None


def test_a_task_that_is_handed_back_gives_way_to_a_newer_one(ferryd, db, cos, spool, stores):
    cos.rate(MIB)
    daemon = ferryd(stores, workers=1)
    old = db.put(spool.put("object", 4 * MIB), target("a"), dedup_key="k")
    alone = db.put(spool.put("alone", 1000), target("b"), dedup_key="other", run_at="infinity")
    wait_until(lambda: cos.received("a"), 10, "the transfer to begin")
    new = db.put("spool://object", target("a"), dedup_key="k")
    assert daemon.stop() == 0
    assert (db.state(old), db.state(new), db.state(alone)) == ("cancelled", "queued", "queued")
    assert db.task(old)["error"] == f"superseded by task {new}"
    with pytest.raises(psycopg2.errors.UniqueViolation, match=f"task {new}, which has not begun"):
        db.sql("SELECT ferry.retry(%s)", (old,))


def test_a_task_gives_way_to_a_newer_one_of_its_key_alone(db):
    old, = insert(db, "d://b/k", state="running", dedup_key="k", started_at="now", node=1)
    older, = insert(db, "d://b/2", state="running", started_at="now", node=1)
    newer, = insert(db, "d://b/3", dedup_key="other")
    insert(db, "d://b/4", dedup_key="last")
    back = "UPDATE ferry.task SET state = 'queued', node = NULL WHERE id = ANY (%s)"
    db.sql(back, ([old, older],))
    assert [db.state(t) for t in (old, older)] == ["queued", "queued"]
    assert db.state(newer) == "queued"


def test_an_older_task_of_the_key_supersedes_nothing(db):
    older, = insert(db, "d://b/k", dedup_key="k")
    db.sql("SELECT ferry.cancel(%s)", (older,))
    newer, = insert(db, "d://b/2", state="running", dedup_key="k", started_at="now", node=1)
    db.sql("SELECT ferry.retry(%s)", (older,))
    db.sql("UPDATE ferry.task SET state = 'queued', node = NULL WHERE id = %s", (newer,))
    assert [db.state(t) for t in (older, newer)] == ["queued", "queued"]


def test_a_task_is_not_freed_while_it_has_a_forerunner(db):
    """The end of a queued task frees no other while one runs."""
    runs, ends, waits = (insert(db, "d://b/k", state=s, behind=b)[0] for s, b in (("running", False), ("queued", False), ("queued", True)))
    db.sql("SELECT ferry.cancel(%s)", (ends,))
    assert is_behind(db, waits)
    db.sql("UPDATE ferry.task SET state = 'done' WHERE id = %s", (runs,))
    assert not is_behind(db, waits)


def test_an_older_task_that_is_tried_again_runs_but_not_beside_another(ferryd, db, cos, spool, stores):
    cos.rate(2 * MIB)
    old = db.put(spool.put("object", 1000), target("a"), run_at="infinity")
    db.sql("SELECT ferry.cancel(%s)", (old,))
    new = db.put(spool.put("new", 3 * MIB), target("a"))
    ferryd(stores, workers=2)
    wait_until(lambda: cos.received("a"), 10, "the transfer to begin")
    db.sql("SELECT ferry.retry(%s)", (old,))
    wait_until(lambda: is_behind(db, old), 10, "the mark")
    db.done(old, new, timeout=15)
    rows = [db.task(t) for t in (new, old)]
    assert rows[0]["finished_at"] <= rows[1]["started_at"]


@pytest.mark.parametrize("lanes", LANES)
def test_ids_that_come_twice(ferryd, db, cos, spool, stores, lanes):
    """A task whose id an ended task has waits, and says how it is mended; the others are carried."""
    db.sql(LANES[lanes])
    source = spool.put("object", 1000)
    daemon = ferryd(stores, workers=2)
    first = [db.put(source, target(f"first{n}")) for n in range(3)]
    db.done(*first, timeout=15)
    db.sql("SELECT setval('ferry.task_id_seq', %s, false)", (first[1],))
    twice = db.put(source, target("twice"))
    assert twice == first[1]
    taken = "SELECT error FROM ferry.task WHERE state = 'queued' AND id = %s"
    wait_until(lambda: db.sql(taken, (twice,)) and db.one(taken, (twice,)), 10, "the error")
    error = db.one(taken, (twice,))
    assert f"setval('ferry.task_id_seq', {first[2]})" in error
    daemon.stop()
    daemon = ferryd(stores, workers=2)
    wait_until(lambda: f"setval('ferry.task_id_seq', {first[2]})" in daemon.log_text(), 10, "the warning")
    db.sql(error.split('"')[1].replace("%", "%%"))
    mended = db.one("SELECT max(id) FROM ferry.task")
    assert mended > first[2]
    db.done(mended, db.put(source, target("next")), timeout=15)
    assert db.task(mended)["destination"] == target("twice")
