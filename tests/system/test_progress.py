"""Progress resets patience: what gains a byte of a part, or a part of an object, is not counted as a failure."""

import os
import re
import signal

import pytest

from content import crc64_content
from origin import Origin
from rig import MIB, wait_until
from stores import BUCKET

HTTP = {"allow": ["127.0.0.1"], "private": True}
CUT = 1300000  # bytes of each answer, then its connection ends


def whole(cos, row, seed, size):
    assert row["state"] == "done", f"{row['error_class']}: {row['error']}"
    assert int(row["crc64"]) == int(cos.object("object")["crc64"]) == crc64_content(seed, size)
    assert (row["attempt"], row["crashes"]) == (0, 0)


# Of GETs

@pytest.mark.parametrize("columns", [{}, {"if_exists": "fail"}], ids=["opened by a GET", "opened by a HEAD"])
@pytest.mark.parametrize("size", [9 * MIB, 17 * MIB + 3], ids=["one part", "parts"])
def test_url_whose_answers_are_all_cut(ferryd, db, cos, origin, size, columns):
    ferryd({"cos": cos.store()}, workers=1, http=HTTP, worker={"part_size": "9M"})
    row = db.wait(db.put(origin.url(f"/cuts/{size}?bytes={CUT}"), f"cos://{BUCKET}/object", max_attempts=1, **columns))
    whole(cos, row, "origin", size)
    starts = sorted(int(r.headers["Range"][6:].partition("-")[0]) for r in origin.requests if r.headers.get("Range", "bytes=0-0") != "bytes=0-0")
    assert len(starts) == len(set(starts)) and starts[:3] == [0, CUT, 2 * CUT], "a GET began before the first missing byte"


def test_object_of_a_store_whose_answers_are_all_cut(ferryd, db, cos, spool):
    ferryd({"cos": cos.store(copy="never"), "spool": spool.store()}, workers=1)
    db.done(db.put(spool.put("source", 9 * MIB), f"cos://{BUCKET}/source"))
    cos.fault({"close": "mid", "bytes": CUT}, op="get")
    whole(cos, db.wait(db.put(f"cos://{BUCKET}/source", f"cos://{BUCKET}/object", max_attempts=1, content_type="a/b",
                              expect_crc64=spool.crc64("source", 9 * MIB))), "source", 9 * MIB)


def test_source_of_unknown_length_that_is_cut_ever_later(ferryd, db, cos, origin):
    """A server without ranges sends all from the beginning: a GET gains if it comes further than the one before."""
    ferryd({"cos": cos.store()}, workers=1, http=HTTP)
    whole(cos, db.wait(db.put(origin.url(f"/chunked/{9 * MIB}?grow={CUT}"), f"cos://{BUCKET}/object", max_attempts=1)), "origin", 9 * MIB)


def test_source_that_stops_after_it_sent_something(ferryd, db, cos, origin):
    ferryd({"cos": cos.store()}, workers=1, http=HTTP, worker={"stall_timeout": "1s", "connect_timeout": "1s", "part_size": "9M"})
    whole(cos, db.wait(db.put(origin.url(f"/stops/{5 * MIB}?after={CUT}"), f"cos://{BUCKET}/object", max_attempts=1)), "origin", 5 * MIB)


def test_answers_that_bring_nothing_are_counted(ferryd, db, cos, origin):
    """The same byte is missing each time."""
    ferryd({"cos": cos.store()}, workers=1, http=HTTP, worker={"part_size": "9M"})
    row = db.wait(db.put(origin.url(f"/cuts/{9 * MIB}?bytes={CUT}&most={3 * CUT}"), f"cos://{BUCKET}/object", max_attempts=1))
    assert (row["state"], row["error_class"], row["attempt"]) == ("failed", "transient", 1)
    assert len([r for r in origin.requests if f"bytes={3 * CUT}-" in r.headers.get("Range", "")]) == 3


def test_upload_that_is_cut_gains_nothing(ferryd, db, cos, spool):
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1, worker={"part_size": "9M"})
    cos.fault({"close": "mid", "bytes": CUT}, op="put", key="object")
    db.done(db.put(spool.put("object", 4 * MIB), f"cos://{BUCKET}/well"))  # so the store is not to blame
    row = db.wait(db.put("spool://object", f"cos://{BUCKET}/object", max_attempts=1))
    assert (row["state"], row["error_class"], row["attempt"]) == ("failed", "transient", 1)
    assert len([e for e in cos.log("put", "object") if e["bytes"] > 0]) == 3
    daemon.wait_log(rf'failed: cos: PUT: .*; \d+ of {4 * MIB} bytes had been sent; attempt 1 of 1" task=\d+ source=spool://object destination=cos://')


# Of redirects

