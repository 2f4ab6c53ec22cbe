"""
Runs ferryds, a producer and a disturber, all from one seed; then comes calm, and the check of all invariants.

    chaos.py [--seed N] [--seconds S] [--runs N] [--nodes N] [--rate TASKS] [--every SECONDS] [--freeze] [--store ceph]
"""

import argparse
import contextlib
import datetime
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse

import psycopg2
import psycopg2.extras

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, f"{HERE}/../system", f"{HERE}/../servers"]

import invariants  # noqa: E402
import origin  # noqa: E402
import stores  # noqa: E402
from cables import Cable, GatewayCable  # noqa: E402
from clients import CosClient, Gateway, Handler  # noqa: E402
from content import HERE as SERVERS, content_bytes, write_content  # noqa: E402
from daemon import Ferryd  # noqa: E402
from disturb import Disturber, Node  # noqa: E402
from hogging import Hog  # noqa: E402
from places import Disk, Twins  # noqa: E402
from rig import BUILD, Database, ferryctl, running, title, wait_until  # noqa: E402
from scenario import Scenario  # noqa: E402

ENDED = ("done", "failed", "cancelled")


def is_sanitized():
    """Tells whether the build has sanitizers; hog.so cannot be loaded into such a build."""
    return "libasan" in subprocess.run(["ldd", f"{BUILD}/ferry-worker"], stdout=subprocess.PIPE, text=True, check=True).stdout


