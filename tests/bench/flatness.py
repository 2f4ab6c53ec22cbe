#!/usr/bin/python3
"""Measures whether the cost of a task depends on the other rows of the table.

  flatness.py [plain|weights|queues|limits]...   (default: all)
      --rows N --ahead N   numbers of other rows      --churn SECONDS   --count N   tasks that are measured      --runs N
      --only REGEX         cases whose name matches   --directory DIR   keeps the filled databases for the next run
      --fill               only fills the databases

The real master works with workers that carry nothing (instant.c).  CPU seconds are those of all of PostgreSQL's processes, vacuums
included, as medians of the runs.  The tables also show the 99th percentiles of the statements that claim and settle.
"""

import argparse
import contextlib
import os
import re
import shutil
import statistics
import sys
import tempfile
import time

import psycopg2

from cluster import Bench, fill, left, table
from rig import Database, wait_until

DURATION = re.compile(r"duration: ([\d.]+) ms  execute (claim|settle)\w*:")


class Kind:
    """The queues of a case, their settings, and the spread of rows over them."""

    def __init__(self, queues, spread, setup=""):
        self.queues, self.spread, self.setup = queues, spread, setup

    def fill(self, db, n, **columns):
        for done in range(0, n, 1000000):
            fill(db, min(n - done, 1000000), **{"queue": self.spread, **columns})


MANY = 32  # the most queues that a node may serve
KINDS = {
    "plain": Kind(["default"], "'default'"),
    "weights": Kind(["a", "b"], "CASE n %% 2 WHEN 0 THEN 'a' ELSE 'b' END",
                    "INSERT INTO ferry.queue (name, weight) VALUES ('a', 3), ('b', 1)"),
    "queues": Kind([f"q{n}" for n in range(MANY)], f"'q' || n %% {MANY}",
                   f"INSERT INTO ferry.queue (name, weight) SELECT 'q' || n, 1 + n % 3 FROM generate_series(0, {MANY - 1}) n"),
    # a limit that is never reached, and a queue that is full
    "limits": Kind(["default", "full"], "'default'", """
        UPDATE ferry.queue SET max_transfers = 1000 WHERE name = 'default';
        INSERT INTO ferry.queue (name, max_transfers) VALUES ('full', 1);
        INSERT INTO ferry.node (id, name, pid, version, lease) VALUES (1, 'other', 1, '0', '30 days');
        INSERT INTO ferry.task (source, destination, queue, state, node, claim)
        SELECT 'nothing://b/k', 'nothing://b/k', 'full', 'running', id, 1 FROM ferry.node"""),
}


def ended(db):
    """Returns how many tasks have ended, by the server's statistics: counting rows would disturb the measurement."""
    return db.one("SELECT pg_stat_get_tuples_inserted('ferry.task_ended'::regclass)")


def deleted(db):
    return db.one("SELECT pg_stat_get_tuples_deleted('ferry.task_ended'::regclass)")


