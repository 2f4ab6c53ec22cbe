"""ferryd as a process: options, exit codes, daemonizing, a second instance, titles, the form of the log, respawning, notification."""

import os
import pwd
import re
import shutil
import signal
import socket
import subprocess

from daemon import parse_line
from hogging import Hog
from rig import ACCOUNT, BUILD, MIB, children, read_proc, running, title, wait_until
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


def test_titles_say_what_each_process_does(ferryd, db, cos, spool):
    cos.rate(4 * MIB)
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=2)
    wait_until(lambda: title(daemon.pid) == "ferryd: master, 2 workers, 0 busy", 3, f"the title: {title(daemon.pid)}")
    task = db.put(spool.put("object", 20 * MIB), f"cos://{BUCKET}/object")
    pid = daemon.worker_of(task)
    wait_until(lambda: title(daemon.pid) == "ferryd: master, 2 workers, 1 busy", 3, "the title with one busy worker")
    wait_until(lambda: re.fullmatch(rf"ferry-worker [12]: task {task} \d+% [\d.]+ MiB/s", title(pid)), 5,
               f"progress in the title: {title(pid)}")


def test_views_show_progress(ferryd, db, cos, spool):
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
    daemon.wait_log("killed by SIGKILL, by someone outside")
    events = [parse_line(line) for line in daemon.log_text().splitlines()]
    assert all("msg" in event for event in events)
    done = [e for e in events if e.get("task") == str(tasks[0]) and "done" in e["msg"]]
    assert len(done) == 1 and done[0]["program"] == "ferryd" and done[0]["worker"] in "12"
    assert {e["program"] for e in events} == {"ferryd", "ferry-worker"}
    assert {int(e["pid"]) for e in events if e["program"] == "ferryd"} == {daemon.pid}


def test_worker_that_cannot_start_is_retried_ever_more_slowly(ferryd, db, tmp_base):
    hog = Hog(tmp_base, 1)
    with open(hog.program + ".env", "w") as env:
        env.write("WORKER=/bin/false\n")
    daemon = ferryd({}, workers=1, worker_program=hog.program, start=False, log_level="debug")  # logs repeated bad starts
    daemon.start(ready=False)
    said = daemon.wait_log(r"worker 1 \(pid \d+\) exited: code 1", 20, count=5)
    times = [parse_line(line)["time"][17:23] for line in said]
    gaps = [(float(b) - float(a)) % 60 for a, b in zip(times, times[1:])]
    assert gaps[-1] > 1.5 * gaps[0] and sum(gaps) > 1, gaps
    with open(hog.program + ".env", "w") as env:
        env.write(f"WORKER={os.path.dirname(daemon.program)}/ferry-worker\n")
    daemon.ready(timeout=15)


def test_program_on_disk_may_change_under_a_running_ferryd(ferryd, db, cos, spool, tmp_base):
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
    wait_until(lambda: not running(first), 5, "the first worker to exit")
    assert daemon.log("(?i)killed|exited: code [1-9]") == []


def test_service_manager_is_notified(ferryd, db, tmp_base):
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


def test_privileges_are_dropped(ferryd, db):
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


def test_home_is_that_of_the_account(ferryd):
    """libpq looks there for certificates and passwords.  The one of the starter cannot be read by the account."""
    daemon = ferryd({}, workers=1, start=False, worker_program=f"{BUILD}/tests/instant")  # it keeps its environment for /proc to show
    daemon.environment = {"HOME": "/root"}
    daemon.start(ready=False)
    home = f"HOME={pwd.getpwnam(ACCOUNT).pw_dir}".encode()
    wait_until(lambda: any(home in read_proc(pid, "environ").split(b"\0") for pid in children(daemon.pid)), 10, "a worker with that HOME")


def file_of_root(tmp_base):
    victim = f"{tmp_base}/victim"
    with open(victim, "w") as f:
        f.write("of root's")
    os.chmod(victim, 0o600)
    return victim


def test_root_opens_no_log_through_a_link_of_the_account(ferryd, db, tmp_base):
    daemon = ferryd({}, start=False, daemonize=True)
    victim = file_of_root(tmp_base)
    for link in os.symlink, os.link:
        link(victim, daemon.log_file)
        code, out, err = daemon.run()
        assert code == 73 and daemon.log_file in err and "Permission denied for user" in err, err
        assert open(victim).read() == "of root's" and os.stat(victim).st_uid == 0
        os.unlink(daemon.log_file)


def test_root_opens_no_pid_file_through_a_link_of_the_account(ferryd, db, tmp_base):
    daemon = ferryd({}, start=False)
    victim = file_of_root(tmp_base)
    for link in os.symlink, os.link:
        link(victim, daemon.pid_file)
        code, out, err = daemon.run("-d")
        assert code == 73 and daemon.pid_file in err, err
        assert open(victim).read() == "of root's" and os.stat(victim).st_uid == 0
        os.unlink(daemon.pid_file)


def test_a_pid_file_in_a_directory_of_roots_names_no_process_after_the_end(ferryd, db, tmp_base):
    os.mkdir(f"{tmp_base}/run")
    daemon = ferryd({}, pidfile=f"{tmp_base}/run/ferryd.pid")
    assert int(open(f"{tmp_base}/run/ferryd.pid").read()) == daemon.pid
    daemon.stop()
    assert not os.path.exists(f"{tmp_base}/run/ferryd.pid") or open(f"{tmp_base}/run/ferryd.pid").read() == ""


def test_the_journal_gets_priorities_and_no_time(ferryd, db, cos, spool):
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1, start=False)
    with open(daemon.log_file, "a") as log:
        st = os.fstat(log.fileno())
    daemon.environment["JOURNAL_STREAM"] = f"{st.st_dev}:{st.st_ino}"
    daemon.start(ready=False)
    task = db.put(spool.put("object", 1000), f"cos://{BUCKET}/object")
    db.done(task)
    wait_until(lambda: f'msg="task {task} done"' in daemon.log_text(), 5, "a line of the worker's task")
    daemon.stop()
    lines = daemon.log_text().splitlines()
    assert lines and all(re.match(r"<[0-7]>(info|warn|error) ferry(d|-worker/1)\[\d+\] msg=", line) for line in lines), lines
    assert any(line.startswith("<6>info ferry-worker/1") for line in lines), lines


def test_process_1_of_a_container_reaps_orphans_and_needs_no_pid_file(ferryd, db, cos, spool):
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1, start=False)
    daemon.prefix = ["unshare", "--pid", "--fork", "--mount-proc"]
    outside = daemon.start(ready=False).process
    daemon.process, daemon.pid = None, wait_until(lambda: next(iter(children(outside.pid)), None), 10, "ferryd in its own namespace")
    daemon.ready()
    inside = ["nsenter", "-t", str(daemon.pid), "-p", "sh", "-c", "sleep 0.2 & exit"]
    for _ in range(3):
        subprocess.run(inside, check=True)
    db.done(db.put(spool.put("object", 1000), f"cos://{BUCKET}/object"))
    for pid in daemon.workers():
        os.kill(pid, signal.SIGKILL)  # its end is still the master's own to judge
    daemon.wait_log("worker 1 .* killed by SIGKILL, by someone outside")
    daemon.ready()
    def states():
        return subprocess.run(["ps", "-o", "stat=", "--ppid", str(daemon.pid)], stdout=subprocess.PIPE, text=True).stdout.split()
    wait_until(lambda: states() and not any(state.startswith("Z") for state in states()), 10, lambda: f"orphans to be reaped: {states()}")
    assert not os.path.exists(daemon.pid_file)
    daemon.stop()
    assert outside.wait(10) == 0
