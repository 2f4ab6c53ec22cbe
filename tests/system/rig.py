"""The base of all system tests: waiting, processes as /proc shows them, and a private PostgreSQL cluster."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import time

import psycopg2
import psycopg2.extensions
import psycopg2.extras

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("FERRY_BUILD", os.path.join(ROOT, "build")))
with open(f"{ROOT}/common/db/db.h") as header:
    SCHEMA = int(re.search(r"^#define DB_SCHEMA_VERSION (\d+)$", header.read(), re.M)[1])  # the newest version
MIB = 1 << 20
CORES = len(os.sched_getaffinity(0))
ACCOUNT = "nobody"  # the account that the daemon becomes


def patience():
    """How much longer things may take now than on an idle machine: processes that want a core, for each core; at most 8."""
    with open("/proc/loadavg") as f:
        load, _, _, tasks, _ = f.read().split()
    return min(max(1, float(load) / CORES, int(tasks.split("/")[0]) / CORES), 8)


def wait_until(predicate, timeout=10, what=None, step=0.02):
    """The first true value of predicate(); fails the test, saying what was waited for, when the time is over.

    timeout: seconds on an idle machine; at least three times as many pass before the test fails, and more on a busy one."""
    began = time.monotonic()
    while True:
        taken = time.monotonic() - began
        value = predicate()
        if value:
            return value
        if taken > timeout * max(3, patience()):
            raise AssertionError(f"waited {timeout} s in vain for {what() if callable(what) else what or predicate.__name__}")
        time.sleep(step)


def holds(predicate, seconds, what=None):
    """Fails the test unless predicate() stays true for this many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert predicate(), f"no longer true: {what or predicate.__name__}"
        time.sleep(0.05)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def read_proc(pid, name):
    try:
        with open(f"/proc/{pid}/{name}", "rb") as f:
            return f.read()
    except OSError:
        return b""


def title(pid):
    """Returns the process title as ps shows it; empty if the process is gone or a zombie."""
    return read_proc(pid, "cmdline").replace(b"\0", b" ").strip().decode(errors="replace")


def running(pid):
    stat = read_proc(pid, "stat")
    return bool(stat) and stat.rpartition(b")")[2].split()[0] not in (b"Z", b"X")


def children(pid):
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            stat = read_proc(entry, "stat").rpartition(b")")[2].split()
            if len(stat) > 1 and int(stat[1]) == pid and stat[0] != b"Z":
                found.append(int(entry))
    return sorted(found)


def sockets(pid):
    """Returns the inodes of the sockets that a process holds."""
    found = set()
    with contextlib.suppress(OSError):
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                target = os.readlink(f"/proc/{pid}/fd/{fd}")
                if target.startswith("socket:["):
                    found.add(int(target[8:-1]))
    return found


def as_postgres(*command, **options):
    return subprocess.run(["runuser", "-u", "postgres", "--", *command], check=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, **options).stdout


def postgres_bin():
    base = "/usr/lib/postgresql"
    return os.path.join(base, max(os.listdir(base), key=float), "bin")


class Postgres:
    """A private cluster below directory: superuser postgres, a socket in directory, and a TCP port on loopback."""

    def __init__(self, directory):
        self.directory, self.bin, self.port = directory, postgres_bin(), free_port()
        self.data = os.path.join(directory, "data")
        os.mkdir(directory)
        shutil.chown(directory, "postgres", "postgres")
        os.chmod(directory, 0o755)
        as_postgres(f"{self.bin}/initdb", "-D", self.data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8",
                    "--no-sync", cwd=directory)
        with open(os.path.join(self.data, "postgresql.conf"), "a") as conf:
            conf.write(f"port = {self.port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{directory}'\n"
                       "fsync = off\nmax_connections = 150\nlog_line_prefix = '%m [%p] %a '\n")
        self.start()

    def _ctl(self, *arguments):
        as_postgres(f"{self.bin}/pg_ctl", "-D", self.data, "-l", f"{self.directory}/postgres.log", "-w", *arguments,
                    cwd=self.directory)

    def start(self):
        self._ctl("start")

    def stop(self, mode="fast"):
        self._ctl("stop", "-m", mode)

    def restart(self, mode="fast"):
        self._ctl("restart", "-m", mode)

    def is_running(self):
        return os.path.exists(os.path.join(self.data, "postmaster.pid"))

    def log_text(self):
        with open(f"{self.directory}/postgres.log", errors="replace") as f:
            return f.read()

    def conninfo(self, dbname, user="postgres"):
        return f"host={self.directory} port={self.port} dbname={dbname} user={user}"

    def admin(self, *statements):
        with contextlib.closing(psycopg2.connect(self.conninfo("postgres"))) as conn:
            conn.autocommit = True
            with conn.cursor() as cur:
                for statement in statements:
                    cur.execute(statement)

    def remove(self):
        if self.is_running():
            self.stop("immediate")
        shutil.rmtree(self.directory, ignore_errors=True)


def trusting(directory):
    """A prefix for a command, which then finds directory where the system keeps the certificates that it trusts."""
    return ["unshare", "-m", "sh", "-c", 'mount --bind "$0" /etc/ssl/certs && exec "$@"', directory]


def ferryctl(*arguments, conninfo=None, config=None, check=True, **options):
    """Runs ferryctl; returns the CompletedProcess with text in stdout and stderr."""
    env = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    if conninfo:
        env["FERRYCTL_DATABASE"] = conninfo
    if not os.path.exists(f"{BUILD}/../etc/schema.sql"):  # built outside of the tree
        env["FERRY_SCHEMA_DIR"] = f"{ROOT}/etc"
    command = [f"{BUILD}/ferryctl", *(["-f", config] if config else []), *map(str, arguments)]
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120, **options)
    assert not check or done.returncode == 0, f"ferryctl {' '.join(map(str, arguments))}: {done.returncode}\n{done.stderr}"
    return done


