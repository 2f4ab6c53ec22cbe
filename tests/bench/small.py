"""Many small objects: objects a second, and the cost of each."""

import time

import peers
from bench import BUCKET, Turns, table, times, void
from cost import Cost, tree_cpu
from rig import wait_until
from speed import in_memory

SIZE = 4096
HEADER = ("client", "objects/s", "ferryd is", "CPU ms / object", "PostgreSQL", "requests / object", "")
MINE = "**ferryd** to COS"


def settled(daemon):
    """Tells whether no task waits or runs, by two lookups in small partial indexes, which cost next to nothing."""
    return daemon.database.one("SELECT NOT EXISTS (SELECT FROM ferry.task WHERE state = 'queued' AND (state = 'queued') IS TRUE) "
                               "AND NOT EXISTS (SELECT FROM ferry.task WHERE state = 'running' AND (state = 'running') IS TRUE)")


def whole_system(bench, server, count, workers, **store):
    """Inserts rows and waits until they are done.  Returns the Cost, with PostgreSQL's apart, and verified_by of the objects."""
    with bench.ferryd(server, server, workers=workers, **store) as daemon:
        postmaster = bench.postmaster()
        before, database, begin = tree_cpu(daemon.pid), tree_cpu(postmaster), time.monotonic()
        daemon.database.sql("INSERT INTO ferry.task (source, destination) SELECT 'inside://bench/size-4096-' || lpad(i::text, 8, '0'),"
                            " %s || i FROM generate_series(1, %s) i", (f"outside://{BUCKET}/{bench.n}-", count))
        wait_until(lambda: settled(daemon), 600, "the small objects", step=0.02)
        cost = Cost(tree_cpu(daemon.pid) - before, time.monotonic() - begin, 0)
        cost.database = tree_cpu(postmaster) - database
        ended = daemon.database.sql("SELECT state, verified_by, count(*) AS n FROM ferry.task GROUP BY 1, 2")
        if len(ended) != 1 or ended[0]["state"] != "done":
            cost.fault = f"rows ended as {ended}"
        return cost, ended[0]["verified_by"]


def clients(bench, turns, copied, options, server, shm, number):
    """Yields, in the order of the table, functions that run a client and add its cost."""
    def mine(name, **store):
        verified = []

        def run():
            cost, by = whole_system(bench, server, options.count, options.workers, **store)
            verified.append(f"verified by {by}")
            return cost
        turns.add(name, server.held_to_account(options.count * SIZE, run, objects=options.count), *verified)

    for name, store in ((MINE, {}), ("**ferryd** to S3", {"kind": "s3"})):
        turns.await_turn(name)
        copied[name] = options.count
        yield lambda name=name, store=store: mine(name, **store)
    for name, why_not, count, run in peers.small(server, options.count, shm, number):
        copied[name] = count
        if why_not:
            turns.skip(name, why_not)
        else:
            turns.await_turn(name)
            yield lambda name=name, count=count, run=run: turns.add(
                name, server.held_to_account(count * SIZE, run, objects=count),
                f"of {count}" if count != options.count else None)


def small(bench, options):
    turns, copied = Turns(), {}
    with in_memory(0) as shm, void("-m") as server:
        turns.take(options.runs, lambda number: clients(bench, turns, copied, options, server, shm, number))
    wall = turns.median(MINE, "wall")

    def cells(name):
        n, each = copied[name], turns.median(name, "wall") / copied[name]
        database = f"{turns.median(name, 'database') / n * 1000:.2f}" if turns.costs[name][0].database is not None else ""
        return (f"{1 / each:.0f}", f"{times(each * options.count / wall)} ×" if wall else "", f"{turns.median(name, 'cpu') / n * 1000:.2f}",
                database, f"{turns.median(name, 'requests') / n:.2f}")
    table(f"{options.count} objects of 4 KiB, medians of {options.runs} runs, {options.workers} workers", HEADER, turns.rows(cells))
