"""Stores of kind file: modes, names that are kept for temporary files, what other programs do to them, and whose trouble a failure is."""

import os
import re
import shutil
import signal
import stat
import subprocess

import pytest

from content import crc64_content, crc64_file, write_content
from rig import MIB, claimed_once, title, wait_until
from stores import BUCKET

HTTP = {"allow": ["127.0.0.1"], "private": True}
SIZE = 12 * MIB + 5  # three parts
SLOW = "rate=6000000"  # bytes a second of a part


@pytest.fixture
def out(tmp_base):
    """The root of the destination, which belongs to root and is open to all."""
    root = f"{tmp_base}/out"
    os.mkdir(root)
    os.chmod(root, 0o777)
    return root


@pytest.fixture
def files(ferryd, spool, out):
    return lambda workers=1, **keys: ferryd({"spool": spool.store(), "out": {"kind": "file", "root": out, **keys}}, workers=workers, http=HTTP,
                                            worker={"streams": 1})


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def temporary(out):
    """The path of the temporary file below out, or None."""
    found = [f"{out}/{name}" for name in os.listdir(out) if name.startswith(".ferry-")]
    return found[0] if found else None


# Modes

@pytest.mark.parametrize("size", [0, 1000, SIZE])
def test_default_modes(files, db, spool, out, size):
    files()
    db.done(db.put(spool.put("source", size), "out://a/b/new"))
    assert (mode(f"{out}/a"), mode(f"{out}/a/b"), mode(f"{out}/a/b/new")) == (0o755, 0o755, 0o644)


def test_configured_modes(files, db, spool, out):
    files(file_mode="0660", directory_mode="0770")
    os.mkdir(f"{out}/there")
    os.chmod(f"{out}/there", 0o2777)  # what is made in it gets its group and this bit
    shutil.chown(f"{out}/there", None, "mail")
    db.done(*[db.put(spool.put("source", 1000), f"out://{name}") for name in ("a/new", "there/b/new")])
    assert (mode(f"{out}/a"), mode(f"{out}/a/new")) == (0o770, 0o660)
    assert (mode(f"{out}/there"), mode(f"{out}/there/b"), mode(f"{out}/there/b/new")) == (0o2777, 0o2770, 0o660)
    assert os.stat(f"{out}/there/b/new").st_gid == os.stat(f"{out}/there").st_gid


@pytest.mark.parametrize("size", [1000, SIZE])
def test_a_file_that_is_replaced_keeps_its_mode(files, db, spool, out, size):
    """The file belongs to root.  The daemon's account may replace it, as it may write to the directory, but cannot give the new one away."""
    files()
    for wanted in (0o600, 0o644, 0o664, 0o444, 0o755):
        write_content(f"{out}/there", "old", 10)
        os.chmod(f"{out}/there", wanted)
        row = db.done(db.put(spool.put("source", size), "out://there"))
        assert mode(f"{out}/there") == wanted and crc64_file(f"{out}/there") == int(row["crc64"])
        os.remove(f"{out}/there")


# Names that are kept

@pytest.mark.parametrize("name", [".ferry-1-1.tmp", "a/.ferry-x", ".ferry-a/b", ".FERRY-1-1.tmp"])
def test_kept_names_are_refused(files, db, spool, out, name):
    files()
    os.makedirs(os.path.dirname(f"{spool.root}/{name}"), exist_ok=True)
    spool.put(name, 1000)
    for source, destination, side in ((f"spool://{name}", "out://new", "source"), (spool.put("good", 1000), f"out://{name}", "destination")):
        row = db.wait(db.put(source, destination))
        assert (row["state"], row["error_class"], row["attempt"]) == ("failed", "permanent", 1), row
        assert row["error"].startswith(f"{side}: the path has a name that begins with .ferry-; such names are kept"), row["error"]
    assert os.listdir(out) == []


def test_no_task_takes_the_temporary_file_of_another(files, db, out, origin):
    """One row makes another row's temporary file its own object: the file would be renamed while it is written."""
    files(workers=2)
    victim = db.put(origin.url(f"/slow/{SIZE}?{SLOW}"), "out://victim")
    path = wait_until(lambda: temporary(out), 20, "a temporary file")
    row = db.wait(db.put(origin.url("/size/1000"), f"out://{os.path.basename(path)}"))
    assert row["state"] == "failed" and os.path.exists(path)
    row = db.done(victim)
    assert row["attempt"] == 0 and crc64_file(f"{out}/victim") == crc64_content("origin", SIZE)


