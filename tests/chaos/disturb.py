"""Disturbances of daemons, database, stores, connections and the machine in one run, all from one seed."""

import contextlib
import os
import random
import signal
import time

import psycopg2

from rig import running
from trouble import DatabaseTrouble, GatewayTrouble, MachineTrouble, QueueTrouble, StoreTrouble

WEIGHTS = {"kill worker": 5, "kill master": 2, "kill node": 1.5, "stop": 2, "HUP": 1, "new settings": 1, "USR1": 1, "TTIN": 1, "TTOU": 1,
           "QUIT": 0.5,
           "restart database": 0.5, "database away": 0.4, "end sessions": 2, "cut database": 1,
           "pause": 1, "limits": 1, "reap": 1,
           "store errors": 3, "store answers HTML": 2, "keys refused": 1.5, "store slows down": 1.5, "store corrupts": 2, "answers lost": 3, "store holds": 2,
           "cut store": 2, "cut origin": 1}
FREEZES = {"freeze worker": 2, "freeze master": 1.5, "freeze node": 1}
HOGS = {"exhaust memory": 3}
MACHINE = {"full disk": 1, "no descriptors": 1, "no processes": 1}
PAIR = {"fail over": 0.5}
GATEWAY = {"gateway errors": 3, "gateway corrupts": 1, "gateway answers lost": 3, "cut gateway": 2, "freeze gateway": 1, "kill gateway": 0.4}


class Node:
    """A ferryd, and the work of its init system."""

    def __init__(self, daemon, hog=None):
        self.daemon, self.name, self.hog = daemon, daemon.name, hog
        self.back_at = None     # when it must be started again
        self.rotated = 0

    def pids(self):
        return [pid for pid in self.daemon.workers() if running(pid)]


class Disturber(DatabaseTrouble, GatewayTrouble, MachineTrouble, QueueTrouble, StoreTrouble):
    """
    events: (seconds, kind), from the seed.  The seed also chooses the victim, among the processes that exist at that time.
    journal lists the disturbances: (time.time(), text).  world has nodes, pg or pair, db, cos, ceph, cables and places.
    """

    def __init__(self, seed, seconds, every, world, freezes=False):
        self.random = random.Random(f"disturbances {seed}")
        self.world, self.nodes, self.db = world, world.nodes, world.db
        self.journal, self.frozen, self.problems, self.counts = [], {}, [], {}
        self.later = []  # (when, function): ends of disturbances
        weights = {**WEIGHTS, **(FREEZES if freezes else {}), **(HOGS if self.nodes[0].hog else {}),
                   **(MACHINE if world.disk else {}), **(PAIR if world.twins else {}), **(GATEWAY if world.ceph else {})}
        self.events, at = [], self.random.expovariate(1 / every)
        while at < seconds:
            self.events.append((at, self.random.choices(list(weights), list(weights.values()))[0]))
            at += self.random.expovariate(1 / every)

    def note(self, text):
        self.journal.append((time.time(), text))

    def do(self, kind):
        self.counts[kind] = self.counts.get(kind, 0) + 1
        getattr(self, kind.replace(" ", "_"))()

    def after(self, seconds, function):
        self.later.append((time.monotonic() + seconds, function))

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
            node.pids()  # so that the daemon remembers its workers' pids
            self.signal(node.daemon.pid, signal.SIGKILL)
            node.back_at = time.monotonic() + self.random.choice((0, 0.2, 1, 5))

    def kill_node(self):
        """Kills master and workers so that none of them can hand back its tasks."""
        node = self.master("SIGKILL, with its workers, to")
        if node:
            pids = [node.daemon.pid, *node.pids()]
            for number in (signal.SIGSTOP, signal.SIGKILL):
                for pid in pids:
                    self.signal(pid, number)
            node.back_at = time.monotonic() + self.random.choice((0, 1, 5))

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

    def new_settings(self):
        """Reloads other settings of workers; a task under way keeps its size of parts, whichever worker carries it next."""
        up = self.up()
        if up:
            daemon = self.random.choice(up).daemon
            daemon.worker.update(part_size=self.random.choice(("5M", "6M", "8M")), streams=self.random.choice((1, 2, 4, "auto")),
                                 max_tasks=self.random.choice((0, 0, 5)))
            daemon.write()
            self.note(f"HUP with new settings to {daemon.name}: {daemon.worker}")
            self.signal(daemon.pid, signal.SIGHUP)

    def TTIN(self):
        self.sent(signal.SIGTTIN)

    def TTOU(self):
        self.sent(signal.SIGTTOU)

    def USR1(self):
        """Renames the log and sends USR1, as logrotate does."""
        rotating = [node for node in self.up() if node.daemon.daemonize]
        if rotating:
            node = self.random.choice(rotating)
            node.rotated += 1
            with contextlib.suppress(FileNotFoundError):
                os.rename(node.daemon.log_file, f"{node.daemon.log_file}.{node.rotated}")
            self.note(f"USR1 to {node.name}")
            self.signal(node.daemon.pid, signal.SIGUSR1)

    def freeze(self, *pids):
        until = time.monotonic() + self.random.choice((0.5, 4, 6))
        for pid in pids:
            self.signal(pid, signal.SIGSTOP)
            self.frozen[pid] = until

    def freeze_worker(self):
        pid = self.worker("SIGSTOP")
        if pid:
            self.freeze(pid)

    def freeze_master(self):
        node = self.master("SIGSTOP")
        if node:
            self.freeze(node.daemon.pid)

    def freeze_node(self):
        node = self.master("SIGSTOP, with its workers, to")
        if node:
            self.freeze(node.daemon.pid, *node.pids())

    def tend(self, calm=False):
        """Does what is due: thaws processes, starts masters that are down, ends faults."""
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
        due = [event for event in self.later if calm or now >= event[0]]
        self.later = [event for event in self.later if event not in due]
        for _, function in due:
            function()
        self.tend_stores(now, calm)

    def start(self, node):
        try:
            node.daemon.start(ready=False)
            node.back_at = None
            self.note(f"start of {node.name} (pid {node.daemon.pid})")
        except (AssertionError, OSError, ValueError) as problem:  # without its database, it may exit with an error
            self.note(f"start of {node.name} failed: {str(problem)[:300]}")
            node.back_at = time.monotonic() + 0.5

    def tolerated(self, statement, parameters=None):
        """Returns one value of a statement, or None if the database is away."""
        with contextlib.suppress(psycopg2.Error, IndexError):
            return self.db.one(statement, parameters)
        return None