def tickets(origin, size):
    """How many tickets were asked for, and how many requests each of them served."""
    return origin.seen.get(f"/tickets/{size}", 0), [n for name, n in sorted(origin.seen.items()) if name.startswith("ticket ")]


@pytest.mark.parametrize("columns", [{}, {"if_exists": "fail"}], ids=["opened by a GET", "opened by a GET of a byte"])
@pytest.mark.parametrize("streams", [1, 4])
def test_redirect_that_expires_in_the_middle_is_asked_again(ferryd, db, cos, origin, streams, columns):
    ferryd({"cos": cos.store()}, workers=1, http=HTTP, worker={"part_size": "5M", "streams": streams})
    size = 32 * MIB + 1
    row = db.wait(db.put(origin.url(f"/tickets/{size}?uses=2"), f"cos://{BUCKET}/object", max_attempts=1, **columns))
    whole(cos, row, "origin", size)
    assert tickets(origin, size)[0] >= 3


def test_redirect_that_is_refused_at_once_again(ferryd, db, cos, origin):
    """The task's own URL is asked once at each offset: a second refusal there is the answer."""
    daemon = ferryd({"cos": cos.store()}, workers=1, http=HTTP, worker={"part_size": "5M", "streams": 1})
    size = 12 * MIB
    row = db.wait(db.put(origin.url(f"/tickets/{size}?uses=2&void=2"), f"cos://{BUCKET}/object"))
    assert (row["state"], row["error_class"], row["attempt"]) == ("failed", "permanent", 1)
    assert "HTTP 403 AccessDenied: Request has expired" in row["error"] and tickets(origin, size) == (2, [3, 1])
    daemon.wait_log(r'failed: .*Request has expired.* source="http://127\.0\.0\.1:\d+/tickets/\d+\?…" destination=cos://')


def test_redirect_that_leads_to_another_object_then(ferryd, db, cos, origin):
    """The pin is compared: two objects are never mixed."""
    ferryd({"cos": cos.store()}, workers=1, http=HTTP, worker={"part_size": "5M", "streams": 1}, retry_delay="10ms")
    size = 12 * MIB
    row = db.done(db.put(origin.url(f"/tickets/{size}?uses=2&other=2"), f"cos://{BUCKET}/object"))
    assert row["attempt"] == 1 and int(cos.object("object")["crc64"]) == crc64_content("other", size)


def test_redirect_to_a_host_that_is_gone(ferryd, db, cos, origin):
    """Its URL brings nothing, so that the task's own URL is asked next."""
    other = Origin().start()
    try:
        ferryd({"cos": cos.store()}, workers=1, http=HTTP, worker={"part_size": "5M", "streams": 1})
        task = db.put(origin.url(f"/redirect-once?to={other.url(f'/slow/{12 * MIB}?rate=3000000')}&then=/slow/{12 * MIB}?rate=30000000"),
                      f"cos://{BUCKET}/object", max_attempts=1)
        wait_until(lambda: db.parts(task) >= 1, 20, "a part")
        other.cut()
    finally:
        other.stop()
    whole(cos, db.wait(task), "origin", 12 * MIB)


@pytest.mark.parametrize("query, words", [
    ("X-Amz-Date=20200101T000000Z&X-Amz-Expires=3600", "the URL expired at 2020-01-01T01:00:00Z"),
    ("q-sign-time=1577836800;1577840400&q-key-time=1577836800%3B1577840401", "the URL expired at 2020-01-01T01:00:00Z"),
    ("Expires=1577840400&Signature=s", "the URL expired at 2020-01-01T01:00:00Z"),
    ("X-Amz-Date=20990101T000000Z&X-Amz-Expires=1&say=Request+has+expired", "HTTP 403 AccessDenied: Request has expired: the URL expired"),
    ("plain=Your+link+expired", "the URL expired: insert a row with another"),
])
def test_url_of_the_row_that_has_expired(ferryd, db, cos, origin, query, words):
    daemon = ferryd({"cos": cos.store()}, workers=1, http=HTTP)
    row = db.wait(db.put(origin.url(f"/expired/403?{query}"), f"cos://{BUCKET}/object"))
    assert (row["state"], row["error_class"], row["attempt"]) == ("failed", "permanent", 1) and words in row["error"]
    assert len(origin.requests) == 1 and "Signature" not in daemon.log_text()


@pytest.mark.parametrize("query", ["X-Amz-Date=20990101T000000Z&X-Amz-Expires=1", "Expires=soon", "q-sign-time=1577836800", "say=No+such+right"])
def test_url_that_is_refused_and_has_not_expired(ferryd, db, cos, origin, query):
    ferryd({"cos": cos.store()}, workers=1, http=HTTP)
    row = db.wait(db.put(origin.url(f"/expired/403?{query}"), f"cos://{BUCKET}/object", max_attempts=1))
    assert row["state"] == "failed" and "expired" not in row["error"]


