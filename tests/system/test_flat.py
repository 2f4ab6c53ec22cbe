"""
The cost of a claim does not grow with the other rows of the table.  PostgreSQL itself counts the index entries that were read, dead
ones included, and the pages that were touched.
"""

import contextlib
import itertools
import time

import pytest

from rig import wait_until

KINDS = {
    "plain": ("SELECT", "default", "'default'"),
    "weights": ("INSERT INTO ferry.queue (name, weight) VALUES ('a', 3), ('b', 1)", "a,b", "CASE n %% 2 WHEN 0 THEN 'a' ELSE 'b' END"),
    "limits": ("UPDATE ferry.queue SET max_transfers = 1000", "default", "'default'"),
}


@pytest.fixture
def stores(spool):
    return {"spool": spool.store()}


fills = itertools.count()


def fill(db, n, source="s://o", queue="'default'", **columns):
    """Each task has a destination of its own."""
    names = "".join(f", {c}" for c in columns)
    values = "".join(f", {v}" for v in columns.values())
    db.sql(f"INSERT INTO ferry.task (source, destination, queue{names}) SELECT %s, 'spool://o{next(fills)}-' || n, {queue}{values} "
           "FROM generate_series(1, %s) n", (source, n))


@contextlib.contextmanager
def vacuums_held_up(db):
    with contextlib.closing(db.connect()) as conn, conn.cursor() as cur:
        conn.set_session(isolation_level="REPEATABLE READ", autocommit=False)
        cur.execute("SELECT count(*) FROM ferry.queue")
        yield


@pytest.mark.parametrize("kind", KINDS)
def test_index_entries_read_for_a_task_while_vacuums_are_held_up(ferryd, db, spool, stores, kind):
    """
    If each claim read the entries of earlier claims, or a statement that finds a task by its id read the index of queued tasks, a
    thousand entries would be read for each task.  A claim from the start reads as many, but happens only now and then.
    """
    setup, queues, queue = KINDS[kind]
    count = 8000
    db.sql(setup)
    fill(db, count, spool.put("object", 10), queue)
    with vacuums_held_up(db):
        began = time.monotonic()
        daemon = ferryd(stores, workers=4, queues=queues.split(","))
        wait_until(lambda: db.one("SELECT count(*) FROM ferry.task_live") == 0, 120, "all to end", step=0.2)
        assert daemon.stop() == 0  # a session reports its counts at its end, at the latest
        read = {r["indexrelname"]: r["idx_tup_read"] / count for r in db.sql(
            "SELECT indexrelname, idx_tup_read FROM pg_stat_user_indexes WHERE relname = 'task_live'")}
    assert max(read.values()) < 60 + 5 * (time.monotonic() - began), read


def pages(db, queues="{default,full}", ours=()):
    """Returns the pages that a claim of four tasks touches when its plans are made: the median of several claims."""
    db.sql("SELECT set_config(name, 'off', false) FROM unnest(ARRAY['enable_sort', 'enable_bitmapscan', 'enable_seqscan', 'jit']) name")
    touched = []
    for n in range(9):
        (row,) = db.sql("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT * FROM ferry.claim(1, '{1,2,3,4}', %s, 4, 1, '{}', "
                        "array_fill(0::float8, ARRAY[cardinality(%s::text[])]), false, %s, %s)", (queues, queues, n == 0, list(ours)))
        plan = row["QUERY PLAN"][0]["Plan"]
        assert plan["Actual Rows"] == 4
        touched.append(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])
    return sorted(touched)[4]


@pytest.mark.parametrize("kind", ["weights", "limits"])
@pytest.mark.parametrize("beside", ["ready", "finished", "scheduled", "full", "claimed"])
def test_pages_touched_by_a_claim(db, kind, beside):
    db.sql("INSERT INTO ferry.queue (name, max_transfers) VALUES ('full', 1)")
    db.sql("UPDATE ferry.queue SET weight = 3" if kind == "weights" else "UPDATE ferry.queue SET max_transfers = 100000")
    db.sql("INSERT INTO ferry.task (source, destination, queue, state, node, claim) VALUES ('s://o', 'd://o', 'full', 'running', 2, 1)")
    fill(db, 100)
    alone = pages(db)
    with vacuums_held_up(db):
        if beside == "ready":
            fill(db, 30000)
        elif beside == "finished":
            fill(db, 30000, state="'done'::ferry.state", finished_at="now()")
        elif beside == "scheduled":
            fill(db, 30000, priority="5", run_at="now() + interval '1 day'")
        elif beside == "full":
            fill(db, 30000, queue="'full'", priority="5")
        else:
            fill(db, 30000)
            db.sql("SELECT count(*) FROM ferry.claim(1, '{}', '{default,full}', 29900, 1, '{}', '{0,0}', false, true, '{}')")
            db.sql("UPDATE ferry.task SET state = 'done', finished_at = now() WHERE state = 'running' AND node = 1")
        fill(db, 100)
        assert pages(db) < 2 * alone, f"{alone} pages alone"


def test_batches_of_retention_do_not_read_entries_of_deleted_tasks(ferryd, db, stores):
    count = 20000
    db.sql("INSERT INTO ferry.task (source, destination, state, finished_at) SELECT 's://o', 's://o', 'done', "
           "now() - interval '8 days' + n * interval '1 ms' FROM generate_series(1, %s) n", (count,))
    with vacuums_held_up(db):
        daemon = ferryd(stores, workers=1, retention="7d")
        daemon.wait_log(f"{count} tasks deleted", timeout=120)
        assert daemon.stop() == 0
        (read,) = db.sql("SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'task_finished'")
    assert read["idx_tup_read"] < 3 * count


def test_claims_do_not_read_a_paused_backlog_each_time(ferryd, db, spool, stores):
    fill(db, 400000, queue="'paused'", priority="5")
    db.sql("SELECT ferry.pause('paused')")
    db.sql("VACUUM ANALYZE ferry.task_live")
    daemon = ferryd(stores, workers=1, queues=["default", "paused"], poll="60s")
    source = spool.put("object", 10)
    for n in range(150):
        db.done(db.put(source, f"spool://copy{n}"))
    assert daemon.stop() == 0
    read = db.one("SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname = 'task_live'")
    assert read < 20 * 400000, f"the backlog was read {read / 400000:.0f} times"
