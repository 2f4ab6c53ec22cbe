"""
The database is restored to an earlier moment, truncated, or fails over and loses its last transactions, while tasks are carried.  Ids
come again.  Nothing is done that was not carried, and nothing is lost: an old worker can neither settle another task that has the id
of its own, nor hinder it, nor leave its upload behind.
"""

import contextlib
import time

import pytest

from history import LaggingStandby, Snapshot
from pair import Pair, kill_cluster
from rig import MIB, Database, Postgres, holds, wait_until
from stores import BUCKET
from wires import PostgresWire, Tripwire

LARGE = 40 * MIB


def target(key):
    return f"cos://{BUCKET}/{key}"


def count(db, table):
    return db.one(f"SELECT count(*) FROM ferry.{table}")


@pytest.fixture
def stores(cos, spool):
    return {"cos": cos.store(), "spool": spool.store()}


@pytest.fixture
def wired(ferryd, db, stores):
    """wired(**options): a daemon whose connections to the database pass a wire: .trip and .wire."""
    wires = []

    def start(**options):
        trip = Tripwire()
        wire = PostgresWire(trip, db.pg.directory, db.pg.port)
        wires.append(wire)
        daemon = ferryd(stores, start=False, **options)
        daemon.conf["database"] = f"host=127.0.0.1 port={wire.port} dbname={db.name} user=ferry_test_daemon sslmode=disable"
        daemon.write()
        daemon.start()
        daemon.trip, daemon.wire = trip, wire
        return daemon
    yield start
    for wire in wires:
        wire.stop()


def is_right(cos, spool, row, key, seed, size):
    """The row says done, and the object is there with the content of its source."""
    found = cos.object(key)
    assert row["state"] == "done" and found is not None, f"{key}: {row}"
    assert found["size"] == size and int(found["crc64"]) == spool.crc64(seed, size) == int(row["crc64"]), key


def settles_another(node, other, db, cos, spool, lose):
    """
    node has carried the task `old` and cannot settle it yet.  lose(insert) makes a database in which that task never was, and a task
    `new` gets its id.  The node `other` carries `new`, whose PUT the store holds.  Then the first node comes back.
    """
    cos.fault({"hold": True}, op="put", key="new")
    settle = node.trip.arm(("master settle_done#1", "before"), lambda: node.wire.down(3600))
    task = db.put(spool.put("old", 1000), target("old"))
    wait_until(lambda: node.trip.fired, 20, f"the result {settle or ''}")
    spool.put("new", 3000)
    lose()
    assert db.put("spool://new", target("new")) == task
    other()
    wait_until(lambda: cos.held() == 1, 20, "the PUT of the new task")
    def claim():
        """What the old result must not change.  The node that carries the task may write its progress meanwhile."""
        row = db.task(task)
        return {name: row[name] for name in ("state", "node", "worker", "claim", "attempt", "error", "finished_at", "destination")}
    before = claim()
    assert before["state"] == "running"
    node.wire.down_until = 0
    node.wait_log(f"task {task}: the claim was revoked; the result of worker", timeout=20)
    holds(lambda: claim() == before, 1.5, "the new task's claim to stay")
    assert cos.object("new") is None
    cos.release()
    is_right(cos, spool, db.done(task), "new", "new", 3000)


@pytest.mark.parametrize("known", [True, False], ids=["node-known", "node-unknown"])
def test_restore_old_result_does_not_settle_another_task(wired, ferryd, db, cos, spool, stores, known):
    snapshot = Snapshot(db)
    node = wired(workers=1, lease="60s")
    if known:
        snapshot = Snapshot(db)
    settles_another(node, lambda: ferryd(stores, workers=1, lease="60s"), db, cos, spool, snapshot.restore)
    assert node.log("has lost its row") == [] if known else node.log("has lost its row")


def test_truncate_old_result_does_not_settle_another_task(wired, ferryd, db, cos, spool, stores):
    node = wired(workers=1, lease="60s")
    settles_another(node, lambda: ferryd(stores, workers=1, lease="60s"), db, cos, spool,
                    lambda: db.sql("TRUNCATE ferry.task RESTART IDENTITY"))


