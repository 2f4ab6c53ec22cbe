"""A store in trouble is held: its tasks wait, uncounted and unfailed, and all are done once it is mended."""

import contextlib
import os
import signal
import subprocess
import time

import pytest

from gate import Babbler, Gate
from origin import make_certificate
from rig import MIB, patience, wait_until
from stores import BUCKET, COS_ID, COS_SECRET, Cos

LONG = "FERRY_LONG" in os.environ
OUTAGE = 600 if LONG else 3  # seconds
TASKS = 1000
HTTP = {"allow": ["127.0.0.1", "localhost"], "private": True}
HOLD = r'msg="store \S+ is held as a'
OVER = r'msg="store \S+ is well again as a'
pytestmark = pytest.mark.limit(OUTAGE + 120)


def put_many(db, source, destination, count=TASKS, **columns):
    """Inserts count tasks.  A # in the URIs stands for the number of the task."""
    names = "".join(f", {name}" for name in columns)
    db.sql(f"INSERT INTO ferry.task (source, destination{names}) SELECT replace(%s, '#', i::text), replace(%s, '#', i::text)"
           f"{', %s' * len(columns)} FROM generate_series(1, %s) i", (source, destination, *columns.values(), count))


def count(db, condition="true"):
    return db.one(f"SELECT count(*) FROM ferry.task WHERE {condition}")


class Outage:
    """A store in trouble, with tasks that wait for it."""

    def __init__(self, daemon, db, store, held_as, length=OUTAGE):
        self.daemon, self.db, self.store, self.held_as, self.length = daemon, db, store, held_as, length

    def view(self):
        return self.db.sql("SELECT * FROM ferry.store WHERE store = %s AND held_as IS NOT NULL", (self.store,))

    def lasts(self, why):
        """The store is held, and nothing fails or counts while it stays away.  why: a pattern of the reason."""
        self.daemon.wait_log(f"store {self.store} is held as a {self.held_as}: .*{why}", timeout=30)
        row = wait_until(self.view, what="the hold in ferry.store")[0]
        assert (row["held_as"], row["state"]) == (self.held_as, "held") and row["since"]
        end = time.monotonic() + self.length
        while time.monotonic() < end:
            assert count(self.db, "state = 'failed' OR attempt > 0 OR crashes > 0") == 0
            time.sleep(0.2)
        # those that have been tried lately are not due at this moment
        assert self.view()[0]["waiting"] >= count(self.db, "state = 'queued'") - 20
        if "://" not in self.store:
            assert count(self.db, "error IS NOT NULL") < TASKS / 2, "the tasks of a held store are left alone"

    def ends(self, timeout=90):
        """After the mend: all tasks are done, and the log has told each once."""
        wait_until(lambda: count(self.db, "state = 'done'") == count(self.db), timeout + patience(),
                   lambda: f"all tasks to be done; {self.db.sql('SELECT state, error, count(*) FROM ferry.task GROUP BY 1, 2')}")
        assert count(self.db, "attempt > 0") == 0
        wait_until(lambda: not self.view(), what="the view to be empty")
        self.daemon.wait_log(OVER)
        assert len(self.daemon.log(HOLD)) == 1 and len(self.daemon.log(OVER)) == 1, self.daemon.log("store ")


@pytest.fixture
def outage(ferryd, db):
    def make(stores, store, held_as, **options):
        options = {"workers": 4, "http": HTTP, "retry_delay_max": "2s", **options}
        return Outage(ferryd(stores, **options), db, store, held_as)
    return make


class Disk:
    """A small file system."""

    def __init__(self, root):
        self.root, self.filler = root, f"{root}/.filler"
        os.mkdir(root)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=777", "tmpfs", root], check=True)

    def fill(self):
        with contextlib.suppress(OSError), open(self.filler, "wb", buffering=0) as f:
            while True:
                f.write(bytes(4096))

    def clear(self):
        os.unlink(self.filler)

    def remove(self):
        subprocess.run(["umount", "-l", self.root], check=True)


