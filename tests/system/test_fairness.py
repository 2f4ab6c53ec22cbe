"""The order of tasks: weights of queues, starving tasks, pause and resume, new priorities; and concurrent uses of a dedup_key."""

import collections
import concurrent.futures
import contextlib
import re
import time

import psycopg2
import pytest

from rig import MIB, holds, patience, wait_until
from stores import BUCKET


@pytest.fixture
def stores(cos, spool):
    return {"cos": cos.store(), "spool": spool.store()}


def fill(db, source, count, queue, priority=0):
    db.sql("INSERT INTO ferry.task (source, destination, queue, priority) SELECT %s, 'spool://' || %s || '-' || n, %s, %s "
           "FROM generate_series(1, %s) n", (source, queue, queue, priority, count))


def weigh(db, **weights):
    for queue, weight in weights.items():
        db.sql("INSERT INTO ferry.queue (name, weight) VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET weight = excluded.weight",
               (queue, weight))


def ended(db):
    return db.one("SELECT count(*) FROM ferry.task WHERE state = 'done'")


def first(db, count, skip=0):
    """Counts the queues of the first tasks that ended; tasks that one statement settles end at the same moment."""
    rows = db.sql("SELECT queue FROM ferry.task WHERE state = 'done' ORDER BY finished_at, started_at, id LIMIT %s OFFSET %s",
                  (count, skip))
    return collections.Counter(row["queue"] for row in rows)


@pytest.mark.parametrize("nodes", [1, 2])
def test_weights_divide_whatever_the_priorities(ferryd, db, spool, stores, nodes):
    source = spool.put("object", 10)
    weigh(db, a=3, b=1)
    fill(db, source, 200, "a")
    fill(db, source, 200, "b", priority=9)
    daemons = [ferryd(stores, workers=2, queues=["a", "b"], start=False) for _ in range(nodes)]
    for daemon in daemons:
        daemon.start(ready=False)
    wait_until(lambda: ended(db) == 400, 40, "all to end")
    got = first(db, 120)
    assert 80 <= got["a"] <= 100, got
    begun = [task for daemon in daemons for task in re.findall(r'msg="task (\d+) started"', daemon.log_text())]
    assert len(begun) == len(set(begun)) == 400, "a task was carried twice"


def test_a_queue_that_was_idle_gets_no_credit(ferryd, db, spool, stores):
    source = spool.put("object", 10)
    weigh(db, a=1, b=1)
    ferryd(stores, workers=1, queues=["a", "b"])
    fill(db, source, 60, "a")
    wait_until(lambda: ended(db) == 60, 20, "the first tasks to end")
    db.sql("SELECT ferry.pause('a'), ferry.pause('b')")
    fill(db, source, 60, "a")
    fill(db, source, 60, "b")
    db.sql("SELECT ferry.resume('a'), ferry.resume('b')")
    wait_until(lambda: ended(db) == 180, 20, "all to end")
    got = first(db, 40, skip=70)
    assert 15 <= got["a"] <= 25, got


def test_weights_follow_a_change_and_end_with_it(ferryd, db, spool, stores):
    source = spool.put("object", 10)
    ferryd(stores, workers=1, queues=["a", "b"], poll="60s")

    def round_of():
        skip = ended(db)
        fill(db, source, 40, "a")
        fill(db, source, 40, "b", priority=9)
        db.sql("SELECT ferry.resume('a'), ferry.resume('b')")
        wait_until(lambda: ended(db) == skip + 80, 20, "all to end")
        got = first(db, 40, skip=skip)
        db.sql("SELECT ferry.pause('a'), ferry.pause('b')")
        return got

    def shares(queue, least, most=40):
        """Of the first half, the queue has so many.  A round may begin before the node knows the weights, or on a busy machine."""
        rounds = []
        wait_until(lambda: rounds.append(round_of()[queue]) or least <= rounds[-1] <= most, 20, lambda: f"a share of {queue}: {rounds}")

    db.sql("SELECT ferry.pause('a'), ferry.pause('b')")
    shares("b", 30)  # without weights the priority decides
    weigh(db, a=4, b=1)
    shares("a", 26, 37)
    weigh(db, a=None, b=None)
    shares("b", 30)


