#!/usr/bin/python3
"""Tasks a second of ferryd's queue and of other queues.

  queue.py [throughput|end_to_end|progress]...   (default: all)   --count N   --runs N

All queues run on one PostgreSQL with durable settings, and every task is committed before it counts as done.  "claim and settle" is
ferryd with workers that report success at once; the others have tasks that do nothing.  "end to end" carries objects of one byte
between test servers.  Rates are measured without the first and the last tenth of the tasks.  "progress" is what it costs to write how
far the running tasks are: one statement for all tasks of a node, every two seconds.
"""

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from cluster import HERE, Bench, fill, left, table
from rig import BUILD, free_port, wait_until
import statements

BUCKET = "bench-1250000000"
NODE = shutil.which("node")


def rate(left, count, timeout=600):
    """Returns the tasks a second while left() falls from nine tenths of count to one tenth."""
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


@contextlib.contextmanager
def process(command, **options):
    p = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True, **options)
    try:
        yield p
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(p.pid, signal.SIGKILL)
        p.wait()


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
    """A Redis that writes every task to disk before it accepts it, as PostgreSQL does."""
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
            with contextlib.suppress(subprocess.TimeoutExpired):  # Celery sometimes hangs here
                p.wait(60)  # Celery finishes the tasks that it has fetched
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


def progress(bench, options):
    rows = []
    rounds = 300
    for tasks in (1, 8, 64, 256):
        with bench.database() as db, contextlib.closing(db.connect("ferry_test_daemon")) as conn:
            fill(db, 100000)
            ids = [row["id"] for row in db.sql("UPDATE ferry.task SET state = 'running', node = 1, worker = id, claim = id, first_claim = id "
                                               "WHERE id <= %s RETURNING id", (tasks,))]
            db.sql("VACUUM ANALYZE ferry.task_live")
            statements.run(conn, "walk_indexes")
            before, began = bench.cpu(), time.monotonic()
            for done in range(1, rounds + 1):
                statements.run(conn, "write_progress", *map(statements.array, (ids, ids, [done] * tasks, [rounds] * tasks)))
            took, used = time.monotonic() - began, bench.cpu() - before
            assert db.one("SELECT count(*) FROM ferry.task WHERE bytes_done = %s", (rounds,)) == tasks
            db.sql("SELECT pg_stat_force_next_flush()")
            hot = db.one("SELECT round(100.0 * n_tup_hot_upd / n_tup_upd) FROM pg_stat_user_tables WHERE relname = 'task_live'")
            rows.append((tasks, f"{1000 * took / rounds:.1f}", f"{1000 * used / rounds:.1f}", f"{100 * used / rounds / 2:.2f} %", f"{hot} %"))
    table("the progress of running tasks, beside 10^5 that wait",
          ("running tasks", "ms a statement", "PostgreSQL CPU ms", "of a core, every 2 s", "HOT"), rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", choices=[[], "throughput", "end_to_end", "progress"])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--count", type=int, default=40000, help="tasks that are measured")
    options = parser.parse_args()
    scratch = tempfile.mkdtemp(prefix="ferryd-queue.")
    os.chmod(scratch, 0o755)
    bench = None
    try:
        bench = Bench(scratch)
        for what in options.what or ("throughput", "end_to_end", "progress"):
            {"throughput": throughput, "end_to_end": end_to_end, "progress": progress}[what](bench, options)
    finally:
        if bench:
            bench.pg.remove()
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
