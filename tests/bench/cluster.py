"""The base of the benchmarks of the queue: a PostgreSQL with durable settings, a ferryd, tasks in bulk, tables."""

import contextlib
import os
import re
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
# without this directory: its queue.py would hide Python's module of that name
sys.path[0:1] = [os.path.join(HERE, "..", "system"), os.path.join(HERE, "..", "servers")]

from daemon import Ferryd  # noqa: E402
from rig import BUILD, Database, Postgres, children, postgres_bin, read_proc, wait_until  # noqa: E402


def table(title, head, rows):
    print(f"\n{title}\n\n| {' | '.join(head)} |\n|{' --- |' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(map(str, row))} |", flush=True)


def cpu(pid):
    """Returns the CPU seconds of a process and of its children that have exited."""
    fields = read_proc(pid, "stat").rpartition(b")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK") if fields else 0


class Cluster(Postgres):
    """A cluster that may already exist, from an earlier run with the same directory."""

    def __init__(self, directory):
        if os.path.exists(f"{directory}/data"):
            self.directory, self.bin, self.data = directory, postgres_bin(), f"{directory}/data"
            with open(f"{self.data}/postgresql.conf") as conf:
                self.port = int(re.findall(r"^port = (\d+)", conf.read(), re.MULTILINE)[-1])
            self.start()
            return
        super().__init__(directory)
        with open(f"{self.data}/postgresql.conf", "a") as conf:
            conf.write("fsync = on\nshared_buffers = 512MB\nmax_wal_size = 8GB\ncheckpoint_timeout = 30min\n")
        self.restart()
        Database.make_template(self)


class Bench:
    def __init__(self, scratch):
        self.scratch, self.n = scratch, 0
        self.pg = Cluster(f"{scratch}/pg")
        self.find_postmaster()

    def find_postmaster(self):
        with open(f"{self.pg.data}/postmaster.pid") as f:
            self.postmaster = int(f.readline())

    def cpu(self):
        return cpu(self.postmaster) + sum(map(cpu, children(self.postmaster)))

    @contextlib.contextmanager
    def database(self):
        self.n += 1
        database = Database(self.pg, f"bench{self.n}")
        yield database
        database.drop()

    @contextlib.contextmanager
    def ferryd(self, database, stores=None, workers=2, **options):
        daemon = Ferryd(self.scratch, database, stores or {}, workers=workers, **options)
        daemon.start(ready=False)
        try:
            wait_until(lambda: daemon.log("is up"), 20, lambda: daemon.log_text())
            yield daemon
        finally:
            daemon.stop()

    def instant(self, database, workers=4, **options):
        """Its workers carry nothing; the store is there so that the master gives them tasks."""
        stores = {"nothing": {"kind": "file", "root": self.scratch}}
        return self.ferryd(database, stores, workers=workers, worker_program=f"{BUILD}/tests/instant", **options)


def fill(db, n, source="nothing://b/k", destination="nothing://b/k", one_destination=False, **columns):
    """Inserts n tasks.  Their destinations differ from each other and from those of earlier calls, unless there is to be only one."""
    names = "".join(f", {c}" for c in columns)
    values = "".join(f", {v}" for v in columns.values())
    apart = "" if one_destination else f" || '-{time.time_ns()}-' || n"
    db.sql(f"INSERT INTO ferry.task (source, destination{names}) SELECT %s || n, %s{apart}{values} FROM generate_series(1, %s) n",
           (source, destination, n))


def left(db):
    return db.one("SELECT count(*) FROM ferry.task_live")


