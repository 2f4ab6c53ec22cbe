"""The bounds that the configuration sets to a task: the size of its object, the time and the rate of an attempt."""

import time

import pytest

from content import crc64_content
from rig import MIB, wait_until
from stores import BUCKET

HTTP = {"allow": ["127.0.0.1"], "private": True}


@pytest.mark.parametrize("source", ["size", "chunked"])
def test_larger_object_than_allowed_fails(ferryd, db, cos, origin, source):
    ferryd({"cos": cos.store()}, workers=1, http=HTTP, worker={"max_size": "20M"})
    row = db.wait(db.put(origin.url(f"/{source}/{20 * MIB + 1}"), f"cos://{BUCKET}/object"))
    assert (row["state"], row["error_class"], row["attempt"]) == ("failed", "permanent", 1)
    assert "bytes, more than max_size (20.0 MiB) allows" in row["error"], row["error"]
    assert cos.objects() == {} and cos.uploads() == []
    db.done(db.put(origin.url(f"/{source}/{20 * MIB}"), f"cos://{BUCKET}/object"))


@pytest.mark.limit(200)
def test_attempt_that_takes_too_long_is_ended_and_resumed(ferryd, db, cos, origin):
    daemon = ferryd({"cos": cos.store()}, workers=1, http=HTTP, worker={"max_duration": "5s", "streams": 1}, retry_delay="10ms")
    cos.rate(3 * MIB)
    task = db.put(origin.url(f"/size/{30 * MIB}"), f"cos://{BUCKET}/object")
    error = wait_until(lambda: db.task(task)["error"], 40, "the attempt to end")
    assert error == "the attempt has taken 5 s, which is max_duration"
    cos.rate(0)
    db.done(task)
    assert int(cos.object("object")["crc64"]) == crc64_content("origin", 30 * MIB) and len(daemon.log("started. task=")) >= 2
    assert len(cos.log("initiate")) == 1, "the upload was not resumed"


@pytest.mark.limit(240)
@pytest.mark.parametrize("source", ["size", "chunked"])
def test_attempt_that_is_too_slow_is_ended(ferryd, db, cos, origin, source):
    ferryd({"cos": cos.store()}, workers=1, http=HTTP, worker={"min_rate": "1M", "streams": 1}, retry_delay="10ms")
    began = time.monotonic()
    # the kernels hold some megabytes of the first minute; no part is finished, which would let another attempt go on
    cos.rate(20000)
    row = db.wait(db.put(origin.url(f"/{source}/{100 * MIB}"), f"cos://{BUCKET}/object", max_attempts=1), timeout=100)
    assert (row["state"], row["error_class"]) == ("failed", "transient")
    assert "/s in the last minute, less than min_rate (1.0 MiB/s)" in row["error"], row["error"]
    assert time.monotonic() - began > 59
