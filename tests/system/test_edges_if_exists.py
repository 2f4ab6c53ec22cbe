"""if_exists when another object appears after ferryd has looked: the first object stays."""

import os
import signal

import pytest

from content import content_bytes
from rig import MIB, wait_until
from stores import BUCKET

SMALL, BIG = 300000, 12 * MIB


class Ceph:
    """A real gateway; slow leaves time for another object to appear first."""

    def __init__(self, ceph, spool):
        self.ceph, self.slow, self.fast = ceph, {"ceph": ceph.store(rate="4M")}, {"ceph": ceph.store()}
        self.uri = f"ceph://{ceph.TARGET}/raced"

    def appear(self):
        self.ceph.put(self.ceph.TARGET, "raced", b"first")

    def has(self):
        return self.ceph.get(self.ceph.TARGET, "raced")

    def clean(self):
        assert self.ceph.uploads(self.ceph.TARGET) == []
        self.ceph.request("DELETE", self.ceph.TARGET, "raced").read()


class File:
    def __init__(self, directory):
        self.root = directory
        os.mkdir(directory)
        os.chmod(directory, 0o777)
        store = {"kind": "file", "root": directory}
        self.slow, self.fast = {"out": {**store, "rate": "4M"}}, {"out": store}
        self.uri = "out://raced"

    def appear(self):
        with open(f"{self.root}/raced", "wb") as f:
            f.write(b"first")

    def has(self):
        with open(f"{self.root}/raced", "rb") as f:
            return f.read()

    def clean(self):
        assert os.listdir(self.root) == ["raced"]


@pytest.fixture(params=["ceph", "file"])
def target(request, tmp_base):
    if request.param == "file":
        place = File(f"{tmp_base}/out")
    else:
        place = Ceph(request.getfixturevalue("ceph"), None)
    yield place
    place.clean()


@pytest.mark.parametrize("size", [0, SMALL, BIG])
def test_three_values(ferryd, db, spool, target, size):
    ferryd({**target.fast, "spool": spool.store()}, workers=1)
    target.appear()
    row = db.done(db.put(spool.put("object", size), target.uri, if_exists="skip"))
    assert row["verified_by"] == "skipped" and target.has() == b"first"
    row = db.wait(db.put("spool://object", target.uri, if_exists="fail"))
    assert (row["state"], row["error_class"]) == ("failed", "permanent") and "exists" in row["error"] and target.has() == b"first"
    db.done(db.put("spool://object", target.uri, if_exists="overwrite"))
    assert target.has() == content_bytes("object", size)


@pytest.mark.parametrize("if_exists", ["fail", "skip"])
def test_race_with_a_large_object(ferryd, db, spool, target, if_exists):
    """The gateway ignores a condition on Complete, so a last look must save the object that came first."""
    ferryd({**target.slow, "spool": spool.store()}, workers=1, worker={"streams": 1})
    task = db.put(spool.put("object", BIG), target.uri, if_exists=if_exists)
    wait_until(lambda: db.parts(task) >= 1, 20, "a part")
    target.appear()
    row = db.wait(task)
    assert target.has() == b"first"
    if if_exists == "fail":
        assert (row["state"], row["error_class"]) == ("failed", "permanent") and "exists" in row["error"]
    else:
        assert (row["state"], row["verified_by"], row["attempt"]) == ("done", "skipped", 0)


def test_skip_in_a_race_at_cos(ferryd, db, cos, spool):
    # Tasks of one destination run one after the other.  The other writer gives the store another name.
    ferryd({"cos": cos.store(), "other": cos.store(), "spool": spool.store()}, workers=2)
    for size, op in ((SMALL, "put"), (BIG, "complete")):
        cos.reset()
        cos.fault({"hold": True}, op=op, nth=1)
        late = db.put(spool.put("late", size), f"cos://{BUCKET}/object", if_exists="skip")
        wait_until(lambda: cos.held() == 1, 10, "the write to arrive")
        db.done(db.put(spool.put("early", SMALL), f"other://{BUCKET}/object"))
        cos.release()
        row = db.done(late)
        assert row["verified_by"] == "skipped" and cos.object("object")["size"] == SMALL and cos.object("object")["puts"] == 1
        assert cos.uploads() == []


