"""The death of a worker: who was short of memory, who sent the signal, and what the log tells of it."""

import glob
import os
import re
import signal

from daemon import parse_line
from hogging import Hog
from rig import MIB, read_proc, running, title, wait_until
from stores import BUCKET


def memory_cgroup(daemon):
    """The cgroup above the leaves of the daemon's workers; the name of its file for the limit."""
    (worker, *_) = daemon.workers()
    for line in read_proc(worker, "cgroup").decode().splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return os.path.dirname(f"/sys/fs/cgroup/memory{path}"), "memory.limit_in_bytes"
        if controllers == "" and daemon.name in path:
            return os.path.dirname(f"/sys/fs/cgroup{path}"), "memory.max"
    raise AssertionError(f"worker {worker} is in no memory cgroup")


def limit(daemon, size):
    base, name = memory_cgroup(daemon)
    assert daemon.name in base
    with open(f"{base}/{name}", "w") as f:
        f.write(str(size))
    return base


def facts(daemon, pid):
    (line,) = daemon.wait_log(rf"worker \d \(pid {pid}\): facts about its end")
    return parse_line(line)


def test_shortage_of_a_cgroup_above_is_not_charged_to_the_task(ferryd, db, cos, spool, tmp_base):
    """The worker is far below its own cap when the kernel kills it for the limit of the cgroup above."""
    hog = Hog(tmp_base, 1 << 40, marks=("/hog", "/crash"))
    cos.rate(20 * MIB)
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=2, worker_program=hog.program, worker={"memory": "256M"})
    base = limit(daemon, 100 * MIB)
    task = db.put(spool.put("object", 60 * MIB), f"cos://{BUCKET}/hog")
    said = daemon.wait_log(r"worker \d \(pid \d+\) killed", 30)[0]
    match = re.search(
        rf"killed by the shortage of memory of a cgroup above its own, \S*{daemon.name}: peak 100\.0 MiB of 100\.0 MiB limit; "
        rf"its own peak was (\d+)\.\d MiB of 256\.0 MiB cap \(cgroup v[12]\), task {task} .*; "
        r"task requeued, (starts over|resumes at part \d+) in 5 s, not counted", said)
    assert match and int(match[1]) < 110, said
    assert parse_line(said)["cause"] == "memory_shortage" and not daemon.log("out of memory")
    row = db.task(task)
    assert (row["state"], row["crashes"], row["ooms"], row["attempt"]) == ("queued", 0, 0, 0), row
    assert row["error_class"] == "transient" and "the shortage of memory of a cgroup above" in row["error"]
    assert db.one("SELECT run_at > now() FROM ferry.task WHERE id = %s", (task,)), "there is no pause before the next attempt"
    with open(f"{base}/{memory_cgroup(daemon)[1]}", "w") as f:
        f.write(str(1 << 40))
    db.sql("UPDATE ferry.task SET state = 'cancelled', finished_at = now() WHERE id = %s AND state = 'queued'", (task,))


def test_own_cap_below_a_cgroup_that_has_a_limit(ferryd, db, cos, spool, tmp_base):
    """A limit above that was not hit changes nothing: the worker was out of its own memory."""
    hog = Hog(tmp_base, 1 << 40, marks=("/hog", "/crash"))
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1, worker_program=hog.program)
    limit(daemon, 300 * MIB)
    task = db.put(spool.put("object", 6 * MIB), f"cos://{BUCKET}/hog")
    row = db.wait(task)
    assert (row["state"], row["error_class"], row["ooms"], row["crashes"]) == ("failed", "out_of_memory", 2, 0)
    # the row ends before the line is written
    wait_until(lambda: len(daemon.log(r"killed: out of memory, peak 6[34]\.\d MiB of 64\.0 MiB cap")) == 2, 10, "two lines")


