"""The machine or the database runs out of something: ferryd logs the true cause once, and goes on by itself when it can."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

from origin import Origin
from rig import ACCOUNT, MIB, holds, wait_until
from stores import BUCKET

STARTED_AGAIN = "workers can be started again"


@pytest.fixture
def tmpfs():
    """tmpfs(directory, size) mounts a tmpfs there."""
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
    """Fills the disk with a file; returns its name."""
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
    """Sets a limit of a running process, as the account of the process: here root may not change limits of other accounts."""
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
    wait_until(lambda: not daemon.workers(), 5, "the workers to exit")


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def settled_files(pid):
    """How many files the process has open, once it has begun what it does at its start."""
    def seen():
        counts = set()
        for _ in range(20):
            counts.add(open_files(pid))
            time.sleep(0.05)
        return counts
    return wait_until(lambda: (counts := seen()) and len(counts) == 1 and counts.pop(), 20, "the number of open files to stay")


def test_no_process_left_for_workers(ferryd, db, spool):
    daemon = small(ferryd, spool)
    with limited(daemon.pid, "nproc", 1):
        kill_workers(daemon)
        daemon.wait_log("cannot be started")
        tasks = carry(db, spool, "waiting")
        holds(daemon.alive, 1.5)
        (line,) = daemon.log("cannot be started")
        assert re.search(r"worker \d cannot be started: fork: Resource temporarily unavailable; will try again", line)
        assert db.one("SELECT count(*) FROM ferry.task WHERE state <> 'queued'") == 0, "a task was claimed without a worker to carry it"
    daemon.wait_log(STARTED_AGAIN, 10)
    db.done(*tasks, timeout=20)
    assert len(daemon.log("cannot be started")) == len(daemon.log(STARTED_AGAIN)) == 1


@pytest.fixture
def pids_cgroup(tmp_base):
    """A cgroup that limits processes and threads: limit(n) sets the limit (None: no limit), enter(pid) moves a process in."""
    base = next((place for place in ("/sys/fs/cgroup/pids", "/sys/fs/cgroup/unified", "/sys/fs/cgroup") if has_pids(place)), None)
    if base is None:
        pytest.skip("no cgroup hierarchy with the pids controller")
    group = PidsCgroup(f"{base}/ferrytest-{os.getpid()}-pids")
    yield group
    wait_until(group.remove, 10, "the cgroup of processes to be empty")


def has_pids(place):
    """Tells whether groups below place can limit processes: in version 1 always, in version 2 if the controller is enabled there."""
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
    db.done(*tasks, timeout=20)  # by one worker; the other one still cannot be started
    pids_cgroup.limit(None)
    daemon.ready(15)


@pytest.fixture
def named_origin():
    """(name, origin): an origin with a name that the resolver must look up."""
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
    wait_until(lambda: db.task(task)["attempt"] > 0 or db.task(task)["error"], 10, "the lookup of the name to fail")
    must_carry(db, spool, "unnamed")
    pids_cgroup.limit(None)
    row = db.done(task, timeout=20)
    assert row["crashes"] + row["ooms"] == 0


def test_no_descriptors_for_workers(ferryd, db, spool):
    daemon = small(ferryd, spool, workers=1)
    kill_workers(daemon)
    daemon.ready()
    used = settled_files(daemon.pid)  # an idle worker takes three of them: channel, pidfd, and the notices of its cgroup
    with limited(daemon.pid, "nofile", used - 2):
        kill_workers(daemon)
        daemon.wait_log(r"worker 1 cannot be started: a socket pair: Too many open files; will try again")
        holds(daemon.alive, 1)
        set_limit(daemon.pid, "nofile", used + 3)  # enough for the master, but not for the child
        daemon.wait_log(r"exited: code 125, starting.*step=.arranging descriptors: Too many open files", 15)
    daemon.ready(15)
    must_carry(db, spool, "after")
    assert len(daemon.log("cannot be started")) == len(daemon.log(STARTED_AGAIN)) == 1


def processor_time(pid):
    """Returns the CPU seconds that a process has used."""
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_fewer_descriptors_allowed_than_are_watched(ferryd, db, spool):
    daemon = small(ferryd, spool, workers=4)
    with limited(daemon.pid, "nofile", 6):  # the master watches two descriptors, and two for each worker
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
    """Checks that the master logged once each: how the connection ended, what kept it from coming back, and that it is back."""
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
    # a line may stand behind a torn one of another process
    whole = r'\d{4}-\S+Z info (ferryd\[\d+\] msg="task \d+ done" .*peak_memory=\d+|ferry-worker/\d\[\d+\] msg="task \d+ started" .*attempt=1)$'
    for n in range(20):  # lost lines are told before the next line
        said = [re.search(r'msg="(\d+) lines? of the log w\S+ lost" lost=\1 error="No space left on device"', line) for line in daemon.log("lost=")]
        found = len(daemon.log(whole)) + sum(int(match[1]) for match in said)
        if found >= 160 + 8 * n:
            break
        must_carry(db, spool, f"more-{n}", 4)
    assert 1 <= len(said) <= 9 and all(said)  # the last free block of a disk may come and go
    assert found >= 160 + 8 * n, "lines are missing that were not counted as lost"


def test_lost_lines_of_a_worker_that_is_gone_are_counted(ferryd, db, spool, tmpfs, tmp_base):
    place = tmpfs(f"{tmp_base}/logs", "256k")
    daemon = small(ferryd, spool, start=False, daemonize=True, workers=1)
    daemon.log_file = daemon.conf["log"] = f"{place}/ferryd.log"
    daemon.write()
    daemon.start()
    filler = fill(place)
    must_carry(db, spool, "silent", 60)
    started = len(daemon.log("task .* started"))
    worker, = daemon.workers()
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: daemon.workers() not in ([], [worker]), 10, "another worker")
    os.remove(filler)
    must_carry(db, spool, "after", 2)
    wait_until(lambda: daemon.log("task .* done.*peak_memory=") and daemon.log("lost="), 10, "the lines after")
    lost = sum(int(re.search(r"lost=(\d+)", line)[1]) for line in daemon.log("lost="))
    done = len(daemon.log("task .* done"))
    assert lost + started + done >= 120, f"{lost} lines are said to be lost; {started} and {done} are there of 60 each"


def test_destination_on_a_full_disk(ferryd, db, spool, tmpfs, tmp_base):
    place = tmpfs(f"{tmp_base}/out", "40m")
    filler = fill(place)
    os.truncate(filler, 28 << 20)  # leaves room for one and a half objects
    daemon = ferryd({"spool": spool.store(), "out": {"kind": "file", "root": place}}, workers=2, retry_delay_max="500ms")
    source = spool.put("source", 8 << 20)
    tasks = [db.put(source, f"out://{n}", max_attempts=1000) for n in range(4)]
    daemon.wait_log("task . (failed|waits): destination .store out, .*: No space left on device.* error_class=full .*queued again", 20, count=2)
    daemon.wait_log("store out is held as a destination: .*No space left on device", 30)
    holds(daemon.alive, 2)
    must_carry(db, spool, "elsewhere")
    # a task that ends in the room that is left lifts the hold, and the next one meets the end of the room again
    assert len(daemon.log("store out is held")) <= 1 + len(daemon.log("store out is well again"))
    os.remove(filler)
    os.remove(f"{place}/{next(name for name in os.listdir(place) if not name.startswith('.'))}")  # leaves room for three objects
    wait_until(lambda: all(db.state(task) == "done" for task in tasks), 60, lambda: daemon.log_text())
    assert not [name for name in os.listdir(place) if name.startswith(".")] and not db.sql("SELECT * FROM ferry.upload")


def test_tasks_take_turns_on_a_full_disk(ferryd, db, spool, tmpfs, tmp_base):
    """Two tasks that have taken half of the room each cannot both end; one ends, and the other does when the first file is removed."""
    place = tmpfs(f"{tmp_base}/out", "20m")
    ferryd({"spool": {**spool.store(), "rate": "12M"}, "out": {"kind": "file", "root": place}}, workers=2, retry_delay_max="500ms")
    tasks = [db.put(spool.put(f"source-{n}", 14 << 20), f"out://{n}", max_attempts=1000) for n in range(2)]
    wait_until(lambda: "done" in map(db.state, tasks), 40, "a task to end")
    done = next(n for n in range(2) if db.state(tasks[n]) == "done")
    os.remove(f"{place}/{done}")
    db.done(*tasks, timeout=40)
    assert os.listdir(place) == [str(1 - done)]


def test_bad_starts_of_workers_are_logged_once(ferryd, db, spool, tmp_base):
    """However often ferryd tries to start them, as long as the cause lasts."""
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
    task = db.one("INSERT INTO ferry.task (source, destination) VALUES (%s, 'spool://meanwhile.copy') RETURNING id",
                  (spool.put("meanwhile", 1000),))
    daemon.wait_log("the database refuses more connections: 0 of 2 workers have one, .*too many connections for database", 10)
    holds(daemon.alive, 1)
    db.pg.admin(f"ALTER DATABASE {db.name} CONNECTION LIMIT -1")
    db.done(task)
    must_carry(db, spool, "after")
    assert not daemon.log("away|back")
    assert len(daemon.workers()) == 2


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
    """As if the disk had room for all tables but one: the transfer goes on, and each worker logs this once."""
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
    """A small file system that holds the files of the database."""
    place = tmpfs(f"{db.pg.directory}/{db.name}", "40m", "postgres")
    db.pg.admin(f"CREATE TABLESPACE {db.name} LOCATION '{place}'", f"ALTER DATABASE {db.name} SET TABLESPACE {db.name}")
    return place


@pytest.fixture
def moved_back(db, small_disk, request):
    yield
    if db.conn is not None:
        db.conn.close()
    wait_until(lambda: not db.sessions(), 5, "sessions to close")
    db.conn.close()
    db.pg.admin(f"ALTER DATABASE {db.name} SET TABLESPACE pg_default", f"DROP TABLESPACE {db.name}")


def test_database_on_a_full_disk(small_disk, moved_back, ferryd, db, spool):
    """Which statement is refused first depends on where its table has room left: a claim, a lease, an end of tasks, a part."""
    daemon = small(ferryd, spool)
    source = spool.put("source", 1000)
    db.sql("INSERT INTO ferry.task (source, destination) SELECT %s, 'spool://full-' || n FROM generate_series(1, 2000) n", (source,))
    place = db.one("SELECT oid FROM pg_database WHERE datname = current_database()")
    filler = fill(small_disk)
    wait_until(lambda: re.search(rf"could not extend file .*/{place}/.*No space left", db.pg.log_text()), 20, "a statement to be refused")
    holds(daemon.alive, 3)
    os.remove(filler)
    wait_until(lambda: db.one("SELECT count(*) FROM ferry.task WHERE state <> 'done'") == 0, 30,
               lambda: db.sql("SELECT state, count(*) FROM ferry.task GROUP BY 1"), step=0.1)
    said = [re.sub(r"^\S+ \w+ (\S+?)\[.* msg=\"(.*?): .*", r"\1: \2", line) for line in daemon.log("No space left on device")]
    assert len(said) == len(set(said)) <= 6, said  # of three processes
    refused = [re.search(r'msg="(.*?): ', line)[1] for line in daemon.log(r" ferryd\[.*the database refuses: ")]
    for work in refused:
        daemon.wait_log(f"{work}: the database accepts it again, after ", 20)
    assert len(daemon.log(r" ferryd\[.*the database accepts it again")) == len(refused)
    assert not daemon.log(r" ferry-worker/.*the database has refused"), "an outage of seconds has one line a worker"
    for worker in {re.search(r" (ferry-worker/\d)\[", line)[1] for line in daemon.log(r" ferry-worker/.*the database refuses")}:
        daemon.wait_log(rf"{worker}\[.*statements: the database accepts it again, after \d+ refusals", 20)
    assert db.one("SELECT sum(crashes + ooms + attempt) FROM ferry.task") == 0


def test_statement_that_is_refused_now_and_then_is_one_outage(ferryd, db, spool):
    """As on a disk that is almost full: every second claim is refused, those between are carried out."""
    daemon = small(ferryd, spool, workers=1)
    db.sql("CREATE SEQUENCE ferry.disk_use")
    db.sql("""CREATE FUNCTION ferry.use_disk() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
        BEGIN
            IF nextval('ferry.disk_use') % 2 = 0 THEN
                RAISE EXCEPTION 'No space left on device' USING ERRCODE = 'disk_full';
            END IF;
            RETURN NEW;
        END $$""")
    db.sql("CREATE TRIGGER disk BEFORE UPDATE ON ferry.task FOR EACH ROW WHEN (OLD.state = 'queued') EXECUTE FUNCTION ferry.use_disk()")
    for n in range(4):
        db.done(*carry(db, spool, str(n), 1), timeout=10)
    assert db.one("SELECT last_value FROM ferry.disk_use") >= 7, "no claim was refused between two others"
    db.sql("DROP TRIGGER disk ON ferry.task")
    daemon.wait_log(r"claiming tasks: the database accepts it again, after \d refusals in \d+ s", 20)
    assert len(daemon.log("claiming tasks: the database refuses: No space left on device; will try again")) == 1
    assert len(daemon.log("claiming tasks")) == 2


def test_each_cause_of_a_refusal_is_said(ferryd, db, spool):
    """A statement that is refused all the time silences neither another statement nor another cause of the same one."""
    daemon = small(ferryd, spool, workers=1, poll="200ms")
    db.sql("ALTER FUNCTION ferry.free_behind(bigint, integer) RENAME TO free_behind_away")
    daemon.wait_log("looking for tasks that may follow an earlier one: the database refuses: function .*free_behind.* does not exist")
    db.sql("CREATE TABLE ferry.disk AS SELECT 'disk_full'::text AS condition")
    db.sql("""CREATE FUNCTION ferry.use_disk() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
        BEGIN
            IF (SELECT condition FROM ferry.disk) = 'disk_full' THEN
                RAISE EXCEPTION 'No space left on device' USING ERRCODE = 'disk_full';
            END IF;
            RAISE EXCEPTION 'no right to do so' USING ERRCODE = 'insufficient_privilege';
        END $$""")
    db.sql("CREATE TRIGGER disk BEFORE UPDATE ON ferry.task FOR EACH ROW WHEN (OLD.state = 'queued') EXECUTE FUNCTION ferry.use_disk()")
    tasks = carry(db, spool, "object", 1)
    daemon.wait_log("claiming tasks: the database refuses: No space left on device")
    db.sql("UPDATE ferry.disk SET condition = 'other'")
    daemon.wait_log("claiming tasks: the database refuses: no right to do so")
    db.sql("DROP TRIGGER disk ON ferry.task")
    db.done(*tasks, timeout=20)
    db.sql("ALTER FUNCTION ferry.free_behind_away(bigint, integer) RENAME TO free_behind")
    for what in ("No space left", "no right", "free_behind"):
        assert len(daemon.log(what)) == 1, daemon.log(what)


def test_statements_that_look_for_cancelled_tasks_are_refused(ferryd, db, spool, cos):
    cos.rate(MIB)
    daemon = ferryd({"spool": spool.store(), "cos": cos.store()}, workers=1)
    task = db.put(spool.put("source", 20 * MIB), f"cos://{BUCKET}/object")
    daemon.worker_of(task)
    wait_until(lambda: db.sql("SELECT task FROM ferry.upload WHERE initiated"), 20, "the upload: the worker writes nothing for some seconds")
    role = "ferry_daemon"
    db.sql(f"REVOKE ALL ON ferry.lingering FROM {role}")
    db.sql("SELECT pg_notify('ferry_cancel', '')")
    daemon.wait_log("letting go of cancelled tasks: the database refuses: permission denied")
    db.sql(f"GRANT ALL ON ferry.lingering TO {role}")
    db.sql(f"REVOKE UPDATE ON ferry.task FROM {role}")
    daemon.wait_log("looking for cancelled tasks: the database refuses: permission denied")
    db.sql(f"GRANT UPDATE ON ferry.task TO {role}")
    daemon.wait_log("looking for cancelled tasks: the database accepts it again", 30)


def test_worker_whose_statement_is_refused_says_so_once(ferryd, db, spool, cos):
    daemon = ferryd({"spool": spool.store(), "cos": cos.store()}, workers=1)
    db.sql("CREATE SEQUENCE ferry.disk_use")
    db.sql("""CREATE FUNCTION ferry.use_disk() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
        BEGIN
            IF nextval('ferry.disk_use') <= 4 THEN
                RAISE EXCEPTION 'No space left on device' USING ERRCODE = 'disk_full';
            END IF;
            RETURN NEW;
        END $$""")
    db.sql("CREATE TRIGGER disk BEFORE INSERT ON ferry.upload FOR EACH ROW EXECUTE FUNCTION ferry.use_disk()")
    row = db.done(db.put(spool.put("source", 12 * MIB), f"cos://{BUCKET}/object"), timeout=30)
    assert row["attempt"] == 0, "what the database puts off is no failure of the task"
    daemon.wait_log(r"ferry-worker/1.*statements: the database accepts it again, after 4 refusals in \d+ s", 20)
    assert len(daemon.log(r"ferry-worker/1.*No space left on device")) == 1
