"""ferryd as a process: options, exit codes, daemonizing, a second instance, titles, the log's form, respawning, notification."""

import os
import pwd
import re
import shutil
import signal
import socket
import time

from daemon import parse_line
from hogging import Hog
from rig import ACCOUNT, BUILD, MIB, running, title, wait_until
from stores import BUCKET


def test_options(ferryd, db):
    daemon = ferryd({}, start=False)
    code, out, err = daemon.run("-t")
    assert code == 0 and daemon.file in out + err
    assert daemon.run("-V")[0] == 0
    assert daemon.run("-x")[0] == 64
    with open(daemon.file, "a") as f:
        f.write("nonsense = 1\n")
    code, out, err = daemon.run("-t")
    assert code == 78 and f"{daemon.file}:" in out + err and "nonsense" in out + err
    assert daemon.run("-d")[0] == 78


def test_effective_configuration_masks_secrets_and_reads_back(ferryd, db, cos, ceph):
    daemon = ferryd({"cos": cos.store(), "ceph": ceph.store()}, start=False)
    code, out, err = daemon.run("-T")
    assert code == 0 and "workers" in out and "memory_backend" in out
    assert "MustNeverShow" not in out + err
    with open(daemon.file, "w") as f:
        f.write(out)
    assert daemon.run("-T") == (0, out, err)


def test_daemonizes_once_it_works_and_refuses_a_second_instance(ferryd, db, cos, spool):
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1, daemonize=True)
    assert os.getsid(daemon.pid) != os.getsid(0) and daemon.alive()
    code, out, err = daemon.run()
    assert code == 75 and str(daemon.pid) in err + out
    db.done(db.put(spool.put("object", 1000), f"cos://{BUCKET}/object"))
    daemon.stop()
    assert not os.path.exists(daemon.pid_file) or open(daemon.pid_file).read().strip() in ("", str(daemon.pid))


def test_unknown_account(ferryd, db):
    daemon = ferryd({}, start=False, user="no-such-account")
    assert daemon.run("-d")[0] == 67


def test_titles_say_who_does_what(ferryd, db, cos, spool):
    cos.rate(4 * MIB)
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=2)
    wait_until(lambda: title(daemon.pid) == "ferryd: master, 2 workers, 0 busy", 3, f"the title: {title(daemon.pid)}")
    task = db.put(spool.put("object", 20 * MIB), f"cos://{BUCKET}/object")
    pid = daemon.worker_of(task)
    wait_until(lambda: title(daemon.pid) == "ferryd: master, 2 workers, 1 busy", 3, "the title with one busy worker")
    wait_until(lambda: re.fullmatch(rf"ferry-worker [12]: task {task} \d+% [\d.]+ MiB/s", title(pid)), 5,
               f"progress in the title: {title(pid)}")


def test_progress_is_seen_in_the_views(ferryd, db, cos, spool):
    cos.rate(6 * MIB)
    ferryd({"cos": cos.store(), "spool": spool.store()}, workers=2, lease="2s")
    task = db.put(spool.put("object", 30 * MIB), f"cos://{BUCKET}/object")
    wait_until(lambda: db.sql("SELECT 1 FROM ferry.progress WHERE id = %s AND percent > 30 AND worker IS NOT NULL", (task,)), 15,
               "progress over 30 %")
    wait_until(lambda: db.sql("SELECT 1 FROM ferry.workers WHERE task = %s AND state = 'busy' AND NOT lapsed", (task,)), 5,
               "the worker in the view")
    cos.rate(0)
    db.done(task)
    assert db.sql("SELECT 1 FROM ferry.progress WHERE id = %s", (task,)) == []


