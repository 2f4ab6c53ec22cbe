"""A deploy in the middle of an upload costs the parts that were in flight, and nothing else."""

import signal

import pytest

from rig import MIB, claimed_once, wait_until
from stores import BUCKET

IN_FLIGHT = 4 * 16 * MIB


def begin(ferryd, db, ceph, cos, gib):
    cos.rate(150 * MIB)
    stores = {"ceph": ceph.store(), "cos": cos.store()}
    daemon = ferryd(stores, workers=1, worker={"part_size": "16M"})
    task = db.put(gib.uri, f"cos://{BUCKET}/gib")
    wait_until(lambda: db.parts(task) >= 12, 60, "twelve parts")
    return daemon, stores, task


def must_be_whole(db, cos, gib, task):
    row = db.done(task, timeout=90)
    assert int(row["crc64"]) == gib.crc64 == int(cos.object("gib")["crc64"])
    assert (row["attempt"], row["crashes"], row["ooms"]) == (0, 0, 0)
    assert not claimed_once(row) and cos.object("gib")["puts"] == 1
    twice = sum(cos.received("gib").values()) - gib.size
    assert 0 <= twice <= IN_FLIGHT, f"{twice} bytes were sent twice"
    assert cos.uploads() == []


@pytest.mark.limit(200)
def test_term_in_mid_upload_then_start_again(ferryd, db, ceph, cos, gib):
    daemon, stores, task = begin(ferryd, db, ceph, cos, gib)
    assert daemon.stop() == 0
    row = db.task(task)
    assert row["state"] == "queued" and row["node"] is None and row["worker"] is None
    assert db.sql("SELECT * FROM ferry.node") == []
    assert len(cos.uploads()) == 1
    cos.rate(0)
    daemon.start()
    must_be_whole(db, cos, gib, task)
    assert daemon.log(rf"task={task}\b.*resum") or daemon.log(rf"resum.*task={task}\b")


@pytest.mark.limit(200)
def test_term_while_a_second_node_runs(ferryd, db, ceph, cos, gib):
    daemon, stores, task = begin(ferryd, db, ceph, cos, gib)
    second = ferryd(stores, workers=1, worker={"part_size": "16M"}, start=False)
    second.start(ready=False)
    wait_until(lambda: db.one("SELECT count(*) FROM ferry.node") == 2, 10, "both nodes to be registered")
    daemon.send(signal.SIGTERM)
    cos.rate(0)
    assert daemon.wait() == 0
    must_be_whole(db, cos, gib, task)
    assert second.log(rf"task={task}\b")
