#!/usr/bin/python3
"""What idle nodes cost PostgreSQL while tasks come one by one, and how soon a task is taken.

  herd.py [--nodes 1,8,50] [--rate 100] [--seconds 10]

Nodes with four workers that carry nothing share a database.  One producer inserts so many rows a second, each in a transaction of its
own.  "statements/s" are those that the server executes besides the producer's, by pg_stat_statements; the CPU is that of PostgreSQL, with the
producer's part.  "insert to settled" is the time from the row's insertion to the transaction that settles it, as the row says.
"""

import argparse
import contextlib
import os
import shutil
import tempfile
import time

import psycopg2

from cluster import Bench, left, table
from rig import wait_until


def statements(bench):
    """How many statements the nodes have sent so far."""
    with contextlib.closing(psycopg2.connect(bench.pg.conninfo("postgres"))) as conn, conn.cursor() as cursor:
        cursor.execute("SELECT sum(calls) FROM pg_stat_statements WHERE userid = 'ferry_test_daemon'::regrole")
        return int(cursor.fetchone()[0] or 0)


def count_statements(bench):
    """Makes the server count them."""
    bench.pg.admin("ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'", "ALTER SYSTEM SET max_connections = 400")
    bench.pg.restart()
    bench.pg.admin("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
    bench.find_postmaster()


def produce(db, rate, seconds):
    """Inserts at an even pace; returns how many rows."""
    with contextlib.closing(db.connect()) as conn, conn.cursor() as cursor:
        began, n = time.monotonic(), 0
        while (now := time.monotonic()) < began + seconds:
            if n > (now - began) * rate:
                time.sleep(began + n / rate - now)
            cursor.execute("INSERT INTO ferry.task (source, destination) VALUES ('nothing://b/k', %s)", (f"nothing://b/{n}",))
            n += 1
        return n


def herd(bench, nodes, rate, seconds):
    with bench.database() as db, contextlib.ExitStack() as stack:
        for _ in range(nodes):
            stack.enter_context(bench.instant(db, workers=4, lease="9s"))
        wait_until(lambda: db.one("SELECT count(*) FROM ferry.node") == nodes, 60, "the nodes")
        time.sleep(4)  # each node has renewed its lease since, and knows how many there are
        before, cpu, began = statements(bench), bench.cpu(), time.monotonic()
        n = produce(db, rate, seconds)
        taken = time.monotonic() - began
        cpu = (bench.cpu() - cpu) / taken
        sent = (statements(bench) - before) / taken
        wait_until(lambda: left(db) == 0, 60, "the tasks")
        row = db.sql("SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY ms) AS half, percentile_cont(0.99) WITHIN GROUP (ORDER BY ms) "
                     "AS most, count(DISTINCT node) AS nodes FROM (SELECT node, extract(epoch FROM finished_at - created_at) * 1000 AS ms "
                     "FROM ferry.task WHERE state = 'done') t")[0]
        return (nodes, f"{n / taken:.0f}", f"{sent:.0f}", f"{cpu:.2f}", f"{row['half']:.1f}", f"{row['most']:.0f}", row["nodes"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", default="1,8,50", help="numbers of nodes")
    parser.add_argument("--rate", type=int, default=100, help="rows inserted a second")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--scratch", help="a directory to keep the cluster in for the next time")
    options = parser.parse_args()
    scratch = options.scratch or tempfile.mkdtemp(prefix="ferry-herd-")
    os.makedirs(scratch, exist_ok=True)
    os.chmod(scratch, 0o755)
    bench = Bench(scratch)
    count_statements(bench)
    try:
        table(f"Idle nodes while {options.rate} rows a second are inserted",
              ("nodes", "inserts/s", "statements/s", "CPU of PostgreSQL, cores", "insert to settled, median ms", "99 %, ms", "nodes with tasks"),
              [herd(bench, int(n), options.rate, options.seconds) for n in options.nodes.split(",")])
    finally:
        bench.pg.stop()
        if not options.scratch:
            shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
