"""Patroni moves the primary under load, or has to since it was killed: rows and objects are compared, one by one."""

import contextlib
import os
import re

import pytest

from elected import Cluster
from rig import MIB, Database, wait_until
from stores import BUCKET

pytestmark = pytest.mark.skipif("FERRY_LONG" not in os.environ, reason="takes minutes; make check-long")

TINY, LARGE = 300, 2
TINY_SIZE, LARGE_SIZE = 2000, 40 * MIB


@pytest.fixture(params=["asynchronous", "synchronous"])
def db(tmp_base, request):
    cluster = Cluster(f"{tmp_base}/patroni", request.param == "synchronous")
    try:
        cluster.start()
        Database.make_template(cluster)
        yield Database(cluster, "ferry_patroni")
    finally:
        cluster.remove()


def put_all(db, spool):
    """Inserts the load; returns {task: (key, name of the source, size)}."""
    for n in range(LARGE):
        spool.put(f"large-{n}", LARGE_SIZE)
    spool.put("tiny", TINY_SIZE)
    names = [(f"large-{n}", f"large-{n}", LARGE_SIZE) for n in range(LARGE)] + [(f"tiny-{n}", "tiny", TINY_SIZE) for n in range(TINY)]
    with contextlib.closing(db.connect("ferry_test_producer")) as conn, conn.cursor() as cur:
        tasks = {}
        for key, name, size in names:
            cur.execute("INSERT INTO ferry.task (source, destination) VALUES (%s, %s) RETURNING id", (f"spool://{name}", f"cos://{BUCKET}/{key}"))
            tasks[cur.fetchone()[0]] = (key, name, size)
    return tasks


def said_done(daemons):
    """The tasks that the logs call done, with repetitions."""
    return [int(task) for daemon in daemons for task in re.findall(r'msg="task (\d+) done"', daemon.log_text())]


def ended_but(db):
    """How many tasks are not done."""
    return db.one("SELECT count(*) FROM ferry.task WHERE state <> 'done'")


def switch_over(db):
    db.pg.switch_over()


def kill(db):
    primary = db.pg.wait_primary()
    primary.kill()
    db.pg.wait_primary(but=primary)
    primary.start()  # its machine is back, and it has to follow


@pytest.mark.parametrize("move", [switch_over, kill])
def test_the_primary_moves_under_load(ferryd, db, cos, spool, move):
    cos.rate(8 * MIB)
    daemons = [ferryd({"cos": cos.store(), "spool": spool.store()}, workers=3, lease="10s") for _ in range(2)]
    tasks = put_all(db, spool)
    large = [task for task, (_, _, size) in tasks.items() if size == LARGE_SIZE]
    wait_until(lambda: sum(db.parts(task) for task in large) >= 1 and len(said_done(daemons)) >= 30, 60, "a part, and some tasks")
    move(db)
    for daemon in daemons:
        daemon.wait_log("database back", timeout=60)
    cos.rate(0)
    wait_until(lambda: ended_but(db) == 0, 90, lambda: db.sql("SELECT state, count(*) FROM ferry.task GROUP BY 1"), step=0.2)
    rows = {row["id"]: row for row in db.sql("SELECT * FROM ferry.task")}
    confirmed, objects = said_done(daemons), cos.objects()
    if db.pg.synchronous or move is switch_over:
        assert rows.keys() == tasks.keys(), "a confirmed row is lost"
        wait_until(lambda: len(said_done(daemons)) >= len(tasks), 10, "a line in the log for each task")
        assert sorted(said_done(daemons)) == sorted(tasks), "a task was settled twice, or not by a node"
    else:
        assert rows.keys() <= tasks.keys() and set(confirmed) <= tasks.keys()
    for task, row in rows.items():
        key, name, size = tasks[task]
        assert (row["attempt"], row["crashes"], row["ooms"]) == (0, 0, 0), row
        assert int(row["crc64"]) == int(objects[(BUCKET, key)]["crc64"]) == spool.crc64(name, size), key
        assert objects[(BUCKET, key)]["size"] == row["bytes_total"] == size, key
    wait_until(lambda: cos.uploads() == [], 130, lambda: f"uploads are left: {cos.uploads()}")
