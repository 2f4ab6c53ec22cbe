"""What each statement of the master does to rows, and which rows it leaves alone: run by hand, without a ferryd."""

import contextlib
import datetime
import itertools

import psycopg2
import pytest

from rig import wait_until, MIB
from statements import array, run

OURS, OTHER, DEAD = 11, 12, 13
DAY = 86400000
numbers = itertools.count(1)
START = ("-2147483648", "-infinity", "0")


@pytest.fixture
def conn(db):
    """A session as the master's: with its role and its planner."""
    with contextlib.closing(db.connect("ferry_test_daemon")) as conn:
        run(conn, "walk_indexes")
        yield conn


def node(db, number, lease="1 hour", age="0 s"):
    db.sql("INSERT INTO ferry.node (id, name, pid, version, lease, renewed_at) VALUES (%s, 'n' || %s, 1, 'x', %s, now() - %s::interval)", (number, number, lease, age))


def put(db, **columns):
    """Inserts a task with a destination of its own, and sets what producers may not set; returns its id."""
    columns = {"source": "a://b/k", "destination": "c://d/k", **columns}
    columns["destination"] += str(next(numbers))
    if "state" in columns:
        columns.setdefault("first_claim", 1)
    names = ", ".join(columns)
    return db.sql(f"INSERT INTO ferry.task ({names}) VALUES ({', '.join(['%s'] * len(columns))}) RETURNING id",
                  tuple(columns.values()))[0]["id"]


def running(db, number, claim=1, **columns):
    return put(db, state="running", node=number, worker=1, claim=claim, **columns)


def upload(db, task, name="u", parts=(), **columns):
    columns = {"task": task, "upload_id": name, "destination": "c://d/k", "claim": 1, "source_size": 1, "source_etag": "e",
               "part_size": 5 * MIB, "first_claim": 1, **columns}
    db.sql(f"INSERT INTO ferry.upload ({', '.join(columns)}) VALUES ({', '.join(['%s'] * len(columns))})", tuple(columns.values()))
    for number in parts:
        db.sql("INSERT INTO ferry.part VALUES (%s, %s, %s, 100, 0, 'e')", (task, name, number))


def states(db, *tasks):
    return [db.state(task) for task in tasks]


@contextlib.contextmanager
def locked(db, task):
    """Another session holds the task's row, as a statement of another node does."""
    with contextlib.closing(db.connect()) as other, other.cursor() as cur:
        other.autocommit = False
        cur.execute("SELECT FROM ferry.task WHERE id = %s FOR UPDATE", (task,))
        yield
        other.rollback()


# Claims

def in_order(conn, wanted, queues="{default}", slots="{}", place=START):
    return run(conn, "claim", OURS, slots, queues, wanted, next(numbers) * 1000, *place, 2 * wanted + 8)


def by_lanes(conn, wanted, queues="{default}", slots="{}", **more):
    """Claims by ferry.claim(); more: node, shunned, starts, starving, ours."""
    return run(conn, "claim_limited", more.get("node", OURS), slots, queues, wanted, next(numbers) * 1000,
               more.get("shunned", "{}"), more.get("starts", array("0" for _ in queues.split(","))), more.get("starving", "false"), "true", more.get("ours", "{}"))


def ids(rows):
    return [row["id"] for row in rows]


CLAIMS = pytest.mark.parametrize("claim", [in_order, by_lanes], ids=["in order", "by lanes"])


@CLAIMS
def test_claim_takes_the_highest_priority_then_the_longest_due_then_the_first(db, conn, claim):
    now = db.one("SELECT now()")
    low = put(db, priority=-5)
    late = put(db, priority=7, run_at=now - datetime.timedelta(seconds=1))
    early = put(db, priority=7, run_at=now - datetime.timedelta(seconds=9))
    high, next_to_it = [put(db, priority=2147483647, run_at=now) for _ in range(2)]
    lowest = put(db, priority=-2147483648)
    taken = claim(conn, 3)
    assert ids(taken) == [high, next_to_it, early]
    assert ids(claim(conn, 9)) == [late, low, lowest]


