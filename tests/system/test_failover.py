"""A primary is lost under load and its standby takes over: everything that was confirmed is there, and ferryd goes on with it."""

import contextlib
import re
import time

import pytest

from pair import Pair, Standby, kill_cluster
from rig import MIB, Database, Postgres, wait_until
from stores import BUCKET

TASKS = 300


@pytest.fixture
def db(tmp_base):
    with contextlib.ExitStack() as stack:
        primary = Postgres(f"{tmp_base}/a")
        stack.callback(primary.remove)
        Database.make_template(primary)
        standby = Standby(f"{tmp_base}/b", primary)
        stack.callback(standby.remove)
        yield Pair(primary, standby, "ferry_pair")


def said(daemon, pattern):
    """Returns {pid: how many of its log lines match the pattern}."""
    found = {}
    for line in daemon.log(pattern):
        pid = int(re.search(r"\[(\d+)\]", line).group(1))
        found[pid] = found.get(pid, 0) + 1
    return found


def must_say_it_once(daemon, why=""):
    """The master speaks for its workers, too."""
    for pattern in (f"database away: {why}", "database away", "database back"):
        assert said(daemon, pattern) == {daemon.pid: 1}, pattern
    assert not daemon.log(r"Z (error|crit) ")


def confirmed_done(daemon):
    """Returns the tasks that the log reports as done, whose commit was therefore confirmed; each is reported once."""
    found = [int(line) for line in re.findall(r'msg="task (\d+) done"', daemon.log_text())]
    assert len(found) == len(set(found))
    return set(found)


def switch(db):
    """Lets the standby accept writes from now on, and the test itself use it."""
    standby = db.clusters[1]
    standby.promote()
    db.pg, db.conn = standby, None


def put_tiny(db, source):
    with contextlib.closing(db.connect("ferry_test_producer")) as conn, conn.cursor() as cur:
        cur.execute("INSERT INTO ferry.task (source, destination) SELECT %s, %s || n FROM generate_series(1, %s) n",
                    (source, f"cos://{BUCKET}/tiny-", TASKS))


def must_all_be_done_once(daemon, db, cos, tasks):
    wait_until(lambda: db.one("SELECT count(*) FROM ferry.task WHERE state <> 'done'") == 0, 40,
               lambda: db.sql("SELECT state, count(*) FROM ferry.task GROUP BY 1"), step=0.1)
    rows = db.sql("SELECT id, attempt + crashes + ooms AS faults FROM ferry.task")
    assert len(rows) == tasks and not any(row["faults"] for row in rows)
    wait_until(lambda: confirmed_done(daemon) == {row["id"] for row in rows}, 5, "a line in the log for each task")
    assert {o["puts"] for o in cos.objects().values()} == {1} and len(cos.objects()) == tasks
    assert cos.uploads() == []


def test_primary_is_lost_under_load_and_its_standby_takes_over(ferryd, db, cos, spool):
    size = 40 * MIB
    cos.rate(6 * MIB)
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=4, lease="10s")
    workers = daemon.workers()
    large = db.put(spool.put("large", size), f"cos://{BUCKET}/large")
    wait_until(lambda: db.parts(large) >= 1, 20, "a part")
    put_tiny(db, spool.put("tiny", 2000))
    wait_until(lambda: len(confirmed_done(daemon)) >= TASKS // 4, 30, "a quarter to be done")
    kill_cluster(db.clusters[0])
    daemon.wait_log("database away")
    confirmed = confirmed_done(daemon)
    assert len(confirmed) < TASKS, "all tasks were done before the primary was lost"
    time.sleep(1)  # meanwhile the running transfers end; they must be settled at the standby
    switch(db)
    kept = {row["id"] for row in db.sql("SELECT id FROM ferry.task WHERE state = 'done'")}
    assert confirmed <= kept, f"lost: {confirmed - kept}"
    cos.rate(0)
    must_all_be_done_once(daemon, db, cos, TASKS + 1)
    assert int(cos.object("large")["crc64"]) == spool.crc64("large", size)
    assert sum(cos.received("large").values()) == size, "bytes were sent twice"
    assert daemon.workers() == workers
    must_say_it_once(daemon)


def test_primary_that_turns_read_only_is_left_for_its_successor(ferryd, db, cos, spool):
    """A cluster manager does this before a switch-over: sessions stay open, but the server refuses their writes."""
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=2)
    workers = daemon.workers()
    cos.rate(8 * MIB)
    for n in range(2):  # each worker records its parts
        db.put(spool.put(f"large-{n}", 40 * MIB), f"cos://{BUCKET}/large-{n}")
    wait_until(lambda: len(daemon.busy()) == 2, 10, "busy workers")
    put_tiny(db, spool.put("tiny", 2000))
    db.clusters[0].admin("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
    daemon.wait_log("database away", timeout=15)
    switch(db)
    cos.rate(0)
    must_all_be_done_once(daemon, db, cos, TASKS + 2)
    assert daemon.workers() == workers
    must_say_it_once(daemon, "cannot execute .* in a read-only transaction")
