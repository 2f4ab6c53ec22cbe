#!/usr/bin/python3
"""Benchmarks of transfers: the cost of a GiB and of a small object, with ferryd and with other programs.

  run.py [speed|small|memory|streams|verify]...   (default: all)   --runs N   --size MIB   --count N   --workers N

Each table comes from one run on one machine.  CPU seconds, user and system, are those of the client alone; for ferryd of the master,
the workers and all processes that these had.  Peak memory is what the kernel charged to ferryd's worker's cgroup, page cache included;
for other programs it is the resident set, summed over a pipeline.  Figures are medians over the runs; the clients take turns, so that
a slow minute hits all of them.  The sink counts what it receives: a client that left bytes out has failed.  See README.md.
"""

import argparse
import os
import re
import shutil
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "system"), os.path.join(HERE, "..", "servers")]

from bench import Bench, machine, median, table, void  # noqa: E402
from cost import MIB  # noqa: E402
from memory import memory  # noqa: E402
from peers import PACKAGES  # noqa: E402
from small import small  # noqa: E402
from speed import speed  # noqa: E402
from verify import verify  # noqa: E402


def streams(bench, options):
    """Compares fixed numbers of streams with "auto", over 80 ms round trip with 8 MiB/s a connection, and on loopback."""
    fixed, far, near = (1, 2, 4, 8, 16), ("-d", "80", "-r", str(8 * MIB)), ()
    for where, link, size in (("80 ms round trip, 8 MiB/s a connection", far, 256 * MIB), ("loopback", near, options.size * MIB)):
        costs, used = {}, {}
        for _ in range(options.runs):
            with void(*link) as server:
                for n in fixed + ("auto",):
                    how = {"streams": n, "memory": "64M", "part_size": "auto" if n == "auto" else "16M"}
                    with bench.ferryd(server, server, worker=how) as daemon:
                        for name in (n,) if n != "auto" else ("auto", "auto, its next object"):
                            cost, row = bench.carry(daemon, f"inside://bench/size-{size}", size)
                            costs.setdefault(name, []).append(cost)
                            used.setdefault(name, []).extend(re.findall(rf"task={row['id']} .*streams=(\d+)", daemon.log_text()))
        best = max(size / median(costs[n], "wall") for n in fixed)
        rows = [(n, f"{size / MIB / median(c, 'wall'):.1f}", f"{size / median(c, 'wall') / best:.2f}",
                 f"{median(c, 'cpu') / size * (1 << 30):.2f}", f"{median(c, 'cpu') / median(costs[1], 'cpu'):.2f}",
                 f"{median(c, 'peak') / MIB:.0f} MiB", " ".join(used[n])) for n, c in costs.items()]
        table(f"{size // MIB} MiB over {where}, {options.runs} runs",
              ("streams", "MiB/s", "of the best fixed", "CPU s / GiB", "of 1 stream", "peak memory", "in flight at most"), rows)


PARTS = {"speed": speed, "small": small, "memory": memory, "streams": streams, "verify": verify}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", choices=[[], *PARTS])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--size", type=int, default=1024, help="MiB of the large object")
    parser.add_argument("--count", type=int, default=10000, help="number of small objects")
    parser.add_argument("--workers", type=int, default=4, help="number of workers that carry the small objects")
    options = parser.parse_args()
    scratch = tempfile.mkdtemp(prefix="ferryd-bench.")
    os.chmod(scratch, 0o755)
    bench = None
    try:
        print(machine(("postgresql", *PACKAGES)))
        bench = Bench(scratch)
        for what in options.what or PARTS:
            PARTS[what](bench, options)
    finally:
        if bench:
            bench.pg.remove()
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