@CLAIMS
def test_claim_makes_a_row_the_nodes(db, conn, claim):
    task, ahead = put(db, priority=1), put(db)
    before = db.task(task)
    rows = claim(conn, 5, slots="{3}")
    assert [(row["id"], row["worker"]) for row in rows] == [(task, 3), (ahead, None)]
    for row in db.task(task), db.task(ahead):
        assert (row["state"], row["node"]) == ("running", OURS) and row["claim"] != before["claim"]
        assert row["started_at"] is not None and row["attempt"] == 0
    db.sql("UPDATE ferry.task SET state = 'queued', started_at = '2020-01-01' WHERE id = %s", (task,))
    claim(conn, 1)
    assert db.task(task)["started_at"].year == 2020, "the first claim counts as the start"
    assert db.task(task)["claim"] not in (before["claim"], rows[0]["claim"]), "a claim came twice"


@CLAIMS
def test_claim_takes_no_more_than_it_wants(db, conn, claim):
    for priority in range(4):
        for _ in range(3):
            put(db, priority=priority)
    assert len(claim(conn, 5)) == 5
    assert db.one("SELECT count(*) FROM ferry.task WHERE state = 'running'") == 5


@CLAIMS
def test_claim_leaves_a_task_until_it_is_due(db, conn, claim):
    put(db, priority=9, run_at=db.one("SELECT now() + interval '1 hour'"))
    due = put(db, run_at=db.one("SELECT now() - interval '1 ms'"))
    assert ids(claim(conn, 5)) == [due]


@CLAIMS
def test_claim_leaves_other_queues_and_paused_ones(db, conn, claim):
    db.sql("INSERT INTO ferry.queue (name, enabled) VALUES ('paused', false)")
    put(db, queue="other", priority=9), put(db, queue="paused", priority=9)
    ours, new = put(db), put(db, queue="new")
    assert ids(claim(conn, 5, queues="{default,paused,new}")) == [ours, new]


@CLAIMS
@pytest.mark.parametrize("state", ["running", "done", "failed", "cancelled"])
def test_claim_takes_queued_tasks_only(db, conn, claim, state):
    put(db, state=state, node=OTHER)
    assert claim(conn, 5) == []


@CLAIMS
def test_claim_passes_over_rows_that_another_session_holds(db, conn, claim):
    held, free = put(db, priority=9), put(db)
    db.sql("ALTER ROLE ferry_test_daemon SET lock_timeout = 0")
    with locked(db, held), conn.cursor() as cur:
        cur.execute("SET lock_timeout = '2 s'")
        assert ids(claim(conn, 2)) == [free]


def test_claim_in_order_goes_on_behind_a_place(db, conn):
    now = db.one("SELECT now()")
    rows = [put(db, priority=5, run_at=now - datetime.timedelta(seconds=9 - n)) for n in range(3)]
    low = put(db, priority=1)
    place = [str(v) for v in db.sql("SELECT ~priority AS rank, run_at::text, id FROM ferry.task WHERE id = %s", (rows[1],))[0].values()]
    assert ids(in_order(conn, 9, place=place)) == [rows[2], low]


# Claims by lanes: limits, weights, starving tasks

def limit(db, store=None, queue=None, most=1):
    if store:
        if not db.sql("SELECT id FROM ferry.node WHERE id = %s", (OURS,)):
            node(db, OURS)
        db.sql("INSERT INTO ferry.node_store (node, store, max_transfers) VALUES (%s, %s, %s)", (OURS, store, most))
    else:
        db.sql("INSERT INTO ferry.queue (name, max_transfers) VALUES (%s, %s) ON CONFLICT (name) "
               "DO UPDATE SET max_transfers = excluded.max_transfers", (queue, most))


def test_a_shunned_store_is_left_alone_on_both_sides(db, conn):
    put(db, source="slow://a/b", priority=9), put(db, destination="slow://a/b", priority=8)
    free = put(db)
    assert ids(by_lanes(conn, 5, shunned="{slow}")) == [free]