@pytest.fixture
def small_disk(tmp_base):
    disk = Disk(f"{tmp_base}/disk")
    yield disk
    disk.remove()


# The kinds of stores, away

def test_an_endpoint_that_is_away(outage, db, cos, spool):
    gate = Gate(cos.port)
    story = outage({"spool": spool.store(), "cos": cos.store(port=gate.port)}, "cos", "destination")
    put_many(db, spool.put("a", 1000), f"cos://{BUCKET}/k#")
    story.lasts("[Cc]onnect")
    gate.open()
    story.ends()
    gate.shut()


def test_an_endpoint_that_goes_away_in_between(outage, db, cos, spool):
    """One attempt at most is told by the silence of a store that was well: with parts, it is counted if it is no refusal to connect."""
    gate = Gate(cos.port)
    gate.open()
    story = outage({"spool": spool.store(), "cos": cos.store(port=gate.port)}, "cos", "source")
    db.done(db.put(spool.put("a", 1000), f"cos://{BUCKET}/a"))
    gate.shut()
    put_many(db, f"cos://{BUCKET}/a", "spool://k#")
    story.lasts("[Cc]onnect")
    gate.open()
    story.ends()
    gate.shut()


@pytest.mark.parametrize("held_as", ["source", "destination"])
def test_a_root_that_is_missing(outage, db, tmp_base, spool, held_as):
    root = f"{tmp_base}/late"
    os.mkdir(root)
    os.chmod(root, 0o777)
    story = outage({"spool": spool.store(), "late": {"kind": "file", "root": root}}, "late", held_as)
    os.rename(root, f"{root}.new")
    if held_as == "source":
        put_many(db, "late://a", "spool://k#")
    else:
        put_many(db, spool.put("a", 1000), "late://k#")
    story.lasts("the store's root .* look whether it is mounted")
    with open(f"{root}.new/a", "w") as f:
        f.write("here")
    os.rename(f"{root}.new", root)
    story.ends()


def test_a_mount_that_is_late(outage, db, tmp_base, spool):
    """The mount point is there, and empty."""
    root = f"{tmp_base}/late"
    os.mkdir(root)
    story = outage({"spool": spool.store(), "late": {"kind": "file", "root": root}}, "late", "source")
    put_many(db, "late://a", "spool://k#")
    story.lasts("the store's root is empty.* look whether it is mounted")
    with open(f"{root}/a.new", "w") as f:
        f.write("here")
    os.rename(f"{root}/a.new", f"{root}/a")
    story.ends()


def test_a_host_of_urls_that_is_away(outage, db, spool, origin):
    """The tasks of another host go on."""
    gate = Gate(origin.port)
    host = f"http://127.0.0.1:{gate.port}"
    story = outage({"spool": spool.store()}, host, "source")
    put_many(db, f"{host}/size/1000/#", "spool://k#")
    story.lasts("[Cc]onnect")
    db.done(db.put(f"http://localhost:{origin.port}/size/1000/x", "spool://other"))
    gate.open()
    story.ends(150)
    gate.shut()


# Troubles

@pytest.mark.parametrize("trouble", ["id", "secret"])
def test_keys_that_are_refused(outage, db, cos, spool, trouble):
    cos.keys({COS_ID: None if trouble == "id" else {"secret": "another"}})
    story = outage({"spool": spool.store(), "cos": cos.store()}, "cos", "destination")
    put_many(db, spool.put("a", 1000), f"cos://{BUCKET}/k#")
    story.lasts({"id": "InvalidAccessKeyId", "secret": "SignatureDoesNotMatch"}[trouble])
    assert {row["error_class"] for row in story.view()} == {"credentials"}
    assert story.daemon.log(f"{HOLD}.*look whether its keys are right")
    cos.keys({COS_ID: {"secret": COS_SECRET}})
    story.ends()