def test_a_queue_that_is_full_or_empty_leaves_its_share_to_others(ferryd, db, cos, spool, stores):
    cos.rate(MIB)
    weigh(db, a=100, b=1)
    db.sql("UPDATE ferry.queue SET max_transfers = 1 WHERE name = 'a'")
    large, small = spool.put("large", 30 * MIB), spool.put("small", 10)
    ferryd(stores, workers=3, queues=["a", "b"])
    slow = [db.put(large, f"cos://{BUCKET}/{n}", queue="a") for n in range(4)]
    wait_until(lambda: db.one("SELECT count(*) FROM ferry.task WHERE state = 'running'") == 1, 10, "a task of queue a to run")
    fill(db, small, 40, "b")
    wait_until(lambda: ended(db) == 40, 8, "all tasks of queue b to end")
    assert db.one("SELECT count(*) FROM ferry.task WHERE state = 'running'") == 1
    for task in slow:
        db.sql("SELECT ferry.cancel(%s)", (task,))
    wait_until(lambda: cos.uploads() == [], 5, "the upload to go")


@pytest.mark.parametrize("weighted", [False, True], ids=["by priority", "by weight"])
def test_a_starving_task_gets_its_turn_and_not_before(ferryd, db, spool, stores, weighted):
    source = spool.put("object", 10)
    if weighted:
        weigh(db, default=5)
    low = db.put(source, "spool://low", priority=-5)
    fill(db, source, 20000, "default", priority=5)
    ferryd(stores, workers=2)
    wait_until(lambda: ended(db) > 30, 10, "some to end")
    holds(lambda: db.state(low) == "queued", 1.5, "a low priority waits")
    db.sql("UPDATE ferry.queue SET patience = '1 s' WHERE name = 'default'")
    db.wait(low, timeout=4)
    left = db.one("SELECT count(*) FROM ferry.task WHERE state = 'queued'")
    assert left > 1000, "the starving task ended only when nearly all others had"
    db.sql("DELETE FROM ferry.task WHERE state = 'queued'")


def test_starving_tasks_take_a_tenth_at_most(ferryd, db, spool, stores):
    """If a whole backlog of a low priority starves, most turns still go to the high priority."""
    source = spool.put("object", 10)
    db.sql("UPDATE ferry.queue SET patience = '0 s' WHERE name = 'default'")
    db.sql("INSERT INTO ferry.task (source, destination, priority, run_at) SELECT %s, 'spool://low-' || n, -1, "
           "now() - interval '1 day' FROM generate_series(1, 3000) n", (source,))
    db.sql("INSERT INTO ferry.task (source, destination, priority) SELECT %s, 'spool://high-' || n, 1 "
           "FROM generate_series(1, 3000) n", (source,))
    ferryd(stores, workers=2)
    wait_until(lambda: ended(db) > 600, 20, "some to end")
    got = {row["priority"]: row["count"] for row in db.sql(
        "SELECT priority, count(*) FROM ferry.task WHERE state IN ('done', 'running') GROUP BY priority")}
    assert 0 < got.get(-1, 0) <= 0.12 * sum(got.values()), got
    db.sql("DELETE FROM ferry.task WHERE state = 'queued'")


def test_weighted_claim_costs_the_same_with_a_large_backlog(db):
    """Without ferryd: claims of 4 among 2,000 and 200,000 tasks of two queues and several priorities touch as many pages."""
    weigh(db, a=3, b=1)
    db.sql("SELECT set_config(name, 'off', false) "
           "FROM unnest(ARRAY['enable_sort', 'enable_bitmapscan', 'enable_seqscan', 'jit']) name")
    pages = collections.defaultdict(list)
    for count in (2000, 198000):
        db.sql("INSERT INTO ferry.task (source, destination, queue, priority) SELECT 's://o', 's://c' || n, CASE WHEN n %% 2 = 0 THEN 'a' "
               "ELSE 'b' END, n %% 7 FROM generate_series(1, %s) n", (count,))
        db.sql("ANALYZE ferry.task_live")
        for starving in (False, True):
            claim = f"SELECT * FROM ferry.claim(1, '{{1,2,3,4}}', '{{a,b}}', 4, 1, '{{}}', '{{0,0}}', {starving}, false, '{{}}')"
            assert collections.Counter(row["queue"] for row in db.sql(claim)) == {"a": 3, "b": 1}
            touched = []
            for _ in range(9):
                plan = db.sql(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {claim}")[0]["QUERY PLAN"][0]["Plan"]
                touched.append(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])
            pages[starving].append(sorted(touched)[4])
    for few, many in pages.values():
        assert many <= 1.5 * few + 50, dict(pages)


