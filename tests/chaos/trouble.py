"""Disturbances, grouped by their origin.  Each class is a part of Disturber and uses its journal, world and random choices."""

import contextlib
import os
import signal
import subprocess
import threading
import time

import psycopg2

from rig import ACCOUNT, ROOT, ferryctl

FOR_GOOD = "^(?!chain)"  # keys whose order does not matter: a held request of a dead client is still handled later


class DatabaseTrouble:
    def restart_database(self):
        self.note("immediate restart of the database")
        self.db.pg.restart("immediate")
        self.note("the database is back")

    def database_away(self):
        seconds = self.random.choice((1, 3, 6))
        self.note(f"the database stops for {seconds} s")
        self.db.pg.stop("immediate")
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.tend()
            time.sleep(0.05)
        self.db.pg.start()
        self.note("the database is back")

    def end_sessions(self):
        with contextlib.suppress(psycopg2.Error, IndexError):
            sessions = self.db.sessions()
            for session in self.random.sample(sessions, min(len(sessions), self.random.randrange(1, 4))):
                self.note(f"end session {session['pid']} of {session['application_name']}")
                self.db.sql("SELECT pg_terminate_backend(%s)", (session["pid"],))

    def cut_database(self):
        seconds = self.random.choice((0, 0.5, 2, 5))
        self.note(f"connections of {self.nodes[0].name} to the database cut for {seconds} s")
        self.world.database_cable.down(seconds)

    def fail_over(self):
        twins = self.world.twins
        if not twins.has_standby():  # the standby is still being made, or does not follow yet
            return
        self.note("the primary is lost")
        twins.lose_primary()
        end = time.monotonic() + self.random.choice((0, 0.5, 4))
        while time.monotonic() < end:
            self.tend()
            time.sleep(0.05)
        twins.take_over()
        self.db.pg, self.db.conn = twins.primary, None
        self.world.database_cable.address = twins.address()
        self.note("its standby has taken over")


class QueueTrouble:
    def pause(self):
        queue = self.random.choice(("default", "bulk"))
        self.note(f"pause of {queue}: {self.tolerated('SELECT ferry.pause(%s)', (queue,))}")
        self.after(self.random.choice((0.3, 1, 4)), lambda: self.resume(queue))

    def resume(self, queue):
        """Resumes a queue; repeats this until the database has done it, so that the queue does not stay paused."""
        said = self.tolerated("SELECT ferry.resume(%s)", (queue,))
        self.note(f"resume of {queue}: {said}")
        if said is None:
            self.after(0.5, lambda: self.resume(queue))

    def limits(self):
        queue = self.random.choice(("default", "bulk"))
        row = (queue, self.random.choice((None, None, 1, 3)), self.random.choice((None, None, 4 << 20, 16 << 20)),
               self.random.choice((None, 1, 10)), self.random.choice(("10 minutes", "1 second")))
        self.note(f"limits of a queue: {row}")
        self.tolerated("INSERT INTO ferry.queue (name, max_transfers, rate, weight, patience) VALUES (%s, %s, %s, %s, %s) "
                       "ON CONFLICT (name) DO UPDATE SET (max_transfers, rate, weight, patience) = (excluded.max_transfers, "
                       "excluded.rate, excluded.weight, excluded.patience) RETURNING true", row)

    def reap(self):
        """Runs ferryctl reap as an operator does; it fails if the database is away."""
        self.note("ferryctl reap")
        conninfo = self.db.conninfo()
        threading.Thread(target=lambda: ferryctl("reap", conninfo=conninfo, check=False), daemon=True).start()


class MachineTrouble:
    def exhaust_memory(self):
        """Makes the next worker of a node that has received enough allocate memory until the kernel kills it."""
        node = self.random.choice(self.nodes)
        self.note(f"a worker of {node.name} will run out of memory")
        node.hog.arm()

    def full_disk(self):
        seconds = self.random.choice((0.5, 1, 3))
        self.note(f"the disk of 'out' is full for {seconds} s: {self.world.disk.fill()}")
        self.after(seconds, self.world.disk.make_room)

    def limit(self, which, soft, seconds):
        up = self.up()
        if not up:
            return
        daemon = self.random.choice(up).daemon

        def to(value, pid=daemon.pid):
            subprocess.run(["runuser", "-u", ACCOUNT, "--", "prlimit", "--pid", str(pid), f"--{which}={value}:"], check=False,
                           stderr=subprocess.DEVNULL)
        with contextlib.suppress(OSError):
            value = soft(daemon.pid)
            self.note(f"{which} of the master of {daemon.name} (pid {daemon.pid}) is {value} for {seconds} s")
            to(value)
            self.after(seconds, lambda: to(4096))

    def no_descriptors(self):
        """Limits descriptors of a master: from too few for anything to enough to start a worker."""
        self.limit("nofile", lambda pid: self.random.randrange(4, len(os.listdir(f"/proc/{pid}/fd")) + 4), self.random.choice((1, 3)))

    def no_processes(self):
        self.limit("nproc", lambda pid: 1, self.random.choice((1, 3)))