@pytest.mark.parametrize("action, error_class", [
    ({"status": 403, "code": "QuotaExceeded", "message": "over quota"}, "full"),
    ({"status": 403, "code": "AccessDenied"}, "credentials"),
    ({"status": 403, "code": "ExpiredToken"}, "credentials"),
    ({"status": 503, "code": "ServiceUnavailable"}, "transient"),
    ({"status": 500, "code": "InternalError"}, "transient"),
    ({"page": "<html>Please log in</html>"}, "transient"),
    ({"close": "before"}, "transient")])
def test_answers_to_all(outage, db, cos, spool, action, error_class):
    cos.fault(action)
    story = outage({"spool": spool.store(), "cos": cos.store()}, "cos", "destination")
    story.length = min(story.length, 60)
    put_many(db, spool.put("a", 1000), f"cos://{BUCKET}/k#", 200)
    story.lasts("cos: ")
    assert {row["error_class"] for row in story.view()} == {error_class}
    cos.faults()
    story.ends()


def test_garbage_instead_of_http(outage, db, cos, spool):
    gate = Gate(cos.port)
    babbler = Babbler(gate.port, b"220 mail.example.org ESMTP ready\r\n" * 3)
    story = outage({"spool": spool.store(), "cos": cos.store(port=gate.port)}, "cos", "destination")
    story.length = min(story.length, 60)
    put_many(db, spool.put("a", 1000), f"cos://{BUCKET}/k#", 200)
    story.lasts("HTTP")
    babbler.stop()
    gate.open()
    story.ends()
    gate.shut()


def test_a_certificate_that_has_expired(outage, db, spool, base, tmp_base):
    name = "cos.ap-guangzhou.myqcloud.com"
    cert, key = make_certificate(tmp_base, name)
    expired, its_key = make_certificate(tmp_base, name, expired=True)
    endpoint = Cos(f"{tmp_base}/tls", tls=(expired, its_key))
    gate = Gate(endpoint.port)
    gate.open()
    try:
        with open(f"{tmp_base}/both", "w") as f:
            f.write(open(cert).read() + open(expired).read())
        store = endpoint.store(port=gate.port, ca_file=f"{tmp_base}/both")
        story = outage({"spool": spool.store(), "cos": store}, "cos", "destination")
        put_many(db, spool.put("a", 1000), f"cos://{BUCKET}/k#")
        story.lasts("certificate has expired")
        endpoint.stop()
        endpoint = Cos(f"{tmp_base}/tls", tls=(cert, key))
        gate.to = endpoint.port
        story.ends()
    finally:
        gate.shut()
        endpoint.stop()


def test_a_disk_that_is_full(outage, db, spool, small_disk):
    story = outage({"spool": spool.store(), "disk": {"kind": "file", "root": small_disk.root}}, "disk", "destination")
    story.length = min(story.length, 60)
    small_disk.fill()
    put_many(db, spool.put("a", 100000), "disk://k", 1)
    put_many(db, "spool://a", "disk://k#", 20)
    story.lasts("No space left")
    assert {row["error_class"] for row in story.view()} == {"full"}
    small_disk.clear()
    story.ends()


# An object's own trouble

def test_an_objects_own_trouble_fails_at_once(ferryd, db, cos, spool):
    daemon = ferryd({"spool": spool.store(), "cos": cos.store()}, workers=2)
    spool.put("a", 1000)
    tasks = [db.put("spool://none", f"cos://{BUCKET}/1"), db.put("spool://a", f"cos://{BUCKET}/2", expect_size=5),
             db.put(f"cos://{BUCKET}/none", "spool://3")] * 2
    for task in tasks:
        row = db.wait(task, "failed")
        assert (row["attempt"], row["error_class"]) == (1, "permanent")
    assert not daemon.log(HOLD)