@pytest.mark.parametrize("side", ["source", "destination"])
@pytest.mark.parametrize("holder", [OURS, OTHER, OURS - 1], ids=["ours", "a later node's", "an earlier node's"])
def test_a_store_gets_no_more_tasks_than_its_limit(db, conn, side, holder):
    """The tasks that run count, whoever has them and on whichever side the store is."""
    limit(db, store="narrow", most=3)
    busy = running(db, holder, **{side: "narrow://b/k"})
    waiting = [put(db, **{side: "narrow://b/k"}) for _ in range(4)]
    free = put(db)
    assert ids(by_lanes(conn, 9, ours=array([busy] if holder == OURS else []))) == [*waiting[:2], free]


@pytest.mark.parametrize("holder", [OURS, OTHER])
def test_a_queue_gets_no_more_tasks_than_its_limit(db, conn, holder):
    limit(db, queue="narrow", most=2)
    busy = running(db, holder, queue="narrow")
    waiting = [put(db, queue="narrow", priority=9) for _ in range(3)]
    free = put(db)
    assert ids(by_lanes(conn, 9, queues="{narrow,default}", ours=array([busy] if holder == OURS else []))) == [waiting[0], free]


def test_the_narrowest_of_several_limits_holds(db, conn):
    limit(db, store="wide", most=8), limit(db, store="narrow", most=2)
    for _ in range(4):
        put(db, source="wide://b/k", destination="narrow://b/k", priority=9)
    wide = [put(db, source="wide://b/k") for _ in range(9)]
    assert ids(by_lanes(conn, 20))[2:] == wide[:6]


def test_a_limit_on_a_queue_that_the_node_does_not_serve_does_not_matter(db, conn):
    limit(db, queue="elsewhere", most=1)
    running(db, OTHER, queue="elsewhere")
    tasks = [put(db) for _ in range(3)]
    assert ids(by_lanes(conn, 9)) == tasks


def test_claims_under_a_limit_wait_for_each_other(db, conn):
    """Two that counted at the same moment would both fill the last place."""
    limit(db, queue="default", most=1)
    put(db), put(db)
    with contextlib.closing(db.connect("ferry_test_daemon")) as other, conn.cursor() as cur:
        other.autocommit = False
        assert len(by_lanes(other, 1, node=OTHER)) == 1
        cur.execute("SET lock_timeout = '300 ms'")
        with pytest.raises(psycopg2.errors.LockNotAvailable):
            by_lanes(conn, 1)
        other.commit()
        assert by_lanes(conn, 1) == []


def test_weights_divide_tasks_and_priorities_hold_within_a_queue(db, conn):
    db.sql("INSERT INTO ferry.queue (name, weight) VALUES ('a', 3), ('b', 1)")
    a = [put(db, queue="a", priority=n) for n in range(12)][::-1]
    b = [put(db, queue="b", priority=100 + n) for n in range(12)][::-1]
    assert sorted(ids(by_lanes(conn, 8, queues="{a,b}"))) == sorted(a[:6] + b[:2])
    assert ids(by_lanes(conn, 2, queues="{a,b}", starts="{2,0}")) == b[2:4], "queue a has had more than its share"


def test_a_starving_task_has_its_turn_before_higher_priorities(db, conn):
    db.sql("UPDATE ferry.queue SET patience = '1 minute'")
    now = db.one("SELECT now()")
    patient = put(db, priority=-1, run_at=now - datetime.timedelta(seconds=30))
    starving = put(db, priority=-8, run_at=now - datetime.timedelta(seconds=90))
    longest = put(db, priority=-9, run_at=now - datetime.timedelta(seconds=95))
    high = put(db, priority=5)
    assert ids(by_lanes(conn, 1)) == [high]
    high = put(db, priority=5)
    assert ids(by_lanes(conn, 3, starving="true")) == [longest, starving, high]
    assert db.state(patient) == "queued"


def test_starts_follow_what_a_claim_took_before(db, conn):
    """A claim of several rounds, which limits make, divides by weight over all of them."""
    db.sql("INSERT INTO ferry.queue (name, weight) VALUES ('a', 1), ('b', 1)")
    limit(db, store="narrow", most=1)
    for n in range(6):
        put(db, queue="a"), put(db, queue="b")
    put(db, queue="a", source="narrow://b/k", priority=9)
    taken = [db.task(task)["queue"] for task in ids(by_lanes(conn, 6, queues="{a,b}"))]
    assert taken.count("a") == taken.count("b") == 3


