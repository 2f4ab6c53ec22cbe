"""The signals of operators: HUP, USR1, TTIN, TTOU, QUIT, TERM once and twice."""

import contextlib
import os
import re
import signal
import time

import pytest

from daemon import parse_line
from rig import MIB, claimed_once, holds, patience, read_proc, running, wait_until
from stores import BUCKET

SIZE = 40 * MIB


@pytest.fixture
def busy(ferryd, db, cos, spool):
    """(daemon, task, pid of its worker): a ferryd with two workers and a transfer that lasts until cos.rate(0)."""
    cos.rate(6 * MIB)
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=2)
    task = db.put(spool.put("object", SIZE), f"cos://{BUCKET}/object")
    pid = daemon.worker_of(task)
    wait_until(lambda: db.parts(task) >= 1, 20, "a part")
    return daemon, task, pid


def must_be_untouched(db, cos, daemon, task, pid):
    assert daemon.busy().get(task) == pid, "the transfer is no longer with its worker"
    cos.rate(0)
    row = db.done(task)
    assert claimed_once(row) and (row["attempt"], row["crashes"]) == (0, 0)
    assert sum(cos.received("object").values()) == SIZE


def reload(daemon, **conf):
    daemon.conf.update(conf)
    daemon.write()
    before = len(daemon.log("(?i)configuration|reload"))
    daemon.send(signal.SIGHUP)
    wait_until(lambda: len(daemon.log("(?i)configuration|reload")) > before, 5, "a line about the reload")


def test_hup_with_more_workers(busy, db, cos):
    daemon, task, pid = busy
    reload(daemon, workers=5)
    wait_until(lambda: len(daemon.workers()) == 5, 5, "five workers")
    must_be_untouched(db, cos, daemon, task, pid)


def test_hup_with_fewer_workers(busy, db, cos):
    daemon, task, pid = busy
    reload(daemon, workers=1)
    wait_until(lambda: daemon.workers() == [pid], 5, "the idle worker to retire")
    must_be_untouched(db, cos, daemon, task, pid)
    holds(lambda: len(daemon.workers()) == 1, 0.5)


def memory_limit(pid):
    path = next((line.split(":", 2)[2] for line in read_proc(pid, "cgroup").decode().splitlines()
                 if "memory" in line.split(":")[1].split(",")), None)
    return path and int(open(f"/sys/fs/cgroup/memory{path}/memory.limit_in_bytes").read())


def test_hup_with_another_cap(busy, db, cos, spool):
    daemon, task, pid = busy
    (idle,) = set(daemon.workers()) - {pid}
    daemon.worker["memory"] = "96M"
    reload(daemon)
    wait_until(lambda: not running(idle), 5, "the idle worker to be replaced")
    wait_until(lambda: len(daemon.workers()) == 2, 5, "two workers")
    (fresh,) = set(daemon.workers()) - {pid}
    assert memory_limit(pid) in (64 * MIB, None) and memory_limit(fresh) in (96 * MIB, None)
    must_be_untouched(db, cos, daemon, task, pid)
    wait_until(lambda: not running(pid), 5, "the busy worker to retire after its task")
    wait_until(lambda: len(daemon.workers()) == 2, 5, "two workers")


def test_hup_with_a_new_store(busy, db, cos, spool, tmp_base):
    daemon, task, pid = busy
    os.mkdir(f"{tmp_base}/new")
    os.chmod(f"{tmp_base}/new", 0o777)
    daemon.stores["new"] = {"kind": "file", "root": f"{tmp_base}/new"}
    reload(daemon)
    other = db.put(spool.put("small", 1000), "new://copy")
    row = db.wait(other)
    assert row["state"] == "done", row["error"]
    assert os.path.getsize(f"{tmp_base}/new/copy") == 1000
    must_be_untouched(db, cos, daemon, task, pid)


def test_hup_with_a_broken_file_names_the_error_and_changes_nothing(busy, db, cos):
    daemon, task, pid = busy
    workers = daemon.workers()
    with open(daemon.file, "a") as f:
        f.write("wrokers = 9\n")
    number = len(open(daemon.file).read().splitlines())
    daemon.send(signal.SIGHUP)
    lines = daemon.wait_log("wrokers")
    assert len(lines) == 1 and f"{daemon.file}:{number}:" in lines[0], lines
    assert parse_line(lines[0])["level"] in ("error", "err", "warning", "warn")
    holds(lambda: daemon.workers() == workers, 0.5, "the same workers")
    must_be_untouched(db, cos, daemon, task, pid)


def test_hup_with_a_file_that_is_gone(busy, db, cos):
    daemon, task, pid = busy
    os.unlink(daemon.file)
    daemon.send(signal.SIGHUP)
    daemon.wait_log(rf"{re.escape(daemon.file)}.*")
    must_be_untouched(db, cos, daemon, task, pid)
    assert daemon.alive()


