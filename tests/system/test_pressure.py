"""What the machine or the database has no more of: it is named once, by its true cause, and ferryd goes on by itself when there is some again."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess

import pytest

from origin import Origin
from rig import ACCOUNT, holds, wait_until

STARTED_AGAIN = "workers can be started again"


@pytest.fixture
def tmpfs():
    """tmpfs(directory, size): mounts it there."""
    mounted = []

    def mount(directory, size, owner="nobody"):
        os.mkdir(directory)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", directory], check=True)
        mounted.append(directory)
        shutil.chown(directory, owner)
        return directory
    yield mount
    for directory in mounted:
        subprocess.run(["umount", "-l", directory], check=True)


def fill(directory):
    """Takes what is left; returns the file to remove."""
    name = f"{directory}/filler"
    with open(name, "wb", buffering=0) as f, contextlib.suppress(OSError):
        for size in (65536, 512, 1):
            with contextlib.suppress(OSError):
                while True:
                    f.write(b"x" * size)
    return name


def small(ferryd, spool, **options):
    return ferryd({"spool": spool.store()}, **{"workers": 2, "lease": "5s", **options})


def carry(db, spool, name, count=5):
    source = spool.put(f"{name}-source", 1000)
    return [db.put(source, f"spool://{name}-{n}") for n in range(count)]


def must_carry(db, spool, name, count=5):
    for row in db.done(*carry(db, spool, name, count), timeout=20):
        assert row["attempt"] + row["crashes"] + row["ooms"] == 0


def set_limit(pid, which, soft):
    """Of a running process, by its own account: root here may not touch limits of others."""
    subprocess.run(["runuser", "-u", ACCOUNT, "--", "prlimit", "--pid", str(pid), f"--{which}={soft}:"], check=True)


@contextlib.contextmanager
def limited(pid, which, soft):
    set_limit(pid, which, soft)
    try:
        yield
    finally:
        set_limit(pid, which, 4096)


def kill_workers(daemon):
    for pid in daemon.workers():
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not daemon.workers(), 5, "the workers to be gone")


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def test_no_process_to_be_had(ferryd, db, spool):
    daemon = small(ferryd, spool)
    with limited(daemon.pid, "nproc", 1):
        kill_workers(daemon)
        daemon.wait_log("cannot be started")
        tasks = carry(db, spool, "waiting")
        holds(daemon.alive, 1.5)
        (line,) = daemon.log("cannot be started")
        assert re.search(r"worker \d cannot be started: fork: Resource temporarily unavailable; will try again", line)
        assert db.one("SELECT count(*) FROM ferry.task WHERE state <> 'queued'") == 0, "claimed without anybody to carry it"
    daemon.wait_log(STARTED_AGAIN, 10)
    db.done(*tasks, timeout=20)
    assert len(daemon.log("cannot be started")) == len(daemon.log(STARTED_AGAIN)) == 1


@pytest.fixture
def pids_cgroup(tmp_base):
    """A cgroup that limits processes and threads: limit(n), None for no limit; enter(pid)."""
    base = next((place for place in ("/sys/fs/cgroup/pids", "/sys/fs/cgroup/unified", "/sys/fs/cgroup") if has_pids(place)), None)
    if base is None:
        pytest.skip("no cgroup hierarchy with the pids controller")
    group = PidsCgroup(f"{base}/ferrytest-{os.getpid()}-pids")
    yield group
    wait_until(group.remove, 10, "the cgroup of processes to be empty")


def has_pids(place):
    """In version 1 each group has the file, the root only in newer kernels; in version 2 children have it where the controller is on."""
    try:
        with open(f"{place}/cgroup.subtree_control") as f:
            return "pids" in f.read().split()
    except FileNotFoundError:
        return place.endswith("/pids") and os.path.exists(f"{place}/cgroup.procs")


class PidsCgroup:
    def __init__(self, directory):
        self.directory = directory
        os.mkdir(directory)

    def write(self, name, text):
        with open(f"{self.directory}/{name}", "w") as f:
            f.write(str(text))

    def enter(self, pid):
        self.write("cgroup.procs", pid)

    def limit(self, most):
        self.write("pids.max", "max" if most is None else most)

    def remove(self):
        with contextlib.suppress(OSError):
            os.rmdir(self.directory)
        return not os.path.exists(self.directory)


def test_no_process_in_the_cgroup(pids_cgroup, ferryd, db, spool):
    daemon = small(ferryd, spool)
    pids_cgroup.enter(daemon.pid)
    pids_cgroup.limit(1)
    kill_workers(daemon)
    daemon.wait_log("cannot be started: fork: Resource temporarily unavailable; will try again")
    tasks = carry(db, spool, "waiting")
    holds(daemon.alive, 1.5)
    assert db.one("SELECT count(*) FROM ferry.task WHERE state <> 'queued'") == 0
    pids_cgroup.limit(2)
    daemon.wait_log(STARTED_AGAIN, 10)
    db.done(*tasks, timeout=20)  # by one, where the other still cannot be had
    pids_cgroup.limit(None)
    daemon.ready(15)


@pytest.fixture
def named_origin():
    """(name, origin) where the name is looked up by the resolver."""
    name = socket.gethostname()
    try:
        address = socket.gethostbyname(name)
    except OSError:
        address = ""
    if name == "localhost" or not address.startswith("127."):
        pytest.skip("this machine's name leads to no loopback address")
    server = Origin(host=address).start()
    yield name, server
    server.stop()


def test_no_thread_for_a_worker_that_resolves_a_name(pids_cgroup, ferryd, db, spool, named_origin):
    name, origin = named_origin
    daemon = small(ferryd, spool, http={"allow": [name], "private": True}, retry_delay_max="500ms")
    pids_cgroup.enter(daemon.pid)
    pids_cgroup.limit(3)  # master and workers
    kill_workers(daemon)
    daemon.ready(15)
    task = db.put(f"http://{name}:{origin.port}/size/1000", "spool://named")
    wait_until(lambda: db.task(task)["attempt"] > 0 or db.task(task)["error"], 10, "the name not to be resolved")
    must_carry(db, spool, "unnamed")
    pids_cgroup.limit(None)
    row = db.done(task, timeout=20)
    assert row["crashes"] + row["ooms"] == 0


def test_no_descriptors_for_workers(ferryd, db, spool):
    daemon = small(ferryd, spool, workers=1)
    kill_workers(daemon)
    daemon.ready()
    used = open_files(daemon.pid)  # two of them, channel and pidfd, for the idle worker
    with limited(daemon.pid, "nofile", used - 1):
        kill_workers(daemon)
        daemon.wait_log(r"worker 1 cannot be started: a socket pair: Too many open files; will try again")
        holds(daemon.alive, 1)
        set_limit(daemon.pid, "nofile", used + 3)  # enough for the master, not for what the child does with them
        daemon.wait_log(r"exited: code 125, starting.*step=.arranging descriptors: Too many open files", 15)
    daemon.ready(15)
    must_carry(db, spool, "after")
    assert len(daemon.log("cannot be started")) == len(daemon.log(STARTED_AGAIN)) == 1


def processor_time(pid):
    """Seconds of CPU that a process has had."""
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_fewer_descriptors_allowed_than_are_watched(ferryd, db, spool):
    daemon = small(ferryd, spool, workers=4)
    with limited(daemon.pid, "nofile", 6):  # two and two of each worker are watched
        os.kill(daemon.workers()[0], signal.SIGKILL)  # an event, so that the master looks again
        daemon.wait_log(r"\d+ descriptors cannot be watched, RLIMIT_NOFILE has become 6: all are tried every 100 ms, until it is raised")
        before = processor_time(daemon.pid)
        must_carry(db, spool, "blind")
        holds(daemon.alive, 1)
        assert processor_time(daemon.pid) - before < 0.5
        daemon.send(signal.SIGTTOU)
        daemon.wait_log("3 workers wanted")
    daemon.wait_log("descriptors can be watched again")
    must_carry(db, spool, "after")
    assert len(daemon.log("cannot be watched")) == len(daemon.log("can be watched again")) == 1


def end_sessions(db, program="ferryd"):
    db.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE starts_with(application_name, %s) AND datname = %s",
           (program, db.name))


def must_have_named(daemon, cause):
    """How the connection ended, what kept it from coming back, and that it is back: the master says each once."""
    for pattern in ("database away: terminating connection", f"database still away: .*{cause}", "database (still )?away: .*" + cause,
                    "database back"):
        assert len(daemon.log(rf" ferryd\[.*{pattern}")) == 1, pattern


def test_no_descriptor_for_the_database(ferryd, db, spool):
    daemon = small(ferryd, spool, workers=1)
    with limited(daemon.pid, "nofile", 5):
        end_sessions(db)
        daemon.wait_log("database still away", 10)
    daemon.wait_log("database back", 10)
    must_carry(db, spool, "after")
    must_have_named(daemon, "Too many open files")


def test_log_on_a_full_disk(ferryd, db, spool, tmpfs, tmp_base):
    place = tmpfs(f"{tmp_base}/logs", "256k")
    daemon = small(ferryd, spool, start=False, daemonize=True)
    daemon.log_file = daemon.conf["log"] = f"{place}/ferryd.log"
    daemon.write()
    daemon.start()
    filler = fill(place)
    must_carry(db, spool, "silent", 60)
    assert len(daemon.log("task .* done")) < 60
    os.remove(filler)
    must_carry(db, spool, "after", 20)
    said = [re.search(r'lost=(\d+) error="No space left on device"', line) for line in daemon.log(r" ferryd\[.*log lines were lost")]
    assert 1 <= len(said) <= 3 and all(said)  # the last free block of a disk may come and go
    whole = daemon.log(r'^\d{4}-\S+Z info ferryd\[\d+\] msg="task \d+ done" task=\d+ .*peak_memory=\d+$')
    assert len(whole) + sum(int(match.group(1)) for match in said) >= 80, "a silent gap"
    for n in range(20):  # what a worker lost it says before its next line
        told = daemon.log(r" ferry-worker/\d\[.*log lines were lost.* lost=\d+ error=\"No space left on device\"")
        if len({line.split("[")[0].rpartition("/")[2] for line in told}) == 2:
            break
        must_carry(db, spool, f"more-{n}", 4)
    lost = sum(int(re.search(r"lost=(\d+)", line).group(1)) for line in told)
    started = daemon.log(r'^\d{4}-\S+Z info ferry-worker/\d\[\d+\] msg="task \d+ started" task=\d+ .*attempt=1$')
    assert 1 <= len(told) <= 6 and len(started) + lost >= 80 + 4 * n, "a silent gap of a worker's"


def test_destination_on_a_full_disk(ferryd, db, spool, tmpfs, tmp_base):
    place = tmpfs(f"{tmp_base}/out", "40m")
    filler = fill(place)
    os.truncate(filler, 28 << 20)  # room for one and a half
    daemon = ferryd({"spool": spool.store(), "out": {"kind": "file", "root": place}}, workers=2, retry_delay_max="500ms")
    source = spool.put("source", 8 << 20)
    tasks = [db.put(source, f"out://{n}", max_attempts=1000) for n in range(4)]
    daemon.wait_log("task . failed: destination: No space left on device.* error_class=throttled .*queued again", 20, count=2)
    daemon.wait_log("store out asks to slow down", count=2)
    holds(daemon.alive, 2)
    must_carry(db, spool, "elsewhere")
    assert len(daemon.log("asks to slow down")) <= 4
    os.remove(filler)
    os.remove(f"{place}/{next(name for name in os.listdir(place) if not name.startswith('.'))}")  # and room for three
    wait_until(lambda: all(db.state(task) == "done" for task in tasks), 60, lambda: daemon.log_text())
    assert not [name for name in os.listdir(place) if name.startswith(".")] and not db.sql("SELECT * FROM ferry.upload")


def test_full_disk_is_left_to_those_that_can_end_on_it(ferryd, db, spool, tmpfs, tmp_base):
    """Two that have taken half of the room each cannot end beside each other; one after the other they can, as soon as one is carried off."""
    place = tmpfs(f"{tmp_base}/out", "20m")
    ferryd({"spool": {**spool.store(), "rate": "12M"}, "out": {"kind": "file", "root": place}}, workers=2, retry_delay_max="500ms")
    tasks = [db.put(spool.put(f"source-{n}", 14 << 20), f"out://{n}", max_attempts=1000) for n in range(2)]
    wait_until(lambda: "done" in map(db.state, tasks), 40, "one to end")
    done = next(n for n in range(2) if db.state(tasks[n]) == "done")
    os.remove(f"{place}/{done}")
    db.done(*tasks, timeout=40)
    assert os.listdir(place) == [str(1 - done)]


def test_workers_that_start_badly_say_so_once(ferryd, db, spool, tmp_base):
    """For as long as it lasts, however often they are tried."""
    program = f"{tmp_base}/worker"
    shutil.copy("/bin/false", program)
    daemon = small(ferryd, spool, start=False, worker_program=program)
    daemon.start(ready=False)
    daemon.wait_log("exited: code 1, starting")
    holds(daemon.alive, 3)
    assert len(daemon.log("exited: code 1, starting")) == 1 and len(daemon.log("worker . .pid .* started")) <= 2


def test_no_connection_left_for_workers(ferryd, db, spool):
    daemon = small(ferryd, spool)
    db.pg.admin(f"ALTER DATABASE {db.name} CONNECTION LIMIT 0")
    kill_workers(daemon)
    daemon.wait_log("ferry-worker.*database away: .*too many connections", 10, count=2)
    holds(daemon.alive, 1)
    db.pg.admin(f"ALTER DATABASE {db.name} CONNECTION LIMIT -1")
    must_carry(db, spool, "after")
    daemon.wait_log("ferry-worker.*database back", 10, count=2)
    assert len(daemon.log("away|back")) == 4 and not daemon.log(r" ferryd\[.*(away|back)")
    assert len(daemon.workers()) == 2 and len(daemon.log("worker . .pid .* started")) == 4


def test_read_only_database(ferryd, db, spool):
    daemon = small(ferryd, spool)
    db.pg.admin(f"ALTER DATABASE {db.name} SET default_transaction_read_only = on")
    end_sessions(db)
    daemon.wait_log(r" ferryd\[.*database still away", 10)
    db.pg.admin(f"ALTER DATABASE {db.name} RESET default_transaction_read_only")
    daemon.wait_log(r" ferryd\[.*database back", 10)
    db.done(*carry(db, spool, "after"), timeout=20)
    must_have_named(daemon, "session is read-only")


def test_parts_that_cannot_be_recorded(ferryd, db, spool):
    """As where the disk has room for all but one table: the transfer goes on, and each worker says so once."""
    daemon = small(ferryd, spool, workers=1)
    role = db.one("SELECT grantee FROM information_schema.role_table_grants WHERE table_name = 'part' AND privilege_type = 'INSERT' "
                  "AND grantee <> 'postgres'")
    db.sql(f"REVOKE INSERT ON ferry.part FROM {role}")
    must_carry(db, spool, "unrecorded", 5)
    assert len(daemon.log("parts cannot be recorded: permission denied")) == 1
    db.sql(f"GRANT INSERT ON ferry.part TO {role}")
    must_carry(db, spool, "recorded", 5)
    daemon.wait_log("parts can be recorded again")
    assert len(daemon.log("parts can.* be recorded")) == 2


@pytest.fixture
def small_disk(db, tmpfs):
    """Where the database has its files."""
    place = tmpfs(f"{db.pg.directory}/{db.name}", "40m", "postgres")
    db.pg.admin(f"CREATE TABLESPACE {db.name} LOCATION '{place}'", f"ALTER DATABASE {db.name} SET TABLESPACE {db.name}")
    return place


@pytest.fixture
def moved_back(db, small_disk, request):
    yield
    if db.conn is not None:
        db.conn.close()
    wait_until(lambda: not db.sessions(), 5, "sessions to end")
    db.conn.close()
    db.pg.admin(f"ALTER DATABASE {db.name} SET TABLESPACE pg_default", f"DROP TABLESPACE {db.name}")


def test_database_on_a_full_disk(small_disk, moved_back, ferryd, db, spool):
    daemon = small(ferryd, spool)
    source = spool.put("source", 1000)
    db.sql("INSERT INTO ferry.task (source, destination) SELECT %s, 'spool://full-' || n FROM generate_series(1, 2000) n", (source,))
    filler = fill(small_disk)
    daemon.wait_log("ends of tasks cannot be recorded: could not extend file .*: No space left on device", 20)
    holds(daemon.alive, 3)
    os.remove(filler)
    wait_until(lambda: db.one("SELECT count(*) FROM ferry.task WHERE state <> 'done'") == 0, 30,
               lambda: db.sql("SELECT state, count(*) FROM ferry.task GROUP BY 1"), step=0.1)
    assert len(daemon.log("ends of tasks can be recorded again")) == 1
    said = [re.sub(r".* msg=\"(.*?): .*", r"\1", line) for line in daemon.log("No space left on device")]
    assert len(said) == len(set(said)) <= 5, said  # of three processes
    assert db.one("SELECT sum(crashes + ooms + attempt) FROM ferry.task") == 0
