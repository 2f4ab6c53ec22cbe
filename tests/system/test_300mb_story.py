"""An object of any size needs constant memory; the kernel enforces a worker's cap; the log names the cause when a worker hits it."""

import re
import subprocess

import pytest

from content import crc64_content
from hogging import Hog
from rig import MIB, read_proc, wait_until
from stores import BUCKET

PEAK = 32 * MIB


def charged_peak(pid):
    """Returns the peak memory that the kernel charged to the cgroup of a process."""
    for line in read_proc(pid, "cgroup").decode().splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return int(open(f"/sys/fs/cgroup/memory{path}/memory.max_usage_in_bytes").read())
        if controllers == "" and "ferrytest" in path:
            return int(open(f"/sys/fs/cgroup{path}/memory.peak").read())
    raise AssertionError(f"process {pid} is in no memory cgroup")


def must_be_the_gib(cos, gib, key):
    stored = cos.object(key)
    assert stored["size"] == gib.size and int(stored["crc64"]) == gib.crc64 and stored["puts"] == 1
    assert sum(cos.received(key).values()) == gib.size


@pytest.mark.limit(180)
def test_1_gib_from_ceph_to_cos_under_a_cap_of_64_mib(ferryd, db, ceph, cos, gib):
    daemon = ferryd({"ceph": ceph.store(), "cos": cos.store()}, workers=1, worker={"part_size": "16M"})
    (worker,) = daemon.workers()
    row = db.done(db.put(gib.uri, f"cos://{BUCKET}/gib"), timeout=150)
    assert int(row["crc64"]) == gib.crc64 and row["verified_by"] == "crc64"
    assert row["bytes_done"] == row["bytes_total"] == gib.size
    must_be_the_gib(cos, gib, "gib")
    assert daemon.workers() == [worker], "the worker was replaced"
    assert charged_peak(worker) < PEAK
    assert 0 < row["peak_memory"] < PEAK
    assert cos.uploads() == []


@pytest.mark.limit(300)
def test_4_workers_with_1_gib_each_at_once(ferryd, db, ceph, cos, gib):
    daemon = ferryd({"ceph": ceph.store(), "cos": cos.store()}, workers=4, worker={"part_size": "16M"})
    workers = daemon.workers()
    tasks = [db.put(gib.uri, f"cos://{BUCKET}/gib-{n}") for n in range(4)]
    wait_until(lambda: len(daemon.busy()) == 4, 10, "four busy workers")
    for row in db.done(*tasks, timeout=280):
        assert int(row["crc64"]) == gib.crc64 and 0 < row["peak_memory"] < PEAK
    for n in range(4):
        must_be_the_gib(cos, gib, f"gib-{n}")
    assert daemon.workers() == workers
    assert max(charged_peak(pid) for pid in workers) < PEAK


def kernel_killed(pid):
    log = subprocess.run(["dmesg"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return log.returncode != 0 or re.search(rf"emory cgroup out of memory: Killed process {pid} ", log.stdout)


SIZE = 100 * MIB


@pytest.fixture
def middling(ceph):
    """An object of 20 parts in Ceph."""
    ceph.put_content(ceph.SOURCE, "middling", "middling", SIZE)
    yield f"ceph://{ceph.SOURCE}/middling"
    ceph.delete(ceph.SOURCE, "middling")


@pytest.mark.parametrize("backend", ["auto", "rlimit"])
def test_a_worker_that_allocates_without_end_is_named_and_its_task_resumes(ferryd, db, ceph, cos, middling, tmp_base, backend):
    hog = Hog(tmp_base, 50 * MIB)
    cos.rate(40 * MIB)
    daemon = ferryd({"ceph": ceph.store(), "cos": cos.store()}, workers=2, worker_program=hog.program, memory_backend=backend)
    task = db.put(middling, f"cos://{BUCKET}/middling")
    peak, cap = (r"6[34]\.\d MiB", r"cgroup v[12]") if backend == "auto" else (r"[\d.]+ MiB", "rlimit")
    (line,) = daemon.wait_log(r"worker \d \(pid \d+\) .*: out of memory", 30)
    said = re.search(rf"worker \d \(pid (\d+)\) killed: out of memory, peak {peak} of 64\.0 MiB cap \({cap}\), "
                     rf"task {task} {re.escape(middling)} at ([\d.]+) MiB of 100\.0 MiB; "
                     r"task requeued, resumes at part (\d+), oom 1 of 2", line)
    assert said, line
    assert hog.has_struck()
    assert backend == "rlimit" or kernel_killed(said.group(1))
    row = db.done(task)
    assert (row["ooms"], row["crashes"], row["attempt"]) == (1, 0, 0)
    assert int(row["crc64"]) == crc64_content("middling", SIZE) == int(cos.object("middling")["crc64"])
    resumed = int(said.group(3))
    assert resumed > 1 and float(said.group(2)) >= 5 * (resumed - 1)
    received = cos.received("middling")
    assert all(received[n] == 5 * MIB for n in range(1, resumed)), f"finished parts were sent again: {received}"
    assert sum(received.values()) <= SIZE + 4 * 5 * MIB


def test_a_task_that_always_kills_its_worker_fails_with_the_evidence(ferryd, db, ceph, cos, middling, tmp_base, spool):
    hog = Hog(tmp_base, 10 * MIB)
    cos.rate(40 * MIB)
    daemon = ferryd({"ceph": ceph.store(), "cos": cos.store(), "spool": spool.store()}, workers=2, worker_program=hog.program)
    task = db.put(middling, f"cos://{BUCKET}/middling")
    daemon.wait_log(r"worker \d \(pid \d+\) killed: out of memory", 30)
    hog.arm()
    row = db.wait(task)
    assert row["state"] == "failed" and row["error_class"] == "out_of_memory" and row["ooms"] == 2
    assert "out of memory" in row["error"] and "64.0 MiB" in row["error"]
    # the row is written before the line
    wait_until(lambda: len(daemon.log(r"worker \d \(pid \d+\) killed: out of memory")) == 2, 10, "the line about the second death")
    other = db.put(spool.put("small", 100000), f"cos://{BUCKET}/small")
    assert db.done(other)["crashes"] == 0
    wait_until(lambda: cos.uploads() == [], 15, "the failed task's upload to be aborted")