class Run:
    """One run.  problems() returns everything that is wrong at the end, as text."""

    MAX_CRASHES, MAX_OOMS = 25, 12  # more than a harmless task can meet

    def __init__(self, directory, db, cos, seed, seconds, nodes=2, rate=2, every=1.0, freeze=False, ceph=None, twins=None, machine=False):
        self.directory, self.db, self.cos, self.ceph, self.twins, self.seed = directory, db, cos, ceph, twins, seed
        self.seconds, self.found_problems, self.seen_done = seconds, [], set()
        self.client, self.gateway = CosClient(cos.port), Gateway(ceph)
        self.hogs = not is_sanitized()
        self.scenario = Scenario(seed, seconds, rate, ceph is not None, poison=self.hogs)
        self.tasks, self.disk, self.nodes = self.scenario.tasks, None, []
        self.origin = origin.Origin()
        self.origin.RequestHandlerClass, self.origin.gone = Handler, set()
        self.origin.start()
        self.store_cable, self.origin_cable = Cable(("127.0.0.1", cos.port)), Cable(("127.0.0.1", self.origin.port))
        self.database_cable = Cable(f"{db.pg.directory}/.s.PGSQL.{db.pg.port}")
        self.gateway_cable = GatewayCable(ceph.port) if ceph else None
        cos.rate(16 << 20)  # slow enough that disturbances hit transfers
        self.make_places(machine)
        self.nodes += [self.make_node(n) for n in range(nodes)]
        self.disturber = Disturber(seed, seconds, every, self, freeze)
        self.client.meanwhile = self.gateway.meanwhile = self.disturber.tend

    def make_node(self, number):
        cut = self.cos.store()
        port = self.store_cable.port
        cut = {k: ([r.replace(f":{self.cos.port}:", f":{port}:") for r in v] if k == "resolve" else
                   v.replace(f":{self.cos.port}", f":{port}") if k == "endpoint" else v) for k, v in cut.items()}
        table = {"cos": cut, "spool": {"kind": "file", "root": self.spool}, "out": {"kind": "file", "root": self.out}}
        if self.ceph:
            table["ceph"] = self.ceph.store(endpoint=f"http://127.0.0.1:{self.gateway_cable.port}")
        conf = {"lease": "3s", "poll": "1s", "grace": "3s", "retry_delay_max": "2s", "max_crashes": self.MAX_CRASHES,
                "max_ooms": self.MAX_OOMS,
                "queues": ["default", "bulk"]}
        hog = None
        if self.hogs:
            place = f"{self.directory}/hog{number}"
            os.mkdir(place)
            hog = Hog(place, (1, 5, 20)[number % 3] << 20, ("/hog/", "/crash/"))
            hog.disarm()
            conf["worker_program"] = hog.program
        memory = "64M" if self.hogs else "900M"
        daemon = Ferryd(self.directory, self.db, table, workers=3, daemonize=number % 2 == 1,
                        worker={"memory": memory, "streams": "auto" if number else 3, "stall_timeout": "5s", "connect_timeout": "2s"},
                        http={"allow": ["127.0.0.1"], "private": True}, **conf)
        if number == 0:
            daemon.conf["database"] = (f"host=127.0.0.1 port={self.database_cable.port} dbname={self.db.name} "
                                       "user=ferry_test_daemon connect_timeout=5")
            daemon.write()
        return Node(daemon, hog)

    # Places

    def make_places(self, machine):
        self.spool, self.out = f"{self.directory}/spool", f"{self.directory}/out"
        scratch = f"{self.directory}/scratch"
        if machine:
            os.mkdir(self.out)
            self.disk = Disk(self.out, (1 << 30) + int(self.seconds) * (3 << 20))  # twice as much as the tasks write there
        for place in (self.spool, self.out, f"{self.out}/o", f"{self.out}/chain", scratch):
            os.makedirs(place, exist_ok=True)
            os.chmod(place, 0o777)
        for task in self.tasks:
            write_content(f"{scratch}/{task.number}", task.content, task.size)
            if task.changes_at:
                write_content(f"{scratch}/{task.number}.changed", task.changed_content, task.size)
        sums = self.sums(sorted(glob.glob(f"{scratch}/*")))
        for task in self.tasks:
            task.crc64, task.crc64_changed = sums[f"{scratch}/{task.number}"], sums.get(f"{scratch}/{task.number}.changed")
            if task.story != "missing":
                self.place_source(task, f"{scratch}/{task.number}")
            elif task.source == "http":
                self.origin.gone.add(task.content)
            for name in ("right", "wrong"):
                if task.columns.get("expect_crc64") == name:
                    task.columns["expect_crc64"] = task.crc64 ^ (name == "wrong")
            if task.before:
                self.place_before(task)
        shutil.rmtree(scratch)
        self.before = {task.number: self.found(task, fresh=True) for task in self.tasks if task.before}
        self.foreign_files = {}
        for name in self.scenario.foreign:
            with open(f"{self.out}/{name.replace('/', '-')}", "w") as f:
                f.write(name)
            self.foreign_files[os.path.basename(f.name)] = self.file(os.path.basename(f.name))
        self.foreign_uploads = {(key, self.initiate(key)) for key in
                                [*self.scenario.foreign, *(t.key for t in self.tasks[::7] if t.destination == "cos")]}
        self.foreign_at_gateway = {(key, self.gateway.initiate(self.ceph.TARGET, key)) for key in
                                   (self.ceph_key(t) for t in self.tasks[::7] if t.destination == "ceph")}

    def place_source(self, task, path):
        if task.source == "spool":
            os.rename(path, f"{self.spool}/{task.number}")
            os.chmod(f"{self.spool}/{task.number}", 0o644)
        elif task.source == "cos":
            with open(path, "rb") as f:
                self.client.call("PUT", f"source/{task.number}", body=f.read())
        elif task.source == "ceph":
            self.gateway.put(self.ceph.SOURCE, f"{self.seed}/{task.number}", content_bytes(task.content, task.size))

    def place_before(self, task):
        text = f"before {task.number}".encode()
        if task.destination == "cos":
            self.client.call("PUT", task.key, body=text)
        elif task.destination == "out":
            with open(f"{self.out}/{task.key}", "wb") as f:
                f.write(text)
            os.chmod(f.name, 0o666)
        else:
            self.gateway.put(self.ceph.TARGET, self.ceph_key(task), text)

    def initiate(self, key):
        """Begins a foreign upload, with a part: without parts it could not be told from one of ferryd's at that key and time."""
        upload = re.search("<UploadId>([^<]+)<", self.client.call("POST", key, {"uploads": ""})).group(1)
        self.client.call("PUT", key, {"partNumber": "1", "uploadId": upload}, b"theirs")
        return upload

    def ceph_key(self, task):
        return f"{self.seed}/{task.key}"

    def source(self, task):
        behave = f"{'later/' * task.late}{task.story}" if task.story in ("hog", "crash") else "size"
        return {"spool": f"spool://{task.number}", "cos": f"cos://{stores.BUCKET}/source/{task.number}",
                "http": f"http://127.0.0.1:{self.origin_cable.port}/{behave}/{task.size}?seed={urllib.parse.quote(task.content)}",
                "ceph": self.ceph and f"ceph://{self.ceph.SOURCE}/{self.seed}/{task.number}"}[task.source]

    def destination(self, task):
        return {"cos": f"cos://{stores.BUCKET}/{task.key}", "out": f"out://{task.key}",
                "ceph": self.ceph and f"ceph://{self.ceph.TARGET}/{self.ceph_key(task)}"}[task.destination]

    def sums(self, paths):
        """Returns {path: CRC64}, by the endpoint's implementation, which is independent of the one under test."""
        if not paths:
            return {}
        out = subprocess.run(["node", os.path.join(SERVERS, "cos", "crc64.js"), *paths], check=True, stdout=subprocess.PIPE)
        return dict(zip(paths, map(int, out.stdout.split())))

    def file(self, name):
        path = f"{self.out}/{name}"
        return (os.path.getsize(path), self.sums([path])[path]) if os.path.exists(path) else None

    def found(self, task, fresh=False):
        """Returns (size, crc64) of the object at a task's destination, or None."""
        if task.destination == "out":
            return self.file(task.key)
        if task.destination == "cos":
            if fresh:
                self.cos_objects = self.cos.objects()
            there = self.cos_objects.get((stores.BUCKET, task.key))
            return there and (there["size"], int(there["crc64"]))
        status, body = self.gateway.call("GET", self.ceph.TARGET, self.ceph_key(task))
        path = f"{self.directory}/from-ceph"
        with open(path, "wb") as f:
            f.write(body)
        return None if status == 404 else (len(body), self.sums([path])[path])

    # Producers

    def insert(self, task):
        """Inserts a task as a careful producer does: after a broken connection it looks whether the row is there."""
        columns = {**task.columns, "source": self.source(task), "destination": self.destination(task)}
        if "metadata" in columns:
            columns["metadata"] = psycopg2.extras.Json(columns["metadata"])
        for _ in range(200):
            known = self.db.sql("SELECT id FROM ferry.task WHERE source = %s", (columns["source"],))
            if known:
                task.id = known[0]["id"]
                return
            try:
                task.id = self.db.put(columns.pop("source"), columns.pop("destination"), **columns)
                return
            except psycopg2.errors.UniqueViolation:
                task.refused = True
                return
            except (psycopg2.OperationalError, psycopg2.InterfaceError):
                columns.update(source=self.source(task), destination=self.destination(task))
                time.sleep(0.1)
        raise AssertionError("the database does not come back")

    def vanish(self, task):
        self.disturber.note(f"the source of task {task.id} vanishes")
        if task.source == "spool":
            os.unlink(f"{self.spool}/{task.number}")
        elif task.source == "cos":
            self.client.call("DELETE", f"source/{task.number}")
        elif task.source == "http":
            self.origin.gone.add(task.content)
        else:
            self.gateway.call("DELETE", self.ceph.SOURCE, f"{self.seed}/{task.number}")

    def change(self, task):
        """Replaces the source by another object of its size, as a producer that writes the object again does."""
        self.disturber.note(f"the source of task {task.id} changes")
        content = content_bytes(task.changed_content, task.size)
        if task.source == "spool":
            with open(f"{self.spool}/{task.number}.new", "wb") as f:
                f.write(content)
            os.chmod(f.name, 0o644)
            os.rename(f.name, f"{self.spool}/{task.number}")
        elif task.source == "cos":
            self.client.call("PUT", f"source/{task.number}", body=content)
        else:
            self.gateway.put(self.ceph.SOURCE, f"{self.seed}/{task.number}", content)

    def ask(self, task, verb, *more):
        if task.id is None:
            return
        try:
            said = self.db.one(f"SELECT ferry.{verb}({', '.join(['%s'] * (1 + len(more)))})", (task.id, *more))
        except psycopg2.errors.UniqueViolation:
            said = False
        task.retried |= verb == "retry" and said
        self.disturber.note(f"{verb} of task {task.id}: {said}")

    def agenda(self):
        """Returns [(seconds, function to call)] in order."""
        found = [(at, lambda kind=kind: self.disturber.do(kind)) for at, kind in self.disturber.events]
        for task in self.tasks:
            if task.after is None:
                found.append((task.at, lambda task=task: self.insert(task)))
            if task.vanishes_at:
                found.append((task.vanishes_at, lambda task=task: self.vanish(task)))
            if task.changes_at:
                found.append((task.changes_at, lambda task=task: self.change(task)))
            if task.cancel_at:
                found.append((task.cancel_at, lambda task=task: self.ask(task, "cancel")))
            if task.reprioritise_at:
                found.append((task.reprioritise_at, lambda task=task: self.ask(task, "reprioritise", task.number % 5 - 2)))
            if task.retry_at:
                found.append((task.retry_at, lambda task=task: self.ask(task, "retry")))
        return sorted(found, key=lambda event: event[0])

    def rows(self):
        return {row["id"]: row for row in self.db.sql("SELECT * FROM ferry.task")}

    def look(self):
        """Checks that tasks that are done stay done, and inserts tasks that wait for the end of another."""
        rows = {row["id"]: row["state"] for row in self.db.sql("SELECT id, state FROM ferry.task")}
        for task in self.tasks:
            if task.id in self.seen_done and rows.get(task.id) != "done":
                self.found_problems.append((task, f"was done, and is {rows.get(task.id)}"))
                self.seen_done.discard(task.id)
            if rows.get(task.id) == "done":
                self.seen_done.add(task.id)
            if task.id is None and task.after is not None and rows.get(self.tasks[task.after].id) in ENDED:
                self.insert(task)
        return rows

    # The run

    def go(self):
        for node in self.nodes:
            node.daemon.start()
        agenda, started, looked = self.agenda(), time.monotonic(), 0
        while agenda or time.monotonic() < started + self.seconds:
            while agenda and agenda[0][0] <= time.monotonic() - started:
                agenda.pop(0)[1]()
            self.disturber.tend()
            if time.monotonic() > looked + 0.2:
                self.look()
                looked = time.monotonic()
            time.sleep(0.02)
        return self

    def calm(self, timeout=90):
        """Ends all disturbances and waits until all tasks have ended."""
        self.disturber.note("calm")

        def ended():
            self.disturber.tend(calm=True)
            rows = self.look()
            waiting = [t for t in self.tasks if not t.refused and rows.get(t.id) not in ENDED]
            return not waiting
        try:
            wait_until(ended, timeout, step=0.2)
        except AssertionError:
            rows = self.rows()
            self.found_problems += [(t, f"still {rows[t.id]['state']} after {timeout} s of calm") for t in self.tasks
                                    if t.id in rows and rows[t.id]["state"] not in ENDED]
        # pretend that a minute has passed: until then a cancelled task's worker may still clear its upload away
        self.db.sql("UPDATE ferry.task SET finished_at = finished_at - interval '2 minutes' WHERE state = 'cancelled'")
        for _ in range(5):
            self.reaped_at = time.time()
            wait_until(self.all_up, 20, "all daemons to be up")
            if ferryctl("reap", conninfo=self.db.conninfo(), check=False).returncode == 0:
                break
            time.sleep(1)

    def all_up(self):
        self.disturber.tend(calm=True)
        return all(node.daemon.alive() for node in self.nodes)

    def problems(self):
        """Checks all invariants, stops the daemons, and checks what they leave behind."""
        rows = self.rows()
        self.cos_objects = self.cos.objects()
        found = self.found_problems
        for look in (invariants.states, invariants.objects, invariants.groups, invariants.leftovers, invariants.idle):
            found += look(self, rows)
        found += [(None, text) for text in self.disturber.problems]
        for node in self.nodes:
            try:
                code = node.daemon.stop()
                if code not in (0, None):
                    found.append((None, f"{node.name} was stopped and ended with {code}"))
            except (subprocess.TimeoutExpired, AssertionError) as problem:
                found.append((None, f"{node.name} cannot be stopped: {problem}"))
        found += invariants.machine(self)
        found += invariants.logs(self)
        return [self.tell(task, text, rows) for task, text in found]

    def lines(self):
        for node in self.nodes:
            for path in sorted(glob.glob(f"{node.daemon.log_file}*")):
                with open(path, errors="replace") as f:
                    for line in f.read().splitlines():
                        yield node.name, line

    def tell(self, task, text, rows):
        if task is None:
            return f"seed {self.seed}: {text}"
        row = rows.get(task.id) or {}
        said = sorted((line[:24], f"  {node} {line}") for node, line in self.lines()
                      if re.search(rf"\btask[ =]{task.id}\b", line))
        first = datetime.datetime.fromisoformat(said[0][0][:23] + "+00:00").timestamp() - 1 if said else 0
        last = datetime.datetime.fromisoformat(said[-1][0][:23] + "+00:00").timestamp() + 1 if said else 1e12
        for when, what in self.disturber.journal:
            if first <= when <= last:
                stamp = datetime.datetime.fromtimestamp(when, datetime.timezone.utc).isoformat(timespec="milliseconds")[:23] + "Z"
                said.append((stamp, f"  {stamp} *** {what}"))
        said = [line for _, line in sorted(said)]
        if len(said) > 150:
            said[60:-90] = [f"  ({len(said) - 150} lines)"]
        told = {k: str(v) for k, v in row.items() if v is not None}
        return "\n".join([f"seed {self.seed}: task {task.id}: {text}", f"  {task}", f"  {told}", *said])

    def clear(self):
        for pid in self.disturber.frozen:
            self.disturber.signal(pid, 18)
        for node in self.nodes:
            pids = [node.daemon.pid, *node.daemon.orphans()]
            for pid in pids:
                if pid is not None and running(pid) and title(pid).startswith("ferry"):
                    self.disturber.signal(pid, 9)
            with contextlib.suppress(AssertionError, OSError, subprocess.TimeoutExpired):
                node.daemon.finish()
        self.origin.stop()
        for cable in filter(None, (self.store_cable, self.database_cable, self.origin_cable, self.gateway_cable)):
            cable.stop()
            cable.down(0)
        if self.disk:
            self.disk.umount()

    def summary(self):
        counts = {}
        for row in self.rows().values():
            counts[invariants.end_of(row)] = counts.get(invariants.end_of(row), 0) + 1
        kinds = self.disturber.counts
        return f"seed {self.seed}: {len(self.tasks)} tasks, " + ", ".join(f"{n} {state}" for state, n in sorted(counts.items())) + \
            f"; {sum(kinds.values())} disturbances: " + ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items()))


