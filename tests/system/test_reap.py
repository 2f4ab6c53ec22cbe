"""Abandoned uploads: ferryd's own are all aborted, other programs' stay."""

import os
import re
import signal
import socket
import time

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
    """A bucket of a real gateway without open uploads, cleared after the test."""
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
    """Makes the row of an upload; the task, if there is one, has begun it."""
    db.began(task)
    first = db.sql("SELECT first_claim FROM ferry.task WHERE id = %s", (task,))
    columns = {"task": task, "upload_id": upload, "destination": destination, "claim": 1, "source_size": 1, "source_etag": "",
               "part_size": 5 * MIB, "first_claim": first[0]["first_claim"] if first else 1, **columns}
    db.sql(f"INSERT INTO ferry.upload ({', '.join(columns)}) VALUES ({', '.join(['%s'] * len(columns))})",
           tuple(columns.values()))


def uploads(db):
    return db.one("SELECT count(*) FROM ferry.upload")


def orphan(db, daemon, ceph, spool, key="ours"):
    """Kills the whole node in the middle of an upload and deletes the task's row; returns the task and the upload's id."""
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


def test_more_uploads_than_one_list_holds(ferryd, db, ctl, bucket, spool):
    daemon = ferryd({"ceph": bucket.store(), "spool": spool.store()}, workers=2)
    stranger = initiate(bucket, "many")
    for n in range(120):
        record(db, 1000 + n, initiate(bucket, "many"), f"ceph://{bucket.TARGET}/many")
    assert ctl().stdout == "120 abandoned uploads aborted, 0 left\n"
    assert bucket.uploads(bucket.TARGET) == [stranger] and uploads(db) == 0
    assert len(daemon.log("its abandoned upload is gone")) == 120


def test_the_daemon_aborts_uploads_by_itself(ferryd, db, bucket, spool):
    daemon = ferryd({"ceph": bucket.store(), "spool": spool.store()}, workers=1)
    stranger = initiate(bucket, "key")
    record(db, 7, initiate(bucket, "key"), f"ceph://{bucket.TARGET}/key")
    holds(lambda: uploads(db) == 1, 2)
    daemon.conf["reap_interval"] = "1s"
    daemon.write()
    daemon.send(signal.SIGHUP)
    wait_until(lambda: uploads(db) == 0, 10, "the upload to be aborted")
    assert bucket.uploads(bucket.TARGET) == [stranger]


def test_upload_that_cannot_be_aborted_is_named_and_kept(ferryd, db, ctl, bucket, spool):
    ferryd({"ceph": bucket.store(), "spool": spool.store()}, workers=1)
    record(db, 8, "some-upload", "gone://bucket/key")
    record(db, 9, initiate(bucket, "key"), f"ceph://{bucket.TARGET}/key")
    done = ctl(check=False)
    assert done.returncode == 1 and done.stdout == "1 abandoned uploads aborted, 1 left\n"
    assert 'task 8: gone://bucket/key: could not be aborted: there is no store "gone"' in done.stderr
    assert uploads(db) == 1 and bucket.uploads(bucket.TARGET) == []
    assert 'there is no store "gone"' in ctl("--dry-run").stdout


def test_reap_without_a_daemon(db, ctl):
    record(db, 8, "some-upload", "gone://bucket/key")
    done = ctl(check=False)
    assert done.returncode == 1 and "no ferryd is running" in done.stderr and done.stdout == ""
    assert uploads(db) == 1
    assert ctl("extra", check=False).returncode == 64


def test_a_temporary_file_is_removed_by_its_own_host(ferryd, db, ctl, spool):
    """Another host's directory may be another disk: a name that is missing here may exist there, as long as that host lives."""
    ferryd({"spool": spool.store()}, workers=1)
    for n, host in ((1, socket.gethostname()), (2, "elsewhere"), (3, "elsewhere"), (4, "nowhere")):
        record(db, n, f".ferry-{n}-1.tmp", f"spool://{n}", host=host)
        if n != 3:
            with open(f"{spool.root}/.ferry-{n}-1.tmp", "w") as f:
                f.write("half")
            os.chmod(f.name, 0o666)
    db.sql("INSERT INTO ferry.node (id, name, pid, version, lease) VALUES (1, 'elsewhere', 1, 'x', '1 hour')")
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


def test_a_store_that_answers_with_an_endless_header_line_does_not_stop_the_reaper(ferryd, db, ctl, cos):
    daemon = ferryd({"cos": cos.store()}, workers=1)
    workers = daemon.workers()
    for task in (8, 9):
        record(db, task, f"upload-{task}", f"cos://{BUCKET}/key-{task}")
    cos.fault({"flood": 1 << 30, "line": True}, op="abort", key="key-8")
    done = ctl(check=False)
    assert done.returncode == 1 and done.stdout == "1 abandoned uploads aborted, 1 left\n", done
    assert "a header line of more than 100 KiB" in done.stderr
    assert daemon.workers() == workers, "the worker died"
    assert db.one("SELECT task FROM ferry.upload") == 8


