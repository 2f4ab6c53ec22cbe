"""What happens to daemons, database, stores and connections in one run, all of it from a seed."""

import contextlib
import os
import random
import select
import signal
import time

import psycopg2

from rig import running
from wires import Wire

WEIGHTS = {"kill worker": 5, "kill master": 2, "stop": 2, "HUP": 1, "USR1": 1, "TTIN": 1, "TTOU": 1, "QUIT": 0.5, "restart database": 0.7,
           "end sessions": 2, "store errors": 3, "store slows down": 1.5, "store corrupts": 2, "answers lost": 3,
           "store holds": 2, "cut store": 2, "cut database": 1, "cut origin": 1}
FREEZES = {"freeze worker": 2, "freeze master": 1.5}
FOR_GOOD = "^(?!chain)"  # what a dead client has sent may still be carried out, and nobody could tell: not where order matters


class Cable(Wire):
    """Passes bytes on until it is cut."""

    def __init__(self, address):
        super().__init__(None, address)

    def carry(self, client, server):
        pairs = {client: server, server: client}
        while True:
            for end in select.select(list(pairs), [], [])[0]:
                data = end.recv(1 << 18)
                if not data:
                    return
                pairs[end].sendall(data)


class Node:
    """A ferryd and what an init system does for it."""

    def __init__(self, daemon):
        self.daemon, self.name = daemon, daemon.name
        self.back_at = None     # when it is to be started again
        self.rotated = 0

    def pids(self):
        return [pid for pid in self.daemon.workers() if running(pid)]