def test_claim_by_lanes_finds_what_came_in_front_when_it_looks_from_the_start(db, conn):
    def again(from_start):
        return ids(run(conn, "claim_limited", OURS, "{}", "{default}", 1, next(numbers) * 1000, "{}", "{0}", "false", from_start, "{}"))
    now = db.one("SELECT now()")
    first, second = [put(db, run_at=now - datetime.timedelta(seconds=20 - n)) for n in range(2)]
    assert again("true") == [first]
    db.sql("UPDATE ferry.task SET state = 'queued', node = NULL, worker = NULL WHERE id = %s", (first,))
    assert again("false") == [second], "a claim goes on behind the last one"
    assert again("true") == [first]


# When the next task is due

def due_in(conn):
    (row,) = run(conn, "next_due")
    return next(iter(row.values()))


def test_next_due_is_the_first_task_of_any_priority_that_is_not_due_yet(db, conn):
    assert DAY - 60000 < due_in(conn) <= DAY, "the master looks again in a day at most"
    put(db, priority=9), put(db, state="running", run_at=db.one("SELECT now() + interval '1 s'"))
    put(db, priority=9, run_at=db.one("SELECT now() + interval '2 days'"))
    assert DAY - 60000 < due_in(conn) <= DAY
    put(db, priority=9, run_at=db.one("SELECT now() + interval '1 hour'"))
    put(db, priority=-9, run_at=db.one("SELECT now() + interval '1 minute'"))
    assert 30000 < due_in(conn) <= 60000


# Nodes whose lease has lapsed

def rescue(conn, age=10**12):
    return run(conn, "rescue", OURS, age)


def test_rescue_requeues_the_tasks_of_lapsed_nodes_and_of_none(db, conn):
    for number, age in ((OURS, "1 day"), (OTHER, "-1 day"), (DEAD, "1 day")):
        node(db, number, lease="1 ms", age=age)
    ours, live, dead, lost = [running(db, number) for number in (OURS, OTHER, DEAD, 99)]
    done = put(db, state="done", node=DEAD)
    assert len(rescue(conn)) == 1
    assert states(db, ours, live, dead, lost, done) == ["running", "running", "queued", "queued", "done"]
    assert db.sql("SELECT id FROM ferry.node ORDER BY 1") == [{"id": OURS}, {"id": OTHER}]
    row = db.task(dead)
    assert (row["node"], row["worker"], row["attempt"], row["crashes"]) == (None, None, 0, 0)
    assert rescue(conn) == []


def test_rescue_gives_nodes_a_whole_lease_after_the_database_was_away(db, conn):
    """While the server was down nobody could renew."""
    node(db, DEAD, lease="1 day", age="2 days")
    task = running(db, DEAD)
    assert rescue(conn) == [] and db.state(task) == "running"


def test_rescue_gives_nodes_a_whole_lease_after_the_database_became_another(db, conn):
    """A standby that was promoted has run for long, but nobody could renew there: our connection tells since when that is possible."""
    node(db, DEAD, lease="1 ms", age="1 day"), node(db, OTHER, lease="1 s", age="1 day")
    short, long = running(db, DEAD), running(db, OTHER)
    assert len(rescue(conn, age=999)) == 1
    assert states(db, short, long) == ["queued", "running"]
    wait_until(lambda: rescue(conn, age=1001), 5, "the server to have run for a second")
    assert db.state(long) == "queued"


def test_reconcile_requeues_what_only_the_table_says_we_hold(db, conn):
    held, lost, other = running(db, OURS, claim=5), running(db, OURS), running(db, OTHER)
    older = running(db, OURS, claim=8)
    rows = run(conn, "reconcile", OURS, array([held, older]), array([5, 7]))
    assert sorted(ids(rows)) == [lost, older]
    assert states(db, held, lost, other, older) == ["running", "queued", "running", "queued"]
    assert db.task(lost)["node"] is None and db.task(lost)["worker"] is None