@pytest.fixture(params=["ceph", "cos"])
def second_claim(request, ferryd, db, spool, ceph, cos):
    """
    second_claim(seed, size, if_exists) puts an object of seed at the destination, and runs a task that was claimed once before.
    It returns the task's row, and whether the object has stayed.
    """
    s3 = request.param == "ceph"
    uri = f"ceph://{ceph.TARGET}/twice" if s3 else f"cos://{BUCKET}/twice"
    daemon = ferryd({"ceph": ceph.store(), "cos": cos.store(), "spool": spool.store()}, workers=1, worker={"part_size": "5M"})

    def run(seed, size, if_exists):
        if s3:
            ceph.put(ceph.TARGET, "twice", content_bytes(seed, size))
        else:
            daemon.worker["part_size"] = "8M"
            daemon.write()
            daemon.send(signal.SIGHUP)
            daemon.wait_log("reloaded")
            db.done(db.put(spool.put(seed, size), uri))
            assert cos.object("twice")["puts"] == 1 and "-" not in cos.object("twice")["etag"]
            daemon.worker["part_size"] = "5M"
            daemon.write()
        daemon.stop()
        task = db.put(spool.put("ours", size), uri, if_exists=if_exists)
        db.began(task)
        daemon.start()
        row = db.wait(task)
        assert (ceph.uploads(ceph.TARGET), cos.uploads()) == ([], [])
        if s3:
            return row, ceph.get(ceph.TARGET, "twice") == content_bytes(seed, size)
        return row, cos.object("twice")["puts"] == 1
    yield run
    ceph.request("DELETE", ceph.TARGET, "twice").read()


@pytest.mark.parametrize("if_exists", ["fail", "skip"])
@pytest.mark.parametrize("size", [1000, 5 * MIB])
def test_foreign_object_of_the_same_size_is_not_replaced(second_claim, size, if_exists):
    row, kept = second_claim("theirs", size, if_exists)
    assert kept
    assert (row["state"], row["error"] or row["verified_by"]) == \
        (("failed", "destination exists") if if_exists == "fail" else ("done", "skipped"))


@pytest.mark.parametrize("if_exists", ["fail", "skip"])
def test_object_of_a_worker_with_larger_parts_is_recognised(second_claim, if_exists):
    """The earlier worker's single PUT has no row; the present worker would upload the object in parts."""
    row, kept = second_claim("ours", 7 * MIB, if_exists)
    assert kept and row["state"] == "done" and row["verified_by"] in ("crc64", "md5")


@pytest.mark.parametrize("if_exists, loser", [("fail", "failed"), ("skip", "done")])
def test_two_complete_at_the_same_moment(ferryd, db, cos, spool, if_exists, loser):
    """The store checks the condition when it makes the object, and refuses in the body of a 200."""
    # Tasks of one destination run one after the other.  The two tasks give the store different names.
    ferryd({"cos": cos.store(), "other": cos.store(), "spool": spool.store()}, workers=2)
    cos.fault({"hold": True}, op="complete", times=2)
    tasks = [db.put(spool.put(f"object at {store}", BIG), f"{store}://{BUCKET}/raced", if_exists=if_exists) for store in ("cos", "other")]
    wait_until(lambda: cos.held() == 2, 20, "both requests for Complete")
    cos.release()
    rows = [db.wait(task) for task in tasks]
    assert sorted(row["state"] for row in rows) == ["done", loser] and cos.object("raced")["puts"] == 1
    assert sorted(row["verified_by"] or row["error"] for row in rows) == \
        ["crc64", "destination exists" if if_exists == "fail" else "skipped"]
    wait_until(lambda: cos.uploads() == [], 10, "the loser's upload to go")
