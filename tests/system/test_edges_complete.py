"""
Objects that appear at the destination of a task that may replace none: another program's object, while a real Ceph gateway refuses
Complete; or the task's own, which the store makes long after the death of the worker that sent it.
"""

import os
import signal


import pytest

from cables import GatewayCable
from content import content_bytes
from rig import MIB, wait_until

BIG = 12 * MIB


@pytest.fixture
def cable(ceph):
    port = GatewayCable(ceph.port)
    yield port
    port.stop()
    port.down(0)


@pytest.fixture
def target(ceph):
    yield f"ceph://{ceph.TARGET}/refused"
    ceph.request("DELETE", ceph.TARGET, "refused").read()


@pytest.mark.parametrize("theirs", [b"first", b"x" * BIG], ids=["another size", "the same size"])
@pytest.mark.parametrize("source", ["spool", "ceph"])
@pytest.mark.parametrize("again", ["the same attempt", "the next one"])
def test_object_that_appears_between_two_completes_stays(ferryd, db, ceph, spool, cable, target, again, source, theirs):
    ferryd({"ceph": ceph.store(endpoint=f"http://127.0.0.1:{cable.port}"), "spool": spool.store()}, workers=1)
    if source == "ceph":
        ceph.put_content(ceph.SOURCE, "big", "big", BIG)
    def refuse():
        """The worker looks at once, and looks again before the next Complete."""
        cable.fault(600, None, 1, ("HEAD",))
        cable.fault(600, "hold", 1, ("HEAD",))
        return 503

    if again == "the same attempt":
        cable.fault(600, refuse, 1, ("Complete",))
    cable.fault(600, 503, 1000000, ("Complete",))
    task = db.put(spool.put("big", BIG) if source == "spool" else f"ceph://{ceph.SOURCE}/big", target, if_exists="fail",
                  max_attempts=1000)
    if again == "the next one":
        wait_until(lambda: db.task(task)["error"], 20, "an attempt to fail")
        cable.fault(600, "hold", 1, ("HEAD",))
    # the object comes before the worker sees what is there, and after that Complete may pass
    wait_until(lambda: cable.held, 20, "the worker to look")
    ceph.put(ceph.TARGET, "refused", theirs)
    cable.clear()
    cable.held[0].set()
    row = db.wait(task, timeout=30)
    assert (row["state"], row["error"]) == ("failed", "destination exists")
    assert ceph.get(ceph.TARGET, "refused") == theirs
    wait_until(lambda: not ceph.uploads(ceph.TARGET), 20, "the upload to be aborted")


@pytest.mark.parametrize("source", ["spool", "ceph"])
def test_own_object_whose_complete_was_not_answered_is_recognised(ferryd, db, ceph, spool, cable, target, source):
    """The answers to Complete and to the HEAD after it are lost, so that only the next attempt can find the object."""
    ferryd({"ceph": ceph.store(endpoint=f"http://127.0.0.1:{cable.port}"), "spool": spool.store()}, workers=1)
    if source == "ceph":
        ceph.put_content(ceph.SOURCE, "big", "big", BIG)
    cable.fault(600, "after", 1, ("Complete",))
    task = db.put(spool.put("big", BIG) if source == "spool" else f"ceph://{ceph.SOURCE}/big", target, if_exists="fail",
                  max_attempts=1000)
    wait_until(lambda: not cable.rules or cable.rules[0][2] == 0, 20, "Complete", step=0.001)
    cable.fault(2, "before", 1000, None)
    row = db.done(task, timeout=30)
    assert ceph.head(ceph.TARGET, "refused")["content-length"] == str(BIG)
    assert row["verified_by"] == ("md5" if source == "spool" else "etag")


@pytest.mark.parametrize("if_exists", ["skip", "fail"])
def test_put_of_a_dead_worker_arrives_after_its_successor_has_looked(ferryd, db, ceph, spool, cable, target, if_exists):
    daemon = ferryd({"ceph": ceph.store(endpoint=f"http://127.0.0.1:{cable.port}"), "spool": spool.store()}, workers=1)
    cable.fault(600, "hold", 2, ("PUT",))
    task = db.put(spool.put("small", 1000), target, if_exists=if_exists)
    wait_until(lambda: len(cable.held) == 1, 10, "the first worker's PUT")
    os.kill(daemon.worker_of(task), signal.SIGKILL)
    wait_until(lambda: len(cable.held) == 2, 20, "the PUT of its successor, which has seen no object")
    cable.held[0].set()
    wait_until(lambda: ceph.head(ceph.TARGET, "refused"), 10, "the first worker's object")
    cable.held[1].set()
    row = db.done(task, timeout=30)
    assert row["verified_by"] == "md5", "the task took its own object for another program's"
    assert ceph.get(ceph.TARGET, "refused") == content_bytes("small", 1000)
    wait_until(lambda: not ceph.uploads(ceph.TARGET), 20, "no upload")
