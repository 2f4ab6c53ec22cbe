"""The functions, views and triggers of the schema as operators and producers use them, without a ferryd."""

import contextlib
import itertools
import select
import threading

import psycopg2
import pytest

from rig import MIB, wait_until

DAEMON, PRODUCER = "ferry_test_daemon", "ferry_test_producer"
numbers = itertools.count(1)


def put(db, **columns):
    """Inserts a task with a destination of its own, and sets what producers may not set; returns its id."""
    columns = {"source": "a://b/k", "destination": f"c://d/{next(numbers)}", **columns}
    if "state" in columns:
        columns.setdefault("first_claim", 1)
    names = ", ".join(columns)
    return db.sql(f"INSERT INTO ferry.task ({names}) VALUES ({', '.join(['%s'] * len(columns))}) RETURNING id",
                  tuple(columns.values()))[0]["id"]


def upload(db, task, name="u", **columns):
    columns = {"task": task, "upload_id": name, "destination": "c://d/k", "claim": 1, "source_size": 1, "source_etag": "e",
               "part_size": 5 * MIB, "first_claim": 1, **columns}
    db.sql(f"INSERT INTO ferry.upload ({', '.join(columns)}) VALUES ({', '.join(['%s'] * len(columns))})", tuple(columns.values()))


@contextlib.contextmanager
def heard(db):
    """Yields a function that returns the channels notified since it was called last."""
    with contextlib.closing(db.connect()) as conn, conn.cursor() as cur:
        cur.execute("LISTEN ferry_task; LISTEN ferry_cancel; LISTEN ferry_limit; LISTEN ferry_reap")

        def since():
            select.select([conn], [], [], 0.5)
            conn.poll()
            found = [note.channel for note in conn.notifies]
            conn.notifies.clear()
            return found
        yield since


@pytest.mark.parametrize("state, cancelled", [("queued", True), ("running", True), ("done", False), ("failed", False),
                                              ("cancelled", False)])
def test_cancel(db, state, cancelled):
    task, other = put(db, state=state, claim=5), put(db)
    with heard(db) as notified:
        assert db.one("SELECT ferry.cancel(%s)", (task,)) is cancelled
        assert notified() == (["ferry_cancel"] if cancelled else [])
    row = db.task(task)
    assert row["state"] == ("cancelled" if cancelled else state) and row["claim"] == 5, "the worker must know that the upload is its own"
    assert not cancelled or row["finished_at"] is not None and row["error"] == "cancelled"
    assert db.state(other) == "queued" and db.one("SELECT ferry.cancel(999999)") is False


@pytest.mark.parametrize("state, again", [("queued", False), ("running", False), ("done", False), ("failed", True), ("cancelled", True)])
def test_retry(db, state, again):
    task = put(db, state=state, claim=5, attempt=4, crashes=3, ooms=2, node=7, worker=1, error="e", error_class="crash",
               started_at="2000-01-01", run_at="2000-01-01", finished_at="2000-01-01", priority=3)
    with heard(db) as notified:
        assert db.one("SELECT ferry.retry(%s)", (task,)) is again
        assert notified() == (["ferry_task"] if again else [])
    row = db.task(task)
    if not again:
        assert (row["state"], row["claim"], row["attempt"]) == (state, 5, 4)
        return
    assert row["state"] == "queued" and row["claim"] != 5, "a worker that has not noticed the cancellation could touch the row"
    assert [row[name] for name in ("attempt", "crashes", "ooms")] == [0, 0, 0]
    assert [row[name] for name in ("node", "worker", "started_at", "error", "error_class", "finished_at")] == [None] * 6
    assert row["run_at"].year > 2000 and row["priority"] == 3


@pytest.mark.parametrize("state, changed", [("queued", True), ("running", True), ("done", False), ("failed", False), ("cancelled", False)])
def test_reprioritise(db, state, changed):
    task = put(db, state=state, priority=1)
    with heard(db) as notified:
        assert db.one("SELECT ferry.reprioritise(%s, 9)", (task,)) is changed
        assert notified() == (["ferry_task"] if changed else [])
    assert db.task(task)["priority"] == (9 if changed else 1)


