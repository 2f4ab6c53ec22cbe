"""if_exists where the object appears only after ferryd has looked: whoever came first keeps its object."""

import os
import signal

import pytest

from content import content_bytes
from rig import MIB, wait_until
from stores import BUCKET

SMALL, BIG = 300000, 12 * MIB


class Ceph:
    """At a real gateway, written to so slowly that there is time to be overtaken."""

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
    """The gateway takes no notice of a condition on Complete; a last look is what saves the object that came first."""
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
    ferryd({"cos": cos.store(), "spool": spool.store()}, workers=2)
    for size, op in ((SMALL, "put"), (BIG, "complete")):
        cos.reset()
        cos.fault({"hold": True}, op=op, nth=1)
        late = db.put(spool.put("late", size), f"cos://{BUCKET}/object", if_exists="skip")
        wait_until(lambda: cos.held() == 1, 10, "the write to arrive")
        db.done(db.put(spool.put("early", SMALL), f"cos://{BUCKET}/object"))
        cos.release()
        row = db.done(late)
        assert row["verified_by"] == "skipped" and cos.object("object")["size"] == SMALL and cos.object("object")["puts"] == 1
        assert cos.uploads() == []


@pytest.fixture(params=["ceph", "cos"])
def second_claim(request, ferryd, db, spool, ceph, cos):
    """second_claim(what is there already, size, ...): the row of a task that was claimed once before, and what is there then."""
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
        db.sql("UPDATE ferry.task SET claim = 1 WHERE id = %s", (task,))
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
def test_what_has_the_size_of_ours_is_not_replaced(second_claim, size, if_exists):
    row, kept = second_claim("theirs", size, if_exists)
    assert kept
    assert (row["state"], row["error"] or row["verified_by"]) == \
        (("failed", "destination exists") if if_exists == "fail" else ("done", "skipped"))


@pytest.mark.parametrize("if_exists", ["fail", "skip"])
def test_what_a_worker_with_larger_parts_has_put_is_ours(second_claim, if_exists):
    """Its one PUT has no row; this worker would have made parts of it."""
    row, kept = second_claim("ours", 7 * MIB, if_exists)
    assert kept and row["state"] == "done" and row["verified_by"] in ("crc64", "md5")


@pytest.mark.parametrize("if_exists, loser", [("fail", "failed"), ("skip", "done")])
def test_two_complete_at_the_same_moment(ferryd, db, cos, spool, if_exists, loser):
    """The store judges when it makes the object, and says so in the body of a 200."""
    ferryd({"cos": cos.store(), "spool": spool.store()}, workers=2)
    cos.fault({"hold": True}, op="complete", times=2)
    tasks = [db.put(spool.put(f"object{n}", BIG), f"cos://{BUCKET}/raced", if_exists=if_exists) for n in (1, 2)]
    wait_until(lambda: cos.held() == 2, 20, "both to be about to end")
    cos.release()
    rows = [db.wait(task) for task in tasks]
    assert sorted(row["state"] for row in rows) == ["done", loser] and cos.object("raced")["puts"] == 1
    assert sorted(row["verified_by"] or row["error"] for row in rows) == \
        ["crc64", "destination exists" if if_exists == "fail" else "skipped"]
    wait_until(lambda: cos.uploads() == [], 10, "the loser's upload to go")
