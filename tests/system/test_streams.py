"""streams = "auto": more parts are in flight to a distant store, fewer to a store that says "slow down"."""

import contextlib
import json
import re
import subprocess
import time
import urllib.request

import pytest

from rig import BUILD, MIB, free_port, wait_until

BUCKET = "far-1250000000"
ROUND_TRIP_MS, CONNECTION = 60, 6 * MIB
AUTO = {"streams": "auto", "part_size": "5M"}


class Far:
    """A distant source and destination: each answer comes late, and each connection has a limited rate."""

    def __init__(self, *options):
        self.port = free_port()
        command = [f"{BUILD}/tests/void", "-p", str(self.port), "-d", str(ROUND_TRIP_MS), "-r", str(CONNECTION), *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        self.process.stdout.readline()

    def stores(self):
        keys = {"region": "far", "access_key": "far", "secret": "farsecret"}
        return {"here": {"kind": "s3", "endpoint": f"http://127.0.0.1:{self.port}", **keys},
                "there": {"kind": "cos", "endpoint": f"http://far.test:{self.port}",
                          "resolve": [f"{BUCKET}.far.test:{self.port}:127.0.0.1"], **keys}}

    def stats(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/stats") as answer:
            return json.load(answer)

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def far():
    with contextlib.ExitStack() as stack:
        def make(*options):
            server = Far(*options)
            stack.callback(server.stop)
            return server
        yield make


def carry(daemon, db, size, name):
    """Carries an object; returns (seconds, the most parts in flight)."""
    began = time.monotonic()
    task = db.put(f"here://bench/size-{size}", f"there://{BUCKET}/{name}")
    row = db.done(task, timeout=60)
    seconds = time.monotonic() - began
    assert row["bytes_done"] == size and row["verified_by"] == "crc64"
    line = wait_until(lambda: re.search(rf"task {task} done.*", daemon.log_text()), 5, "the line of the finished task")
    return seconds, int(re.search(r" streams=(\d+)", line.group()).group(1))


def test_a_distant_store_gets_more_streams(ferryd, db, far):
    server = far()
    fixed = ferryd(server.stores(), workers=1, worker={"streams": 4, "part_size": "5M"})
    four, used = carry(fixed, db, 120 * MIB, "four")
    assert used == 4
    fixed.finish()
    daemon = ferryd(server.stores(), workers=1, worker=AUTO)
    auto, used = carry(daemon, db, 120 * MIB, "auto")
    assert used > 4 and auto < 0.67 * four, f"{used} streams took {auto:.1f} s, 4 took {four:.1f} s"
    # a part is in flight before its PUT has reached the store
    assert 4 < server.stats()["puts_most"] <= used


def test_the_memory_cap_bounds_the_streams(ferryd, db, far):
    server = far()
    daemon = ferryd(server.stores(), workers=1, worker={**AUTO, "memory": "19M"})
    _, used = carry(daemon, db, 40 * MIB, "capped")
    assert used == 2


def test_a_store_that_says_slow_down_gets_fewer(ferryd, db, far):
    server = far("-n", "3")
    daemon = ferryd(server.stores(), workers=1, worker=AUTO)
    carry(daemon, db, 80 * MIB, "first")
    first = server.stats()["puts_refused"]
    assert first > 0, "the store refused no part, so the test shows nothing"
    _, used = carry(daemon, db, 80 * MIB, "second")
    refused = server.stats()["puts_refused"] - first
    assert refused <= 2 and 3 <= used <= 4, f"{refused} more parts were refused, {used} were in flight"
    assert db.one("SELECT max(attempt) FROM ferry.task") == 0, "a refused part cost an attempt"