def intend(db, task, bucket, key="key", age=0):
    """Inserts the row of a worker that was killed before it read the answer to its Initiate."""
    record(db, task, "intent of claim 1", f"ceph://{bucket.TARGET}/{key}", initiated=False, abandoned=True)
    db.sql("UPDATE ferry.upload SET created_at = now() - %s * interval '1 second' WHERE task = %s", (age, task))


def begin_parts(bucket, key):
    upload = initiate(bucket, key)
    bucket.call("PUT", bucket.TARGET, key, query={"partNumber": "1", "uploadId": upload}, body=b"x" * 100)
    return upload


def test_an_upload_whose_id_was_never_read(ferryd, db, ctl, bucket):
    """Of four uploads at the key and one beside it, only one can be ours: the others have parts, or rows of their own."""
    ferryd({"ceph": bucket.store()}, workers=1)
    theirs = {begin_parts(bucket, "key"), begin_parts(bucket, "key"), initiate(bucket, "key2")}
    theirs.add(begun := initiate(bucket, "key"))
    task = db.put("ceph://none/none", "nowhere://x/y", run_at="infinity")
    record(db, task, begun, f"ceph://{bucket.TARGET}/key")
    ours = initiate(bucket, "key")
    intend(db, 1 << 40, bucket)
    assert ours in bucket.uploads(bucket.TARGET)
    ctl(check=False)
    assert set(bucket.uploads(bucket.TARGET)) == theirs
    assert db.one("SELECT count(*) FROM ferry.upload WHERE NOT initiated") == 0


@pytest.mark.parametrize("stranger", ["a longer key", "a row of its own", "parts"])
def test_strangers_at_the_key_stay(ferryd, db, ctl, bucket, stranger):
    """The worker's Initiate never arrived.  The only upload that is there is another's."""
    ferryd({"ceph": bucket.store()}, workers=1)
    theirs = begin_parts(bucket, "key") if stranger == "parts" else initiate(bucket, "key2" if stranger == "a longer key" else "key")
    if stranger == "a row of its own":
        record(db, db.put("ceph://none/none", "nowhere://x/y", run_at="2099-01-01"), theirs, f"ceph://{bucket.TARGET}/key")
    intend(db, 1 << 40, bucket)
    done = ctl(check=False)
    assert done.returncode == 1 and "it may still appear" in done.stderr
    assert bucket.uploads(bucket.TARGET) == [theirs]


def test_uploads_that_cannot_be_told_apart_are_left_alone(ferryd, db, ctl, bucket):
    ferryd({"ceph": bucket.store()}, workers=1)
    both = {initiate(bucket, "key"), initiate(bucket, "key")}
    intend(db, 7, bucket)
    done = ctl(check=False)
    assert done.returncode == 1 and "more than one upload there may be it" in done.stderr
    assert set(bucket.uploads(bucket.TARGET)) == both
    # with two such rows, both uploads are ours
    intend(db, 8, bucket)
    ctl(check=False)
    assert bucket.uploads(bucket.TARGET) == []


def test_upload_begun_much_later_than_the_row_is_left_alone(ferryd, db, ctl, bucket):
    ferryd({"ceph": bucket.store()}, workers=1)
    intend(db, 7, bucket, age=3600)
    stranger = initiate(bucket, "key")
    assert ctl().stdout == "1 abandoned uploads aborted, 0 left\n"
    assert bucket.uploads(bucket.TARGET) == [stranger] and uploads(db) == 0


def test_upload_that_may_still_appear_is_looked_for_again(ferryd, db, ctl, bucket):
    ferryd({"ceph": bucket.store()}, workers=1)
    intend(db, 7, bucket)
    done = ctl(check=False)
    assert done.returncode == 1 and "it may still appear" in done.stderr and uploads(db) == 1
    initiate(bucket, "key")
    assert ctl().returncode == 0 and bucket.uploads(bucket.TARGET) == []


def test_the_oldest_row_takes_the_oldest_upload(ferryd, db, ctl, bucket):
    """The younger upload fits both rows, and the older one fits the older row alone.  The store lists the younger one first."""
    ferryd({"ceph": bucket.store()}, workers=1, reap_interval="1d")
    first_round(db)
    older = initiate(bucket, "key")
    intend(db, 7, bucket)
    time.sleep(4)  # more than an upload may be older than its row
    younger = initiate(bucket, "key")
    while (listed := bucket.uploads(bucket.TARGET)) != [younger, older]:
        assert older in listed, "the upload has gone too early"
        bucket.call("DELETE", bucket.TARGET, "key", query={"uploadId": younger})
        younger = initiate(bucket, "key")
    intend(db, 6, bucket)
    assert ctl().stdout == "2 abandoned uploads aborted, 0 left\n"
    assert bucket.uploads(bucket.TARGET) == [] and uploads(db) == 0


