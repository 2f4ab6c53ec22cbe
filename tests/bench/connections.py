#!/usr/bin/python3
"""A fleet whose workers are many more than the connections that its server admits.

  connections.py [--nodes 20] [--workers 16] [--max-connections 100] [--tasks 1000]

Each task copies a file, whose temporary name its worker writes into a row.  Shown are the connections of the fleet while it is idle, at
most while it works, and after database_idle; how long all tasks take; how often a node has said that it is refused; and how
many tasks were given back for want of a connection.
"""

import argparse
import contextlib
import os
import shutil
import tempfile
import time

from cluster import Bench, left, table
from content import write_content
from rig import ACCOUNT, wait_until


def connections(db):
    return len(db.sessions())


def fleet(bench, options):
    root = f"{bench.scratch}/files"
    os.makedirs(root, exist_ok=True)
    shutil.chown(root, ACCOUNT)
    write_content(f"{root}/object", "object", 65536)
    stores = {"files": {"kind": "file", "root": root}}
    with bench.database() as db, contextlib.ExitStack() as stack:
        conf = {"workers": options.workers, "database_idle": "3s", "worker": {"memory": "32M"}}
        nodes = [stack.enter_context(bench.ferryd(db, stores, **conf)) for _ in range(options.nodes)]
        wait_until(lambda: db.one("SELECT count(*) FROM ferry.workers WHERE state = 'idle'") == options.nodes * options.workers, 300,
                   "the workers to be idle")
        idle, most, began = connections(db), [], time.monotonic()
        db.sql("INSERT INTO ferry.task (source, destination) SELECT 'files://object', 'files://copy-' || n "
               "FROM generate_series(1, %s) n", (options.tasks,))
        wait_until(lambda: most.append(connections(db)) or left(db) == 0, 900, "all tasks to end", step=0.1)
        taken = time.monotonic() - began
        states = db.sql("SELECT state::text, count(*) FROM ferry.task GROUP BY 1")
        assert states == [{"state": "done", "count": options.tasks}], states
        wait_until(lambda: connections(db) <= idle, 60, "the connections to be closed")
        said = sum(len(node.log("the database refuses more connections")) for node in nodes)
        given = sum(len(node.log("gives up its task")) for node in nodes)
        return (options.nodes, options.workers, idle, max(most), connections(db), f"{taken:.0f}", said, given)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, number in (("nodes", 20), ("workers", 16), ("max-connections", 100), ("tasks", 1000)):
        parser.add_argument(f"--{name}", type=int, default=number)
    options = parser.parse_args()
    scratch = tempfile.mkdtemp(prefix="ferry-connections-")
    os.chmod(scratch, 0o755)
    bench = Bench(scratch)
    try:
        bench.pg.admin(f"ALTER SYSTEM SET max_connections = {options.max_connections}")
        bench.pg.restart()
        table(f"max_connections = {options.max_connections}, {options.tasks} tasks that write rows",
              ("nodes", "workers each", "connections idle", "at most", "idle again", "seconds", "lines about a refusal", "given back"),
              [fleet(bench, options)])
    finally:
        bench.pg.stop()
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
