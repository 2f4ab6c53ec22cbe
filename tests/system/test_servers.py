"""
The same transfers with each real server: sizes, odd keys, if_exists, verify, copies, a death, an abandoned upload.  "make check" takes
a sample on Swift; FERRY_MATRIX=all takes everything, on Ceph 16, Ceph 18 and Swift.
"""

import os

import pytest

import stores
from content import content_bytes
from rig import MIB, ferryctl, wait_until

ALL = os.environ.get("FERRY_MATRIX") == "all"
PART = 5 * MIB
SIZES = [0, 1, PART - 1, PART, PART + 1, 3 * PART + 7] if ALL else [0, 1, PART + 1]
KEYS = ["with space", "plus+and&amp=eq", "per%cent %41%2F", "a//b", "./a/../b", "ünïcödé/日本語"]
IF_EXISTS = ["overwrite", "fail", "skip"]
pytestmark = pytest.mark.limit(300)


@pytest.fixture(scope="session")
def ceph18(base):
    gateway = stores.Ceph(f"{base}/ceph18", suite="trixie")
    try:
        yield gateway
    finally:
        gateway.stop()


@pytest.fixture(params=["ceph", "ceph18", "swift"] if ALL else ["swift"])
def server(request):
    return request.getfixturevalue(request.param)


class Carrier:
    """A ferryd with the server as store "there", and what each of its tasks must come to."""

    def __init__(self, daemon, db, server, spool):
        self.daemon, self.db, self.server, self.spool, self.keys = daemon, db, server, spool, set()
        self.bucket = server.TARGET

    def source(self, size):
        return self.spool.put(f"v{size}", size) if not os.path.exists(f"{self.spool.root}/v{size}") else f"spool://v{size}"

    def uri(self, key):
        self.keys.add(key)
        return f"there://{self.bucket}/{key}"

    def put(self, size, key, **columns):
        return self.db.put(self.source(size), self.uri(key), **columns)

    def must_hold(self, key, size):
        assert self.server.get(self.bucket, key) == content_bytes(f"v{size}", size), f"{key[:40]}: other bytes"

    def clear(self):
        assert self.server.uploads(self.bucket) == []
        for key in self.keys:
            self.server.request("DELETE", self.bucket, key).read()


@pytest.fixture
def carry(ferryd, db, server, spool):
    """carry(...) starts a ferryd whose store "there" has these settings."""
    made = []

    def start(**settings):
        daemon = ferryd({"there": server.store(**settings), "spool": spool.store()}, workers=2, retry_delay="10ms")
        made.append(Carrier(daemon, db, server, spool))
        return made[0]
    yield start
    for carrier in made:
        carrier.clear()


def proofs(size, verify):
    return {"auto": "md5", "md5": "md5", "size": "size", "none": "none"}[verify]


@pytest.mark.parametrize("verify", ["auto", "md5", "size", "none"] if ALL else ["auto"])
def test_sizes(carry, db, verify):
    carrier = carry(verify=verify)
    cases = [(size, how) for size in SIZES for how in IF_EXISTS]
    rows = db.done(*[carrier.put(size, f"{size}-{how}", if_exists=how) for size, how in cases], timeout=120)
    for (size, how), row in zip(cases, rows):
        assert (row["attempt"], row["verified_by"]) == (0, proofs(size, verify)), f"{size}, {how}: {row}"
        carrier.must_hold(f"{size}-{how}", size)
    again = [carrier.put(1, f"{size}-{how}", if_exists=how) for size, how in cases]
    for (size, how), task in zip(cases, again):
        row = db.wait(task)
        assert (row["state"], row["verified_by"], row["error"]) == {
            "overwrite": ("done", proofs(1, verify), None), "fail": ("failed", None, "destination exists"),
            "skip": ("done", "skipped", None)}[how]
        carrier.must_hold(f"{size}-{how}", 1 if how == "overwrite" else size)


@pytest.mark.parametrize("size", [1, PART + 1])
def test_odd_keys(carry, db, spool, server, size):
    carrier = carry()
    keys = [*KEYS, "k" * (1024 if size == 1 else server.key_in_parts)]
    rows = [db.wait(task) for task in [carrier.put(size, key, if_exists="fail" if n % 2 else "overwrite")
                                       for n, key in enumerate(keys)]]
    for n, (key, row) in enumerate(zip(keys, rows)):
        assert row["state"] == "done", f"{key[:40]}: {row['error']}"
        carrier.must_hold(key, size)
        db.done(db.put(carrier.uri(key), f"spool://back-{n}"))
        with open(f"{spool.root}/back-{n}", "rb") as f:
            assert f.read() == content_bytes(f"v{size}", size)


@pytest.mark.parametrize("parts", [False, True], ids=["one PUT", "parts"])
@pytest.mark.parametrize("if_exists", ["overwrite", "fail"])
def test_copy(carry, db, server, parts, if_exists):
    carrier, size = carry(), 2 * PART + 1
    if parts:
        db.done(carrier.put(size, "from"))
    else:
        carrier.keys.add("from")
        server.put(carrier.bucket, "from", content_bytes(f"v{size}", size))
    row = db.done(db.put(carrier.uri("from"), carrier.uri("to"), if_exists=if_exists))
    carrier.must_hold("to", size)
    assert row["attempt"] == 0 and row["verified_by"] in ("etag", "md5")


def test_resume_after_a_kill(carry, db, server):
    size = 8 * PART
    carrier = carry(rate="20M")
    task = carrier.put(size, "resumed")
    wait_until(lambda: db.parts(task) >= 2, 30, "two parts")
    os.kill(carrier.daemon.worker_of(task), 9)
    row = db.done(task)
    assert (row["crashes"], row["attempt"], row["verified_by"]) == (0, 0, "md5")
    carrier.must_hold("resumed", size)
    carrier.daemon.wait_log(r"resumed?=[1-9]")


def test_abandoned_upload(carry, db, server):
    carrier = carry(rate="20M")
    task = carrier.put(8 * PART, "dropped")
    wait_until(lambda: db.parts(task) >= 1, 30, "a part")
    for pid in [carrier.daemon.pid, *carrier.daemon.workers()]:
        os.kill(pid, 9)
    carrier.daemon.wait()
    carrier.daemon.killed = True
    db.sql("DELETE FROM ferry.task WHERE id = %s", (task,))
    assert len(server.uploads(carrier.bucket)) == 1
    carrier.daemon.start()
    assert ferryctl("reap", conninfo=db.conninfo()).stdout == "1 abandoned uploads aborted, 0 left\n"
    assert server.head(carrier.bucket, "dropped") is None
