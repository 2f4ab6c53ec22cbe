"""kill -9 of the master during a transfer: no orphan goes on writing, and the tasks do not wait for the lease's end."""

import time

from rig import MIB, claimed_once, patience, running, wait_until
from stores import BUCKET


def test_workers_release_their_tasks_and_are_gone_within_2_s(ferryd, db, cos, spool):
    cos.rate(8 * MIB)
    sizes = {"a": 40 * MIB, "b": 45 * MIB}
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=2, lease="1h")
    tasks = [db.put(spool.put(name, size), f"cos://{BUCKET}/{name}") for name, size in sizes.items()]
    for task in tasks:
        wait_until(lambda: db.parts(task) >= 2, 30, "two parts")
    workers = daemon.workers()
    assert len(workers) == 2
    killed = time.monotonic()
    daemon.kill()
    wait_until(lambda: not any(running(pid) for pid in workers), 2, "workers to exit")
    wait_until(lambda: all(db.state(task) == "queued" for task in tasks), 1, "tasks to be claimable")
    assert time.monotonic() - killed < 3 * patience()
    assert all(db.parts(task) >= 2 for task in tasks)
    cos.rate(0)
    time.sleep(1)  # meanwhile the bytes in the sockets still arrive
    requests = len(cos.log())
    received = sum(sum(cos.received(name).values()) for name in sizes)
    time.sleep(0.5)
    assert sum(sum(cos.received(name).values()) for name in sizes) == received, "a worker still writes"
    assert len(cos.log()) == requests

    daemon.start()
    for row, (name, size) in zip(db.done(*tasks), sizes.items()):
        assert not claimed_once(row) and (row["attempt"], row["crashes"]) == (0, 0)
        assert int(row["crc64"]) == spool.crc64(name, size) == int(cos.object(name)["crc64"])
        assert sum(cos.received(name).values()) <= size + 4 * 5 * MIB
        assert cos.object(name)["puts"] == 1
