"""Abandoned uploads: all of ours go, nobody else's."""

import os
import re
import signal
import socket

import pytest

from rig import MIB, ferryctl, holds, wait_until
from stores import BUCKET


@pytest.fixture
def ctl(db):
    def run(*arguments, **options):
        return ferryctl("reap", *arguments, conninfo=db.conninfo(), **options)
    return run


def initiate(ceph, key):
    body = ceph.call("POST", ceph.TARGET, key, query={"uploads": ""}, body=b"")[1].decode()
    return re.search(r"<UploadId>([^<]+)</UploadId>", body).group(1)


@pytest.fixture
def bucket(ceph):
    """A bucket of a real gateway, without an upload before and after."""
    def clear():
        text = ceph.call("GET", ceph.TARGET, query={"uploads": "", "max-uploads": "1000"})[1].decode()
        found = re.findall(r"<Key>([^<]*)</Key>.*?<UploadId>([^<]+)</UploadId>", text, re.S)
        for key, upload in found:
            ceph.call("DELETE", ceph.TARGET, key, query={"uploadId": upload})
        return len(found)
    while clear():
        pass
    yield ceph
    while clear():
        pass


def record(db, task, upload, destination, **columns):
    columns = {"task": task, "upload_id": upload, "destination": destination, "claim": 1, "source_size": 1, "source_etag": "",
               "part_size": 5 * MIB, **columns}
    db.sql(f"INSERT INTO ferry.upload ({', '.join(columns)}) VALUES ({', '.join(['%s'] * len(columns))})",
           tuple(columns.values()))


def uploads(db):
    return db.one("SELECT count(*) FROM ferry.upload")


def orphan(db, daemon, ceph, spool, key="ours"):
    """A task in mid-upload, its whole node killed, its row deleted by somebody."""
    task = db.put(spool.put("object", 40 * MIB), f"ceph://{ceph.TARGET}/{key}")
    wait_until(lambda: db.parts(task) >= 1, 30, "a part")
    for pid in [daemon.pid, *daemon.workers()]:
        os.kill(pid, 9)
    daemon.wait()
    daemon.killed = True
    db.sql("DELETE FROM ferry.task WHERE id = %s", (task,))
    return task, db.one("SELECT upload_id FROM ferry.upload WHERE task = %s", (task,))


def test_ours_go_and_others_stay_in_a_bucket_that_holds_both(ferryd, db, ctl, bucket, spool):
    theirs = {initiate(bucket, key) for key in ("ours", "theirs", "ours")}
    daemon = ferryd({"ceph": bucket.store(rate="6M"), "spool": spool.store()}, workers=1)
    task, ours = orphan(db, daemon, bucket, spool)
    assert set(bucket.uploads(bucket.TARGET)) == theirs | {ours}

    listed = ctl("--dry-run").stdout
    assert re.fullmatch(rf"task {task}, begun \S+ \S+: ceph://{bucket.TARGET}/ours\n", listed)
    assert set(bucket.uploads(bucket.TARGET)) == theirs | {ours}

    daemon.start()
    assert ctl().stdout == "1 abandoned uploads aborted, 0 left\n"
    assert set(bucket.uploads(bucket.TARGET)) == theirs
    assert uploads(db) == 0 and ctl("-n").stdout == "no abandoned uploads\n"


def test_more_than_one_list_of_them(ferryd, db, ctl, bucket, spool):
    daemon = ferryd({"ceph": bucket.store(), "spool": spool.store()}, workers=2)
    stranger = initiate(bucket, "many")
    for n in range(120):
        record(db, 1000 + n, initiate(bucket, "many"), f"ceph://{bucket.TARGET}/many")
    assert ctl().stdout == "120 abandoned uploads aborted, 0 left\n"
    assert bucket.uploads(bucket.TARGET) == [stranger] and uploads(db) == 0
    assert len(daemon.log("its abandoned upload is gone")) == 120


def test_the_daemon_does_it_by_itself(ferryd, db, bucket, spool):
    daemon = ferryd({"ceph": bucket.store(), "spool": spool.store()}, workers=1)
    stranger = initiate(bucket, "key")
    record(db, 7, initiate(bucket, "key"), f"ceph://{bucket.TARGET}/key")
    holds(lambda: uploads(db) == 1, 2)
    daemon.conf["reap_interval"] = "1s"
    daemon.write()
    daemon.send(signal.SIGHUP)
    wait_until(lambda: uploads(db) == 0, 10, "the upload to be aborted")
    assert bucket.uploads(bucket.TARGET) == [stranger]


def test_what_cannot_be_aborted_is_named_and_kept(ferryd, db, ctl, bucket, spool):
    ferryd({"ceph": bucket.store(), "spool": spool.store()}, workers=1)
    record(db, 8, "some-upload", "gone://bucket/key")
    record(db, 9, initiate(bucket, "key"), f"ceph://{bucket.TARGET}/key")
    done = ctl(check=False)
    assert done.returncode == 1 and done.stdout == "1 abandoned uploads aborted, 1 left\n"
    assert 'task 8: gone://bucket/key: could not be aborted: there is no store "gone"' in done.stderr
    assert uploads(db) == 1 and bucket.uploads(bucket.TARGET) == []
    assert 'there is no store "gone"' in ctl("--dry-run").stdout


def test_no_daemon_to_do_it(db, ctl):
    record(db, 8, "some-upload", "gone://bucket/key")
    done = ctl(check=False)
    assert done.returncode == 1 and "no ferryd is running" in done.stderr and done.stdout == ""
    assert uploads(db) == 1
    assert ctl("extra", check=False).returncode == 64