@pytest.mark.parametrize("rounds", [5])
def test_usr1_after_a_rename_loses_no_line(ferryd, db, cos, spool, rounds):
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=4, daemonize=True)
    source, tasks, files = spool.put("object", 1000), [], [daemon.log_file]
    for n in range(rounds):
        tasks += [db.put(source, f"cos://{BUCKET}/{n}-{i}") for i in range(10)]
        os.rename(daemon.log_file, f"{daemon.log_file}.{n}")
        files.append(f"{daemon.log_file}.{n}")
        daemon.send(signal.SIGUSR1)
        wait_until(lambda: os.path.exists(daemon.log_file), 5, "a new log")
        tasks += [db.put(source, f"cos://{BUCKET}/{n}-{i}") for i in range(10, 20)]
        time.sleep(0.2)
    db.done(*tasks)
    last = db.put(source, f"cos://{BUCKET}/last")
    db.done(last)
    wait_until(lambda: daemon.log(rf"\btask={last}\b"), 5, "the last task in the new log")
    events = [parse_line(line) for name in files for line in open(name).read().splitlines()]
    for task in [*tasks, last]:
        ends = [e for e in events if e.get("task") == str(task) and re.search(r"\bdone\b", e["msg"])]
        assert len(ends) == 1, f"task {task}: {ends}"
    assert len(open(daemon.log_file).read()) > 0
    held = [os.readlink(f"/proc/{pid}/fd/{fd}") for pid in daemon.workers() for fd in os.listdir(f"/proc/{pid}/fd")]
    assert not [name for name in held if re.search(r"\.log\.\d", name)], "a worker still writes to a renamed log"


def test_ttin_and_ttou(busy, db, cos):
    daemon, task, pid = busy
    daemon.send(signal.SIGTTIN)
    wait_until(lambda: len(daemon.workers()) == 3, 5, "one worker more")
    daemon.send(signal.SIGTTOU)
    wait_until(lambda: len(daemon.workers()) == 2, 5, "one worker less")
    daemon.send(signal.SIGTTOU)
    wait_until(lambda: daemon.workers() == [pid], 5, "only the busy worker to be left")
    must_be_untouched(db, cos, daemon, task, pid)


def test_quit_drains(busy, db, cos, spool):
    daemon, task, pid = busy
    daemon.send(signal.SIGQUIT)
    wait_until(lambda: daemon.workers() == [pid], 5, "the idle worker to exit")
    late = db.put(spool.put("late", 1000), f"cos://{BUCKET}/late")
    cos.rate(0)
    assert daemon.wait(30) == 0
    row = db.task(task)
    assert row["state"] == "done" and claimed_once(row)
    assert db.state(late) == "queued"


def test_second_term_is_immediate(busy, db, cos):
    daemon, task, pid = busy
    os.kill(pid, signal.SIGSTOP)
    try:
        daemon.send(signal.SIGTERM)
        holds(daemon.alive, 1, "the master waits for its worker")
        again = time.monotonic()
        daemon.send(signal.SIGTERM)
        daemon.wait(5)
        assert time.monotonic() - again < 3 * patience()
        wait_until(lambda: not running(pid), 2, "the worker to be gone")
    finally:
        if running(pid):
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: db.state(task) == "queued", 2, "the task to be claimable")
    assert db.task(task)["crashes"] == 0


def test_worker_that_does_not_hand_back_is_killed_after_grace(ferryd, db, cos, spool):
    cos.rate(6 * MIB)
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1, grace="2s")
    task = db.put(spool.put("object", SIZE), f"cos://{BUCKET}/object")
    pid = daemon.worker_of(task)
    os.kill(pid, signal.SIGSTOP)
    started = time.monotonic()
    assert daemon.stop() == 0
    assert 1.5 < time.monotonic() - started < 6 * patience()
    assert not running(pid)
    row = db.task(task)
    assert row["state"] == "queued" and row["crashes"] == 0


def test_last_statement_may_take_as_long_as_the_grace(ferryd, db, cos, spool):
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1)
    with contextlib.closing(db.connect()) as other:
        other.autocommit = False
        other.cursor().execute("LOCK TABLE ferry.node IN ACCESS EXCLUSIVE MODE")
        daemon.send(signal.SIGTERM)
        wait_until(lambda: daemon.workers() == [], 5, "the workers to exit")
        holds(daemon.alive, 2, "the master waits for its last statement")
    assert daemon.wait(5) == 0
    assert db.sql("SELECT * FROM ferry.node") == [] and not daemon.log("with its lease")


def test_last_statement_that_takes_longer_is_logged(ferryd, db, cos, spool):
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1, grace="2s")
    with contextlib.closing(db.connect()) as other:
        other.autocommit = False
        other.cursor().execute("LOCK TABLE ferry.node IN ACCESS EXCLUSIVE MODE")
        daemon.send(signal.SIGTERM)
        assert daemon.wait(8) == 0
    assert len(daemon.log("the database has not answered in time: the tasks of this node return to the queue when its lease lapses")) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_term_and_int_hand_back(busy, db, cos, number):
    daemon, task, pid = busy
    started = time.monotonic()
    assert daemon.stop(number) == 0
    assert time.monotonic() - started < 4 * patience()
    row = db.task(task)
    assert row["state"] == "queued" and (row["attempt"], row["crashes"]) == (0, 0)
    assert not running(pid)