def old_schema(cursor, version):
    """Makes the schema of a version up to 8 with the files that made it then.  Since version 8 one file makes the whole schema."""
    for number in [version] if version >= 8 else range(1, version + 1):
        with open(f"{ROOT}/tests/system/schema/{number:03d}.sql") as f:
            cursor.execute(f.read())
        columns = "version, compatible_from" if number >= 15 else "version"
        cursor.execute(f"INSERT INTO ferry.schema_version ({columns}) VALUES ({', '.join([str(number)] * len(columns.split()))})")


def claimed_once(row):
    """Whether the task of this row was claimed once, and no more.  Claims are random numbers."""
    return row["claim"] == row["first_claim"]


class Database:
    """One database with the schema: the daemon connects as ferry_test_daemon, producers as ferry_test_producer."""

    TEMPLATE = "ferry_template"

    def __init__(self, pg, name):
        self.pg, self.name, self.conn = pg, name, None
        pg.admin(f"CREATE DATABASE {name} TEMPLATE {self.TEMPLATE}")

    @classmethod
    def make_template(cls, pg):
        pg.admin(f"CREATE DATABASE {cls.TEMPLATE}")
        ferryctl("migrate", conninfo=pg.conninfo(cls.TEMPLATE))
        pg.admin("CREATE ROLE ferry_test_daemon LOGIN IN ROLE ferry_daemon",
                 "CREATE ROLE ferry_test_producer LOGIN IN ROLE ferry_producer")

    def conninfo(self, user="ferry_test_daemon"):
        return self.pg.conninfo(self.name, user)

    def connect(self, user="postgres"):
        conn = psycopg2.connect(self.conninfo(user), cursor_factory=psycopg2.extras.DictCursor, application_name="test")
        conn.autocommit = True
        return conn

    def sql(self, statement, parameters=None):
        """Runs a statement as superuser; returns rows as dictionaries.  Connects again if a restart of the server broke the connection."""
        end = time.monotonic() + 5
        while True:
            try:
                if self.conn is None or self.conn.closed:
                    self.conn = self.connect()
                with self.conn.cursor() as cur:
                    cur.execute(statement, parameters)
                    return [dict(row) for row in cur.fetchall()] if cur.description else []
            except (psycopg2.DatabaseError, psycopg2.InterfaceError) as error:
                broken = isinstance(error, (psycopg2.OperationalError, psycopg2.InterfaceError)) or "server closed" in str(error)
                if not broken or time.monotonic() > end:
                    raise
                self.conn = None
                time.sleep(0.05)

    def one(self, statement, parameters=None):
        row = self.sql(statement, parameters)[0]
        return next(iter(row.values()))

    def put(self, source, destination, **columns):
        """Inserts a task as a producer does; returns its id."""
        columns.update(source=source, destination=destination)
        if isinstance(columns.get("metadata"), dict):
            columns["metadata"] = psycopg2.extras.Json(columns["metadata"])
        names = ", ".join(columns)
        with contextlib.closing(self.connect("ferry_test_producer")) as conn, conn.cursor() as cur:
            cur.execute(f"INSERT INTO ferry.task ({names}) VALUES ({', '.join(['%s'] * len(columns))}) RETURNING id",
                        list(columns.values()))
            return cur.fetchone()[0]

    def task(self, task):
        return self.sql("SELECT * FROM ferry.task WHERE id = %s", (task,))[0]

    def state(self, task):
        return self.task(task)["state"]

    def wait(self, task, *states, timeout=60):
        """Waits until the task is in one of states (default: done, failed or cancelled); returns the row."""
        states = states or ("done", "failed", "cancelled")
        try:
            wait_until(lambda: self.state(task) in states, timeout, f"task {task} to be {' or '.join(states)}")
        except AssertionError as e:
            raise AssertionError(f"{e}; it is {self.task(task)}") from None
        return self.task(task)

    def done(self, *tasks, timeout=60):
        """All of them end as done; returns the rows (the row, of one)."""
        began = time.monotonic()
        rows = [self.wait(task, timeout=max(timeout - (time.monotonic() - began) / patience(), 1)) for task in tasks]
        for row in rows:
            assert row["state"] == "done", f"task {row['id']} is {row['state']}: {row['error_class']}: {row['error']}"
        return rows[0] if len(rows) == 1 else rows

    def waits(self, task, timeout=60):
        """Waits until the task has failed for a trouble that is not its own, and is queued again, uncounted; returns the row."""
        wait_until(lambda: (row := self.task(task))["state"] == "queued" and row["error"] is not None, timeout,
                   lambda: f"task {task} to fail and wait; it is {self.task(task)}")
        row = self.task(task)
        assert row["attempt"] == 0, row
        return row

    def parts(self, task):
        return self.one("SELECT count(*) FROM ferry.part WHERE task = %s", (task,))

    def began(self, task):
        """Makes the row of a task that was claimed before, by an attempt that is over."""
        self.sql("UPDATE ferry.task SET claim = 1, first_claim = 1 WHERE id = %s AND first_claim IS NULL", (task,))

    def sessions(self):
        return self.sql("SELECT pid, application_name, usename, client_port, state FROM pg_stat_activity WHERE datname = %s "
                        "AND application_name <> 'test' AND backend_type = 'client backend'", (self.name,))

    def drop(self):
        if self.conn is not None and not self.conn.closed:
            self.conn.close()
        self.pg.admin(f"DROP DATABASE {self.name} WITH (FORCE)")