# Other programs

def started(db, out, origin, **columns):
    """A task whose first part is on the disk, and its temporary file."""
    task = db.put(origin.url(f"/slow/{SIZE}?{SLOW}"), "out://new", **columns)
    wait_until(lambda: db.parts(task) > 0, 20, "a part")
    return task, temporary(out)


@pytest.mark.parametrize("verify", ["auto", "none"])
def test_another_file_with_the_temporary_name(files, db, out, origin, verify):
    """What stands under the temporary name at the end is not what was written: it must not become the object, and stays."""
    daemon = files(verify=verify)
    task, path = started(db, out, origin)
    write_content(f"{out}/foreign", "foreign", SIZE)
    os.rename(f"{out}/foreign", path)
    row = db.done(task)
    assert row["attempt"] == 1 and crc64_file(f"{out}/new") == crc64_content("origin", SIZE)
    daemon.wait_log(r"destination: .ferry-\S+ is not the file that was written")
    assert crc64_file(path) == crc64_content("foreign", SIZE)


def test_a_byte_that_changes_on_the_disk_is_found(files, db, out, origin):
    """The file is read back before it gets its name, and its CRC64 compared."""
    daemon = files()
    task, path = started(db, out, origin)
    with open(path, "r+b") as f:
        f.seek(1000)
        byte = f.read(1)
        f.seek(1000)
        f.write(bytes([byte[0] ^ 1]))
    row = db.done(task)
    assert row["attempt"] == 1 and row["verified_by"] == "crc64"
    daemon.wait_log("destination differs: read back it has CRC64")
    assert crc64_file(f"{out}/new") == crc64_content("origin", SIZE) and temporary(out) is None


def test_a_file_that_is_cut_is_found(files, db, out, origin):
    daemon = files()
    task, path = started(db, out, origin)
    wait_until(lambda: db.parts(task) == 2, 20, "two parts")
    os.truncate(path, 1000)  # the third part leaves a hole behind it
    db.done(task)
    daemon.wait_log("destination differs: read back it has CRC64")
    assert crc64_file(f"{out}/new") == crc64_content("origin", SIZE)


# The disk

CALLS = "trace=mkdirat,fsync,renameat,renameat2"


def strace(pid, *options):
    """strace at a process, from now on."""
    tracer = subprocess.Popen(["strace", "-qq", "-p", str(pid), *options], stderr=subprocess.PIPE)
    wait_until(lambda: re.search(r"^TracerPid:\t[1-9]", open(f"/proc/{pid}/status").read(), re.M), 10, "strace")
    return tracer


def steps(trace, out):
    """What a trace says of files below out, as (call, path of its first argument); each call has worked."""
    with open(trace) as f:
        calls = [line for line in f if out in line]
    assert all(re.search(r" = 0$", call) for call in calls), calls
    found = [re.search(rf"(\w+)\(\d+<{re.escape(out)}([^>]*)>", call).groups() for call in calls]
    return [(name.rstrip("2"), re.sub(r"\.ferry-.*", "temporary", path)) for name, path in found]


@pytest.mark.parametrize("if_exists", ["overwrite", "fail"])
def test_order_of_what_goes_to_the_disk(files, db, spool, out, tmp_base, if_exists):
    """New directories, then the file's bytes, then its name: each is on the disk before the next step."""
    daemon = files()
    (pid,) = daemon.workers()
    tracer = strace(pid, "-y", "-o", f"{tmp_base}/trace", "-e", CALLS)
    db.done(db.put(spool.put("source", 100000), "out://a/b/new", if_exists=if_exists))
    tracer.terminate()
    tracer.wait()
    assert steps(f"{tmp_base}/trace", out) == [
        ("mkdirat", ""), ("fsync", ""), ("mkdirat", "/a"), ("fsync", "/a"),
        ("fsync", "/a/b/temporary"), ("renameat", "/a/b"), ("fsync", "/a/b")]