# Of attempts

def fail_each_part_once(cos, parts):
    """Each attempt finishes one part and fails at the next one, which is tried three times."""
    cos.faults(*({"match": {"op": "part", "part": n}, "action": {"status": 503, "code": "ServiceUnavailable"}, "times": 3}
                 for n in range(2, parts + 1)))


def test_attempts_that_finished_parts_are_not_counted(ferryd, db, cos, spool):
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1, worker={"part_size": "5M", "streams": 1}, retry_delay="10ms")
    fail_each_part_once(cos, 5)
    row = db.wait(db.put(spool.put("object", 25 * MIB), f"cos://{BUCKET}/object", max_attempts=2))
    whole(cos, row, "object", 25 * MIB)
    assert row["bytes_gained"] == 20 * MIB
    assert len(daemon.log("failed: .*not counted, since parts were finished")) == 4


def test_attempt_that_finished_parts_and_the_next_that_did_not(ferryd, db, cos, spool):
    ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1, worker={"part_size": "5M", "streams": 1}, retry_delay="10ms")
    cos.fault({"status": 503, "code": "ServiceUnavailable"}, op="part", part=2)
    row = db.wait(db.put(spool.put("object", 9 * MIB), f"cos://{BUCKET}/object", max_attempts=2))
    assert (row["state"], row["attempt"]) == ("failed", 2)
    assert len(cos.log("part", "object")) == 1 + 3 * 3, "one attempt was not counted"


def test_parts_that_a_store_forgets_gain_once(ferryd, db, cos, spool):
    """Each attempt finishes the first part and fails at the second.  The parts of the one before are gone."""
    ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1, worker={"part_size": "5M", "streams": 1}, retry_delay="10ms")
    cos.faults({"match": {"op": "part", "part": 2}, "action": {"status": 503, "code": "ServiceUnavailable"}},
               {"match": {"op": "list-parts"}, "action": {"status": 404, "code": "NoSuchUpload"}})
    row = db.wait(db.put(spool.put("object", 9 * MIB), f"cos://{BUCKET}/object", max_attempts=2))
    assert (row["state"], row["attempt"]) == ("failed", 2)
    assert len(cos.log("initiate", "object")) == 3


def test_unpinned_source_keeps_nothing_so_that_its_attempts_are_counted(ferryd, db, cos, origin):
    ferryd({"cos": cos.store()}, workers=1, http=HTTP, worker={"part_size": "5M", "streams": 1}, retry_delay="10ms")
    cos.fault({"status": 503, "code": "ServiceUnavailable"}, op="part", part=2)
    row = db.wait(db.put(origin.url(f"/etagless/{9 * MIB}"), f"cos://{BUCKET}/object", max_attempts=2))
    assert (row["state"], row["attempt"], row["bytes_gained"]) == ("failed", 2, None)


# Of deaths

def test_deaths_after_finished_parts_are_not_counted(ferryd, db, cos, spool):
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1, worker={"part_size": "5M", "streams": 1}, max_crashes=2)
    cos.rate(8 * MIB)
    task = db.put(spool.put("object", 25 * MIB), f"cos://{BUCKET}/object")
    for parts in (1, 2, 3, 4):
        wait_until(lambda parts=parts: db.parts(task) >= parts, 20, f"{parts} parts")
        claim = db.task(task)["claim"]
        os.kill(daemon.worker_of(task), signal.SIGKILL)
        wait_until(lambda claim=claim: db.task(task)["claim"] != claim, 20, "another claim")
    cos.rate(0)
    whole(cos, db.wait(task), "object", 25 * MIB)
    daemon.wait_log("task requeued, resumes at part 2, crash not counted since parts were finished")


# What the log says

def test_every_line_about_a_task_names_its_object(ferryd, db, cos, spool):
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1, worker={"part_size": "5M", "streams": 1}, retry_delay="10ms")
    cos.faults({"match": {"op": "part", "part": 2}, "action": {"status": 503, "code": "ServiceUnavailable"}, "times": 3})
    cos.rate(8 * MIB)
    task = db.put(spool.put("object", 12 * MIB), f"cos://{BUCKET}/object")
    daemon.wait_log(f"task {task} failed: ", timeout=20)
    wait_until(lambda: db.parts(task) >= 2, 20, "two parts")
    os.kill(daemon.worker_of(task), signal.SIGKILL)
    cos.rate(0)
    missing = db.put("cos://%s/missing" % BUCKET, f"cos://{BUCKET}/other")
    db.done(task), db.wait(missing)
    daemon.wait_log(rf'task {missing} failed: cos: HEAD: HTTP 404; attempt 1 of 10" task={missing} source=cos://{BUCKET}/missing')
    lines = daemon.log(r"msg=.*\btask \d+")
    assert len(lines) >= 6
    for line in lines:
        number = re.search(r"\btask=(\d+) ", line)[1]
        source = f"cos://{BUCKET}/missing" if int(number) == missing else "spool://object"
        assert f" task={number} source={source} destination=cos://{BUCKET}/" in line, line