def measured(bench, db, kind, count, **options):
    """Measures count tasks; returns PostgreSQL's CPU ms for a task, tasks a second, and p99 of claim and settle in ms."""
    kind.fill(db, 2 * count + 60000)  # more, since the server's statistics are up to a second old
    db.sql("ANALYZE ferry.task_live")
    db.sql("ALTER ROLE ferry_test_daemon SET log_min_duration_statement = 0")
    log = f"{bench.pg.directory}/postgres.log"
    first = ended(db)
    with bench.instant(db, queues=kind.queues, **options):
        wait_until(lambda: ended(db) - first >= count // 10, 300, "the first tasks", step=0.01)
        offset, begin, cpu0, n0 = os.path.getsize(log), time.monotonic(), bench.cpu(), ended(db)
        gone = deleted(db)
        wait_until(lambda: ended(db) - n0 >= count, 600, "the tasks", step=0.05)
        n, spent, taken = ended(db) - n0, bench.cpu() - cpu0, time.monotonic() - begin
        gone = deleted(db) - gone
    with open(log, errors="replace") as f:
        f.seek(offset)
        found = DURATION.findall(f.read())
    p99 = []
    for what in ("claim", "settle"):
        values = sorted(float(ms) for ms, name in found if name == what)
        p99.append(values[int(len(values) * 0.99)] if values else 0.0)
    return spent / n * 1000, n / taken, *p99, gone / taken


def churn(bench, db, kind, seconds):
    """Runs at full speed for this time, with a backlog that does not end; returns how many tasks were inserted."""
    filled, step = 0, 20000
    with bench.instant(db, queues=kind.queues):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            kind.fill(db, step)
            filled += step
            wait_until(lambda: left(db) < step, 120, "the churn", step=0.1)
    return filled


@contextlib.contextmanager
def held(db):
    """Keeps a transaction open that holds up all vacuums."""
    with contextlib.closing(db.connect()) as conn:
        conn.set_session(isolation_level="REPEATABLE READ", autocommit=False)
        conn.cursor().execute("SELECT count(*) FROM ferry.queue")
        yield


def power(n):
    return f"10^{len(str(n)) - 1}" if str(n).strip("0") == "1" else str(n)


class Prepared(Database):
    """A database with a backlog; it is kept for the next run."""

    def __init__(self, pg, name, kind, prepare):
        with contextlib.closing(psycopg2.connect(pg.conninfo("postgres"))) as conn, conn.cursor() as cur:
            cur.execute("SELECT FROM pg_database WHERE datname = %s", (name,))
            there = cur.rowcount > 0
        if there:
            self.pg, self.name, self.conn = pg, name, None
            return
        super().__init__(pg, name)
        self.sql(kind.setup or "SELECT")
        prepare(self)
        for part in ("task_live", "task_ended"):
            self.sql(f"VACUUM ANALYZE ferry.{part}")
        self.sql("CHECKPOINT")


def cases(options, kind):
    """Yields (name, function that fills the table, seconds of churn, whether vacuums are held up, configuration)."""
    def case(name, seconds=0, hold=False, conf=None, **beside):
        n = beside.pop("n", 0)
        return name, lambda db: kind.fill(db, n, **beside), seconds, hold, conf or {}

    rows, ahead = options.rows, options.ahead
    finished = {"state": "'done'::ferry.state", "finished_at": "now() - interval '1 day' - n * interval '1 ms'"}
    yield case("nothing else")
    for n in (1000, rows // 100, rows):
        yield case(f"{power(n)} ready", n=n)
    yield case(f"{power(rows)} finished", n=rows, **finished)
    yield case(f"{power(rows)} finished, deleted meanwhile", conf={"retention": "1h"}, n=rows, **finished)
    yield case(f"{power(ahead)} scheduled ahead, at a higher priority", n=ahead, priority="5", run_at="now() + interval '1 day'")
    yield case(f"{power(ahead)} that wait for one destination, at a higher priority", n=ahead, priority="5", one_destination=True)
    if "full" in kind.queues:
        yield case(f"{power(ahead)} of a full queue, at a higher priority", n=ahead, priority="5", queue="'full'")
    yield case(f"after {options.churn} s of churn", options.churn)
    yield case("the same with xmin held", options.churn, True)


class Flatness:
    def __init__(self, bench, options):
        self.bench, self.options = bench, options

    def run(self, kind_name, kind):
        rows = []
        for name, prepare, seconds, hold, conf in cases(self.options, kind):
            if self.options.only and not re.search(self.options.only, name):
                continue
            db = Prepared(self.bench.pg, re.sub(r"\W+", "_", f"{kind_name}_{name}").lower(), kind, prepare)
            if self.options.fill:
                continue
            runs = [self.once(db, kind, seconds, hold, conf) for _ in range(self.options.runs)]
            rows.append((name, *map(statistics.median, zip(*runs))))
            print(f"{kind_name}: {name}: {[round(r[0], 4) for r in runs]}", file=sys.stderr)
        if rows:
            base = rows[0][1]
            table(f"{kind_name}, {self.options.count} tasks", ("beside", "PostgreSQL CPU ms/task", "ratio", "tasks/s", "p99 claim, ms",
                                                               "p99 settle, ms", "deleted/s", "tasks before"),
                  [(name, f"{c:.3f}", f"{c / base:.2f}", f"{r:.0f}", f"{p:.1f}", f"{s:.1f}", f"{d:.0f}", f"{n:.0f}")
                   for name, c, r, p, s, d, n in rows])

    def once(self, db, kind, seconds, hold, conf):
        with held(db) if hold else contextlib.nullcontext():
            churned = churn(self.bench, db, kind, seconds) if seconds else 0
            return *measured(self.bench, db, kind, self.options.count, **conf), churned


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", choices=[[], *KINDS])
    parser.add_argument("--rows", type=int, default=10000000)
    parser.add_argument("--ahead", type=int, default=1000000)
    parser.add_argument("--churn", type=int, default=180)
    parser.add_argument("--count", type=int, default=40000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", default="", help="a regular expression")
    parser.add_argument("--directory")
    parser.add_argument("--fill", action="store_true")
    options = parser.parse_args()
    scratch = options.directory or tempfile.mkdtemp(prefix="ferryd-flatness.", dir="/var/tmp")
    os.makedirs(scratch, exist_ok=True)
    os.chmod(scratch, 0o755)
    bench = None
    try:
        bench = Bench(scratch)
        for name in options.kinds or KINDS:
            Flatness(bench, options).run(name, KINDS[name])
    finally:
        if bench and options.directory:
            bench.pg.stop()
        elif bench:
            bench.pg.remove()
        if not options.directory:
            shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