@pytest.mark.parametrize("trouble", ["secret", "right", "quota", "root"])
def test_the_only_task_of_a_store_in_trouble_does_not_fail(ferryd, db, cos, spool, tmp_base, trouble):
    """No other task shows whether it is the store or the object.  What somebody has to mend fails no task in the meantime."""
    root = f"{tmp_base}/late"
    os.mkdir(root)
    ferryd({"spool": spool.store(), "cos": cos.store(), "late": {"kind": "file", "root": root}}, workers=1,
           retry_delay="50ms", retry_delay_max="100ms")
    if trouble == "secret":
        cos.keys({COS_ID: {"secret": "another"}})
    elif trouble == "right":
        cos.fault({"status": 403, "code": "AccessDenied"})
    elif trouble == "quota":
        cos.fault({"status": 403, "code": "QuotaExceeded", "message": "over quota"})
    destination = "spool://copy" if trouble == "root" else f"cos://{BUCKET}/a"
    task = db.put("late://a" if trouble == "root" else spool.put("a", 1000), destination, max_attempts=1)
    for _ in range(4):
        claim = db.task(task)["claim"]
        wait_until(lambda: db.task(task)["claim"] != claim, 60, "another attempt")
    assert db.waits(task)["attempt"] == 0
    cos.keys({COS_ID: {"secret": COS_SECRET}})
    cos.faults()
    with open(f"{root}/a", "w") as f:
        f.write("here")
    db.done(task)


def test_what_is_refused_alone_holds_nothing(ferryd, db, cos, spool):
    """A key may lack a right to some objects.  The others show that it is not the store."""
    daemon = ferryd({"spool": spool.store(), "cos": cos.store()}, workers=1, retry_delay="50ms", retry_delay_max="100ms")
    cos.fault({"status": 403, "code": "AccessDenied"}, key="/^secret/")
    refused = db.put(spool.put("a", 1000), f"cos://{BUCKET}/secret", max_attempts=3)
    number = 0
    while db.state(refused) != "failed":
        number += 1
        assert number < 1000
        db.done(db.put("spool://a", f"cos://{BUCKET}/{number}"))
    row = db.task(refused)
    assert (row["attempt"], row["error_class"]) == (3, "credentials")
    assert not daemon.log(HOLD)


def test_a_bucket_that_is_missing_is_the_tasks_own_trouble(ferryd, db, cos, spool):
    """Somebody may be about to make it, so it is tried again; and other buckets are well, so nothing is held."""
    daemon = ferryd({"spool": spool.store(), "cos": cos.store()}, workers=1, retry_delay="50ms", retry_delay_max="100ms")
    cos.fault({"status": 404, "code": "NoSuchBucket"})
    row = db.wait(db.put(spool.put("a", 1000), f"cos://{BUCKET}/a", max_attempts=4), "failed")
    assert (row["attempt"], row["error_class"]) == (4, "transient")
    assert not daemon.log(HOLD)


# What goes on

def test_other_stores_go_on(outage, db, cos, spool, tmp_base):
    """While a store is held, a task with it is tried once at a time; others are claimed as before."""
    out = f"{tmp_base}/out"
    os.mkdir(out)
    os.chmod(out, 0o777)
    gate = Gate(cos.port)
    story = outage({"spool": spool.store(), "out": {"kind": "file", "root": out}, "cos": cos.store(port=gate.port)}, "cos", "destination")
    put_many(db, spool.put("a", 1000), f"cos://{BUCKET}/k#", priority=10)
    story.daemon.wait_log(HOLD)
    put_many(db, "spool://a", "out://o#")
    wait_until(lambda: count(db, "destination LIKE 'out://%' AND state = 'done'") == TASKS, 60, "the other store's tasks")
    assert count(db, "state = 'failed' OR attempt > 0") == 0
    gate.open()
    story.ends()
    gate.shut()


def test_both_ends_away(outage, db, cos, spool, tmp_base):
    """A probe of each end meets the other one."""
    root, gate = f"{tmp_base}/late", Gate(cos.port)
    os.mkdir(root)
    story = outage({"late": {"kind": "file", "root": root}, "cos": cos.store(port=gate.port)}, "cos", "destination")
    with open(f"{root}/a", "w") as f:
        f.write("here")
    put_many(db, "late://a", f"cos://{BUCKET}/k#", 200)
    story.daemon.wait_log("store cos is held as a destination")
    os.rename(root, f"{root}.away")
    story.daemon.wait_log("store late is held as a source", timeout=60)
    os.rename(f"{root}.away", root)
    gate.open()
    wait_until(lambda: count(db, "state = 'done'") == 200, 60, lambda: story.daemon.log("store "))
    gate.shut()