def test_leaving_requeues_our_tasks_and_removes_our_row(db, conn):
    node(db, OURS), node(db, OTHER)
    ours, other, done = running(db, OURS), running(db, OTHER), put(db, state="done", node=OURS)
    assert run(conn, "leave", OURS) == [{"count": 1}]
    assert states(db, ours, other, done) == ["queued", "running", "done"]
    assert db.sql("SELECT id FROM ferry.node") == [{"id": OTHER}]


def test_tasks_claimed_ahead_are_given_back_by_their_claims(db, conn):
    ours, newer, ended = running(db, OURS, claim=3), running(db, OURS, claim=4), put(db, state="cancelled", claim=3)
    run(conn, "release_claims", array([ours, newer, ended]), "{3,3,3}")
    assert states(db, ours, newer, ended) == ["queued", "running", "cancelled"]
    assert db.task(ours)["node"] is None


def test_revoked_claims_are_named_and_workers_get_their_seats(db, conn):
    kept, newer, cancelled = running(db, OURS, claim=3), running(db, OURS, claim=4), put(db, state="cancelled", claim=3)
    ahead = put(db, state="running", node=OURS, claim=3)
    rows = run(conn, "revoked_claims", array([kept, newer, cancelled, ahead, 10 ** 6]), "{3,3,3,3,3}", "{2,2,2,0,0}")
    assert ids(rows) == [newer, cancelled, 10 ** 6]
    assert [db.task(task)["worker"] for task in (kept, newer, ahead)] == [2, 1, None]


# Deaths of workers

def settle(conn, task, kind, claim=1, error="worker killed", **more):
    return run(conn, "settle_death", task, claim, kind, more.get("crashes", 3), more.get("ooms", 2), error,
               more.get("peak"), more.get("total"), more.get("pause", 0))


@pytest.mark.parametrize("kind, column, most", [("crash", "crashes", 3), ("out_of_memory", "ooms", 2)])
def test_a_death_is_counted_and_the_last_one_fails_the_task(db, conn, kind, column, most):
    task = running(db, OURS)
    for n in range(1, most + 1):
        (row,) = settle(conn, task, kind, peak=7, total=9)
        after = db.task(task)
        assert after[column] == n and after["state"] == row["state"] == ("failed" if n == most else "queued")
        assert (after["error"], after["error_class"], after["node"], after["worker"]) == ("worker killed", kind, None, None)
        assert (after["finished_at"] is not None) == (n == most)
        assert after["crashes"] + after["ooms"] == n and (after["peak_memory"], after["bytes_total"]) == (7, 9)
        if n < most:
            db.sql("UPDATE ferry.task SET state = 'running', node = %s WHERE id = %s", (OURS, task))


def test_a_death_for_the_machines_shortage_counts_nothing_and_waits(db, conn):
    task = running(db, OURS, crashes=2, ooms=1)
    for _ in range(2):  # the second time as if the answer was lost
        (row,) = settle(conn, task, "transient", error="worker killed by the machine's shortage of memory", pause=90000)
        assert (row["state"], row["crashes"], row["ooms"]) == ("queued", 2, 1)
    after = db.task(task)
    assert (after["state"], after["crashes"], after["ooms"], after["attempt"], after["error_class"]) == ("queued", 2, 1, 0, "transient")
    assert db.one("SELECT run_at - now() BETWEEN '80 s' AND '90 s' FROM ferry.task WHERE id = %s", (task,))


def test_a_death_that_we_caused_counts_nothing(db, conn):
    task = running(db, OURS, crashes=2, ooms=1, error="before", error_class="transient")
    (row,) = settle(conn, task, "released", error=None)
    after = db.task(task)
    assert (after["state"], after["crashes"], after["ooms"]) == ("queued", 2, 1)
    assert (after["error"], after["error_class"]) == ("before", "transient")


def test_a_death_says_where_the_next_worker_resumes(db, conn):
    task = running(db, OURS)
    upload(db, task, parts=(1, 2, 4))
    upload(db, task, "abandoned", parts=(3,), abandoned=True)
    (row,) = settle(conn, task, "crash")
    assert row["next_part"] == 3 and db.task(task)["bytes_done"] == 300
    other = running(db, OURS)
    (row,) = settle(conn, other, "crash")
    assert row["next_part"] is None and db.task(other)["bytes_done"] == 0


