"""The base of the benchmarks of transfers: servers at both ends, a ferryd between them, and tables in Markdown."""

import contextlib
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import time
import urllib.request

from cost import MIB, Cost, tree_cpu
from daemon import Ferryd
from rig import BUILD, ROOT, Database, Postgres, free_port, wait_until

BUCKET = "bench-1250000000"
GIB = 1 << 30


class Server:
    """A server as a process; it is stopped at the end of the with block."""

    def __init__(self, command, port, address="127.0.0.1"):
        self.port, self.address, self.process = port, address, subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_until(lambda: self._answers(), 10, f"{command[0]} to listen")

    def _answers(self):
        assert self.process.poll() is None, f"{self.process.args} ended"
        with socket.socket() as s:
            return s.connect_ex((self.address, self.port)) == 0

    @property
    def url(self):
        return f"http://{self.address}:{self.port}"

    def request(self, method, path):
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/{path}", method=method)) as answer:
            return answer.read().decode()

    def stats(self):
        return json.loads(self.request("GET", "-/stats"))

    def held_to_account(self, size, run, objects=1):
        """Calls run() and returns its Cost, with a fault unless the server got all objects, of size bytes together, once and whole."""
        before = self.stats()
        try:
            cost = run()
        except AssertionError as error:  # a ferryd that failed; its log is on stderr
            cost = Cost(0, 0, 0, str(error).partition("\n")[0])
        got = {name: value - before[name] for name, value in self.stats().items()}
        wrong = [f"{name} {got[name]} instead of {right}" for name, right in
                 (("received", size), ("stored", size), ("objects", objects), ("broken", 0), ("uploads", 0)) if got[name] != right]
        if wrong and not cost.fault:
            cost.fault = "the sink has " + ", ".join(wrong)
        cost.requests = got["requests"] - 1  # without the second request of stats()
        return cost

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


# this version of aws-c-s3 knows port 80 only, so it gets other loopback addresses if port 80 is free there
SOURCE_80, SINK_80 = "127.0.80.1", "127.0.80.2"


def port_80_is_free(*addresses):
    try:
        for address in addresses:
            with socket.socket() as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.bind((address, 80))
        return True
    except OSError:
        return False


def void(*options, address="127.0.0.1", port=None):
    port = port or free_port()
    return Server([f"{BUILD}/tests/void", "-a", address, "-p", str(port), *options], port, address)


def nginx(scratch, document_root, upstream=None, also=None):
    """
    Starts nginx, which serves files from memory; also is a second address (HOST:PORT).  With an upstream, it terminates TLS
    and passes everything on unbuffered.
    """
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
                f"server {{ listen 127.0.0.1:{port}{' ssl' if upstream else ''}; "
                f"{f'listen {also};' if also else ''} {where} }} }}\n")
    return Server(["/usr/sbin/nginx", "-c", f"{scratch}/nginx-{port}.conf"], port)


class Bench:
    """A PostgreSQL; ferryd() starts a ferryd between a source and a sink."""

    def __init__(self, scratch):
        self.scratch, self.n = scratch, 0
        self.pg = Postgres(f"{scratch}/pg")
        # the tests' cluster has fsync off; a benchmark needs it
        self.pg.admin("ALTER SYSTEM SET fsync = on", "SELECT pg_reload_conf()")
        Database.make_template(self.pg)

    def postmaster(self):
        with open(f"{self.pg.data}/postmaster.pid") as f:
            return int(f.readline())

    @contextlib.contextmanager
    def ferryd(self, sink, source=None, tls=False, workers=1, worker=None, defaults=False, ready=True, **store):
        """With defaults, the worker section holds only the values of worker.  Starts the daemon, unless ready is false."""
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
        if defaults:
            daemon.worker = worker or {}
            daemon.write()
        try:
            if ready:
                daemon.start()
            yield daemon
        except AssertionError:
            print(daemon.log_text(), file=sys.stderr)
            raise
        finally:
            daemon.finish()
            database.drop()

    def carry(self, daemon, source, size):
        """Carries an object through a running ferryd; returns its Cost and its row."""
        before, begin = tree_cpu(daemon.pid), time.monotonic()
        row = daemon.database.done(daemon.database.put(source, f"outside://{BUCKET}/object-{self.n}-{begin}"), timeout=600)
        wall = time.monotonic() - begin
        assert row["bytes_done"] == size, row
        failed = daemon.log("failed|killed|left")
        fault = f"not at the first attempt: {failed[0]}" if row["attempt"] or failed else None
        return Cost(tree_cpu(daemon.pid) - before, wall, row["peak_memory"], fault), row


def table(title, header, rows):
    print(f"\n### {title}\n")
    print("| " + " | ".join(header) + " |")
    print("|" + " --- |" * len(header))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    sys.stdout.flush()


def median(costs, name):
    return statistics.median(getattr(c, name) for c in costs)


def ratio(value, base):
    return f"{value / base:.2f}" if base else ""


def times(factor):
    return f"{factor:.1f}" if factor >= 1 else f"{factor:.2f}"


class Turns:
    """Runs of several clients that take turns: costs and notes by client, in the order of the table."""

    def __init__(self):
        self.costs, self.notes = {}, {}

    def add(self, name, cost, note=None):
        self.costs.setdefault(name, []).append(cost)
        if note:
            self.notes[name] = note
        print(f"  {name}: {cost.fault or f'{cost.cpu:.2f} s CPU, {cost.wall:.2f} s'}", file=sys.stderr)

    def skip(self, name, why):
        self.notes[name] = f"left out: {why}"
        self.costs.setdefault(name, [])

    def await_turn(self, name):
        """Gives a client its place in the table."""
        self.costs.setdefault(name, [])

    def take(self, runs, clients):
        """Calls the functions of clients(turn), forwards in one turn and backwards in the next."""
        for number in range(runs):
            for run in list(clients(number))[::-1 if number % 2 else 1]:
                run()

    def fault(self, name):
        return next((cost.fault for cost in self.costs[name] if cost.fault), None)

    def median(self, name, what):
        """Returns a client's median, or None if it never ran or a run had a fault."""
        return median(self.costs[name], what) if self.costs.get(name) and not self.fault(name) else None

    def rows(self, cells):
        """Yields a row for each client: name, cells(name) and note; a client with a fault gets the reason instead of figures."""
        filled = {name: cells(name) for name in self.costs if self.costs[name] and not self.fault(name)}
        width = len(next(iter(filled.values()), []))
        for name in self.costs:
            note = f"**failed**: {self.fault(name)}" if self.fault(name) else self.notes.get(name, "")
            yield (name, *filled.get(name, [""] * width), note)


def version(package):
    found = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                           text=True).stdout
    return f"{package} {found.partition('-')[0].partition('+')[0]}" if found else f"no {package}"


def machine(packages):
    """Returns one paragraph that names machine, commit and versions of packages."""
    with open("/proc/cpuinfo") as f:
        model = next((line.partition(":")[2].strip() for line in f if line.startswith("model name")), platform.machine())
    commit = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, text=True).stdout.strip()
    load = os.getloadavg()[0]
    command = "make bench" + (f" BENCH='{' '.join(sys.argv[1:])}'" if len(sys.argv) > 1 else "")
    return (f"`{command}` of {commit or 'a tree'} on "
            f"{time.strftime('%Y-%m-%d', time.gmtime())}: {model}, {os.cpu_count()} cores, Linux {platform.release()}, load {load:.1f} at "
            f"the start; {', '.join(version(p) for p in packages)}.")