def chaos(directory, db, cos, seed, seconds, spoil=None, **options):
    """Makes a run; returns (summary, problems).  spoil(run) is called before the invariants are checked."""
    run = Run(directory, db, cos, seed, seconds, **options)
    try:
        run.go().calm()
        if spoil:
            spoil(run)
        summary = run.summary()
        return summary, run.problems()
    finally:
        run.clear()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", default=None)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--runs", type=int, default=1, help="number of runs; each seed is one more than the last")
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--rate", type=float, default=2, help="tasks a second")
    parser.add_argument("--every", type=float, default=1, help="seconds between disturbances")
    parser.add_argument("--freeze", action="store_true", help="also stop processes for longer than their lease")
    parser.add_argument("--store", choices=["cos", "ceph"], default="cos")
    parser.add_argument("--keep", action="store_true", help="keep the logs of a run that failed")
    given = parser.parse_args()
    first = int(given.seed) if given.seed else int.from_bytes(os.urandom(3), "big")
    base = tempfile.mkdtemp(prefix="ferry-chaos-")
    os.chmod(base, 0o755)
    twins = cos = ceph = None
    bad = 0
    try:
        twins, cos = Twins(f"{base}/pg"), stores.Cos(f"{base}/cos")
        Database.make_template(twins.primary)
        twins.complete()
        ceph = stores.Ceph(f"{base}/ceph") if given.store == "ceph" else None
        for seed in range(first, first + given.runs):
            print(f"seed {seed}: {given.seconds:g} s", flush=True)
            directory = f"{base}/{seed}"
            os.mkdir(directory)
            os.chmod(directory, 0o755)
            cos.reset()
            db = twins.database(f"ferry_{seed}")
            summary, problems = chaos(directory, db, cos, seed, given.seconds, nodes=given.nodes, rate=given.rate,
                                      every=given.every, freeze=given.freeze, ceph=ceph, twins=twins, machine=True)
            db.drop()
            print(summary, "all is well" if not problems else f"{len(problems)} PROBLEMS", sep="; ", flush=True)
            for problem in problems:
                print(problem, flush=True)
            bad += bool(problems)
            if not (problems and given.keep):
                shutil.rmtree(directory)
    finally:
        if ceph:
            ceph.stop()
        if cos:
            cos.stop()
        if twins:
            twins.remove()
        if not (bad and given.keep):
            shutil.rmtree(base, ignore_errors=True)
        else:
            print(f"kept: {base}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