class Disturber:
    """
    events(): (seconds, kind) from the seed.  Whom it hits is from the seed as well, among those who are there at that time.
    journal has what was done: (time.time(), text).
    """

    def __init__(self, seed, seconds, every, nodes, pg, db, cos, cables, freezes=False):
        self.random = random.Random(f"disturbances {seed}")
        self.nodes, self.pg, self.db, self.cos = nodes, pg, db, cos
        self.store_cable, self.database_cable, self.origin_cable = cables
        self.journal, self.rules, self.frozen, self.problems = [], [], {}, []
        weights = {**WEIGHTS, **(FREEZES if freezes else {})}
        self.events, at = [], self.random.expovariate(1 / every)
        while at < seconds:
            self.events.append((at, self.random.choices(list(weights), list(weights.values()))[0]))
            at += self.random.expovariate(1 / every)

    def note(self, text):
        self.journal.append((time.time(), text))

    def do(self, kind):
        getattr(self, kind.replace(" ", "_"))()

    # Daemons

    def up(self):
        return [node for node in self.nodes if node.daemon.alive()]

    def master(self, what):
        up = self.up()
        if not up:
            return None
        node = self.random.choice(up)
        self.note(f"{what} master of {node.name} (pid {node.daemon.pid})")
        return node

    def worker(self, what):
        pids = [(node, pid) for node in self.up() for pid in node.pids()]
        if not pids:
            return None
        node, pid = self.random.choice(pids)
        self.note(f"{what} worker of {node.name} (pid {pid})")
        return pid

    def signal(self, pid, number):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    def kill_worker(self):
        pid = self.worker("SIGKILL")
        if pid:
            self.signal(pid, signal.SIGKILL)

    def kill_master(self):
        node = self.master("SIGKILL")
        if node:
            self.signal(node.daemon.pid, signal.SIGKILL)
            node.back_at = time.monotonic() + self.random.choice((0, 0.2, 1, 5))

    def ended(self, number):
        node = self.master(signal.Signals(number).name)
        if node:
            self.signal(node.daemon.pid, number)
            node.back_at = time.monotonic() + 0.1

    def stop(self):
        self.ended(signal.SIGTERM)

    def QUIT(self):
        self.ended(signal.SIGQUIT)

    def sent(self, number):
        node = self.master(signal.Signals(number).name)
        if node:
            self.signal(node.daemon.pid, number)
        return node

    def HUP(self):
        self.sent(signal.SIGHUP)

    def TTIN(self):
        self.sent(signal.SIGTTIN)

    def TTOU(self):
        self.sent(signal.SIGTTOU)

    def USR1(self):
        """As logrotate does it."""
        rotating = [node for node in self.up() if node.daemon.daemonize]
        if rotating:
            node = self.random.choice(rotating)
            node.rotated += 1
            with contextlib.suppress(FileNotFoundError):
                os.rename(node.daemon.log_file, f"{node.daemon.log_file}.{node.rotated}")
            self.note(f"USR1 to {node.name}")
            self.signal(node.daemon.pid, signal.SIGUSR1)

    def freeze(self, pid):
        if pid:
            self.signal(pid, signal.SIGSTOP)
            self.frozen[pid] = time.monotonic() + self.random.choice((0.5, 4, 6))

    def freeze_worker(self):
        self.freeze(self.worker("SIGSTOP"))

    def freeze_master(self):
        node = self.master("SIGSTOP")
        self.freeze(node and node.daemon.pid)

    def tend(self, calm=False):
        """What is due: frozen ones go on, masters that are down come back, faults end."""
        now = time.monotonic()
        for pid, until in list(self.frozen.items()):
            if calm or now >= until:
                self.note(f"SIGCONT to {pid}")
                self.signal(pid, signal.SIGCONT)
                del self.frozen[pid]
        for node in self.nodes:
            if node.daemon.alive():
                continue
            if node.back_at is None:
                code = node.daemon.process.returncode if node.daemon.process else "?"
                self.problems.append(f"the master of {node.name} (pid {node.daemon.pid}) ended by itself, exit code {code}")
                node.back_at = now + 0.5
            if calm or now >= node.back_at:
                self.start(node)
        left = [rule for rule in self.rules if not calm and now < rule[0]]
        if left != self.rules:
            self.rules = left
            self.set_rules()

    def start(self, node):
        try:
            node.daemon.start(ready=False)
            node.back_at = None
            self.note(f"start of {node.name} (pid {node.daemon.pid})")
        except (AssertionError, OSError, ValueError) as problem:  # it may say so and end while its database is away
            self.note(f"start of {node.name} failed: {str(problem)[:300]}")
            node.back_at = time.monotonic() + 0.5

    # Database

    def restart_database(self):
        self.note("immediate restart of the database")
        self.pg.restart("immediate")
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
        self.database_cable.down(seconds)

    # Stores

    def set_rules(self):
        self.cos.faults(*[rule for _, rule in self.rules])

    def fault(self, seconds, action, times=None, **match):
        rule = {"match": match, "action": action, **({} if times is None else {"times": times})}
        self.note(f"store: {action} for {match or 'everything'}, {times or 'each'} times, {seconds} s")
        self.rules.append((time.monotonic() + seconds, rule))
        self.set_rules()

    def op(self, *operations):
        return {"op": self.random.choice(operations)}

    def store_errors(self):
        match = self.random.choice(({}, self.op("put", "part", "complete", "initiate", "get", "head", "list-parts", "abort",
                                                    "copy", "copy-part")))
        self.fault(self.random.choice((0.3, 1, 3)), {"status": self.random.choice((500, 503, 502, 504))}, **match)

    def store_slows_down(self):
        self.fault(self.random.choice((0.5, 2)), {"status": 503, "code": "SlowDown"})

    def store_corrupts(self):
        self.fault(3, {"corrupt": True}, self.random.randrange(1, 4), **self.op("put", "part"))

    def answers_lost(self):
        self.fault(2, {"close": self.random.choice(("after", "after", "before", "mid"))}, self.random.randrange(1, 4),
                   **self.op("put", "part", "complete", "initiate", "get", "abort", "copy", "copy-part"))

    def store_holds(self):
        self.fault(self.random.choice((0.3, 1, 4)), {"hold": True}, self.random.randrange(1, 4),
                   key=f"/{FOR_GOOD}/", **self.op("put", "part", "complete", "initiate", "get", "copy"))

    def cut_store(self):
        seconds = self.random.choice((0, 0, 0.5, 2))
        self.note(f"connections to the store cut for {seconds} s")
        self.store_cable.down(seconds)

    def cut_origin(self):
        seconds = self.random.choice((0, 0, 0.5, 2))
        self.note(f"connections to the origin cut for {seconds} s")
        self.origin_cable.down(seconds)
