"""
Holes in a node's life are named: a time in which it did not run, an end without a word, a worker without a database, a clock that is
wrong, a database that is an older copy, lines that were lost.
"""

import os
import re
import signal
import time

import pytest

from history import Snapshot
from rig import ACCOUNT, MIB, SCHEMA, holds, wait_until
from stores import BUCKET


@pytest.fixture
def stores(cos, spool):
    return {"cos": cos.store(), "spool": spool.store()}


# Times without a run, and ends without a word

def test_a_stopped_master_says_how_long_it_did_not_run(ferryd, db, stores):
    daemon = ferryd(stores, workers=1)
    began = time.monotonic()
    daemon.send(signal.SIGSTOP)
    time.sleep(7.5)
    daemon.send(signal.SIGCONT)
    line, = daemon.wait_log(r"this node did not run for \d+ s \(stopped, or its machine was\)")
    assert 6 <= int(re.search(r"run for (\d+) s", line)[1]) <= time.monotonic() - began + 1


def test_a_killed_master_is_named_by_the_next_one(ferryd, db, stores):
    daemon = ferryd(stores, workers=1)
    pid = daemon.pid
    daemon.kill()
    daemon.start()
    assert len(daemon.log(rf"the previous ferryd \(pid {pid}\) ended without a word")) == 1
    assert daemon.stop() == 0
    daemon.start()
    assert len(daemon.log("ended without a word|did not leave")) == 1, "an orderly end is no such end"


def test_a_master_that_went_with_its_pid_file_is_named_by_its_row(ferryd, db, stores):
    daemon = ferryd(stores, workers=1, lease="2s")
    pid = daemon.pid
    daemon.kill()
    os.remove(daemon.pid_file)
    wait_until(lambda: db.one("SELECT bool_and(renewed_at + lease < now()) FROM ferry.node"), 10, "the lease to lapse")
    daemon.start()
    daemon.wait_log(rf"the previous ferryd \(pid {pid}\) did not leave: it renewed its lease \d+ s ago for the last time")


# Older copies of the database

def test_an_older_copy_with_an_older_schema_is_named(ferryd, db, stores):
    daemon = ferryd(stores, workers=1)
    db.sql(f"UPDATE ferry.schema_version SET version = {SCHEMA - 2} WHERE version = {SCHEMA}")
    db.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ferryd'")
    daemon.wait_log(f"this database is an older copy: schema {SCHEMA - 2}, it was {SCHEMA}")
    assert not daemon.log("ferryctl migrate"), "to migrate would hide the loss"
    db.sql(f"UPDATE ferry.schema_version SET version = {SCHEMA} WHERE version = {SCHEMA - 2}")
    daemon.wait_log("the database's schema fits now")


def test_a_database_without_the_schema_that_it_had_is_named(ferryd, db, stores):
    daemon = ferryd(stores, workers=1)
    db.sql("ALTER SCHEMA ferry RENAME TO away")
    db.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ferryd'")
    daemon.wait_log(f"this database is another one, or an older copy: it has no ferry schema, it had version {SCHEMA}")
    db.sql("ALTER SCHEMA away RENAME TO ferry")
    daemon.wait_log("the database's schema fits now")


def test_an_older_copy_with_the_same_schema_is_named(ferryd, db, spool, stores):
    daemon = ferryd(stores, workers=1, lease="3s")
    snapshot = Snapshot(db)
    for n in range(3):
        last = db.put(spool.put(f"o{n}", 1000), f"cos://{BUCKET}/o{n}")
    db.done(last)
    renewed = db.one("SELECT renewed_at FROM ferry.node")
    wait_until(lambda: db.one("SELECT renewed_at FROM ferry.node") > renewed, 10, "the next renewal")
    assert not daemon.log("older copy")
    snapshot.restore()
    daemon.wait_log(rf"this database is an older copy, or .*: the last task has the id \d, it was {last}", 20)
    holds(lambda: len(daemon.log("older copy")) == 1, 3)


# Workers without a connection to the database

def test_a_worker_that_lacks_a_connection_is_shown(ferryd, db, spool, stores, cos):
    """The account may have two connections: the master's, and one that the workers pass on.  It is lost, and none comes instead."""
    cos.rate(MIB)
    daemon = ferryd(stores, workers=2, lease="60s", database_idle="1h")
    db.pg.admin("ALTER ROLE ferry_test_daemon CONNECTION LIMIT 1")
    try:
        db.put(spool.put("o", 12 * MIB), f"cos://{BUCKET}/o")
        daemon.wait_log("the database refuses more connections: 0 of 2 workers have one, .*: .*too many connections", 20)
        wait_until(lambda: db.sql("SELECT slot FROM ferry.workers WHERE state = 'cut off'"), 45, "the view to show it")
    finally:
        db.pg.admin("ALTER ROLE ferry_test_daemon CONNECTION LIMIT -1")
    cos.rate(0)
    wait_until(lambda: not db.sql("SELECT id FROM ferry.task_live"), 30, "the task to end")
    wait_until(lambda: not db.sql("SELECT slot FROM ferry.workers WHERE state = 'cut off'"), 45, "the view to show that")


def test_an_absent_database_is_not_each_worker_s_trouble(ferryd, db, stores):
    daemon = ferryd(stores, workers=2, lease="60s")
    db.pg.stop()
    daemon.wait_log(r" ferryd\[.*database away")
    time.sleep(22)
    db.pg.start()
    daemon.wait_log(r" ferryd\[.*database back", 20)
    assert not daemon.log("the database refuses")