def test_every_log_line_has_the_same_form(ferryd, db, cos, spool):
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=2, daemonize=True, log_level="debug")
    key = 'evil "key" \\ with \x85 and = signs\u2028'
    tasks = [db.put(spool.put("object", 6 * MIB), f"cos://{BUCKET}/{key}"), db.put("spool://absent", f"cos://{BUCKET}/x")]
    for task in tasks:
        db.wait(task)
    os.kill(daemon.workers()[0], signal.SIGKILL)
    daemon.wait_log("killed: signal 9")
    events = [parse_line(line) for line in daemon.log_text().splitlines()]
    assert all("msg" in event for event in events)
    done = [e for e in events if e.get("task") == str(tasks[0]) and "done" in e["msg"]]
    assert len(done) == 1 and done[0]["program"] == "ferryd" and done[0]["worker"] in "12"
    assert {e["program"] for e in events} == {"ferryd", "ferry-worker"}
    assert {int(e["pid"]) for e in events if e["program"] == "ferryd"} == {daemon.pid}


def test_worker_that_cannot_start_is_tried_again_ever_more_slowly(ferryd, db, tmp_base):
    hog = Hog(tmp_base, 1)
    with open(hog.program + ".env", "w") as env:
        env.write("WORKER=/bin/false\n")
    daemon = ferryd({}, workers=1, worker_program=hog.program, start=False, log_level="debug")  # repeated ones are
    daemon.start(ready=False)
    time.sleep(4)
    said = daemon.log(r"worker 1 \(pid \d+\) exited: code 1")
    assert 3 <= len(said) <= 7, f"{len(said)} starts in 4 s"
    times = [parse_line(line)["time"][17:23] for line in said]
    gaps = [(float(b) - float(a)) % 60 for a, b in zip(times, times[1:])]
    assert gaps[-1] > gaps[0], gaps
    with open(hog.program + ".env", "w") as env:
        env.write(f"WORKER={os.path.dirname(daemon.program)}/ferry-worker\n")
    daemon.ready(timeout=15)


def test_image_on_disk_may_change_under_a_running_ferryd(ferryd, db, cos, spool, tmp_base):
    build = f"{tmp_base}/build"
    os.mkdir(build)
    for name in ("ferryd", "ferry-worker"):
        shutil.copy(f"{BUILD}/{name}", build)
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1, program=f"{build}/ferryd")
    (pid,) = daemon.workers()
    os.unlink(f"{build}/ferry-worker")
    with open(f"{build}/ferry-worker", "w") as f:
        f.write("not a program\n")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: daemon.workers() not in ([], [pid]), 5, "another worker")
    db.done(db.put(spool.put("object", 1000), f"cos://{BUCKET}/object"))


def test_worker_is_recycled_after_max_tasks(ferryd, db, cos, spool):
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1, worker={"max_tasks": 3})
    (first,) = daemon.workers()
    source = spool.put("object", 1000)
    db.done(*[db.put(source, f"cos://{BUCKET}/{n}") for n in range(7)])
    wait_until(lambda: not running(first), 5, "the first worker to be gone")
    assert daemon.log("(?i)killed|exited: code [1-9]") == []


def test_notifies_a_service_manager(ferryd, db, tmp_base):
    path = f"{tmp_base}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        os.chmod(path, 0o777)
        manager.settimeout(10)
        daemon = ferryd({}, workers=1, start=False)
        daemon.environment["NOTIFY_SOCKET"] = path
        daemon.start()
        heard = ""

        def until(word):
            nonlocal heard
            while word not in heard:
                heard += manager.recv(4096).decode() + "\n"
            heard = ""
        until("READY=1")
        daemon.send(signal.SIGHUP)
        until("RELOADING=1")
        until("READY=1")
        daemon.send(signal.SIGTERM)
        until("STOPPING=1")
        assert daemon.wait() == 0


def test_privileges_are_gone(ferryd, db):
    daemon = ferryd({}, workers=2)
    for pid in [daemon.pid, *daemon.workers()]:
        status = dict(line.split(":\t", 1) for line in open(f"/proc/{pid}/status").read().splitlines() if ":\t" in line)
        uid = str(pwd.getpwnam(ACCOUNT).pw_uid)
        assert set(status["Uid"].split()) == {uid}, title(pid)
        assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
        if pid != daemon.pid:
            assert status["NoNewPrivs"] == "1"
            fds = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
            assert not [name for name in fds if name.endswith(".pid") or "cgroup" in name or name.endswith(".conf")], fds
            limits = open(f"/proc/{pid}/limits").read()
            assert re.search(r"Max core file size\s+0\s", limits)
