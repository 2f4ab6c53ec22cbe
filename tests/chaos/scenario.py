"""The tasks of one run, all from one seed: what producers ask for, and what is at the destinations before."""

import dataclasses
import random

from rig import MIB

SIZES = (0, 1, 1000, 70000, MIB - 1, MIB, 3 * MIB + 17, 5 * MIB, 5 * MIB + 1, 8 * MIB, 12 * MIB + 5, 16 * MIB + 1, 20 * MIB)
SMALL = SIZES[:6]


@dataclasses.dataclass
class Task:
    """A task: number, key and content identify it, the rest is what its producer does.  Times are seconds after the start."""

    seed: str
    number: int
    at: float
    source: str              # spool, cos, http, ceph
    destination: str         # cos, out, ceph
    size: int
    key: str
    columns: dict = dataclasses.field(default_factory=dict)
    story: str = "plain"     # missing, vanishes, changes, wrong crc64, wrong size, contest, chain, dedup, hog, crash
    before: bool = False     # a foreign object is at the destination
    vanishes_at: float = 0
    changes_at: float = 0    # the source is replaced by another object of its size
    cancel_at: float = 0
    retry_at: float = 0
    reprioritise_at: float = 0
    after: int = None        # inserted when the task of this number has ended: both write one key
    group: int = None
    late: bool = False       # the worker meets the poison only after a part
    # the outcome
    id: int = None
    refused: bool = False    # its dedup_key was taken
    crc64: int = None
    crc64_changed: int = None  # of the object that replaced the source
    retried: bool = False

    @property
    def content(self):
        return f"{self.seed} t{self.number}"

    @property
    def changed_content(self):
        return f"{self.content} changed"

    @property
    def crc64s(self):
        """Of the objects that the task may have carried."""
        return [crc64 for crc64 in (self.crc64, self.crc64_changed) if crc64 is not None]

    @property
    def if_exists(self):
        return self.columns.get("if_exists", "overwrite")

    @property
    def limited(self):
        """Tells whether faults may make the task fail."""
        return self.columns["max_attempts"] < 100


class Scenario:
    """rate: tasks a second; ceph: whether a Ceph store exists; poison: whether some tasks kill their workers."""

    def __init__(self, seed, seconds, rate, ceph=False, poison=False):
        self.seed, self.random = str(seed), random.Random(f"scenario {seed}")
        self.sources, self.destinations = ["spool", "cos", "cos", "http"], ["cos", "cos", "out"]
        if ceph:
            self.sources += ["ceph"] * 3
            self.destinations += ["ceph"]
        self.poison, self.tasks, self.groups, self.seconds = poison, [], 0, seconds
        at = 0.0
        while at < seconds:
            self.add(at)
            at += self.random.expovariate(rate)
        self.foreign = [f"foreign/{n}" for n in range(3)]

    def task(self, at, **over):
        r, number = self.random, len(self.tasks)
        size = r.choice(SMALL) if r.random() < 0.55 else r.choice(SIZES)
        task = Task(self.seed, number, at, r.choice(self.sources), r.choice(self.destinations), size, f"o/{number}")
        task.columns = {"priority": r.choice((0, 0, 0, -5, 7)), "max_attempts": r.choice((1000, 1000, 1000, 1000, 3)),
                        "if_exists": r.choice(("overwrite", "overwrite", "skip", "fail")),
                        "queue": r.choice(("default", "default", "bulk"))}
        if r.random() < 0.2:
            task.columns["metadata"] = {"number": str(number), "Some-Word": f"w{r.randrange(1000)}"}
        if r.random() < 0.2:
            task.columns["content_type"] = r.choice(("video/mp4", "text/x-chaos"))
        task.before = r.random() < 0.2
        if task.if_exists != "overwrite" and not task.before:
            task.size = max(task.size, 1)  # an empty object of one's own is not recognised: see the limits in ferry(7)
        if r.random() < 0.1:
            task.columns["expect_size"] = task.size
        for name, value in over.items():
            setattr(task, name, value)
        self.tasks.append(task)
        return task

    def add(self, at):
        r = self.random
        story = r.choices(("plain", "right crc64", "wrong crc64", "wrong size", "missing", "vanishes", "changes", "contest", "chain", "dedup",
                           "cancelled", "hog", "crash"), (40, 8, 5, 3, 3, 5, 6, 8, 8, 6, 14, 2, 2))[0]
        if story in ("hog", "crash") and not self.poison:
            story = "plain"
        if story == "contest":
            self.contest(at)
        elif story == "chain":
            self.chain(at)
        elif story == "dedup":
            self.groups += 1
            for _ in range(r.randrange(2, 4)):
                task = self.task(at, story="dedup", group=self.groups)
                task.columns["dedup_key"] = f"key {self.groups}"
                at += r.random() * 2
        else:
            task = self.task(at, story="plain" if story in ("cancelled", "right crc64") else story)
            if r.random() < 0.1:
                task.reprioritise_at = at + r.random() * 2
            if story in ("hog", "crash"):
                task.source, task.before = "http", False
                task.columns.update(if_exists="overwrite", max_attempts=1000)
                task.late = r.random() < 0.5
                task.size = 12 * MIB if task.late else max(task.size, 1)
                task.columns.pop("expect_size", None)
            if story == "vanishes":
                task.vanishes_at = at + 0.1 + r.random() * 2
            if story == "changes":
                task.source = "spool" if task.source == "http" else task.source
                task.size = max(task.size, r.choice((1000, 12 * MIB)))
                task.columns.pop("expect_size", None)
                task.changes_at = at + r.random() * 2
            if story == "cancelled":
                task.size = max(task.size, r.choice((0, 12 * MIB)))
                task.columns.pop("expect_size", None)
                task.cancel_at = at + r.random() * r.choice((0.3, 2))
                if r.random() < 0.5:
                    task.retry_at = task.cancel_at + r.random() * r.choice((0.05, 3))
            if story == "missing" and r.random() < 0.3:
                task.retry_at = at + 1 + 4 * r.random()
            if story == "wrong size":
                task.columns["expect_size"] = task.size + 1
            if story == "right crc64":
                task.columns["expect_crc64"] = "right"
            if story == "wrong crc64":
                task.columns["expect_crc64"] = "wrong"

    def contest(self, at):
        """Several tasks write a key that none may replace: one of them makes it."""
        self.groups += 1
        first = None
        for _ in range(self.random.randrange(2, 4)):
            task = self.task(at, story="contest", group=self.groups, before=False)
            first = first or task
            task.destination, task.key = first.destination, first.key
            task.columns["if_exists"] = self.random.choice(("fail", "skip"))
            task.columns["max_attempts"] = 1000
            task.columns.pop("expect_size", None)
            task.size = max(task.size, 1000)  # so that their contents differ
            if task.destination == "ceph":  # one PUT: Ceph ignores the condition on Complete
                task.size = min(task.size, 3 * MIB)
                task.source = "spool" if task.source == "ceph" else task.source
            at += self.random.random()

    def chain(self, at):
        """
        Tasks replace a key one after the other: the last object stays.  Not in Ceph: the gateway may make the object of a dead worker
        after that of its successor.
        """
        self.groups += 1
        first, last = None, None
        for _ in range(self.random.randrange(2, 4)):
            task = self.task(at, story="chain", group=self.groups, before=False, after=last)
            first, last = first or task, task.number
            if first is task and task.destination == "ceph":
                task.destination = "cos"
            task.destination, task.key = first.destination, f"chain/{first.number}"
            task.columns.update(if_exists="overwrite", max_attempts=1000)