def test_truncate_under_one_node_that_carries(ferryd, db, cos, spool, stores):
    """The same node claims the new task while its other worker still carries the old one."""
    ferryd(stores, workers=2)
    cos.fault({"hold": True}, op="put")
    task = db.put(spool.put("old", 1000), target("old"))
    wait_until(lambda: cos.held() == 1, 20, "the PUT of the old task")
    spool.put("new", 3000)
    db.sql("TRUNCATE ferry.task RESTART IDENTITY")
    assert db.put("spool://new", target("new")) == task
    wait_until(lambda: cos.held() == 2 or cos.held() == 1 and db.state(task) == "running", 20, "the new task to run")
    cos.faults({"match": {"op": "put", "key": "new"}, "action": {"hold": True}})  # which releases what is held
    time.sleep(1.5)
    if cos.object("new") is None:
        assert db.state(task) != "done", "done, and nothing was carried"
    cos.faults()
    is_right(cos, spool, db.done(task), "new", "new", 3000)


def test_truncate_new_task_does_not_resume_the_upload_of_the_old_one(ferryd, db, cos, spool, stores):
    """Both objects have one size and one destination; the source of the second comes in the place of the first."""
    cos.rate(8 * MIB)
    daemon = ferryd(stores, workers=1)
    db.put(spool.put("old", LARGE), target("object"))
    wait_until(lambda: db.parts(1) >= 1, 20, "a part")
    daemon.kill()
    db.sql("TRUNCATE ferry.task RESTART IDENTITY")
    spool.put("new", LARGE)
    task = db.put("spool://new", target("object"))
    assert task == 1 and db.parts(task) >= 1 and count(db, "abandoned") == 1
    cos.rate(0)
    ferryd(stores, workers=1, reap_interval="1s")
    is_right(cos, spool, db.done(task), "object", "new", LARGE)
    wait_until(lambda: cos.uploads() == [] and count(db, "upload") == 0, 20, "the old upload to be aborted")


def test_restore_worker_aborts_the_upload_that_the_database_does_not_know(ferryd, db, cos, spool, stores):
    cos.rate(6 * MIB)
    daemon = ferryd(stores, workers=1)
    snapshot = Snapshot(db)
    task = db.put(spool.put("old", LARGE), target("old"))
    wait_until(lambda: db.parts(task) >= 1, 20, "a part")
    theirs = cos.uploads()
    snapshot.restore()
    daemon.wait_log(f"task {task}: the database does not know its upload: aborted", timeout=20)
    assert len(theirs) == 1 and cos.uploads() == [] and count(db, "upload") == 0
    daemon.wait_log(f"task {task}: the claim was revoked; dropped")
    assert count(db, "task") == 0


def test_restore_to_the_moment_between_claim_and_upload(wired, db, cos, spool):
    """The claim still holds, but the upload's row is gone: the upload is aborted, and the task begins again."""
    taken = []
    cos.rate(6 * MIB)
    node = wired(workers=1, lease="60s")
    node.trip.arm(("worker upload_begin#1", "before"), lambda: taken.append(Snapshot(db)))
    task = db.put(spool.put("object", LARGE), target("object"))
    wait_until(lambda: db.parts(task) >= 1, 20, "a part")
    claim = db.task(task)["claim"]
    taken[0].restore()
    assert db.task(task)["claim"] == claim and db.state(task) == "running"
    node.wait_log(f"task {task}: the database does not know its upload: aborted", timeout=30)
    cos.rate(0)
    is_right(cos, spool, db.done(task), "object", "object", LARGE)
    assert cos.uploads() == [] and db.task(task)["attempt"] == 0


def test_restore_to_the_moment_before_the_upload_had_its_id(wired, db, cos, spool):
    """The claim still holds.  The row gets the id that the worker knows, and the task goes on with the upload."""
    taken = []
    cos.rate(6 * MIB)
    node = wired(workers=1, lease="60s")
    node.trip.arm(("worker upload_initiated#1", "before"), lambda: taken.append(Snapshot(db)))
    task = db.put(spool.put("object", LARGE), target("object"))
    wait_until(lambda: db.parts(task) >= 1, 20, "a part")
    (upload,) = [u["id"] for u in cos.uploads()]
    taken[0].restore()
    node.wait_log(f"task {task} handed back", timeout=30)
    wait_until(lambda: db.parts(task) >= 1, 20, "a part of the next attempt")
    assert [u["id"] for u in cos.uploads()] == [upload] and not node.log("does not know")
    cos.rate(0)
    is_right(cos, spool, db.done(task), "object", "object", LARGE)
    assert cos.uploads() == [] and count(db, "upload") == 0


