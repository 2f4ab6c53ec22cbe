"""PostgreSQL restarts, or is away for a while, during a transfer: the transfer goes on, nothing is lost, nothing runs twice."""

import os
import re
import signal
import time

import pytest

from rig import MIB, claimed_once, wait_until
from stores import BUCKET


def begin(ferryd, db, cos, spool, size, rate, **conf):
    cos.rate(rate)
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=2, **conf)
    task = db.put(spool.put("object", size), f"cos://{BUCKET}/object")
    wait_until(lambda: db.parts(task) >= 1, 30, "a part")
    return daemon, task, daemon.workers()


def must_have_gone_on(daemon, db, cos, spool, task, size, workers):
    row = db.done(task, timeout=60)
    assert claimed_once(row) and (row["attempt"], row["crashes"]) == (0, 0)
    assert sum(cos.received("object").values()) == size, "something was sent twice"
    assert int(row["crc64"]) == spool.crc64("object", size) and cos.object("object")["puts"] == 1
    assert daemon.workers() == workers
    wait_until(lambda: any(s["application_name"] == "ferryd" for s in db.sessions()), 15, "the master's session to be back")


def must_say_it_once(daemon, outages):
    """Each process logs once an outage, at most, that the database is away and that it is back; the master always does."""
    for pattern in ("database away", "database back"):
        said = {}
        for line in daemon.log(pattern):
            pid = re.search(r"\[(\d+)\]", line).group(1)
            said[pid] = said.get(pid, 0) + 1
        assert said.get(str(daemon.pid)) == outages, f"{pattern}: {said}"
        assert max(said.values()) <= outages, f"{pattern}: {said}"


def test_restart_in_mid_transfer(ferryd, db, cos, spool, pg):
    size = 60 * MIB
    daemon, task, workers = begin(ferryd, db, cos, spool, size, 12 * MIB)
    pg.restart("fast")
    wait_until(lambda: daemon.log("database back"), 15, "the master to be back")
    must_have_gone_on(daemon, db, cos, spool, task, size, workers)
    must_say_it_once(daemon, 1)
    after = db.put("spool://object", f"cos://{BUCKET}/after")
    cos.rate(0)
    db.done(after)


def test_immediate_shutdown_in_mid_transfer(ferryd, db, cos, spool, pg):
    size = 40 * MIB
    daemon, task, workers = begin(ferryd, db, cos, spool, size, 12 * MIB)
    pg.restart("immediate")
    must_have_gone_on(daemon, db, cos, spool, task, size, workers)


@pytest.mark.limit(150)
def test_database_away_for_20_s_in_mid_transfer(ferryd, db, cos, spool, pg):
    size = 120 * MIB
    daemon, task, workers = begin(ferryd, db, cos, spool, size, 5 * MIB, lease="40s")
    pg.stop()
    before = sum(cos.received("object").values())
    time.sleep(20)
    moved = sum(cos.received("object").values()) - before
    assert moved > 40 * MIB, f"the transfer stood still: {moved} bytes in 20 s"
    assert daemon.workers() == workers
    pg.start()
    cos.rate(0)
    must_have_gone_on(daemon, db, cos, spool, task, size, workers)
    must_say_it_once(daemon, 1)
    assert db.one("SELECT count(*) FROM ferry.node") == 1


def test_database_away_for_longer_than_the_lease(ferryd, db, cos, spool, pg):
    size = 40 * MIB
    daemon, task, workers = begin(ferryd, db, cos, spool, size, 5 * MIB, lease="3s")
    pg.stop()
    daemon.wait_log(f"task {task}: the node's lease has lapsed", 5)
    lapsed = (time.time() + 0.1) * 1000
    before = sum(cos.received("object").values())
    time.sleep(1.5)
    late = [e for e in cos.log(key="object") if e["time"] > lapsed or (e["finished"] and e["time"] + e["ms"] > lapsed)]
    assert not late, "the worker sent something when another node might have had the task"
    pg.start()
    cos.rate(0)
    row = db.done(task)
    assert claimed_once(row) and (row["attempt"], row["crashes"]) == (0, 0)
    assert daemon.log(f"task {task}: the node's lease has been renewed; the transfer continues")
    assert int(row["crc64"]) == spool.crc64("object", size) and cos.object("object")["puts"] == 1
    assert daemon.workers() == workers and before > 10 * MIB
    again = sum(cos.received("object").values()) - size
    assert again <= 4 * 5 * MIB, f"{again} bytes were sent again, more than the parts that were in flight"


def test_transfer_that_ends_while_the_database_is_away_is_settled_when_it_is_back(ferryd, db, cos, spool, pg):
    size = 20 * MIB
    daemon, task, workers = begin(ferryd, db, cos, spool, size, 10 * MIB)
    pg.stop()
    cos.rate(0)
    wait_until(lambda: sum(cos.received("object").values()) == size, 20, "all bytes to have arrived")
    time.sleep(1)
    pg.start()
    must_have_gone_on(daemon, db, cos, spool, task, size, workers)


def test_worker_death_while_the_database_is_away(ferryd, db, cos, spool, pg):
    size = 60 * MIB
    daemon, task, workers = begin(ferryd, db, cos, spool, size, 5 * MIB)
    victim = daemon.worker_of(task)
    pg.stop()
    os.kill(victim, signal.SIGKILL)
    daemon.wait_log(rf"pid {victim}\) killed by SIGKILL, by someone outside")
    time.sleep(1)
    pg.start()
    cos.rate(0)
    row = db.done(task)
    assert not claimed_once(row) and (row["crashes"], row["attempt"]) == (0, 0)
    assert int(cos.object("object")["crc64"]) == spool.crc64("object", size)


def test_started_while_the_database_is_away(ferryd, db, cos, spool, pg):
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1, start=False)
    source = spool.put("object", 1000)
    pg.stop()
    daemon.start(ready=False)
    daemon.wait_log("database away")
    assert daemon.alive()
    pg.start()
    daemon.ready()
    db.done(db.put(source, f"cos://{BUCKET}/object"))
