"""Connections to the database: a worker has one when it needs one, within the bounds of the node and of the server."""

import contextlib
import os
import signal
import threading
import time

import pytest

from bouncer import Bouncer
from rig import MIB, holds, patience, title, wait_until
from stores import BUCKET

NEEDED = 6 * MIB  # an object of two parts, whose upload is noted in the database


def workers_of(db):
    return [s for s in db.sessions() if s["application_name"].startswith("ferry-worker")]


def load(db, spool, count, size=NEEDED, tag="o"):
    source = spool.put(tag, size)
    return [db.put(source, f"cos://{BUCKET}/{tag}{n}") for n in range(count)]


@contextlib.contextmanager
def watched(db):
    """Yields a list that gets the numbers of the workers' connections that were seen meanwhile."""
    seen, over = [], threading.Event()

    def watch():
        with contextlib.closing(db.connect()) as conn, conn.cursor() as cursor:
            while not over.is_set():
                cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND application_name LIKE 'ferry-worker%%'",
                               (db.name,))
                seen.append(cursor.fetchone()[0])
                time.sleep(0.01)
    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


@pytest.fixture
def admitted(db):
    """Lets the role of the daemons have so many connections."""
    def most(number):
        db.pg.admin(f"ALTER ROLE ferry_test_daemon CONNECTION LIMIT {number}")
    yield most
    most(-1)


def test_an_idle_node_of_sixteen_workers_holds_few(ferryd, db, spool, cos):
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=16, database_idle="1s")
    wait_until(lambda: len(daemon.workers()) == 16, 20, "the workers")
    assert len(db.sessions()) <= 3, db.sessions()
    with watched(db) as seen:
        db.done(*load(db, spool, 16))
    assert max(seen) > 0
    wait_until(lambda: len(db.sessions()) <= 3, 20, "the connections to be closed")
    holds(lambda: len(db.sessions()) <= 3, 1)
    db.done(*load(db, spool, 4, tag="again"))


def test_an_object_of_one_put_needs_none(ferryd, db, spool, cos):
    ferryd({"cos": cos.store(), "spool": spool.store()}, workers=4, database_idle="1h")
    db.done(*load(db, spool, 12, size=1000))
    assert not workers_of(db)


def test_a_bound_is_kept_and_shared(ferryd, db, spool, cos):
    """Workers that hold a connection for ever would starve the others."""
    ferryd({"cos": cos.store(), "spool": spool.store()}, workers=6, database_connections=2, database_idle="1h")
    cos.rate(4 * MIB)
    with watched(db) as seen:
        tasks = load(db, spool, 12)
        wait_until(lambda: db.one("SELECT count(*) FROM ferry.task WHERE state = 'running'") == 6, 20, "all workers to have a task")
        wait_until(lambda: len(db.sql("SELECT DISTINCT t.worker FROM ferry.task t JOIN ferry.upload u ON u.task = t.id")) >= 4, 30,
                   "more workers than connections to have written a row")
        db.done(*tasks)
    # the server's process of a connection that was passed on outlives it for a moment
    assert max(seen) >= 2 and sum(n > 2 for n in seen) < len(seen) / 4, seen


def reload(daemon, **conf):
    daemon.conf.update(conf)
    daemon.write()
    daemon.send(signal.SIGHUP)


def test_hup_changes_the_bound(ferryd, db, spool, cos):
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=4, database_connections=1, database_idle="1h")
    cos.rate(2 * MIB)
    tasks = load(db, spool, 8)
    wait_until(lambda: len(workers_of(db)) == 1, 20, "a connection")
    reload(daemon, database_connections=3)
    wait_until(lambda: len(workers_of(db)) == 3, 20, "more connections")
    reload(daemon, database_connections=1)
    wait_until(lambda: len(workers_of(db)) == 1, 20, "fewer connections")
    cos.rate(0)
    db.done(*tasks)


