#!/usr/bin/python3
"""Benchmarks: what a GiB costs, and what a small object costs, ferryd beside what a user would pick instead.

  run.py [speed|small|streams]...     (default: all)      --runs N   --size MIB   --count N

Each table comes from one run on one machine: CPU seconds of the client alone (user and system; for ferryd worker and master
together), peak memory (for ferryd what the kernel charged to the worker's cgroup), medians over the runs, which take turns so that a slow
minute hits all alike.  Clocks of shared machines are noisy: compare ratios of CPU seconds.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "system"), os.path.join(HERE, "..", "servers")]

from daemon import Ferryd  # noqa: E402
from peers import MIB, Cost, cpu_of, measure, peers  # noqa: E402
from rig import BUILD, Database, Postgres, free_port, wait_until  # noqa: E402

BUCKET = "bench-1250000000"


class Server:
    """A server of the benchmark as a process; ends with the block."""

    def __init__(self, command, port):
        self.port, self.process = port, subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_until(lambda: self._answers(), 10, f"{command[0]} to listen")

    def _answers(self):
        import socket
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def void(*options):
    port = free_port()
    return Server([f"{BUILD}/tests/void", "-p", str(port), *options], port)


def nginx(scratch, document_root, upstream=None):
    """Serves files from memory; with an upstream, ends TLS in front of it and passes everything on unbuffered."""
    port = free_port()
    tls = ""
    if upstream:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=bench", "-addext",
                        f"subjectAltName=IP:127.0.0.1,DNS:{BUCKET}.cos.bench.test", "-keyout", f"{scratch}/tls.key", "-out",
                        f"{scratch}/tls.crt"], check=True, stderr=subprocess.DEVNULL)
        os.chmod(f"{scratch}/tls.crt", 0o644)
        tls = f"ssl_certificate {scratch}/tls.crt; ssl_certificate_key {scratch}/tls.key; ssl_protocols TLSv1.3 TLSv1.2;"
    where = (f"location / {{ proxy_pass http://127.0.0.1:{upstream}; proxy_http_version 1.1; proxy_set_header Host $http_host; "
             "proxy_set_header Connection ''; proxy_request_buffering off; proxy_buffering off; }" if upstream else
             f"root {document_root};")
    with open(f"{scratch}/nginx-{port}.conf", "w") as f:
        f.write(f"daemon off; worker_processes 2; pid {scratch}/nginx-{port}.pid; error_log /dev/null; events {{}} "
                f"http {{ access_log off; sendfile on; client_max_body_size 0; keepalive_requests 1000000; client_body_temp_path "
                f"{scratch}/body-{port}; proxy_temp_path {scratch}/proxy-{port}; {tls} "
                f"server {{ listen 127.0.0.1:{port}{' ssl' if upstream else ''}; {where} }} }}\n")
    return Server(["/usr/sbin/nginx", "-c", f"{scratch}/nginx-{port}.conf"], port)


class Bench:
    """PostgreSQL, a source and a sink, and ferryd between them as often as it is asked for."""

    def __init__(self, scratch):
        self.scratch, self.n = scratch, 0
        self.pg = Postgres(f"{scratch}/pg")
        Database.make_template(self.pg)

    @contextlib.contextmanager
    def ferryd(self, sink, source=None, tls=False, workers=1, worker=None, **store):
        self.n += 1
        database = Database(self.pg, f"bench{self.n}")
        scheme, host = ("https" if tls else "http"), "cos.bench.test"
        outside = {"kind": "cos", "endpoint": f"{scheme}://{host}:{sink.port}", "region": "bench", "access_key": "bench",
                   "secret": "benchsecret", "resolve": [f"{BUCKET}.{host}:{sink.port}:127.0.0.1"], **store}
        if outside["kind"] == "s3":
            outside.update(endpoint=f"{scheme}://127.0.0.1:{sink.port}", resolve=[])
        if tls:
            outside["ca_file"] = f"{self.scratch}/tls.crt"
        stores = {"outside": outside}
        if source:
            stores["inside"] = {"kind": "s3", "endpoint": f"http://127.0.0.1:{source.port}", "region": "bench",
                                "access_key": "bench", "secret": "benchsecret"}
        daemon = Ferryd(self.scratch, database, stores, workers=workers, program=None,
                        worker={"memory": "64M", "streams": 4, "part_size": "16M", **(worker or {})},
                        http={"allow": ["127.0.0.1"], "private": True}, log_level="info")
        try:
            daemon.start()
            yield daemon
        except AssertionError:
            print(daemon.log_text(), file=sys.stderr)
            raise
        finally:
            daemon.finish()
            database.drop()

    def carry(self, daemon, source, size):
        """One object through a running ferryd: its Cost."""
        pids = [daemon.pid, *daemon.workers()]
        before, begin = sum(map(cpu_of, pids)), time.monotonic()
        row = daemon.database.done(daemon.database.put(source, f"outside://{BUCKET}/object-{self.n}-{begin}"), timeout=600)
        wall = time.monotonic() - begin
        assert row["bytes_done"] == size, row
        return Cost(sum(map(cpu_of, pids)) - before, wall, row["peak_memory"]), row


def table(title, header, rows):
    print(f"\n### {title}\n")
    print("| " + " | ".join(header) + " |")
    print("|" + " --- |" * len(header))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    sys.stdout.flush()


def median(costs, name):
    return statistics.median(getattr(c, name) for c in costs)


def speed(bench, options):
    size = options.size * MIB
    shm = tempfile.mkdtemp(prefix="ferryd-bench.", dir="/dev/shm")
    os.chmod(shm, 0o755)
    try:
        subprocess.run(["dd", "if=/dev/urandom", f"of={shm}/object", "bs=1M", f"count={options.size}", "status=none"], check=True)
        with nginx(bench.scratch, shm) as source, void() as sink, void("-m") as md5_sink, \
                nginx(bench.scratch, None, sink.port) as tls:
            compare(bench, options, size, shm, source, sink, md5_sink, tls)
    finally:
        shutil.rmtree(shm)


def compare(bench, options, size, shm, source, sink, md5_sink, tls):
    url, endpoint = f"http://127.0.0.1:{source.port}/object", f"http://127.0.0.1:{sink.port}"
    costs, notes, order = {}, {}, []

    def add(name, cost):
        if name not in costs:
            order.append(name)
        costs.setdefault(name, []).append(cost)

    variants = [("**ferryd**, 4 streams, CRC64", sink, {}), ("**ferryd**, 1 stream, CRC64", sink, {"worker": {"streams": 1}}),
                ("**ferryd** to S3, 4 streams, MD5 verified", md5_sink, {"kind": "s3"}),
                ("**ferryd**, 4 streams, CRC64, TLS to the destination", tls, {"tls": True})]
    for _ in range(options.runs):
        for name, why_not, run in peers(url, endpoint, size, shm):
            if why_not:
                notes[name] = why_not
            else:
                add(name, run())
        add("curl PUT only, TLS", measure(["curl", "-sS", "-f", "-o", "/dev/null", "-H", "Expect:", "--cacert",
            f"{bench.scratch}/tls.crt", "-T", f"{shm}/object", f"https://127.0.0.1:{tls.port}/bench/curl-tls"]))
        for name, to, how in variants:
            with bench.ferryd(to, **how) as daemon:
                cost, row = bench.carry(daemon, url, size)
                notes[name] = f"verified_by {row['verified_by']}"
                add(name, cost)
    gib = size / (1 << 30)
    base = median(costs["curl GET only"], "cpu") + median(costs["curl PUT only"], "cpu")
    rows = [(name, f"{median(costs[name], 'cpu') / gib:.2f}", f"{median(costs[name], 'cpu') / base:.2f}",
             f"{median(costs[name], 'peak') / MIB:.0f} MiB", f"{size / MIB / median(costs[name], 'wall'):.0f}", notes.get(name, ""))
            for name in order]
    rows += [(name, "", "", "", "", why) for name, why in notes.items() if name not in costs]
    table(f"One object of {options.size} MiB, {options.runs} runs",
          ("client", "CPU s / GiB", "of curl GET + curl PUT", "peak memory", "MiB/s", ""), rows)


def small(bench, options):
    count = options.count
    with void() as server:
        rate = {}
        for _ in range(options.runs):
            with bench.ferryd(server, server, workers=2) as daemon:
                begin = time.monotonic()
                daemon.database.sql("INSERT INTO ferry.task (source, destination) SELECT 'inside://bench/size-4096-' || i, "
                                    "%s || i FROM generate_series(1, %s) i", (f"outside://{BUCKET}/small-", count))
                wait_until(lambda: daemon.database.one("SELECT count(*) FROM ferry.task WHERE state = 'done'") == count,
                           600, "the small objects", step=0.05)
                rate.setdefault("**ferryd**, 2 workers, verified_by crc64", []).append(count / (time.monotonic() - begin))
            urls, n = [f"http://127.0.0.1:{server.port}/bench/size-4096-{i}" for i in range(count)], min(count, 500)
            begin = time.monotonic()
            for i in range(n):
                subprocess.run(f"curl -sS {urls[i]} | curl -sS -T - -H 'Content-Length: 4096' -H 'Transfer-Encoding:' "
                               f"http://127.0.0.1:{server.port}/bench/curl-{i} >/dev/null", shell=True, check=True)
            rate.setdefault("one curl | curl an object", []).append(n / (time.monotonic() - begin))
    shm = tempfile.mkdtemp(prefix="ferryd-bench.", dir="/dev/shm")
    try:
        if shutil.which("rclone"):
            small_rclone(count, shm, rate, options)
    finally:
        shutil.rmtree(shm)
    mine = statistics.median(rate["**ferryd**, 2 workers, verified_by crc64"])
    table(f"{count} objects of 4 KiB, {options.runs} runs", ("client", "objects/s", "ferryd is"),
          [(name, f"{statistics.median(r):.0f}", f"{mine / statistics.median(r):.1f} ×") for name, r in rate.items()])


def small_rclone(count, shm, rate, options):
    """rclone cannot list what the server makes up, so it reads local files: half of the work that ferryd does."""
    os.mkdir(f"{shm}/small")
    for i in range(count):
        with open(f"{shm}/small/{i}", "wb") as f:
            f.write(os.urandom(4096))
    env = {"RCLONE_CONFIG_SINK_TYPE": "s3", "RCLONE_CONFIG_SINK_PROVIDER": "Other", "RCLONE_CONFIG_SINK_ACCESS_KEY_ID": "bench",
           "RCLONE_CONFIG_SINK_SECRET_ACCESS_KEY": "benchsecret", "RCLONE_CONFIG": "/dev/null", "HOME": shm}
    for transfers in (8, 32):
        for _ in range(options.runs):
            with void("-m") as server:
                cost = measure(["rclone", "copy", f"{shm}/small", "sink:bench", "--transfers", str(transfers), "--no-traverse",
                                "--no-check-dest", "--s3-no-check-bucket", "--s3-no-head"],
                               {**env, "RCLONE_CONFIG_SINK_ENDPOINT": f"http://127.0.0.1:{server.port}"})
                with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/-/stats") as stats:
                    assert json.load(stats)["received"] == count * 4096
                rate.setdefault(f"rclone copy of local files, {transfers} transfers", []).append(count / cost.wall)


def streams(bench, options):
    """Fixed numbers of streams beside "auto", over a link of 80 ms round trip and 8 MiB/s a connection, and on loopback."""
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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", choices=[[], "speed", "small", "streams"])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--size", type=int, default=1024, help="MiB of the large object")
    parser.add_argument("--count", type=int, default=10000, help="small objects")
    options = parser.parse_args()
    scratch = tempfile.mkdtemp(prefix="ferryd-bench.")
    os.chmod(scratch, 0o755)
    bench = None
    try:
        bench = Bench(scratch)
        for what in options.what or ("speed", "small", "streams"):
            {"speed": speed, "small": small, "streams": streams}[what](bench, options)
    finally:
        if bench:
            bench.pg.remove()
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
