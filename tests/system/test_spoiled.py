"""A store makes a spoiled object and then refuses its deletion: no later attempt takes the object for a good one."""

import pytest

from content import crc64_content
from rig import MIB, ferryctl, wait_until
from stores import BUCKET, Sums

SIZE = MIB
WRONG = {"match": {"op": "put", "key": "object", "nth": 1}, "action": {"corrupt": True}}


def refused(status, times=None):
    rule = {"match": {"op": "delete"}, "action": {"status": status, "code": "AccessDenied" if status == 403 else "BadGateway"}}
    return rule if times is None else {**rule, "times": times}


@pytest.fixture
def carry(ferryd, db, cos, spool):
    """carry(faults, ...) carries an object whose first PUT the store spoils; returns the row of the task."""
    source = spool.put("good", SIZE)
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1, retry_delay="10ms")

    def run(*faults, max_attempts=3, **columns):
        cos.faults(WRONG, *faults)
        return db.wait(db.put(source, f"cos://{BUCKET}/object", max_attempts=max_attempts, **columns))
    run.daemon = daemon
    return run


def content(cos):
    return int(cos.object("object")["crc64"])


def rows(db):
    return db.one("SELECT count(*) FROM ferry.upload")


@pytest.mark.parametrize("if_exists", ["overwrite", "skip", "fail"])
@pytest.mark.parametrize("times", [0, 1, 6])
def test_next_attempt_removes_the_spoiled_object_first(carry, db, cos, if_exists, times):
    """times: how many deletions the store refuses."""
    row = carry(refused(502, times), if_exists=if_exists, max_attempts=20)
    assert (row["state"], row["verified_by"]) == ("done", "crc64"), row["error"]
    assert content(cos) == crc64_content("good", SIZE) and rows(db) == 0


@pytest.mark.parametrize("if_exists", ["overwrite", "fail"])
def test_object_of_the_last_attempt_stays_on_demand(ferryd, db, cos, spool, if_exists):
    daemon = ferryd({"cos": cos.store(keep_damaged=True), "spool": spool.store()}, workers=1, retry_delay="10ms")
    cos.faults({"match": {"op": "put", "key": "object"}, "action": {"corrupt": True}})
    row = db.wait(db.put(spool.put("good", SIZE), f"cos://{BUCKET}/object", max_attempts=2, if_exists=if_exists))
    assert (row["state"], row["attempt"]) == ("failed", 2), row["error"]
    assert len(daemon.log("the spoiled object at its destination is gone")) == 1
    assert len(daemon.log("warn .*stays by keep_damaged; its ETag is")) == 1
    assert ferryctl("reap", conninfo=db.conninfo()).stdout == "no abandoned uploads\n"
    assert cos.object("object")["size"] == SIZE and content(cos) != crc64_content("good", SIZE) and rows(db) == 0


@pytest.mark.parametrize("if_exists", ["skip", "fail"])
def test_task_fails_if_the_spoiled_object_cannot_be_removed(carry, db, cos, if_exists):
    row = carry(refused(403), if_exists=if_exists)
    assert row["state"] == "failed" and row["error_class"] == "credentials", row["error"]
    assert "the spoiled object of an earlier attempt could not be removed" in row["error"] and "AccessDenied" in row["error"]
    assert content(cos) != crc64_content("good", SIZE)
    listed = ferryctl("reap", "-n", conninfo=db.conninfo()).stdout
    assert listed.startswith(f"task {row['id']}, begun ") and listed.endswith(f"cos://{BUCKET}/object (a spoiled object)\n")
    done = ferryctl("reap", conninfo=db.conninfo(), check=False)
    assert done.returncode == 1 and "AccessDenied" in done.stderr
    assert "spoiled object" in ferryctl("show", str(row["id"]), conninfo=db.conninfo()).stdout

    cos.faults()
    assert ferryctl("reap", conninfo=db.conninfo()).stdout == "1 abandoned uploads aborted, 0 left\n"
    assert cos.object("object") is None and rows(db) == 0


