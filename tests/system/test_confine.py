"""What a worker that was taken over can do: preload_exec loads intruder.so into it, which tries what an intruder would."""

import ctypes
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

from rig import ACCOUNT, BUILD, MIB, read_proc, wait_until
from stores import BUCKET
from test_deaths import memory_cgroup


class Intruder:
    """program is the value for worker_program.  A worker does what attempts name when it sends a request that contains their name."""

    def __init__(self, directory, **attempts):
        self.program = f"{directory}/intruded-worker"
        shutil.copy(f"{BUILD}/tests/preload_exec", self.program)
        shutil.chown(directory, ACCOUNT)
        with open(self.program + ".env", "w") as env:
            env.write(f"WORKER={BUILD}/ferry-worker\nLD_PRELOAD={BUILD}/tests/intruder.so\n"
                      f"INTRUDER_PATHS={self.program}.paths\n")
            env.write("".join(f"{name}={value}\n" for name, value in attempts.items()))


CALLS = {"execve": 59, "fork": 57, "ptrace": 101, "kill": 62, "mount": 165, "unshare": 272, "setuid": 105, "process_vm_readv": 310}


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers of the system calls are those of x86_64")
@pytest.mark.parametrize("call", CALLS)
def test_call_of_an_intruder_ends_the_worker(ferryd, db, cos, spool, tmp_base, call):
    intruder = Intruder(tmp_base, INTRUDER_CALL=CALLS[call], INTRUDER_MARK="/intrude")
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1, worker_program=intruder.program, max_crashes=1)
    row = db.wait(db.put(spool.put("object", 1000), f"cos://{BUCKET}/intrude"))
    assert (row["state"], row["error_class"]) == ("failed", "crash")
    assert row["error"] == f"worker killed: signal 31 (Bad system call), its filter forbids system call {CALLS[call]}"
    assert db.done(db.put(spool.put("object", 1000), f"cos://{BUCKET}/fine"))["crashes"] == 0
    daemon.wait_log("workers are confined by seccomp")


def test_call_that_nobody_knows_fails_as_on_an_older_kernel(ferryd, db, cos, spool, tmp_base):
    intruder = Intruder(tmp_base, INTRUDER_CALL=452 + 9000, INTRUDER_MARK="/intrude")
    ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1, worker_program=intruder.program)
    assert db.done(db.put(spool.put("object", 1000), f"cos://{BUCKET}/intrude"))["crashes"] == 0


def has_landlock():
    """landlock_create_ruleset() with LANDLOCK_CREATE_RULESET_VERSION; the call has one number everywhere."""
    return ctypes.CDLL(None).syscall(444, None, 0, 1) >= 1


def test_worker_cannot_lift_its_own_cap(ferryd, db, cos, spool, tmp_base):
    """The files of its cgroup belong to its account, and yet it may not write to them, nor anywhere outside of a file store."""
    if not has_landlock():
        pytest.skip("this kernel has no Landlock")
    intruder = Intruder(tmp_base, INTRUDER_MARK="/intrude", INTRUDER_WRITE="1")
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1, worker_program=intruder.program)
    daemon.wait_log("confined by seccomp and Landlock")
    base, name = memory_cgroup(daemon)
    (leaf,) = [f"{base}/{leaf}" for leaf in os.listdir(base) if leaf.startswith(f"{daemon.pid}.")]
    assert os.stat(f"{leaf}/{name}").st_uid != 0, "the file belongs to root, so this test shows nothing"
    before = open(f"{leaf}/{name}").read()
    open(f"{tmp_base}/outside", "w").close()
    shutil.chown(f"{tmp_base}/outside", ACCOUNT)
    with open(intruder.program + ".paths", "w") as f:
        f.write(f"{leaf}/{name}\n{tmp_base}/outside\n{spool.root}/inside\n")
    db.done(db.put(spool.put("object", 1000), f"cos://{BUCKET}/intrude"))
    assert open(f"{leaf}/{name}").read() == before and os.path.getsize(f"{tmp_base}/outside") == 0
    assert open(f"{spool.root}/inside").read() == "1", "it could not write to its file store either"


def mount(directory, *options):
    subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", directory], check=True)


def test_file_store_that_is_mounted_late_is_served_by_new_workers(ferryd, db, cos, spool, tmp_base):
    """A worker is held to the roots that it found when it started."""
    place = f"{tmp_base}/late"
    os.mkdir(place)
    daemon = ferryd({"cos": cos.store(), "spool": spool.store(), "late": {"kind": "file", "root": place}}, workers=1)
    (first,) = daemon.workers()
    source = spool.put("object", MIB)
    wait_until(lambda: time.time() - os.stat(f"/proc/{first}").st_ctime > 12, 20, "the worker to be no longer a new one", step=0.5)
    mount(place, "-o", f"uid={os.stat(daemon.directory).st_uid},mode=755,size=8m")
    try:
        row = db.done(db.put(source, "late://object"), timeout=30)
        assert (row["attempt"], row["crashes"]) == (0, 0)
        assert os.path.getsize(f"{place}/object") == MIB
        daemon.wait_log("was mounted after this worker started; a new worker takes the task")
        assert first not in daemon.workers()
    finally:
        daemon.stop()
        subprocess.run(["umount", place], check=True)


def owner_of(pid):
    """Root's, if the process may not be traced by its own account: proc(5)."""
    return os.stat(f"/proc/{pid}/environ").st_uid


def test_worker_cannot_be_traced_from_its_first_instruction_on(ferryd, db, tmp_base):
    """In place of ferry-worker a program that never forbids it: only its mode, as installed, does."""
    program = f"{tmp_base}/endless"
    shutil.copy("/usr/bin/yes", program)
    os.chmod(program, 0o711)
    daemon = ferryd({}, workers=1, worker_program=program, start=False)
    daemon.start(ready=False)

    def started():
        with open(f"/proc/{daemon.pid}/task/{daemon.pid}/children") as f:
            return [int(pid) for pid in f.read().split() if read_proc(pid, "comm") == b"endless\n"]
    (pid,) = wait_until(started, 20, "the program")
    assert owner_of(pid) == 0
    status = read_proc(pid, "status").decode()
    assert re.search(r"^Uid:\t(\d+)", status, re.M)[1] != "0", "it runs as root, so this test shows nothing"
    os.kill(daemon.pid, signal.SIGTERM)


def test_master_and_workers_cannot_be_traced(ferryd, db, spool):
    """Also where a change of the account would allow it (fs.suid_dumpable)."""
    with open("/proc/sys/fs/suid_dumpable") as f:
        before = f.read()
    try:
        with open("/proc/sys/fs/suid_dumpable", "w") as f:
            f.write("1")
        daemon = ferryd({"spool": spool.store()}, workers=1)
    finally:
        with open("/proc/sys/fs/suid_dumpable", "w") as f:
            f.write(before)
    # a worker forbids it a moment after its start; an installed one, which its account may not read, cannot be traced before either
    wait_until(lambda: [owner_of(pid) for pid in (daemon.pid, *daemon.workers())] == [0, 0], 5, "the processes to be root's")