@pytest.mark.parametrize("call", ["ferry.cancel(%s)", "ferry.reprioritise(%s, 7)"])
def test_functions_try_again_when_a_task_ends_meanwhile(db, call):
    """The row moves to another partition, which PostgreSQL reports as a failed serialization."""
    task = put(db, state="running")
    with contextlib.closing(db.connect()) as other, contextlib.closing(db.connect(DAEMON)) as conn, conn.cursor() as cur:
        other.autocommit = False
        other.cursor().execute("UPDATE ferry.task SET state = 'failed', finished_at = now() WHERE id = %s", (task,))
        answer = []

        def ask():
            cur.execute(f"SELECT {call}", (task,))
            answer.append(cur.fetchone()[0])
        thread = threading.Thread(target=ask)
        thread.start()
        wait_until(lambda: db.one("SELECT count(*) FROM pg_locks WHERE NOT granted"), 10, "the function to wait for the row")
        other.commit()
        thread.join(20)
    assert answer == [False] and db.state(task) == "failed"


def test_pause_and_resume_change_one_queue_and_say_whether(db):
    db.sql("INSERT INTO ferry.queue (name, weight) VALUES ('a', 3)")
    with heard(db) as notified:
        assert db.one("SELECT ferry.pause('a')") is True and notified() == ["ferry_limit"]
        assert db.one("SELECT ferry.pause('a')") is False
        assert db.one("SELECT ferry.pause('new')") is True
        assert [tuple(r.values()) for r in db.sql("SELECT name, enabled, weight FROM ferry.queue ORDER BY name")] == [
            ("a", False, 3), ("default", True, None), ("new", False, None)]
        notified()
        assert db.one("SELECT ferry.resume('a')") is True and notified() == ["ferry_limit"]
        assert db.one("SELECT ferry.resume('a')") is False and db.one("SELECT ferry.resume('unknown')") is False
    assert db.one("SELECT enabled FROM ferry.queue WHERE name = 'new'") is False


def test_one_insert_is_notified_once(db):
    with heard(db) as notified:
        db.sql("INSERT INTO ferry.task (source, destination) SELECT 'a://b', 'c://d' FROM generate_series(1, 50)")
        assert notified() == ["ferry_task"]
        db.sql("UPDATE ferry.task SET bytes_done = 1")
        assert notified() == []


# Uploads that nobody goes on with

ENDS = [("queued", "0 s", False), ("running", "0 s", False), ("done", "0 s", True), ("failed", "0 s", True),
        ("cancelled", "50 s", False), ("cancelled", "61 s", True)]


@pytest.mark.parametrize("state, age, abandoned", ENDS)
def test_uploads_are_abandoned_with_their_tasks(db, state, age, abandoned):
    """The worker of a task that was just cancelled may still be removing its upload."""
    task = put(db, state=state)
    db.sql("UPDATE ferry.task SET finished_at = now() - %s::interval WHERE id = %s AND state NOT IN ('queued', 'running')", (age, task))
    upload(db, task)
    assert len(db.sql("SELECT * FROM ferry.abandoned WHERE task = %s", (task,))) == abandoned
    assert db.one("SELECT ferry.reap()") == abandoned


def test_uploads_without_a_task_or_that_were_given_up_are_abandoned(db):
    task = put(db, state="running")
    upload(db, task, "now"), upload(db, task, "before", abandoned=True), upload(db, 999999, "stray")
    assert sorted(r["upload_id"] for r in db.sql("SELECT * FROM ferry.abandoned")) == ["before", "stray"]
    db.sql("UPDATE ferry.upload SET reap_at = now(), reap_error = 'e'")
    with heard(db) as notified:
        assert db.one("SELECT ferry.reap()") == 2 and notified() == ["ferry_reap"]
    assert [tuple(r.values()) for r in db.sql("SELECT upload_id, abandoned, reap_error FROM ferry.upload ORDER BY 1")] == [
        ("before", True, None), ("now", False, "e"), ("stray", True, None)]


def test_a_task_goes_on_with_one_upload_at_most(db):
    task = put(db, state="running")
    upload(db, task, "a", abandoned=True), upload(db, task, "b", spoiled=True), upload(db, task, "c")
    with pytest.raises(psycopg2.errors.UniqueViolation):
        upload(db, task, "d")


# What people see