def test_successor_that_took_the_upload_over_keeps_it(ferryd, db, cos, spool, stores):
    """The old worker's claim is revoked, but a row knows the upload: somebody else goes on with it."""
    cos.rate(6 * MIB)
    daemon = ferryd(stores, workers=1)
    task = db.put(spool.put("object", LARGE), target("object"))
    wait_until(lambda: db.parts(task) >= 2, 20, "two parts")
    (upload,) = [u["id"] for u in cos.uploads()]
    db.sql("UPDATE ferry.task SET claim = ferry.new_claim(), state = 'queued', node = NULL WHERE id = %s", (task,))
    daemon.wait_log(f"task {task}: the claim was revoked; dropped", timeout=10)
    assert not daemon.log("does not know") and ([u["id"] for u in cos.uploads()] == [upload] or db.state(task) == "done")
    cos.rate(0)
    is_right(cos, spool, db.done(task), "object", "object", LARGE)
    daemon.wait_log(f'"task {task} done".* resumed=')


def load(db, spool, tag, small=60, large=4):
    """Inserts tasks, each with a source and a destination of its own; returns {destination key: size}."""
    sizes = {**{f"{tag}-small-{n}": 1000 + n for n in range(small)}, **{f"{tag}-large-{n}": 12 * MIB + n for n in range(large)}}
    for key, size in sizes.items():
        spool.put(key, size)
    with contextlib.closing(db.connect("ferry_test_producer")) as conn, conn.cursor() as cur:
        for key in sizes:
            cur.execute("INSERT INTO ferry.task (source, destination) VALUES (%s, %s)", (f"spool://{key}", target(key)))
    return sizes


def must_all_be_right(db, cos, spool, timeout=60):
    """
    Every row ends done, and its object is there with its content; no upload stays, and no row of one that the store has begun.  An
    upload that may have been begun without an answer is looked for minutes later.
    """
    wait_until(lambda: db.one("SELECT count(*) FROM ferry.task WHERE state IN ('queued', 'running')") == 0, timeout,
               lambda: db.sql("SELECT state, count(*) FROM ferry.task GROUP BY 1"), step=0.1)
    objects = cos.objects()
    for row in db.sql("SELECT * FROM ferry.task"):
        key = row["destination"].rpartition("/")[2]
        assert row["state"] == "done", f"{key}: {row['error_class']}: {row['error']}"
        found = objects.get((BUCKET, key))
        assert found and int(found["crc64"]) == spool.crc64(key, found["size"]) == int(row["crc64"]), f"{key} was not carried"
        assert found["size"] == row["bytes_done"], key
    wait_until(lambda: cos.uploads() == [] and db.one("SELECT count(*) FROM ferry.upload WHERE initiated") == 0, 20,
               lambda: f"no upload to stay: {cos.uploads()} {db.sql('SELECT * FROM ferry.upload')}")


def some_done(db, number):
    wait_until(lambda: db.one("SELECT count(*) FROM ferry.task WHERE state = 'done'") >= number, 30, "tasks to end")


@pytest.mark.parametrize("round", range(2))
def test_restore_under_a_fleet_that_works(ferryd, db, cos, spool, stores, round):
    cos.rate(24 * MIB)
    for _ in range(2):
        ferryd(stores, workers=3, lease="5s", reap_interval="1s")
    load(db, spool, "first")
    some_done(db, 10)
    snapshot = Snapshot(db)
    load(db, spool, "lost")
    some_done(db, 70 + 40 * round)
    ids = db.one("SELECT max(id) FROM ferry.task")
    snapshot.restore()
    load(db, spool, "later")
    assert db.one("SELECT max(id) FROM ferry.task") == ids, "the ids did not come again"
    cos.rate(0)
    must_all_be_right(db, cos, spool)
    assert db.one("SELECT count(*) FROM ferry.task") == 128