def test_pause_and_resume(ferryd, db, cos, spool, stores):
    cos.rate(4 * MIB)
    ferryd(stores, workers=2, poll="60s", queues=["default", "new"])
    source, large = spool.put("object", 10), spool.put("large", 8 * MIB)
    running = db.put(large, f"cos://{BUCKET}/object")
    wait_until(lambda: db.state(running) == "running", 5, "the task to run")
    with contextlib.closing(db.connect("ferry_test_daemon")) as conn, conn.cursor() as cur:
        cur.execute("SELECT ferry.pause('default'), ferry.pause('new'), ferry.pause('default')")
        assert list(cur.fetchone()) == [True, True, False]
    waiting = [db.put(source, "spool://a"), db.put(source, "spool://b", queue="new")]
    holds(lambda: {db.state(task) for task in waiting} == {"queued"}, 1, "a paused queue gives nothing out")
    db.done(running)
    assert {db.state(task) for task in waiting} == {"queued"}
    began = time.monotonic()
    assert db.one("SELECT ferry.resume('default')") is True and db.one("SELECT ferry.resume('default')") is False
    db.done(waiting[0], timeout=2)
    assert time.monotonic() - began < 2 * patience()
    assert db.state(waiting[1]) == "queued" and db.one("SELECT ferry.resume('new')") is True
    db.done(waiting[1], timeout=2)
    assert db.one("SELECT ferry.resume('unknown')") is False


def test_cancel_of_a_running_task_of_a_paused_weighted_queue(ferryd, db, cos, spool, stores):
    cos.rate(2 * MIB)
    weigh(db, default=2)
    daemon = ferryd(stores, workers=1)
    task = db.put(spool.put("object", 40 * MIB), f"cos://{BUCKET}/object")
    daemon.worker_of(task)
    # an upload without an answer to Initiate yet would be left to the reaper, later
    wait_until(lambda: db.sql("SELECT task FROM ferry.upload WHERE initiated"), 5, "the upload")
    db.sql("SELECT ferry.pause('default')")
    assert db.one("SELECT ferry.cancel(%s)", (task,)) is True
    began = time.monotonic()
    wait_until(lambda: task not in daemon.busy(), 2, "the worker to drop it")
    assert time.monotonic() - began < 2 * patience()
    wait_until(lambda: cos.uploads() == [], 2, "the upload to go")


def test_reprioritise(ferryd, db, cos, spool, stores):
    source = spool.put("object", 10)
    tasks = [db.put(source, f"cos://{BUCKET}/{n}") for n in range(5)]
    assert db.one("SELECT ferry.reprioritise(%s, 7)", (tasks[3],)) is True
    assert db.one("SELECT ferry.reprioritise(%s, -1)", (tasks[0],)) is True
    ferryd(stores, workers=1)
    db.done(*tasks)
    assert [e["key"] for e in cos.log("put")] == ["3", "1", "2", "4", "0"]
    assert db.one("SELECT ferry.reprioritise(%s, 7)", (tasks[3],)) is False, "a task that has ended got a new priority"
    assert db.one("SELECT ferry.reprioritise(999999, 7)") is False


@pytest.mark.parametrize("call", ["ferry.pause('default')", "ferry.resume('default')", "ferry.reprioritise(1, 1)",
                                  "ferry.next_tasks('{}', '{}', '{}', 1, false, '{}')", "ferry.due_tasks('', '{}', 1, false, '{}')",
                                  "ferry.claim(1, '{}', '{}', 1, 1, '{}', NULL, false, false, '{}')"])