def test_a_temporary_file_is_its_own_hosts(ferryd, db, ctl, spool):
    """The other host's directory may be another disk: that the name is not here says nothing, while that host lives."""
    ferryd({"spool": spool.store()}, workers=1)
    for n, host in ((1, socket.gethostname()), (2, "elsewhere"), (3, "elsewhere"), (4, "nowhere")):
        record(db, n, f".ferry-{n}-1.tmp", f"spool://{n}", host=host)
        if n != 3:
            with open(f"{spool.root}/.ferry-{n}-1.tmp", "w") as f:
                f.write("half")
            os.chmod(f.name, 0o666)
    db.sql("INSERT INTO ferry.node (name, pid, version, lease) VALUES ('elsewhere', 1, 'x', '1 hour')")
    db.sql("SELECT ferry.reap()")
    wait_until(lambda: db.one("SELECT count(*) FROM ferry.upload WHERE task IN (1, 4)") == 0, 10, "files to be removed")
    assert os.listdir(spool.root) == [".ferry-2-1.tmp"] and uploads(db) == 2

    db.sql("UPDATE ferry.node SET renewed_at = '2000-01-01' WHERE name = 'elsewhere'")
    done = ctl(check=False)
    assert done.returncode == 1 and done.stdout == "1 abandoned uploads aborted, 1 left\n"
    assert "not in this host's directory; elsewhere, where it was made, runs no ferryd" in done.stderr
    assert os.listdir(spool.root) == []


def test_a_running_tasks_upload_is_left_alone(ferryd, db, ctl, bucket, spool):
    ferryd({"ceph": bucket.store(rate="10M"), "spool": spool.store()}, workers=2, reap_interval="1s")
    task = db.put(spool.put("object", 40 * MIB), f"ceph://{bucket.TARGET}/running")
    wait_until(lambda: db.parts(task) >= 1, 30, "a part")
    assert ctl().stdout == "no abandoned uploads\n"
    assert db.done(task)["attempt"] == 0 and uploads(db) == 0
    bucket.delete(bucket.TARGET, "running")


def intend(db, task, bucket, key="key", age=0):
    """The row of a worker that was killed before it read the answer to its Initiate."""
    record(db, task, "intent of claim 1", f"ceph://{bucket.TARGET}/{key}", initiated=False, abandoned=True)
    db.sql("UPDATE ferry.upload SET created_at = now() - %s * interval '1 second' WHERE task = %s", (age, task))


def begin_parts(bucket, key):
    upload = initiate(bucket, key)
    bucket.call("PUT", bucket.TARGET, key, query={"partNumber": "1", "uploadId": upload}, body=b"x" * 100)
    return upload


def test_an_upload_whose_id_was_never_read(ferryd, db, ctl, bucket):
    """Of four at the key and one beside it, only one can be ours: the others have parts, or a row of their own."""
    ferryd({"ceph": bucket.store()}, workers=1)
    theirs = {begin_parts(bucket, "key"), begin_parts(bucket, "key"), initiate(bucket, "key2")}
    running = initiate(bucket, "key")
    task = db.put("ceph://none/none", "nowhere://x/y")
    record(db, task, running, f"ceph://{bucket.TARGET}/key")
    ours = initiate(bucket, "key")
    intend(db, 1 << 40, bucket)
    assert ours in bucket.uploads(bucket.TARGET)
    ctl(check=False)
    assert set(bucket.uploads(bucket.TARGET)) >= theirs and ours not in bucket.uploads(bucket.TARGET)
    assert db.one("SELECT count(*) FROM ferry.upload WHERE NOT initiated") == 0


def test_what_may_be_two_is_left_alone(ferryd, db, ctl, bucket):
    ferryd({"ceph": bucket.store()}, workers=1)
    both = {initiate(bucket, "key"), initiate(bucket, "key")}
    intend(db, 7, bucket)
    done = ctl(check=False)
    assert done.returncode == 1 and "more than one upload there may be it" in done.stderr
    assert set(bucket.uploads(bucket.TARGET)) == both
    # once there are two that died so, it can be told
    intend(db, 8, bucket)
    ctl(check=False)
    assert bucket.uploads(bucket.TARGET) == []


def test_one_that_was_begun_much_later_is_anothers(ferryd, db, ctl, bucket):
    ferryd({"ceph": bucket.store()}, workers=1)
    intend(db, 7, bucket, age=3600)
    stranger = initiate(bucket, "key")
    assert ctl().stdout == "1 abandoned uploads aborted, 0 left\n"
    assert bucket.uploads(bucket.TARGET) == [stranger] and uploads(db) == 0


def test_one_that_may_still_appear_is_looked_for_again(ferryd, db, ctl, bucket):
    ferryd({"ceph": bucket.store()}, workers=1)
    intend(db, 7, bucket)
    done = ctl(check=False)
    assert done.returncode == 1 and "it may still appear" in done.stderr and uploads(db) == 1
    initiate(bucket, "key")
    assert ctl().returncode == 0 and bucket.uploads(bucket.TARGET) == []


def test_one_that_was_begun_unheard_for_a_cancelled_task(ferryd, db, cos, spool):
    """Its worker cannot know its id; a minute later it is looked for, not at the next hour."""
    ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1, retry_delay="1m")
    cos.fault({"close": "after"}, op="initiate")
    task = db.put(spool.put("object", 40 * MIB), f"cos://{BUCKET}/object")
    wait_until(lambda: db.task(task)["attempt"] == 1, 10, "the answer to be missed")
    assert len(cos.uploads()) == 1 and db.one("SELECT ferry.cancel(%s)", (task,))
    # others, which look for abandoned ones soon, do not make it forgotten
    db.wait(db.put("spool://missing", f"cos://{BUCKET}/other"), "failed")
    wait_until(lambda: cos.uploads() == [] and uploads(db) == 0, 90, "the upload to go")