@pytest.mark.parametrize("action, words", [({"corrupt": True}, "CRC64"), ({"status": 400, "code": "BadDigest"}, "BadDigest")])
def test_part_that_was_damaged_on_its_way_is_a_warning(ferryd, db, cos, spool, action, words):
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1, worker={"part_size": "5M"})
    cos.faults({"match": {"op": "part", "part": 2}, "action": action, "times": 1})
    whole(cos, db.wait(db.put(spool.put("object", 12 * MIB), f"cos://{BUCKET}/object")), "object", 12 * MIB)
    daemon.wait_log(rf'warn .*: part 2 was damaged on its way to store cos and must be sent again \(.*{words}.*source=spool://object')
    daemon.wait_log(r'done" .*note="1 part sent again: damaged"')


def test_superseded_task_is_named_as_that(ferryd, db, cos, spool):
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1, retry_delay="10ms")
    cos.faults({"match": {"op": "put", "key": "object"}, "action": {"hold": True}, "times": 1},
               {"match": {"op": "put", "key": "object"}, "action": {"status": 503, "code": "ServiceUnavailable"}, "times": 3})
    old = db.put(spool.put("object", MIB), f"cos://{BUCKET}/object", dedup_key="key")
    wait_until(lambda: cos.held() == 1, 20, "the old task to put its object")
    new = db.put(spool.put("object", MIB), f"cos://{BUCKET}/object", dedup_key="key")
    cos.release()
    daemon.wait_log(f'task {old} cancelled: superseded by task {new}" task={old} source=spool://object', timeout=20)
    db.done(new)
    assert db.task(old)["error"] == f"superseded by task {new}"


# Answers that are not the store's

PAGE = {"page": "<html>nothing here</html>", "pageStatus": 404}


def test_page_of_html_does_not_say_that_an_object_is_missing(ferryd, db, cos, spool):
    ferryd({"cos": cos.store(copy="never"), "spool": spool.store()}, workers=1, retry_delay="10ms")
    db.done(db.put(spool.put("source", MIB), f"cos://{BUCKET}/source"))
    cos.faults({"match": {"op": "get"}, "action": PAGE, "times": 4}, {"match": {"op": "head"}, "action": PAGE, "times": 4})
    row = db.done(db.put(f"cos://{BUCKET}/source", f"cos://{BUCKET}/object", if_exists="fail"))
    assert int(cos.object("object")["crc64"]) == crc64_content("source", MIB) and row["attempt"] > 0


def test_page_of_html_says_what_it_is(ferryd, db, cos):
    ferryd({"cos": cos.store(copy="never")}, workers=1)
    cos.faults({"match": {"op": "get"}, "action": PAGE})
    row = db.wait(db.put(f"cos://{BUCKET}/source", f"cos://{BUCKET}/object", max_attempts=1))
    assert (row["state"], row["error_class"]) == ("failed", "transient")
    assert "is a page of HTML, and not the store's: HTTP 404, Content-Type text/html, Server proxy" in row["error"]


def test_page_of_html_does_not_say_that_an_upload_is_gone(ferryd, db, cos, spool):
    ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1, worker={"part_size": "5M", "streams": 1}, retry_delay="10ms")
    cos.faults({"match": {"op": "part", "part": 2}, "action": {"status": 503, "code": "ServiceUnavailable"}, "times": 3},
               {"match": {"op": "list-parts"}, "action": PAGE, "times": 1})
    whole(cos, db.wait(db.put(spool.put("object", 12 * MIB), f"cos://{BUCKET}/object")), "object", 12 * MIB)
    assert len(cos.log("initiate", "object")) == 1


def test_complete_without_an_etag_is_looked_after_even_if_nothing_is_verified(ferryd, db, cos, spool):
    ferryd({"cos": cos.store(verify="none"), "spool": spool.store()}, workers=1, worker={"part_size": "5M"})
    cos.fault({"body": "<CompleteMultipartUploadResult><ETag></ETag></CompleteMultipartUploadResult>"}, op="complete", nth=1)
    row = db.done(db.put(spool.put("object", 12 * MIB), f"cos://{BUCKET}/object"))
    assert row["verified_by"] == "none" and int(cos.object("object")["crc64"]) == crc64_content("object", 12 * MIB)
