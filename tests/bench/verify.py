"""The cost of each value of verify with a store of kind s3: 256 MiB to an endpoint that supports all of them."""

import statistics

from bench import BUCKET, GIB, median, nginx, table
from cost import MIB
from speed import in_memory
from stores import Sums

SIZE, WAYS = 256 * MIB, ("none", "size", "md5", "crc32c")


class Summing(Sums):
    BUCKET = BUCKET


def verify(bench, options):
    costs, sink = {}, Summing()
    try:
        with in_memory(SIZE // MIB) as shm, nginx(bench.scratch, shm) as source:
            for _ in range(options.runs):
                for way in WAYS:
                    with bench.ferryd(sink, kind="s3", verify=way, access_key=sink.ID, secret=sink.SECRET) as daemon:
                        cost, row = bench.carry(daemon, f"http://127.0.0.1:{source.port}/bench/object", SIZE)
                        assert row["verified_by"] == way, row
                        costs.setdefault(way, []).append(cost)
                    sink.ask("POST", "/-/reset")
    finally:
        sink.stop()
    gib, none = SIZE / GIB, costs["none"]
    extra = {way: statistics.median((c.cpu - n.cpu) / gib for c, n in zip(costs[way], none)) for way in WAYS}
    table(f"256 MiB to S3, {options.runs} runs that take turns", ("verify", "CPU s / GiB", "more than none"),
          [(way, f"{median(costs[way], 'cpu') / gib:.2f}", f"{extra[way]:+.2f}") for way in WAYS])