def test_kill_from_outside_is_not_called_a_lack_of_memory(ferryd, db, cos, spool):
    cos.rate(4 * MIB)
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1)
    task = db.put(spool.put("object", 30 * MIB), f"cos://{BUCKET}/object")
    pid = daemon.worker_of(task)
    os.kill(pid, signal.SIGKILL)
    daemon.wait_log(rf"\(pid {pid}\) killed by SIGKILL, by someone outside; nothing says that memory was short, task {task} ")
    told = facts(daemon, pid)
    assert (told["task"], told["signal"], told["code"], told["core"]) == (str(task), "9", "CLD_KILLED", "none")
    assert int(told["resident"]) > MIB
    cos.rate(0)
    assert db.done(task)["crashes"] == 1


def test_signal_names_its_sender(ferryd, db, cos, spool):
    cos.rate(4 * MIB)
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1)
    task = db.put(spool.put("object", 30 * MIB), f"cos://{BUCKET}/object")
    pid = daemon.worker_of(task)
    os.kill(pid, signal.SIGTERM)
    daemon.wait_log(rf"\(pid {pid}\) killed: signal 15 \(Terminated\), sent by pid {os.getpid()} of uid {os.getuid()}, task {task} ")
    assert facts(daemon, pid)["si_code"] == "SI_USER"
    cos.rate(0)
    db.done(task)


def test_fault_of_a_worker_names_the_address(ferryd, db, cos, spool, tmp_base):
    hog = Hog(tmp_base, 1 << 40, marks=("/hog", "/crash", "/wild"))
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1, worker_program=hog.program, max_crashes=1)
    task = db.put(spool.put("object", 6 * MIB), f"cos://{BUCKET}/wild")
    row = db.wait(task)
    assert (row["state"], row["error_class"]) == ("failed", "crash")
    assert re.fullmatch(r"worker killed: signal 11 \(Segmentation fault\), SEGV_MAPERR at address 0x10", row["error"]), row["error"]


def test_memory_by_kind_before_the_kill(ferryd, db, cos, origin, tmp_base):
    """A worker that comes near its cap and stays there for a while tells of what its memory was."""
    hog = Hog(tmp_base, 10 * MIB, plateau=44 * MIB)
    cos.rate(5 * MIB)
    daemon = ferryd({"cos": cos.store()}, workers=1, worker_program=hog.program, http={"allow": ["127.0.0.1"], "private": True})
    task = db.put(origin.url(f"/size/{100 * MIB}"), f"cos://{BUCKET}/object")
    pid = daemon.worker_of(task)
    wait_until(hog.has_struck, 20, "the worker to come near its cap")
    for _ in range(3):  # it reports its progress, and shows it in its title, once a second
        shown = title(pid)
        wait_until(lambda: title(pid) != shown, 10, "progress")
    hog.arm()
    line = daemon.wait_log(r"\(pid \d+\) killed: out of memory", 40)[0]
    told = facts(daemon, re.search(r"\(pid (\d+)\)", line)[1])
    assert int(told["anon"]) > 30 * MIB > int(told["file"]) >= int(told["shmem"]) >= 0
    assert int(told["resident"]) > 40 * MIB and int(told["seen_ms_before"]) >= 0
    cos.rate(0)
    db.done(task)


def test_what_a_worker_leaves_behind_is_killed(ferryd, db, cos, spool, tmp_base):
    hog = Hog(tmp_base, 1 << 40, child=True)
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1, worker_program=hog.program)
    (pid,) = daemon.workers()
    (leaf,) = glob.glob(f"{memory_cgroup(daemon)[0]}/{daemon.pid}.*")
    left = [int(other) for other in open(f"{leaf}/cgroup.procs").read().split() if int(other) != pid]
    assert len(left) == 1 and running(left[0]) and os.getsid(left[0]) == left[0]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not running(left[0]), 10, "the child to be killed")
    wait_until(lambda: not os.path.exists(leaf), 10, "the leaf to go")
    db.done(db.put(spool.put("object", 1000), f"cos://{BUCKET}/object"))