def test_a_crash_after_finished_parts_is_not_counted(db, conn):
    """Only more bytes than after each death before gain something, be it in another upload."""
    task = running(db, OURS)
    counted = []
    for parts in ((), (1,), (1,), (1, 2), (1,), (1, 2), (1, 2, 3)):
        db.sql("DELETE FROM ferry.upload WHERE task = %s", (task,))
        upload(db, task, parts=parts)
        (row,) = settle(conn, task, "crash", crashes=9)
        counted.append(row["counts"])
        db.sql("UPDATE ferry.task SET state = 'running', node = %s WHERE id = %s", (OURS, task))
    assert counted == [True, False, True, False, True, True, False]
    assert (db.task(task)["crashes"], db.task(task)["bytes_gained"]) == (4, 300)


@pytest.mark.parametrize("column, value", [("source_etag", ""), ("source_size", -1)])
def test_a_crash_after_parts_that_cannot_be_resumed_is_counted(db, conn, column, value):
    task = running(db, OURS)
    upload(db, task, parts=(1, 2))
    db.sql(f"UPDATE ferry.upload SET {column} = %s", (value,))
    (row,) = settle(conn, task, "crash")
    assert (row["counts"], row["next_part"], db.task(task)["crashes"]) == (True, None, 1)


def test_the_last_crash_does_not_fail_a_task_that_gained(db, conn):
    task = running(db, OURS, crashes=2)
    upload(db, task, parts=(1,))
    (row,) = settle(conn, task, "crash")
    assert (row["state"], db.state(task), db.task(task)["crashes"]) == ("queued", "queued", 2)


def test_a_death_names_the_newer_task_that_supersedes(db, conn):
    old = running(db, OURS, dedup_key="key", started_at="2020-01-01")
    new = put(db, dedup_key="key")
    (row,) = settle(conn, old, "crash")
    assert row["newer"] == new and db.state(old) == "cancelled"
    assert db.task(old)["error"] == f"superseded by task {new}"


def test_a_death_that_is_settled_twice_counts_once(db, conn):
    task = running(db, OURS)
    first, second = settle(conn, task, "crash"), settle(conn, task, "crash")
    assert first == second and db.task(task)["crashes"] == 1


# Progress

def progress(conn, *rows):
    """Writes rows of (task, claim, bytes done, bytes in all)."""
    return run(conn, "write_progress", *[array(column) for column in zip(*rows)])


def moved(db, task):
    row = db.task(task)
    return row["bytes_done"], row["bytes_total"]


def test_progress_of_all_tasks_is_one_statement(db, conn):
    first, second = running(db, OURS, bytes_total=100), running(db, OURS)
    progress(conn, (first, 1, 60, -1), (second, 1, 7, 9))
    assert moved(db, first) == (60, 100) and moved(db, second) == (7, 9)


def test_progress_does_not_wait_for_a_row_that_is_locked(db, conn):
    free, busy = running(db, OURS), running(db, OURS)
    with conn.cursor() as cur:
        cur.execute("SET lock_timeout = '5 s'")
    with locked(db, busy):
        progress(conn, (free, 1, 5, 9), (busy, 1, 5, 9))
        assert moved(db, free) == (5, 9) and moved(db, busy) == (0, None)


@pytest.mark.parametrize("statement", ["rescue", "reconcile", "leave"])
def test_what_returns_to_the_queue_keeps_the_bytes_of_its_recorded_parts(db, conn, statement):
    """Bytes that were in flight are lost, and the row must not promise them."""
    owner = DEAD if statement == "rescue" else OURS
    node(db, OURS)
    whole, parted = running(db, owner, bytes_done=70), running(db, owner, bytes_done=270, first_claim=1)
    upload(db, parted, parts=(1, 2))
    upload(db, parted, "abandoned", parts=(1, 2, 3), abandoned=True)
    run(conn, statement, OURS, *{"reconcile": ("{}", "{}"), "rescue": (86400000,)}.get(statement, ()))
    assert states(db, whole, parted) == ["queued", "queued"]
    assert (db.task(whole)["bytes_done"], db.task(parted)["bytes_done"]) == (0, 200)