def test_retry_of_the_failed_task_removes_the_spoiled_object(carry, db, cos):
    row = carry(refused(403), if_exists="skip")
    ferryctl("reap", conninfo=db.conninfo(), check=False)
    cos.faults()
    assert db.one("SELECT ferry.retry(%s)", (row["id"],))
    row = db.done(row["id"])
    assert row["verified_by"] == "crc64" and content(cos) == crc64_content("good", SIZE) and rows(db) == 0


def test_overwriting_needs_no_removal(carry, db, cos):
    row = carry(refused(403), if_exists="overwrite")
    assert row["state"] == "done" and content(cos) == crc64_content("good", SIZE) and rows(db) == 0


def test_object_that_replaced_the_spoiled_one_stays(carry, db, cos, spool):
    row = carry(refused(403), if_exists="fail")
    cos.faults()
    db.done(db.put(spool.put("other", 1000), f"cos://{BUCKET}/object"))
    ferryctl("reap", conninfo=db.conninfo())  # or the daemon's own reaper was first
    wait_until(lambda: rows(db) == 0, 20, "the spoiled object's row to go")
    assert content(cos) == crc64_content("other", 1000)
    assert db.state(row["id"]) == "failed"


def test_spoiled_copy_by_the_store_is_removed(ferryd, db, cos, spool):
    ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1, retry_delay="10ms")
    db.done(db.put(spool.put("good", SIZE), f"cos://{BUCKET}/good"))
    cos.faults({"match": {"op": "copy"}, "action": {"corrupt": True}}, refused(403))
    row = db.wait(db.put(f"cos://{BUCKET}/good", f"cos://{BUCKET}/object", max_attempts=2))
    assert row["state"] == "failed" and "destination differs" in row["error"]
    cos.faults()
    assert ferryctl("reap", conninfo=db.conninfo()).stdout == "1 abandoned uploads aborted, 0 left\n"
    assert cos.object("object") is None and rows(db) == 0


@pytest.fixture
def sums():
    endpoint = Sums()
    yield endpoint
    endpoint.stop()


@pytest.mark.parametrize("knows", [True, False], ids=["a store that knows conditions", "a store that does not"])
def test_spoiled_object_is_removed_on_the_condition_that_it_is_still_there(ferryd, db, sums, spool, knows):
    ferryd({"sums": sums.store(), "spool": spool.store()}, workers=1, retry_delay="10ms")
    sums.wrong("PutObject")
    if not knows:
        sums.without_conditions()
    row = db.wait(db.put(spool.put("good", SIZE), f"sums://{Sums.BUCKET}/object", max_attempts=1))
    assert row["state"] == "failed" and "destination differs" in row["error"]
    assert sums.head(Sums.BUCKET, "object") is None and rows(db) == 0
    assert sums.log("DeleteObject") == ([] if knows else [(501, "NotImplemented")]) + [(204, "")]


def test_object_that_another_program_puts_there_meanwhile_stays(ferryd, db, sums, spool):
    ferryd({"sums": sums.store(), "spool": spool.store()}, workers=1, retry_delay="10ms")
    sums.wrong("PutObject")
    sums.swap("object")
    row = db.wait(db.put(spool.put("good", SIZE), f"sums://{Sums.BUCKET}/object", max_attempts=1))
    assert row["state"] == "failed" and sums.get(Sums.BUCKET, "object") == b"another"
    assert sums.log("DeleteObject") == [(412, "PreconditionFailed")] and rows(db) == 0


def test_reaper_leaves_a_spoiled_object_to_the_task_that_runs_for_its_destination(carry, db, cos, spool):
    row = carry(refused(403), max_attempts=1)
    assert row["state"] == "failed" and rows(db) == 1
    cos.faults({"match": {"op": "put"}, "action": {"hold": True}})
    task = db.put(spool.put("newer", SIZE), f"cos://{BUCKET}/object")
    wait_until(lambda: cos.held() == 1, 20, "the newer task to put its object")
    deletions = len(cos.log("delete", "object"))
    assert "1 left" in ferryctl("reap", conninfo=db.conninfo(), check=False).stdout
    assert len(cos.log("delete", "object")) == deletions
    cos.release()
    db.done(task)
    assert content(cos) == crc64_content("newer", SIZE)