def test_producers_may_not_call(db, call):
    with contextlib.closing(db.connect("ferry_test_producer")) as conn, conn.cursor() as cur:
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cur.execute(f"SELECT {call}")


def test_weights_out_of_range_are_refused(db):
    for wrong in ("weight = 0", "weight = 1001", "patience = '-1 s'"):
        with pytest.raises(psycopg2.errors.CheckViolation):
            db.sql(f"UPDATE ferry.queue SET {wrong}")


def test_dedup_key_under_concurrent_inserts(ferryd, db, spool, stores):
    """Sixteen sessions insert the same keys while a ferryd ends their tasks: a key never has two tasks that run, or two that wait."""
    source = spool.put("object", 10)
    ferryd(stores, workers=2)

    def producer(number):
        made = 0
        with contextlib.closing(db.connect("ferry_test_producer")) as conn, conn.cursor() as cur:
            for n in range(60):
                cur.execute("INSERT INTO ferry.task (source, destination, dedup_key) VALUES (%s, 'spool://' || %s, %s) "
                            "ON CONFLICT DO NOTHING", (source, f"copy{n % 6}", f"key{n % 6}"))
                made += cur.rowcount
        return made

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        made = sum(pool.map(producer, range(16)))
    wait_until(lambda: ended(db) == made, 20, "all to end")
    assert 6 <= made < 960, "either no insert was refused, or a key was never inserted"
    rows = db.sql("SELECT dedup_key, started_at, finished_at - interval '50 milliseconds' AS finished_at FROM ferry.task "
                  "ORDER BY dedup_key, started_at")
    for before, after in zip(rows, rows[1:]):
        # a transaction may have its time some milliseconds before it sees the end of another
        assert before["dedup_key"] != after["dedup_key"] or before["finished_at"] <= after["started_at"]


def test_dedup_key_is_given_once_while_no_task_ends(db):
    def producer(number):
        with contextlib.closing(db.connect("ferry_test_producer")) as conn, conn.cursor() as cur:
            made = 0
            for n in range(40):
                cur.execute("INSERT INTO ferry.task (source, destination, dedup_key) VALUES ('a://b', 'c://d', %s) "
                            "ON CONFLICT DO NOTHING", (f"key{n}",))
                made += cur.rowcount
            return made

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(producer, range(16))) == 40
    assert db.one("SELECT count(*) FROM ferry.task") == 40


def test_retry_names_the_task_that_has_the_dedup_key(db):
    old = db.put("a://b", "c://d", dedup_key="k")
    db.sql("SELECT ferry.cancel(%s)", (old,))
    new = db.put("a://b", "c://e", dedup_key="k")
    with pytest.raises(psycopg2.errors.UniqueViolation) as raised:
        db.sql("SELECT ferry.retry(%s)", (old,))
    assert raised.value.diag.message_primary == (
        f"task {old} cannot be queued again: task {new}, which has not begun, has the same dedup_key")
    assert db.state(old) == "cancelled"
    db.sql("SELECT ferry.cancel(%s)", (new,))
    assert db.one("SELECT ferry.retry(%s)", (old,)) is True


def test_one_of_concurrent_retries_gets_the_dedup_key(db):
    tasks = []
    for n in range(8):
        tasks.append(db.put("a://b", "c://d", dedup_key="k"))
        db.sql("SELECT ferry.cancel(%s)", (tasks[-1],))

    def retry(task):
        with contextlib.closing(db.connect()) as conn, conn.cursor() as cur:
            try:
                cur.execute("SELECT ferry.retry(%s)", (task,))
                return cur.fetchone()[0]
            except psycopg2.errors.UniqueViolation as e:
                return "cannot be queued again" in e.diag.message_primary and "refused"

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        results = list(pool.map(retry, tasks))
    assert sorted(map(str, results)) == ["True"] + ["refused"] * 7
    assert db.one("SELECT count(*) FROM ferry.task WHERE state = 'queued'") == 1
