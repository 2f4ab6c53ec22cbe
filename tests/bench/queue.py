#!/usr/bin/python3
"""The queue: how many tasks a second beside other queues, and whether a task costs the same whatever lies beside it.

  queue.py [throughput|end_to_end|flatness]...   (default: all)   --count N   --rows N   --churn SECONDS

All on one PostgreSQL with its durable settings, every task committed before it counts as done.  "claim and settle" is ferryd with workers
that carry nothing and say so at once, beside the others with tasks that do nothing; "end to end" carries objects of one byte between
test servers.  Rates are taken between the tenth and the last tenth of the tasks.  Flatness: CPU seconds of all of PostgreSQL's
processes for a task, and the 99th percentile of its statements, beside the same with nothing else in the queue.
"""

import argparse
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
# not this directory: to others "queue" is a module of Python's
sys.path[0:1] = [os.path.join(HERE, "..", "system"), os.path.join(HERE, "..", "servers")]

from daemon import Ferryd  # noqa: E402
from rig import BUILD, Database, Postgres, children, free_port, read_proc, wait_until  # noqa: E402

BUCKET = "bench-1250000000"
NODE = shutil.which("node")


def table(title, head, rows):
    print(f"\n{title}\n\n| {' | '.join(head)} |\n|{' --- |' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(map(str, row))} |", flush=True)


def cpu(pid):
    """Seconds of a process and of its children that have ended."""
    fields = read_proc(pid, "stat").rpartition(b")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK") if fields else 0


def rate(left, count, timeout=600):
    """Tasks a second while left() falls from nine tenths of count to one."""
    marks = []

    def passed():
        marks.append((time.monotonic(), left()))
        return marks[-1][1] <= count / 10
    wait_until(passed, timeout, "the tasks", step=0.05)
    inside = [m for m in marks if m[1] <= 0.9 * count] or marks[-2:]
    if len(inside) < 2:
        inside = marks[-2:]
    (t0, n0), (t1, n1) = inside[0], inside[-1]
    return (n0 - n1) / (t1 - t0)


class Bench:
    def __init__(self, scratch):
        self.scratch, self.n = scratch, 0
        self.pg = Postgres(f"{scratch}/pg")
        with open(f"{self.pg.data}/postgresql.conf", "a") as conf:
            conf.write("fsync = on\nshared_buffers = 512MB\nmax_wal_size = 8GB\ncheckpoint_timeout = 30min\n")
        self.pg.restart()
        Database.make_template(self.pg)
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

    def instant(self, database, workers=4):
        return self.ferryd(database, workers=workers, worker_program=f"{BUILD}/tests/instant")


@contextlib.contextmanager
def process(command, **options):
    p = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **options)
    try:
        yield p
    finally:
        p.kill()
        p.wait()


def fill(db, n, source="nothing://b/k", destination="nothing://b/k", **columns):
    names = "".join(f", {c}" for c in columns)
    values = "".join(f", {v}" for v in columns.values())
    db.sql(f"INSERT INTO ferry.task (source, destination{names}) SELECT %s || n, %s || n{values} FROM generate_series(1, %s) n",
           (source, destination, n))


def left(db):
    return db.one("SELECT count(*) FROM ferry.task_live")


def bare(bench, count):
    with bench.database() as db:
        fill(db, count)
        with bench.instant(db):
            return rate(lambda: left(db), count)


def peer(bench, name, count, remaining):
    with bench.database() as db:
        url = f"postgresql://postgres@127.0.0.1:{bench.pg.port}/{db.name}"
        command = [NODE, f"{HERE}/queue_peers.mjs", name]
        subprocess.run([*command, "fill", url, str(count)], check=True, stdout=subprocess.DEVNULL)
        with process([*command, "work", url, "0"]):
            return rate(lambda: db.one(remaining), count)


@contextlib.contextmanager
def redis(scratch):
    """Every task is on disk before it is accepted, as in PostgreSQL."""
    port = free_port()
    with process(["redis-server", "--port", str(port), "--dir", scratch, "--appendonly", "yes", "--appendfsync", "always", "--save", ""]):
        time.sleep(1)
        yield port