# A configuration that spreads

def test_a_store_that_one_node_does_not_know(ferryd, db, cos, spool, tmp_base):
    """Two nodes, one of which has the new store already: no task fails, and the other learns it by a reload."""
    new = f"{tmp_base}/new"
    os.mkdir(new)
    os.chmod(new, 0o777)
    old = ferryd({"spool": spool.store()}, workers=4)
    put_many(db, spool.put("a", 1000), "new://k#", 10)
    old.wait_log("store new is held as a destination: there is no store .*new.* in the configuration of this node")
    wait_until(lambda: db.sql("SELECT state, waiting FROM ferry.store WHERE store = 'new'") == [{"state": "unknown", "waiting": 10}],
               what="the tasks that were claimed before the hold to go back")
    assert count(db, "state = 'queued'") == 10
    ferryd({"spool": spool.store(), "new": {"kind": "file", "root": new}}, workers=2)
    put_many(db, "spool://a", "new://more#", 100)
    wait_until(lambda: count(db, "state = 'done'") == 110, 30, "the tasks to be done by the node that knows the store")
    assert count(db, "attempt > 0") == 0
    old.stores["new"] = {"kind": "file", "root": new}
    old.write()
    old.send(signal.SIGHUP)
    old.wait_log("store new is well again")
    assert len(old.log(HOLD)) == 1
    wait_until(lambda: not db.sql("SELECT store FROM ferry.hold"), 10, "the row of the hold to go")


def test_a_task_whose_keys_came_right_on_reload(outage, db, cos, spool):
    story = outage({"spool": spool.store(), "cos": cos.store(secret="wrong")}, "cos", "destination")
    put_many(db, spool.put("a", 1000), f"cos://{BUCKET}/k#", 200)
    story.lasts("SignatureDoesNotMatch")
    story.daemon.stores["cos"] = cos.store()
    story.daemon.write()
    story.daemon.send(signal.SIGHUP)
    story.ends()


def test_another_node_tells_that_the_store_is_well(ferryd, db, cos, spool):
    """The second node holds the store for long; the first is served, and the second looks at once."""
    gate = Gate(cos.port)
    nodes = [ferryd({"spool": spool.store(), "cos": cos.store(port=gate.port)}, workers=1) for _ in range(2)]
    put_many(db, spool.put("a", 1000), f"cos://{BUCKET}/k#", 100)
    for node in nodes:
        node.wait_log(HOLD, timeout=30)
    wait_until(lambda: db.one("SELECT count(*) FROM ferry.hold") == 2, 10, "the rows of both holds")
    gate.open()
    wait_until(lambda: count(db, "state = 'done'") == 100, 30, "all tasks")
    for node in nodes:
        node.wait_log(OVER)
    gate.shut()


# A part that arrives ends a hold

def test_a_part_that_was_stored_ends_the_hold(outage, db, cos, spool):
    """The probe is a large object, and the others do not wait for its end."""
    story = outage({"spool": spool.store(), "cos": cos.store()}, "cos", "destination", worker={"streams": 1, "part_size": "5M"})
    cos.fault({"status": 503, "code": "ServiceUnavailable"})
    large = db.put(spool.put("large", 40 * MIB), f"cos://{BUCKET}/large", priority=10)
    story.daemon.wait_log(HOLD, timeout=30)
    cos.faults()
    cos.rate(4 * MIB)
    put_many(db, spool.put("a", 1000), f"cos://{BUCKET}/k#", 20)
    story.daemon.wait_log(OVER, timeout=30)
    assert db.state(large) == "running"
    cos.rate(0)
    db.done(large)
