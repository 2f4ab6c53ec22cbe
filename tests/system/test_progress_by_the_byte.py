"""How far a running task is: by the byte, in its row, while it runs."""

import os
import signal

from rig import MIB, wait_until
from stores import BUCKET

SIZE = 12 * MIB  # one PUT: no part is finished before the whole object is


def moved(db, task):
    row = db.task(task)
    return row["state"], row["bytes_done"], row["bytes_total"]


def between(db, task, low=0):
    """The bytes of a running task, if they are more than low and fewer than all."""
    state, done, _ = moved(db, task)
    return done if state == "running" and low < done < SIZE else None


def test_object_of_one_put_shows_its_bytes_while_it_is_carried(ferryd, cos, spool, db):
    source = spool.put("object", SIZE)
    cos.rate(MIB)
    ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1, worker={"part_size": "16M", "streams": 1})
    task = db.put(source, f"cos://{BUCKET}/object")
    first = wait_until(lambda: between(db, task), 30, "a first number of bytes")
    assert moved(db, task)[2] == SIZE
    wait_until(lambda: between(db, task, first), 30, "more bytes")
    cos.rate(0)
    assert db.done(task)["bytes_done"] == SIZE


def test_bytes_in_flight_are_gone_when_the_task_returns_to_the_queue(ferryd, cos, spool, db):
    source = spool.put("object", SIZE)
    cos.rate(MIB)
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1, worker={"part_size": "16M", "streams": 1})
    task = db.put(source, f"cos://{BUCKET}/object")
    wait_until(lambda: between(db, task), 30, "some bytes")
    db.sql("SELECT ferry.pause('default')")
    daemon.stop()  # the worker hands the task back
    assert moved(db, task)[:2] == ("queued", 0)


def test_bytes_in_flight_are_gone_when_the_worker_dies(ferryd, cos, spool, db):
    source = spool.put("object", SIZE)
    cos.rate(MIB)
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1, worker={"part_size": "16M", "streams": 1})
    task = db.put(source, f"cos://{BUCKET}/object")
    wait_until(lambda: between(db, task), 30, "some bytes")
    db.sql("SELECT ferry.pause('default')")
    os.kill(daemon.worker_of(task), signal.SIGKILL)
    wait_until(lambda: moved(db, task)[:2] == ("queued", 0), 20, "the task to be queued with no bytes")
    cos.rate(0)
    db.sql("SELECT ferry.resume('default')")
    assert db.done(task)["bytes_done"] == SIZE