def celery(bench, count, task, source="", sink=""):
    with redis(bench.scratch) as port:
        env = {**os.environ, "PYTHONPATH": f"{HERE}/peers_queue", "QUEUE_BROKER": f"redis://127.0.0.1:{port}/0", "QUEUE_SOURCE": source,
               "QUEUE_SINK": sink}
        subprocess.run(["/usr/bin/python3", "-c", f"import bench_celery\nfor n in range({count}): bench_celery.{task}.delay(n)"],
                       env=env, check=True, cwd=bench.scratch)

        def remaining():
            def ask(*words):
                done = subprocess.run(["redis-cli", "-p", str(port), *words], stdout=subprocess.PIPE, text=True, check=True)
                return int(done.stdout)
            return ask("llen", "celery") + ask("hlen", "unacked")
        with process(["/usr/bin/python3", "-m", "celery", "-A", "bench_celery", "worker", "-P", "prefork", "-c", "2", "-l", "error",
                      "--without-gossip", "--without-mingle"], env=env, cwd=bench.scratch) as p:
            got = rate(remaining, count)
            p.terminate()
            p.wait(120)  # it ends what it has fetched
            return got


def throughput(bench, options):
    n = options.count
    rates = {}
    for _ in range(options.runs):
        for name, run in (
                ("**ferryd**, claim and settle", lambda: bare(bench, n)),
                ("graphile-worker, localQueue and batched completion", lambda: peer(
                    bench, "graphile-batched", n, "SELECT count(*) FROM graphile_worker._private_jobs")),
                ("graphile-worker", lambda: peer(bench, "graphile", n // 4, "SELECT count(*) FROM graphile_worker._private_jobs")),
                ("pg-boss, batches of 100", lambda: peer(
                    bench, "pg-boss", n // 4, "SELECT count(*) FROM pgboss.job WHERE name = 'q' AND state < 'completed'")),
                ("Celery, 2 processes, acks_late, Redis with appendfsync always", lambda: celery(bench, n // 8, "nothing"))):
            rates.setdefault(name, []).append(run())
    best = {name: sorted(r)[len(r) // 2] for name, r in rates.items()}
    mine = next(iter(best.values()))
    table(f"{n} tasks that do nothing", ("queue", "tasks/s", "ferryd is"),
          [(name, f"{r:.0f}", f"{mine / r:.1f} ×") for name, r in best.items()])


def end_to_end(bench, options):
    n = options.count // 4
    port = free_port()
    with process([f"{BUILD}/tests/void", "-p", str(port)]):
        time.sleep(0.5)
        rates = []
        stores = {"inside": {"kind": "s3", "endpoint": f"http://127.0.0.1:{port}", "region": "b", "access_key": "b", "secret": "b"},
                  "outside": {"kind": "cos", "endpoint": f"http://cos.bench.test:{port}", "region": "b", "access_key": "b",
                              "secret": "b", "resolve": [f"{BUCKET}.cos.bench.test:{port}:127.0.0.1"]}}
        with bench.database() as db:
            fill(db, n, "inside://bench/size-1-", f"outside://{BUCKET}/")
            with bench.ferryd(db, stores, workers=2):
                rates.append(rate(lambda: left(db), n))
        with bench.database() as db:
            fill(db, n, "inside://bench/size-1-", f"outside://{BUCKET}/")
            with bench.ferryd(db, stores, workers=8):
                rates.append(rate(lambda: left(db), n))
        rates.append(celery(bench, n // 2, "carry", f"127.0.0.1:{port}", f"127.0.0.1:{port}"))
    names = ("**ferryd**, 2 workers, verified by CRC64", "**ferryd**, 8 workers", "Celery, 2 processes, unverified")
    table(f"{n} objects of one byte between test servers", ("queue", "objects/s", "of Celery"),
          [(name, f"{r:.0f}", f"{r / rates[2]:.1f} ×") for name, r in zip(names, rates)])


DURATION = re.compile(r"duration: ([\d.]+) ms  execute (claim|settle_done):")


def measured(bench, db, count):
    """CPU milliseconds of PostgreSQL for a task, tasks a second, p99 of claim and settle in ms, over count tasks."""
    db.sql("ALTER ROLE ferry_test_daemon SET log_min_duration_statement = 0")
    log = f"{bench.pg.directory}/postgres.log"
    before = left(db)
    with bench.instant(db):
        wait_until(lambda: left_is(db, before, count // 10), 300, "the first tasks", step=0.01)
        offset, begin, cpu0, n0 = os.path.getsize(log), time.monotonic(), bench.cpu(), ended(db)
        wait_until(lambda: ended(db) - n0 >= count, 600, "the tasks", step=0.05)
        n, spent, taken = ended(db) - n0, bench.cpu() - cpu0, time.monotonic() - begin
    with open(log, errors="replace") as f:
        f.seek(offset)
        found = DURATION.findall(f.read())
    p99 = {}
    for what in ("claim", "settle_done"):
        values = sorted(float(ms) for ms, name in found if name == what)
        p99[what] = values[int(len(values) * 0.99)] if values else 0.0
    return spent / n * 1000, n / taken, p99["claim"], p99["settle_done"]


def ended(db):
    """By the sequence of statistics, not by counting rows: what is counted should not cost what is measured."""
    return db.one("SELECT pg_stat_get_tuples_inserted('ferry.task_ended'::regclass)")


def left_is(db, before, n):
    return ended(db) >= n or left(db) <= before - n


def churn(bench, db, seconds):
    """Full speed for so long, with a backlog that does not end."""
    with bench.instant(db):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            fill(db, 5000)
            wait_until(lambda: left(db) < 5000, 60, "the churn", step=0.02)


def flatness(bench, options):
    n = options.count
    rows = []

    def case(name, prepare=lambda db: None, hold=False):
        with bench.database() as db:
            held = None
            if hold:
                held = db.connect()
                held.set_session(isolation_level="REPEATABLE READ", autocommit=False)
                held.cursor().execute("SELECT count(*) FROM ferry.task")
            prepare(db)
            fill(db, 2 * n)
            db.sql("ANALYZE ferry.task_live")
            rows.append((name, *measured(bench, db, n)))
            if held:
                held.close()

    case("nothing else")
    case(f"{options.rows} ready", lambda db: fill(db, options.rows))
    case(f"{options.rows} finished", lambda db: fill(db, options.rows, state="'done'::ferry.state", finished_at="now()"))
    case(f"{options.rows // 10} scheduled ahead, at a higher priority", lambda db: fill(
        db, options.rows // 10, run_at="now() + interval '1 day'", priority="5"))
    case(f"after {options.churn} s of churn", lambda db: churn(bench, db, options.churn))
    case("the same with xmin held", lambda db: churn(bench, db, options.churn), hold=True)
    case("nothing else, again")
    base = rows[0]
    table(f"{n} tasks", ("beside", "PostgreSQL CPU ms/task", "ratio", "tasks/s", "p99 claim, ms", "p99 settle, ms"),
          [(name, f"{c:.3f}", f"{c / base[1]:.2f}", f"{r:.0f}", f"{p:.1f}", f"{s:.1f}") for name, c, r, p, s in rows])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", choices=[[], "throughput", "end_to_end", "flatness"])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--count", type=int, default=40000, help="tasks that are measured")
    parser.add_argument("--rows", type=int, default=10000000, help="rows that lie beside them")
    parser.add_argument("--churn", type=int, default=180, help="seconds of churn")
    options = parser.parse_args()
    scratch = tempfile.mkdtemp(prefix="ferryd-queue.")
    os.chmod(scratch, 0o755)
    bench = None
    try:
        bench = Bench(scratch)
        for what in options.what or ("throughput", "end_to_end", "flatness"):
            {"throughput": throughput, "end_to_end": end_to_end, "flatness": flatness}[what](bench, options)
    finally:
        if bench:
            bench.pg.remove()
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
