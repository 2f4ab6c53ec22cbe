"""A Complete that a real Ceph gateway refuses, while somebody else's object appears that may not be replaced."""

import pytest

from cables import GatewayCable
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


def refused(cable):
    """How many requests for Complete were answered with 503."""
    return 1000000 - sum(rule[2] for rule in cable.rules)


@pytest.mark.parametrize("theirs", [b"first", b"x" * BIG], ids=["another size", "the same size"])
@pytest.mark.parametrize("source", ["spool", "ceph"])
@pytest.mark.parametrize("again", ["the same attempt", "the next one"])
def test_object_that_appears_between_two_completes_stays(ferryd, db, ceph, spool, cable, target, again, source, theirs):
    ferryd({"ceph": ceph.store(endpoint=f"http://127.0.0.1:{cable.port}"), "spool": spool.store()}, workers=1)
    if source == "ceph":
        ceph.put_content(ceph.SOURCE, "big", "big", BIG)
    cable.fault(600, 503, 1000000, ("Complete",))
    task = db.put(spool.put("big", BIG) if source == "spool" else f"ceph://{ceph.SOURCE}/big", target, if_exists="fail",
                  max_attempts=1000)
    if again == "the next one":
        wait_until(lambda: db.task(task)["attempt"] > 0, 20, "an attempt to fail")
    else:
        wait_until(lambda: refused(cable) > 0, 20, "a refusal", step=0.001)
    ceph.put(ceph.TARGET, "refused", theirs)
    cable.clear()
    row = db.wait(task, timeout=30)
    assert (row["state"], row["error"]) == ("failed", "destination exists")
    assert ceph.get(ceph.TARGET, "refused") == theirs
    wait_until(lambda: not ceph.uploads(ceph.TARGET), 20, "the upload to be aborted")


@pytest.mark.parametrize("source", ["spool", "ceph"])
def test_own_object_whose_complete_was_not_answered_is_known(ferryd, db, ceph, spool, cable, target, source):
    """The answers of Complete and of the look after it are lost, so that it is the next attempt that finds out."""
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