# Results

def done(conn, *rows):
    """Settles rows of (task, claim)."""
    columns = zip(*[(task, claim, 10, 10, 7, "etag", "crc64", 99, "warning") for task, claim in rows])
    return run(conn, "settle_done", *[array(column) for column in columns])


def test_results_are_settled_row_by_row(db, conn):
    good, newer, cancelled = running(db, OURS, claim=3), running(db, OURS, claim=4), put(db, state="cancelled", claim=3)
    upload(db, good), upload(db, good, "abandoned", abandoned=True)
    upload(db, newer)
    assert ids(done(conn, (good, 3), (newer, 3), (cancelled, 3))) == [newer, cancelled]
    assert states(db, good, newer, cancelled) == ["done", "running", "cancelled"]
    row = db.task(good)
    assert (row["bytes_done"], row["bytes_total"], row["crc64"], row["etag"], row["verified_by"]) == (10, 10, 7, "etag", "crc64")
    assert row["finished_at"] is not None and row["error"] is None
    assert sorted((r["task"], r["upload_id"]) for r in db.sql("SELECT task, upload_id FROM ferry.upload")) == \
        sorted([(good, "abandoned"), (newer, "u")])
    assert done(conn, (good, 3)) == [], "an answer was lost and the statement repeated: nothing is dropped"


# Retention

def prune(conn, keep_ms, most, since="-infinity"):
    return run(conn, "prune", keep_ms, most, since)[0]["count"]


def test_prune_deletes_old_ended_tasks_without_uploads_oldest_first(db, conn):
    now = db.one("SELECT now()")
    old = [put(db, state=state, finished_at=now - datetime.timedelta(hours=9 - n))
           for n, state in enumerate(("done", "failed", "cancelled", "done"))]
    upload(db, old[0], abandoned=True)
    fresh = put(db, state="done", finished_at=now - datetime.timedelta(minutes=10))
    waiting = [put(db), running(db, OURS)]
    assert prune(conn, 3600000, 2) == 2
    assert sorted(row["id"] for row in db.sql("SELECT id FROM ferry.task")) == sorted([old[0], old[3], fresh, *waiting])
    assert prune(conn, 3600000, 9, since=str(now)) == 0
    assert prune(conn, 3600000, 9) == 1


# Limits as nodes tell and ask them

def test_limits_that_a_node_states_replace_its_old_ones(db, conn):
    node(db, OURS), node(db, OTHER)
    db.sql("INSERT INTO ferry.node_store VALUES (%s, 'gone', 1, 1), (%s, 'cos', 9, 9), (%s, 'gone', 2, 2)", (OURS, OURS, OTHER))
    run(conn, "state_limits", OURS, "{cos,ceph}", "{3,0}", "{0,5}", "{bulk,video}")
    assert [tuple(row.values()) for row in db.sql("SELECT * FROM ferry.node_store ORDER BY 1, 2")] == [
        (OURS, "ceph", None, 5), (OURS, "cos", 3, None), (OTHER, "gone", 2, 2)]
    assert [row["queues"] for row in db.sql("SELECT queues FROM ferry.node ORDER BY id")] == [["bulk", "video"], None]


def test_tasks_of_other_nodes_are_counted_under_a_limit(db, conn):
    node(db, OURS)
    db.sql("INSERT INTO ferry.node_store VALUES (%s, 'c', 5, 70), (%s, 'x', 5, 70)", (OURS, OURS))
    db.sql("UPDATE ferry.queue SET rate = 8, weight = 2")
    running(db, OURS), running(db, OTHER), running(db, OURS - 1, queue="other", source="c://b/k", destination="e://f/k"), put(db)
    rows = run(conn, "ask_limits", OURS, "{c}", "{default}")
    assert sorted(tuple(row.values()) for row in rows) == [("queue", "default", None, 8, 2, 1), ("store", "c", 5, 70, None, 2)]