def test_a_worker_that_dies_between_name_and_disk(files, db, spool, out, tmp_base):
    """The next attempt finds the file whole, and makes sure that its name is on the disk before it says done."""
    daemon = files()
    (pid,) = daemon.workers()
    killer = strace(pid, "-o", "/dev/null", "-e", "trace=fsync", "-e", "inject=fsync:signal=KILL:when=2")
    tracer = strace(daemon.pid, "-f", "-y", "-o", f"{tmp_base}/trace", "-e", CALLS)  # of the next worker
    row = db.done(db.put(spool.put("source", 100000), "out://new"))
    for process in (killer, tracer):
        process.terminate()
        process.wait()
    assert not claimed_once(row) and row["verified_by"] == "crc64" and crc64_file(f"{out}/new") == int(row["crc64"])
    assert steps(f"{tmp_base}/trace", out) == [("fsync", "/new"), ("fsync", "")]


def test_a_worker_that_dies_between_name_and_disk_before_another_program_writes(files, db, out, origin):
    """The file at the destination has the right size, and is not the one that was written."""
    daemon = files()
    (pid,) = daemon.workers()
    strace(pid, "-o", "/dev/null", "-e", "trace=fsync", "-e", "inject=fsync:signal=KILL:when=2")
    task, path = started(db, out, origin)
    db.sql("INSERT INTO ferry.queue (name, enabled) VALUES ('default', false) ON CONFLICT (name) DO UPDATE SET enabled = false")
    wait_until(lambda: db.state(task) == "queued", 20, "the task to return")
    assert os.path.exists(f"{out}/new") and not os.path.exists(path)
    write_content(f"{out}/new", "foreign", SIZE)
    db.sql("UPDATE ferry.queue SET enabled = true")
    row = db.done(task)
    assert int(row["crc64"]) == crc64_file(f"{out}/new") == crc64_content("origin", SIZE)


def test_a_file_that_is_replaced_as_it_gets_its_name(files, db, spool, out):
    """strace holds the worker up for two seconds between the rename and the look at the new name."""
    daemon = files()
    (pid,) = daemon.workers()
    tracer = strace(pid, "-o", "/dev/null", "-e", "trace=fsync", "-e", "inject=fsync:delay_enter=2000000:when=2")
    task = db.put(spool.put("source", 1000), "out://new")
    wait_until(lambda: os.path.exists(f"{out}/new"), 20, "the file")
    write_content(f"{out}/foreign", "foreign", 1000)
    os.rename(f"{out}/foreign", f"{out}/new")
    daemon.wait_log("another program has put another file in the place of the new one", 20)
    tracer.terminate()
    tracer.wait()
    row = db.done(task)
    assert not claimed_once(row) and crc64_file(f"{out}/new") == crc64_content("source", 1000)


def test_a_source_that_is_written_to_while_it_is_read(files, db, cos, spool, ferryd):
    """One PUT.  The last bytes are held back until the whole file was read and is still the same: no object of old and new bytes is made."""
    ferryd({"slow": {**spool.store(), "rate": "800K"}, "cos": cos.store()}, workers=1, retry_delay="10ms")
    spool.put("source", 3 * MIB, "old")
    task = db.put("slow://source", f"cos://{BUCKET}/new")
    wait_until(lambda: cos.received("new").get(0, 0) > 0, 20, "the first bytes")
    with open(f"{spool.root}/source", "r+b") as f:
        f.write(b"new")
    row = db.done(task)
    assert row["attempt"] == 1 and cos.object("new")["puts"] == 1 and int(row["crc64"]) == crc64_file(f"{spool.root}/source")


# Whose trouble

def test_a_root_that_comes_late(files, db, spool, out):
    daemon = files()
    os.rename(out, f"{out}-away")
    task = db.put(spool.put("source", 1000), "out://new")
    daemon.wait_log(rf"task {task} (failed|waits): the store's root \(store out, {out}\): No such file or directory; look whether it is mounted"
                    r".* error_class=transient .*queued again")
    os.rename(f"{out}-away", out)
    assert db.done(task)["attempt"] == 0


def test_a_root_that_is_missing_as_a_worker_starts(files, db, spool, out):
    """The worker's confinement does not have the root.  It gives its first task to a new process, and counts nothing."""
    daemon = files()
    os.rename(out, f"{out}-away")
    before = daemon.workers()
    for worker in before:
        os.kill(worker, signal.SIGKILL)
    wait_until(lambda: len(daemon.workers()) == len(before) and not set(before) & set(daemon.workers())
               and all(title(pid).endswith("idle") for pid in daemon.workers()), 20, "new workers")
    os.rename(f"{out}-away", out)
    row = db.done(db.put(spool.put("source", 1000), "out://new"))
    assert (row["attempt"], row["crashes"]) == (0, 0) and not daemon.log("Permission denied")