REDACTED = [
    ("https://h/p?X-Amz-Signature=SECRET", "https://h/p?..."), ("HTTPS://h/p?SECRET", "HTTPS://h/p?..."),
    ("http://h/p#SECRET", "http://h/p?..."), ("https://user:SECRET@h/p", "https://h/p"), ("https://h:8/a@b", "https://h:8/a@b"),
    ("ceph://b/k?a#b@c", "ceph://b/k?a#b@c"), ("ts://b/k?a@b", "ts://b/k?a@b"), ("https://[::1]:443/p?s=SECRET", "https://[::1]:443/p?..."),
    # typing errors
    ("https:/u:SECRET@h/p", "https:/h/p"), ("https//u:SECRET@h/p", "https//h/p"), ("https:u:SECRET@h/p", "https:h/p"),
    ("htps://u:SECRET@h/p?SECRET", "htps://h/p?..."), ("HTTSP://u:SECRET@h/p", "HTTSP://h/p"), ("httpss://h/p?SECRET", "httpss://h/p?..."),
    (" https://u:SECRET@h/p", " https://h/p"), ("ftp://u:SECRET@h/p", "ftp://h/p"), ("u:SECRET@h/p", "u:h/p"), ("h/p?SECRET", "h/p?..."),
    ("https://u:SEC/RET@h/p", "https://..."), ("https://u:SEC?RET@h/p", "https://...?..."), ("https://u:SECRET@@h/p", "https://h/p"),
]


@pytest.mark.parametrize("uri, shown", REDACTED)
def test_views_show_no_signature_and_no_password(db, uri, shown):
    put(db, source=uri, destination=uri)
    assert db.sql("SELECT source, destination FROM ferry.progress") == [{"source": shown, "destination": shown}]


def test_progress_shows_what_waits_or_runs(db):
    for state in ("queued", "running", "done", "failed", "cancelled"):
        put(db, state=state, bytes_done=1, bytes_total=3)
    rows = db.sql("SELECT state, percent FROM ferry.progress ORDER BY id")
    assert [(r["state"], float(r["percent"])) for r in rows] == [("queued", 33.3), ("running", 33.3)]


def test_the_smallest_limit_that_a_live_node_states_holds(db):
    for number, age, store, most, rate in ((1, 0, "cos", 5, 70), (2, 0, "cos", 3, None), (3, 60, "cos", 1, 1), (4, 0, "open", None, None)):
        db.sql("INSERT INTO ferry.node (id, name, pid, version, lease, renewed_at) "
               "VALUES (%s, 'n', 1, 'x', '30 s', now() - %s * interval '1 s')", (number, age))
        db.sql("INSERT INTO ferry.node_store VALUES (%s, %s, %s, %s)", (number, store, most, rate))
    db.sql("INSERT INTO ferry.queue (name, weight) VALUES ('heavy', 5)")
    assert sorted(tuple(r.values()) for r in db.sql("SELECT kind, name, max_transfers, rate, weight FROM ferry.limits")) == [
        ("queue", "heavy", None, None, 5), ("store", "cos", 3, 70, None)]


# What each role may

MAY_NOT = [
    (PRODUCER, "SELECT ferry.reap()"), (PRODUCER, "SELECT * FROM ferry.abandoned"), (PRODUCER, "SELECT * FROM ferry.node_store"),
    (PRODUCER, "UPDATE ferry.queue SET enabled = true"), (DAEMON, "UPDATE ferry.schema_version SET version = 1"),
]


@pytest.mark.parametrize("role, statement", MAY_NOT)
def test_role_may_not(db, role, statement):
    with contextlib.closing(db.connect(role)) as conn, conn.cursor() as cur, pytest.raises(psycopg2.errors.InsufficientPrivilege):
        cur.execute(statement)


@pytest.mark.parametrize("columns", [{"max_attempts": 1001}, {"queue": "q" * 64}, {"dedup_key": ""}, {"dedup_key": "k" * 1001},
                                     {"content_type": ""}, {"storage_class": "a/b"}, {"metadata": '{"-a": "b"}'},
                                     {"metadata": '{"a": 1}'}, {"metadata": '["a"]'}, {"destination": ""}])
def test_rows_that_cannot_be_carried_are_refused(db, columns):
    with pytest.raises(psycopg2.errors.CheckViolation):
        put(db, **columns)


def test_dedup_key_is_free_again_once_its_task_has_begun(db):
    first = put(db, dedup_key="k")
    with pytest.raises(psycopg2.errors.UniqueViolation):
        put(db, dedup_key="k")
    db.sql("UPDATE ferry.task SET started_at = now(), state = 'running' WHERE id = %s", (first,))
    put(db, dedup_key="k"), put(db), put(db)
