#!/usr/bin/python3
"""Whether a task costs PostgreSQL the same whatever lies beside it in the queue.

  flatness.py [plain|weights|queues|limits]...   (default: all)
      --rows N --ahead N   what lies beside      --churn SECONDS   --count N   tasks that are measured      --runs N
      --only WORDS         cases whose name has them      --directory DIR   kept, so that what lies there is filled once
      --fill               no more than that

Real master, workers that carry nothing (instant.c).  The CPU seconds are those of all of PostgreSQL's processes, its vacuums among
them, medians of the runs; beside them the 99th percentiles of the statements that claim and settle.
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
    """Queues, what is said of them, and how rows are spread over them."""

    def __init__(self, queues, spread, setup=""):
        self.queues, self.spread, self.setup = queues, spread, setup

    def fill(self, db, n, **columns):
        for done in range(0, n, 1000000):
            fill(db, min(n - done, 1000000), **{"queue": self.spread, **columns})


MANY = 32  # as many as a node may serve
KINDS = {
    "plain": Kind(["default"], "'default'"),
    "weights": Kind(["a", "b"], "CASE n %% 2 WHEN 0 THEN 'a' ELSE 'b' END",
                    "INSERT INTO ferry.queue (name, weight) VALUES ('a', 3), ('b', 1)"),
    "queues": Kind([f"q{n}" for n in range(MANY)], f"'q' || n %% {MANY}",
                   f"INSERT INTO ferry.queue (name, weight) SELECT 'q' || n, 1 + n % 3 FROM generate_series(0, {MANY - 1}) n"),
    # a limit that does not bind, and a queue that is full
    "limits": Kind(["default", "full"], "'default'", """
        UPDATE ferry.queue SET max_transfers = 1000 WHERE name = 'default';
        INSERT INTO ferry.queue (name, max_transfers) VALUES ('full', 1);
        INSERT INTO ferry.node (name, pid, version, lease) VALUES ('other', 1, '0', '30 days');
        INSERT INTO ferry.task (source, destination, queue, state, node, claim)
        SELECT 'nothing://b/k', 'nothing://b/k', 'full', 'running', id, 1 FROM ferry.node"""),
}


def ended(db):
    """By the sequence of statistics, not by counting rows: what is counted should not cost what is measured."""
    return db.one("SELECT pg_stat_get_tuples_inserted('ferry.task_ended'::regclass)")


def deleted(db):
    return db.one("SELECT pg_stat_get_tuples_deleted('ferry.task_ended'::regclass)")


def measured(bench, db, kind, count, **options):
    """CPU milliseconds of PostgreSQL for a task, tasks a second, p99 of claim and settle in ms, over count tasks."""
    kind.fill(db, 2 * count + 60000)  # what the server tells of itself is up to a second old
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
    """Full speed for so long, with a backlog that does not end."""
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
    """A transaction that holds up all vacuums."""
    with contextlib.closing(db.connect()) as conn:
        conn.set_session(isolation_level="REPEATABLE READ", autocommit=False)
        conn.cursor().execute("SELECT count(*) FROM ferry.queue")
        yield


def power(n):
    return f"10^{len(str(n)) - 1}" if str(n).strip("0") == "1" else str(n)


class Prepared(Database):
    """A database with a backlog; it stays, and the next run goes on with it."""

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
    """(name, what lies beside, seconds of churn, whether xmin is held, configuration)"""
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