def test_a_younger_row_waits_for_an_older_one(ferryd, db, ctl, bucket):
    """While another reaper looks for the older row's upload, the younger row takes none."""
    ferryd({"ceph": bucket.store()}, workers=1)
    ours = initiate(bucket, "key")
    intend(db, 7, bucket, age=1)
    db.sql("UPDATE ferry.upload SET reap_at = now() + interval '1 hour' WHERE task = 7")
    intend(db, 6, bucket)
    db.sql("SELECT pg_notify('ferry_reap', '')")
    wait_until(lambda: db.one("SELECT reap_error FROM ferry.upload WHERE task = 6"), 10, "the younger row to be tried")
    assert "an older upload there" in db.one("SELECT reap_error FROM ferry.upload WHERE task = 6")
    assert bucket.uploads(bucket.TARGET) == [ours]
    assert ctl(check=False).returncode == 1  # the younger row's upload may still appear
    assert bucket.uploads(bucket.TARGET) == [] and uploads(db) == 1


def first_round(db):
    """Waits until the daemon has reaped for the first time, so that nothing but what comes later wakes the reaper."""
    record(db, 1 << 40, "some-upload", "gone://bucket/key")
    wait_until(lambda: db.one("SELECT reap_error FROM ferry.upload WHERE task = 1::bigint << 40"), 30, "the reaper's first round")
    db.sql("DELETE FROM ferry.upload")


def test_upload_of_an_earlier_attempt_with_a_lost_answer(ferryd, db, cos, spool):
    """The next attempt begins another upload, and wakes the reaper, which would else come an hour later."""
    ferryd({"cos": cos.store(), "spool": spool.store()}, workers=2, reap_interval="1d")
    first_round(db)
    cos.fault({"close": "after"}, times=1, op="initiate")
    db.done(db.put(spool.put("object", 40 * MIB), f"cos://{BUCKET}/object"))
    wait_until(lambda: cos.uploads() == [] and uploads(db) == 0, 90, "the upload to go")


@pytest.mark.parametrize("lost", [{"close": "after"}, {"status": 503, "proxy": "nginx", "late": True},
                                  {"status": 408, "proxy": "haproxy", "late": True}], ids=["no answer", "503 of a proxy", "408 of a proxy"])
def test_uploads_of_two_attempts_with_lost_answers(ferryd, db, cos, spool, lost):
    """Within two minutes: the oldest upload belongs to the oldest row, and none is left over."""
    ferryd({"cos": cos.store(), "spool": spool.store()}, workers=2, reap_interval="1d")
    first_round(db)
    cos.fault(lost, times=2, op="initiate")
    db.done(db.put(spool.put("object", 40 * MIB), f"cos://{BUCKET}/object"), timeout=90)
    assert len(cos.log("initiate")) == 3
    wait_until(lambda: cos.uploads() == [] and uploads(db) == 0, 90, "the uploads to go")


def test_the_reaper_comes_again_until_it_knows(ferryd, db, ctl, bucket):
    """A task is about to begin an upload at the same key; when it is not any more, nothing but the reaper itself looks again."""
    ferryd({"ceph": bucket.store()}, workers=1, reap_interval="1d")
    first_round(db)
    ours = initiate(bucket, "key")
    intend(db, 1 << 40, bucket)
    task = db.put("ceph://none/none", f"ceph://{bucket.TARGET}/key", run_at="infinity")
    record(db, task, "intent of claim 1", f"ceph://{bucket.TARGET}/key", initiated=False)
    done = ctl(check=False)
    assert done.returncode == 1 and "a task is beginning another upload there" in done.stderr
    assert bucket.uploads(bucket.TARGET) == [ours]
    db.sql("DELETE FROM ferry.upload WHERE task = %s", (task,))
    wait_until(lambda: bucket.uploads(bucket.TARGET) == [] and uploads(db) == 0, 90, "the upload to go")


def test_upload_of_a_cancelled_task_with_a_lost_answer(ferryd, db, cos, spool):
    """The worker does not know the upload's id; the reaper looks for it after a minute, and not only at the next hour."""
    ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1, retry_delay="1m")
    cos.fault({"close": "after"}, op="initiate")
    task = db.put(spool.put("object", 40 * MIB), f"cos://{BUCKET}/object")
    wait_until(lambda: db.task(task)["error"], 10, "the attempt to fail for want of an answer")
    assert len(cos.uploads()) == 1 and db.one("SELECT ferry.cancel(%s)", (task,))
    # another failed task makes the daemon look for uploads soon; it must still look again after the minute
    db.wait(db.put("spool://missing", f"cos://{BUCKET}/other"), "failed")
    wait_until(lambda: cos.uploads() == [] and uploads(db) == 0, 90, "the upload to go")