def test_a_source_root_that_comes_late(files, db, spool):
    daemon = files()
    uri = spool.put("source", 1000)
    os.rename(spool.root, f"{spool.root}-away")
    task = db.put(uri, "out://new")
    daemon.wait_log(rf"task {task} (failed|waits): the store's root \(store spool, {spool.root}\): No such file.* error_class=transient .*queued again")
    os.rename(f"{spool.root}-away", spool.root)
    db.done(task)


@pytest.mark.parametrize("closed", [0o000, 0o555])
def test_a_directory_that_is_closed(files, db, spool, out, closed):
    daemon = files()
    os.mkdir(f"{out}/there")
    os.chmod(f"{out}/there", closed)
    tasks = [db.put(spool.put("source", 1000), f"out://there/{name}") for name in ("new", "deep/new")]
    for task in tasks:
        daemon.wait_log(rf"task {task} (failed|waits): destination\S*( \w+ file| directory|) \(store out, {out}/there\S*\): Permission denied; look whether it is "
                        r"mounted.* error_class=transient .*queued again")
    os.chmod(f"{out}/there", 0o777)
    db.done(*tasks)


def test_a_read_only_file_system(files, db, spool, out):
    """A disk with errors is mounted read-only, in the middle of a transfer too."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m,mode=777", "tmpfs", out], check=True)
    try:
        daemon = files()
        subprocess.run(["mount", "-o", "remount,ro", out], check=True)
        task = db.put(spool.put("source", 1000), "out://new")
        daemon.wait_log(rf"task {task} (failed|waits): destination's temporary file \(store out, {out}/new\): Read-only file system; look whether.*"
                        "error_class=transient .*queued again")
        subprocess.run(["mount", "-o", "remount,rw", out], check=True)
        db.done(task)
    finally:
        subprocess.run(["umount", "-l", out], check=True)


@pytest.mark.parametrize("trouble", ["missing", "closed"])
def test_a_source_directory(files, db, spool, trouble):
    """Without its directory a source is late; without the file it is missing for good."""
    daemon = files()
    os.mkdir(f"{spool.root}/there")
    uri = spool.put("there/source", 1000)
    if trouble == "missing":
        os.rename(f"{spool.root}/there", f"{spool.root}/away")
    else:
        os.chmod(f"{spool.root}/there", 0)
    task = db.put(uri, "out://new")
    daemon.wait_log(rf"task {task} (failed|waits): source's directory \(store spool, {spool.root}/there\): .* error_class=transient .*queued again")
    if trouble == "missing":
        os.rename(f"{spool.root}/away", f"{spool.root}/there")
    os.chmod(f"{spool.root}/there", 0o755)
    db.done(task)
    os.chmod(f"{spool.root}/there/source", 0)
    for name, why in (("there/absent", "No such file or directory"), ("there/source", "Permission denied")):
        row = db.wait(db.put(f"spool://{name}", "out://other"))
        assert (row["state"], row["error_class"]) == ("failed", "permanent")
        assert row["error"] == f"source (store spool, {spool.root}/{name}): {why}"


# The end

def test_a_task_that_fails_before_it_looks_removes_its_temporary_file(files, db, spool, out):
    """The first attempt has left a temporary file.  The second one fails for good at its source, before it opens its destination."""
    daemon = files()
    daemon.stores["spool"]["rate"] = "6M"
    daemon.write()
    daemon.send(1)
    daemon.wait_log("reload")
    task = db.put(spool.put("source", SIZE), "out://new")
    wait_until(lambda: db.parts(task) > 0, 20, "a part")
    daemon.stop()
    assert temporary(out)
    spool.put("other", 1)  # an empty root could be a mount that is missing
    os.remove(f"{spool.root}/source")
    daemon.start()
    row = db.wait(task)
    assert row["state"] == "failed" and row["error_class"] == "permanent"
    assert temporary(out) is None and db.one("SELECT count(*) FROM ferry.upload") == 0