class StoreTrouble:
    rules = ()

    def tend_stores(self, now, calm):
        left = [rule for rule in self.rules if not calm and now < rule[0]]
        if left != list(self.rules):
            self.rules = left
            self.set_rules()
        if calm and self.world.ceph:
            self.world.gateway_cable.clear()
        if calm:
            for node in self.nodes:
                if node.hog:
                    node.hog.disarm()

    def set_rules(self):
        self.world.cos.faults(*[rule for _, rule in self.rules])

    def fault(self, seconds, action, times=None, **match):
        rule = {"match": match, "action": action, **({} if times is None else {"times": times})}
        self.note(f"store: {action} for {match or 'everything'}, {times or 'each'} times, {seconds} s")
        self.rules = [*self.rules, (time.monotonic() + seconds, rule)]
        self.set_rules()

    def op(self, *operations):
        return {"op": self.random.choice(operations)}

    def store_errors(self):
        match = self.random.choice(({}, self.op("put", "part", "complete", "initiate", "get", "head", "list-parts", "abort",
                                                    "copy", "copy-part")))
        self.fault(self.random.choice((0.3, 1, 3)), {"status": self.random.choice((500, 503, 502, 504))}, **match)

    def store_answers_HTML(self):
        """As a proxy or a captive portal in front of the store does.  Not for a PUT of a source: its producer would take that for success."""
        page = {"page": "<html><body>Who are you?</body></html>", "pageStatus": self.random.choice((200, 200, 206, 403, 503))}
        match = self.random.choice(({"op": "put", "key": "/^o/"}, self.op("part", "complete", "get", "head", "list-parts", "copy",
                                                                           "copy-part")))
        self.fault(self.random.choice((0.3, 1, 3)), page, **match)

    def keys_refused(self):
        match = self.random.choice(({"op": "put", "key": "/^o/"}, self.op("part", "complete", "get", "head", "copy")))
        self.fault(self.random.choice((0.3, 1, 3)), {"status": 403, "code": "InvalidAccessKeyId"}, **match)

    def store_slows_down(self):
        self.fault(self.random.choice((0.5, 2)), {"status": 503, "code": "SlowDown"})

    def store_corrupts(self):
        # not a source that its producer writes
        self.fault(3, {"corrupt": True}, self.random.randrange(1, 4), key="/^(o|chain)/", **self.op("put", "part"))

    def answers_lost(self):
        self.fault(2, {"close": self.random.choice(("after", "after", "before", "mid"))}, self.random.randrange(1, 4),
                   **self.op("put", "part", "complete", "initiate", "get", "abort", "copy", "copy-part"))

    def store_holds(self):
        self.fault(self.random.choice((0.3, 1, 4)), {"hold": True}, self.random.randrange(1, 4),
                   key=f"/{FOR_GOOD}/", **self.op("put", "part", "complete", "initiate", "get", "copy"))

    def cut(self, cable, what):
        seconds = self.random.choice((0, 0, 0.5, 2))
        self.note(f"connections to the {what} cut for {seconds} s")
        cable.down(seconds)

    def cut_store(self):
        self.cut(self.world.store_cable, "store")

    def cut_origin(self):
        self.cut(self.world.origin_cable, "origin")


class GatewayTrouble:
    """Disturbances of the real Ceph gateway: faults on the way to it, and signals to its process."""

    OPERATIONS = ("PUT", "Part", "Complete", "Initiate", "GET", "HEAD", "ListParts", "Abort")

    def gateway_fault(self, action, seconds, times, *operations):
        self.note(f"gateway: {action} for {operations or 'everything'}, {times} times, {seconds} s")
        self.world.gateway_cable.fault(seconds, action, times, operations or None)

    def gateway_errors(self):
        operations = self.random.choice(((), (self.random.choice(self.OPERATIONS),)))
        self.gateway_fault(self.random.choice((500, 503)), self.random.choice((0.3, 1, 3)), 1000, *operations)

    def gateway_corrupts(self):
        self.gateway_fault("corrupt", 3, self.random.randrange(1, 4), "PUT", "Part")

    def gateway_answers_lost(self):
        self.gateway_fault(self.random.choice(("after", "after", "before", "mid")), 2, self.random.randrange(1, 4),
                           self.random.choice(self.OPERATIONS))

    def cut_gateway(self):
        self.cut(self.world.gateway_cable, "gateway")

    def gateway_pid(self):
        said = subprocess.run([f"{ROOT}/tests/ceph-dev.sh", "env", self.world.ceph.directory], stdout=subprocess.PIPE, text=True,
                              check=True).stdout
        pid = said.partition("RGW_PID=")[2].split("\n")[0]
        return int(pid) if pid else None

    def freeze_gateway(self):
        pid = self.gateway_pid()
        if pid:
            self.note(f"SIGSTOP to the gateway (pid {pid})")
            self.freeze(pid)

    def kill_gateway(self):
        pid = self.gateway_pid()
        if pid:
            self.note(f"SIGKILL to the gateway (pid {pid})")
            self.frozen.pop(pid, None)
            self.signal(pid, signal.SIGKILL)
            self.start_gateway()

    def start_gateway(self):
        def start():
            subprocess.run([f"{ROOT}/tests/ceph-dev.sh", "up", self.world.ceph.directory], stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, check=True)
            self.note("the gateway is back")
        threading.Thread(target=start, daemon=True).start()
