"""One large object: the cost of a GiB."""

import contextlib
import os
import shutil
import subprocess
import tempfile

import peers
from bench import GIB, SINK_80, SOURCE_80, Turns, nginx, port_80_is_free, ratio, table, void
from cost import MIB

HEADER = ("client", "CPU s / GiB", "of curl GET + PUT", "of ferryd", "peak memory", "MiB/s", "")

MINE = "**ferryd**, as it comes"


@contextlib.contextmanager
def in_memory(mib):
    """A directory in memory with a file of random bytes, bench/object."""
    shm = tempfile.mkdtemp(prefix="ferryd-bench.", dir="/dev/shm")
    try:
        os.chmod(shm, 0o755)
        os.mkdir(f"{shm}/bench")
        if mib:
            subprocess.run(["dd", "if=/dev/urandom", f"of={shm}/bench/object", "bs=1M", f"count={mib}", "status=none"], check=True)
        yield shm
    finally:
        shutil.rmtree(shm)


def variants(sink, md5_sink, tls):
    """Yields configurations of ferryd: name, sink that gets the bytes, settings; the setting "to" names a proxy in front of the sink."""
    yield MINE, sink, {"defaults": True}
    yield "**ferryd**, 1 stream", sink, {"worker": {"streams": 1}}
    yield "**ferryd**, 4 streams", sink, {"worker": {"streams": 4}}
    yield "**ferryd**, 4 streams, `verify = \"none\"`", sink, {"worker": {"streams": 4}, "verify": "none"}
    yield "**ferryd** to S3, 4 streams", md5_sink, {"worker": {"streams": 4}, "kind": "s3"}
    yield "**ferryd** to S3, 4 streams, `verify = \"size\"`", md5_sink, {"worker": {"streams": 4}, "kind": "s3", "verify": "size"}
    yield "**ferryd**, 4 streams, over TLS", sink, {"worker": {"streams": 4}, "tls": True, "to": tls}


def ferryd(bench, turns, name, sink, how, url, size):
    """Measures the second object of a daemon, which has connections and buffers from the first."""
    how, notes = dict(how), []
    to = how.pop("to", sink)

    def second(daemon):
        cost, row = bench.carry(daemon, url, size)
        notes.append(f"verified by {row['verified_by']}")
        return cost
    with bench.ferryd(to, **how) as daemon:
        bench.carry(daemon, url, size)
        turns.add(name, sink.held_to_account(size, lambda: second(daemon)), *notes)


def clients(bench, turns, size, shm, source, sink, md5_sink, tls, sink_80):
    """Yields, in the order of the table, functions that run a client and add its cost."""
    others = [*peers.large(source, sink, md5_sink, size, shm), *peers.awscrt(SOURCE_80, sink_80, size, shm),
              peers.curl_tls(source, sink, tls, f"{bench.scratch}/tls.crt", shm, size)]
    for name, why_not, to, arrives, run in others:
        if why_not:
            turns.skip(name, why_not)
        else:
            turns.await_turn(name)
            yield lambda name=name, to=to, arrives=arrives, run=run: turns.add(
                name, to.held_to_account(arrives, run, objects=1 if arrives else 0))
    for name, to, how in variants(sink, md5_sink, tls):
        turns.await_turn(name)
        yield lambda name=name, to=to, how=how: ferryd(bench, turns, name, to, how, f"{source.url}/bench/object", size)


def speed(bench, options):
    size, turns = options.size * MIB, Turns()
    with_80 = port_80_is_free(SOURCE_80, SINK_80)
    with in_memory(options.size) as shm, void() as sink, void("-m") as md5_sink, \
            nginx(bench.scratch, shm, also=f"{SOURCE_80}:80" if with_80 else None) as source, \
            nginx(bench.scratch, None, sink.port) as tls, \
            void(address=SINK_80, port=80) if with_80 else contextlib.nullcontext() as sink_80:
        turns.take(options.runs, lambda _: clients(bench, turns, size, shm, source, sink, md5_sink, tls, sink_80))
    get, put, put_tls = (turns.median(f"curl {what}", "cpu") for what in ("GET only", "PUT only", "PUT only, TLS"))
    mine = turns.median(MINE, "cpu")

    def cells(name):
        cpu, tls_row = turns.median(name, "cpu"), name.endswith("TLS")
        base = get + (put_tls if tls_row else put) if get and put and put_tls else None
        return (f"{cpu / size * GIB:.2f}", ratio(cpu, base) + (" (PUT over TLS)" if tls_row else ""), ratio(cpu, mine),
                f"{turns.median(name, 'peak') / MIB:.0f} MiB", f"{size / MIB / turns.median(name, 'wall'):.0f}")
    table(f"One object of {options.size} MiB, medians of {options.runs} runs", HEADER, turns.rows(cells))
