"""A store makes an object other than it was sent, and then does not let it be removed: nobody ever takes it for a good one."""

import pytest

from content import crc64_content
from rig import MIB, ferryctl
from stores import BUCKET

SIZE = MIB
WRONG = {"match": {"op": "put", "key": "object", "nth": 1}, "action": {"corrupt": True}}


def refused(status, times=None):
    rule = {"match": {"op": "delete"}, "action": {"status": status, "code": "AccessDenied" if status == 403 else "BadGateway"}}
    return rule if times is None else {**rule, "times": times}


@pytest.fixture
def carry(ferryd, db, cos, spool):
    """carry(faults, ...): an object of which the first PUT is spoiled; the row of its task."""
    source = spool.put("good", SIZE)
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1, retry_delay="10ms")

    def run(*faults, **columns):
        cos.faults(WRONG, *faults)
        return db.wait(db.put(source, f"cos://{BUCKET}/object", **columns))
    run.daemon = daemon
    return run


def content(cos):
    return int(cos.object("object")["crc64"])


def rows(db):
    return db.one("SELECT count(*) FROM ferry.upload")


@pytest.mark.parametrize("if_exists", ["overwrite", "skip", "fail"])
@pytest.mark.parametrize("times", [0, 1, 6])
def test_next_attempt_removes_it_before_it_looks(carry, db, cos, if_exists, times):
    """times: so many attempts at a removal are refused."""
    row = carry(refused(502, times), if_exists=if_exists, max_attempts=20)
    assert (row["state"], row["verified_by"]) == ("done", "crc64"), row["error"]
    assert content(cos) == crc64_content("good", SIZE) and rows(db) == 0


@pytest.mark.parametrize("if_exists", ["skip", "fail"])
def test_where_it_must_not_be_replaced_and_cannot_be_removed_the_task_fails_and_says_why(carry, db, cos, if_exists):
    row = carry(refused(403), if_exists=if_exists)
    assert row["state"] == "failed" and row["error_class"] == "credentials", row["error"]
    assert "what an earlier attempt has spoiled there could not be removed" in row["error"] and "AccessDenied" in row["error"]
    assert content(cos) != crc64_content("good", SIZE)
    listed = ferryctl("reap", "-n", conninfo=db.conninfo()).stdout
    assert listed.startswith(f"task {row['id']}, begun ") and listed.endswith(f"cos://{BUCKET}/object (a spoiled object)\n")
    done = ferryctl("reap", conninfo=db.conninfo(), check=False)
    assert done.returncode == 1 and "AccessDenied" in done.stderr
    assert "spoiled object" in ferryctl("show", str(row["id"]), conninfo=db.conninfo()).stdout

    cos.faults()
    assert ferryctl("reap", conninfo=db.conninfo()).stdout == "1 abandoned uploads aborted, 0 left\n"
    assert cos.object("object") is None and rows(db) == 0


def test_failed_task_that_is_retried_removes_it_too(carry, db, cos):
    row = carry(refused(403), if_exists="skip")
    ferryctl("reap", conninfo=db.conninfo(), check=False)
    cos.faults()
    assert db.one("SELECT ferry.retry(%s)", (row["id"],))
    row = db.done(row["id"])
    assert row["verified_by"] == "crc64" and content(cos) == crc64_content("good", SIZE) and rows(db) == 0


def test_overwriting_needs_no_removal(carry, db, cos):
    row = carry(refused(403), if_exists="overwrite")
    assert row["state"] == "done" and content(cos) == crc64_content("good", SIZE) and rows(db) == 0


def test_what_somebody_has_put_in_its_place_stays(carry, db, cos, spool):
    row = carry(refused(403), if_exists="fail")
    cos.faults()
    db.done(db.put(spool.put("other", 1000), f"cos://{BUCKET}/object"))
    assert ferryctl("reap", conninfo=db.conninfo()).stdout == "1 abandoned uploads aborted, 0 left\n"
    assert content(cos) == crc64_content("other", 1000) and rows(db) == 0
    assert db.state(row["id"]) == "failed"


def test_copy_of_the_store_itself(ferryd, db, cos, spool):
    ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1, retry_delay="10ms")
    db.done(db.put(spool.put("good", SIZE), f"cos://{BUCKET}/good"))
    cos.faults({"match": {"op": "copy"}, "action": {"corrupt": True}}, refused(403))
    row = db.wait(db.put(f"cos://{BUCKET}/good", f"cos://{BUCKET}/object", max_attempts=2))
    assert row["state"] == "failed" and "destination differs" in row["error"]
    cos.faults()
    assert ferryctl("reap", conninfo=db.conninfo()).stdout == "1 abandoned uploads aborted, 0 left\n"
    assert cos.object("object") is None and rows(db) == 0