def test_truncate_under_a_fleet_that_works(ferryd, db, cos, spool, stores):
    cos.rate(24 * MIB)
    for _ in range(2):
        ferryd(stores, workers=3, lease="5s", reap_interval="1s")
    for tag in ("first", "second", "third"):
        load(db, spool, tag)
        some_done(db, 10)
        if tag != "third":
            db.sql("TRUNCATE ferry.task RESTART IDENTITY")
    cos.rate(0)
    must_all_be_right(db, cos, spool)


@pytest.fixture
def pair(tmp_base):
    with contextlib.ExitStack() as stack:
        primary = Postgres(f"{tmp_base}/a")
        stack.callback(primary.remove)
        Database.make_template(primary)
        standby = LaggingStandby(f"{tmp_base}/b", primary)
        stack.callback(standby.remove)
        yield Pair(primary, standby, "ferry_pair")


@pytest.fixture
def pair_ferryd(pair, tmp_base, request):
    from conftest import check_log
    from daemon import Ferryd
    made = []

    def make(stores, **options):
        made.append(Ferryd(tmp_base, pair, stores, **options))
        made[-1].start()
        return made[-1]
    yield make
    for daemon in made:
        daemon.finish()
        check_log(daemon)


def fail_over(pair):
    """The primary is lost with what its standby has not received."""
    kill_cluster(pair.clusters[0])
    pair.clusters[1].promote()
    pair.pg, pair.conn = pair.clusters[1], None


def test_fail_over_with_lost_transactions_under_load(pair_ferryd, pair, cos, spool, stores):
    cos.rate(24 * MIB)
    for _ in range(2):
        pair_ferryd(stores, workers=3, lease="5s", reap_interval="1s")
    load(pair, spool, "first")
    some_done(pair, 10)
    pair.clusters[1].fall_behind()
    load(pair, spool, "lost", small=100)  # the sequence was logged 32 ids ahead
    some_done(pair, 70)
    lost = pair.one("SELECT max(id) FROM ferry.task")
    fail_over(pair)
    load(pair, spool, "later", small=100)
    assert pair.one("SELECT count(*) FROM ferry.task WHERE id <= %s AND source LIKE 'spool://later%%'", (lost,)) > 50, "no id came again"
    cos.rate(0)
    must_all_be_right(pair, cos, spool)
    assert pair.one("SELECT count(*) FROM ferry.task") == 64 + 104


def test_fail_over_old_worker_does_not_settle_another_task(pair_ferryd, pair, cos, spool, stores):
    """A task of the lost transactions is carried when the primary is lost; after that another task has its id."""
    daemon = pair_ferryd(stores, workers=2, lease="60s")
    pair.clusters[1].fall_behind()
    cos.fault({"hold": True}, op="put", key="/^(old|new)$/")
    spool.put("old", 1000), spool.put("new", 3000)
    pair.sql("INSERT INTO ferry.task (source, destination, run_at) SELECT 'spool://new', 'cos://' || n, 'infinity' FROM generate_series(1, 79) n")
    task = pair.put("spool://old", target("old"))
    wait_until(lambda: cos.held() == 1, 20, "the PUT of the old task")
    fail_over(pair)
    rows = pair.sql("INSERT INTO ferry.task (source, destination, run_at) SELECT 'spool://new', 'cos://' || n, 'infinity' "
                    "FROM generate_series(1, 100) n RETURNING id")
    assert task in [row["id"] for row in rows]
    pair.sql("UPDATE ferry.task SET destination = %s, run_at = now() WHERE id = %s", (target("new"), task))
    pair.sql("NOTIFY ferry_task")
    wait_until(lambda: pair.state(task) == "running" and cos.held() >= 1, 30, "the new task to run")
    cos.faults({"match": {"op": "put", "key": "new"}, "action": {"hold": True}})  # which releases what is held
    time.sleep(2)
    if cos.object("new") is None:
        assert pair.state(task) != "done", "done, and nothing was carried"
    cos.faults()
    is_right(cos, spool, pair.done(task), "new", "new", 3000)
    pair.sql("DELETE FROM ferry.task WHERE state = 'queued'")
    assert daemon.alive()