def test_a_killed_worker_gives_its_grant_back(ferryd, db, spool, cos):
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=3, database_connections=1, database_idle="1h")
    cos.rate(MIB)
    tasks = load(db, spool, 4)
    for n in range(1, 3):
        holder = wait_until(lambda: next((pid for pid in daemon.workers() for s in workers_of(db)
                                          if title(pid).split(":")[0] == s["application_name"]), None), 20, "a worker with a connection")
        os.kill(holder, signal.SIGKILL)
        daemon.wait_log("killed by SIGKILL", 20, count=n)
    cos.rate(0)
    db.done(*tasks)


def test_a_server_that_refuses_more_is_said_once(ferryd, db, spool, cos, admitted):
    """The role may have four connections: the master's, perhaps its second one, and two or three of six workers."""
    admitted(4)
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=6, database_idle="1h")
    cos.rate(2 * MIB)
    tasks = load(db, spool, 18)
    line, = daemon.wait_log(r"the database refuses more connections: \d of 6 workers have one, .*: .*", 30)
    assert "too many connections for role" in line, line
    cos.rate(0)
    db.done(*tasks)
    assert len(daemon.log("the database refuses more connections")) <= 1 + patience()
    assert not daemon.log("gives up its task"), "no task waits for so long that it is given back"


def test_a_worker_that_gets_none_gives_its_task_to_another_node(ferryd, db, spool, cos, admitted):
    """The first node's role may have no connection but the master's own; the second node has a role of its own."""
    admitted(1)
    stores = {"cos": cos.store(), "spool": spool.store()}
    first = ferryd(stores, workers=2, lease="6s", log_level="debug")
    task, = load(db, spool, 1)
    db.wait(task, "running")
    db.pg.admin("DROP ROLE IF EXISTS ferry_test_other", "CREATE ROLE ferry_test_other LOGIN IN ROLE ferry_daemon")
    try:
        second = ferryd(stores, start=False, workers=2)
        second.conf["database"] = db.conninfo("ferry_test_other")
        second.write()
        second.start()
        row = db.done(task)
        assert row["attempt"] == 0 and row["crashes"] == 0, row
        assert first.log(rf"gives up its task: no connection to the database is to be had: .*too many connections.*task {task}")
        second.wait_log(rf"task {task} done")
        small, = load(db, spool, 1, size=1000, tag="small")
        db.done(small)
        second.finish()
    finally:
        admitted(-1)
        db.pg.admin("DROP ROLE IF EXISTS ferry_test_other")
    db.done(*load(db, spool, 2, tag="later"))


def test_a_pooler_whose_pool_is_used_up_is_named(ferryd, db, spool, cos, tmp_base):
    """It takes every connection, and lets those wait that it has no server for."""
    pooler = Bouncer(f"{tmp_base}/bouncer", db.pg, pool_mode="session", default_pool_size=3)
    try:
        daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, start=False, workers=6, database_idle="1h")
        daemon.conf["database"] = pooler.conninfo(db.name)
        daemon.write()
        daemon.start()
        cos.rate(2 * MIB)
        tasks = load(db, spool, 12)
        daemon.wait_log(r"the database refuses more connections: [12] of 6 workers have one, .*raise its pool_size", 40)
        cos.rate(0)
        db.done(*tasks)
        daemon.finish()
    finally:
        pooler.stop()


def test_more_nodes_than_the_server_admits_do_all_the_work(ferryd, db, spool, cos, admitted):
    """Five nodes of eight workers have 45 connections together if each has its own."""
    admitted(12)
    nodes = [ferryd({"cos": cos.store(), "spool": spool.store()}, workers=8, start=False) for _ in range(5)]
    for node in nodes:
        node.start()
    with watched(db):
        tasks = load(db, spool, 100)
        db.done(*tasks, timeout=100)
    assert len({r["node"] for r in db.sql("SELECT node FROM ferry.task")}) >= 1
    for node in nodes:
        node.finish()


def test_another_database_needs_a_restart(ferryd, db, spool):
    daemon = ferryd({"spool": spool.store()}, workers=1)
    before = daemon.conf["database"]
    reload(daemon, database="host=/nowhere dbname=other")
    daemon.wait_log("database changes with a restart only")
    daemon.wait_log("reloaded")
    reload(daemon, database=before)
    db.done(db.put(spool.put("o", 1000), "spool://o.copy"))
