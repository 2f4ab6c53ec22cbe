"""
A death before, within and after each request to a store, each statement and each system call that changes a file.  An undisturbed
transfer gives the list of points.  "make check" tries a sample of them; FERRY_MATRIX=all tries all.
"""

import contextlib
import os
import subprocess
import threading

import pytest

from content import content_bytes
from rig import MIB, ferryctl, wait_until
from stores import BUCKET
from wires import HttpWire, PostgresWire, Tripwire

ALL = os.environ.get("FERRY_MATRIX") == "all"
SIZE, PART, STREAMS = 12 * MIB + 5, 5 * MIB, 2
SOURCE = "matrix"
pytestmark = pytest.mark.limit(600 if ALL else 120)


def sample(points, n):
    """Returns all points, or n points spread over them."""
    return points if ALL or len(points) <= n else [points[i * (len(points) - 1) // (n - 1)] for i in range(n)]


class Matrix:
    """A ferryd whose wires can be cut, and the checks that each of its transfers must pass."""

    def __init__(self, ferryd, db, ceph, cos, root):
        self.db, self.ceph, self.cos, self.root = db, ceph, cos, root
        self.trip = Tripwire()
        self.wires = [PostgresWire(self.trip, db.pg.directory, db.pg.port), HttpWire(self.trip, "source", ceph.port),
                      HttpWire(self.trip, "dest", ceph.port), HttpWire(self.trip, "dest", cos.port)]
        database, source, s3, tencent = self.wires
        stores = {"source": ceph.store(endpoint=f"http://127.0.0.1:{source.port}"),
                  "s3": ceph.store(endpoint=f"http://127.0.0.1:{s3.port}"),
                  "cos": cos.store(tencent.port),
                  "file": {"kind": "file", "root": root}}
        conninfo = f"host=127.0.0.1 port={database.port} dbname={db.name} user=ferry_test_daemon sslmode=disable"
        self.daemon = ferryd(stores, start=False, workers=1, worker={"streams": STREAMS}, retry_delay="10ms", lease="3s")
        self.daemon.conf["database"] = conninfo
        self.daemon.write()
        self.daemon.start()
        self.number, self.attempts, self.restarts = 0, 1, []
        self.disturb = lambda: None

    def put(self, kind, size=SIZE, **columns):
        self.number += 1
        self.key = f"{kind}-{self.number}"
        where = {"s3": f"s3://{self.ceph.TARGET}/", "cos": f"cos://{BUCKET}/", "file": "file://"}[kind]
        self.size, self.kind = size, kind
        self.disturb()
        return self.db.put(f"source://{self.ceph.SOURCE}/{SOURCE}-{size}", where + self.key, **columns)

    def kill_worker(self):
        for pid in self.daemon.workers():
            os.kill(pid, 9)

    def content(self):
        if self.kind == "s3":
            return self.ceph.get(self.ceph.TARGET, self.key)
        with open(f"{self.root}/{self.key}", "rb") as f:
            return f.read()

    def left(self):
        """Returns open uploads and temporary files at the destinations."""
        return (self.ceph.uploads(self.ceph.TARGET), self.cos.uploads(),
                [n for n in os.listdir(self.root) if n.startswith(".ferry")])

    def check(self, task, row, killed):
        wanted = content_bytes(SOURCE, self.size)
        assert row["state"] == "done", row
        if self.kind == "cos":
            found = self.cos.object(self.key)
            assert found and found["size"] == self.size and int(found["crc64"]) == int(row["crc64"]), found
        else:
            assert self.content() == wanted, "content"
        assert row["crashes"] <= killed and row["attempt"] <= self.attempts, row
        most = self.size + (killed + 1) * STREAMS * PART
        assert self.trip.bytes["source"] <= most, f"{self.trip.bytes['source']} bytes read"
        assert self.trip.bytes["dest"] <= most + 64 * 1024, f"{self.trip.bytes['dest']} bytes sent"
        if self.size > PART:
            assert len(self.trip.created["dest"]) <= 1, f"created more than once: {self.trip.created}"
        if self.db.one("SELECT count(*) FROM ferry.upload") or self.left() != ([], [], []):
            ferryctl("reap", conninfo=self.db.conninfo(), check=False)
        left = self.left()
        self.cos.reset()
        for upload in left[0]:
            self.ceph.request("DELETE", self.ceph.TARGET, self.key, query={"uploadId": upload}).read()
        assert left == ([], [], []), f"left behind: {left}"
        # rows of uploads that may still appear stay, for the reaper to look again later
        assert self.db.one("SELECT count(*) FROM ferry.upload WHERE initiated") == 0
        self.db.sql("DELETE FROM ferry.upload")

    def transfer(self, kind, size=SIZE, killed=1, **columns):
        task = self.put(kind, size, **columns)
        wait_until(lambda: self.go_on() and self.db.state(task) not in ("queued", "running"), 40,
                   lambda: f"task {task}; it is {self.db.task(task)}")
        # the row is done before the answer of that statement arrives
        with contextlib.suppress(AssertionError):
            wait_until(lambda: not self.trip.armed, 0.5)
        self.check(task, self.db.task(task), killed)

    def go_on(self):
        """Starts a killed master again, as an init system does."""
        if not self.daemon.alive():
            self.daemon.start(ready=False)
        return True

    def record(self, kind, size=SIZE, arm=None, **columns):
        """Returns the points that a transfer passes; with arm, the points after a death there."""
        self.trip.reset()
        if arm:
            self.trip.arm(arm, self.kill_worker)
        self.transfer(kind, size, **columns)
        points = self.trip.points
        if arm:  # only the points of the second worker
            points = points[points.index(("worker upload_load#1", "before")):]
        return list(dict.fromkeys(p for p in points if not p[0].startswith("master")))

    def each(self, kind, points, action, first=None, size=SIZE, killed=1, **columns):
        """Makes a transfer for each point, with the action there.  Tries all points before it reports what went wrong."""
        wrong, met = [], 0
        for point in points:
            for _ in range(3):  # the order of parts, and which are left after a death, differ from run to run
                self.ready()
                self.trip.reset()
                if first:
                    self.trip.arm(first, self.kill_worker)
                self.trip.arm(point, action)
                try:
                    self.transfer(kind, size, killed, **columns)
                except AssertionError as e:
                    wrong.append(f"{point}: {str(e).splitlines()[0][:600]}")
                    break
                if point in self.trip.fired:
                    met += 1
                    break
        assert not wrong, "\n".join([f"{len(wrong)} of {len(points)} points:", *wrong])
        assert met >= len(points) - 1 - len(points) // 5, f"only {met} of {len(points)} points were met"

    def ready(self):
        while self.restarts:
            self.restarts.pop().join()
        self.go_on()
        wait_until(lambda: len(self.daemon.workers()) == 1, 20, "a worker")


@pytest.fixture
def matrix(ferryd, db, ceph, cos, tmp_base):
    root = f"{tmp_base}/out"
    os.mkdir(root)
    os.chmod(root, 0o777)
    for size in (SIZE, 4096):
        ceph.put(ceph.SOURCE, f"{SOURCE}-{size}", content_bytes(SOURCE, size))
    made = Matrix(ferryd, db, ceph, cos, root)
    yield made
    for wire in made.wires:
        wire.stop()
    for n in range(1, made.number + 1):
        ceph.request("DELETE", ceph.TARGET, f"s3-{n}").read()


@pytest.mark.parametrize("kind", ["s3", "cos", "file"])
def test_worker_killed_at_every_point(matrix, kind):
    points = matrix.record(kind)
    names = {name.split("#")[0] for name, _ in points}
    assert {"worker upload_begin", "worker part_done", "worker upload_intend"} <= names
    if kind != "file":
        assert {"dest Initiate", "dest Part 1", "dest Part 3", "dest Complete", "dest HEAD"} <= names
    matrix.each(kind, sample(points, 7), matrix.kill_worker)


@pytest.mark.parametrize("kind", ["s3", "cos", "file"])
def test_worker_killed_again_while_it_resumes(matrix, kind):
    first = ("worker part_done#2", "handled")
    points = matrix.record(kind, arm=first, killed=1)
    matrix.each(kind, sample(points, 4), matrix.kill_worker, first=first, killed=2)


@pytest.mark.parametrize("kind", ["s3", "cos", "file"])
def test_connection_cut_at_every_point(matrix, kind):
    matrix.each(kind, sample(matrix.record(kind), 6), lambda: None)


@pytest.mark.parametrize("kind", ["s3", "cos", "file"])
@pytest.mark.parametrize("if_exists", ["fail", "skip"])
def test_own_object_is_recognised_after_a_lost_answer(matrix, kind, if_exists):
    """The store has made the object, but its answer was lost: the next attempt must recognise the task's own object."""
    points = matrix.record(kind, 4096, if_exists=if_exists)
    last = [p for p in points if p[0].startswith(("dest PUT", "worker upload_intend"))]
    matrix.each(kind, sample(last, 2), matrix.kill_worker, size=4096, if_exists=if_exists)
    matrix.each(kind, sample(last, 2), lambda: None, size=4096, if_exists=if_exists)


@pytest.mark.parametrize("if_exists", ["overwrite", "skip"])
def test_worker_killed_over_a_spoiled_object(matrix, if_exists):
    """With if_exists skip, the spoiled object must be removed first; ferryd knows of it as soon as a row records it."""
    matrix.attempts = 9
    matrix.disturb = lambda: matrix.cos.faults({"match": {"op": "put", "nth": 1}, "action": {"corrupt": True}},
                                               {"match": {"op": "delete"}, "action": {"status": 502}, "times": 1})
    points = matrix.record("cos", 4096, if_exists=if_exists)
    assert {"worker upload_spoil", "worker upload_unspoil", "dest DELETE"} <= {name.split("#")[0] for name, _ in points}
    if if_exists == "skip":
        points = points[points.index(("worker upload_spoil#1", "handled")):]
    matrix.each("cos", sample(points, 6), matrix.kill_worker, size=4096, if_exists=if_exists)


def test_master_killed_at_points(matrix):
    points = matrix.record("cos")

    def kill():
        os.kill(matrix.daemon.pid, 9)
        matrix.daemon.killed = True
    matrix.each("cos", sample(points, 3), kill, killed=2)
    matrix.ready()
    wait_until(lambda: len(matrix.daemon.leaves()) == 1, 10, "the leaves of killed masters to be removed")


@pytest.mark.parametrize("kind", ["s3", "cos"])
def test_destination_gone_at_points(matrix, kind):
    matrix.attempts = 9  # several fail while the destination is gone

    def gone():
        for wire in matrix.wires[2:]:
            wire.down(0.7)
    points = [p for p in matrix.record(kind) if p[0].startswith("dest")]
    matrix.each(kind, sample(points, 3), gone)


def test_database_gone_at_points(matrix):
    def gone():
        matrix.restarts.append(threading.Thread(target=matrix.db.pg.restart, args=("immediate",)))
        matrix.restarts[-1].start()
    points = matrix.record("s3")
    matrix.each("s3", sample(points[::6], 2), gone)  # a restart takes seconds
    wait_until(matrix.db.pg.is_running, 20)


def test_killed_before_every_call_that_changes_a_file(matrix):
    """strace kills the worker on entry of the n-th such call: earlier calls have happened, this one has not."""
    calls = [("openat2", 1), ("openat2", 2), ("pwrite64", 1), ("pwrite64", 5), ("ftruncate", 1), ("fsync", 1), ("renameat", 1),
             ("fsync", 2), ("sendto", 2), ("sendmsg", 1)]
    for call, n in sample(calls, 4):
        matrix.ready()
        matrix.trip.reset()
        (pid,) = matrix.daemon.workers()
        tracer = subprocess.Popen(["strace", "-qq", "-o", "/dev/null", "-p", str(pid), "-e", f"trace={call}", "-e",
                                   f"inject={call}:signal=KILL:when={n}"], stderr=subprocess.PIPE)
        wait_until(lambda: "TracerPid:\t0\n" not in open(f"/proc/{pid}/status").read(), 10, "strace")
        matrix.transfer("file")
        assert pid not in matrix.daemon.workers(), f"{call} {n} never came"
        tracer.terminate()
        tracer.wait()
