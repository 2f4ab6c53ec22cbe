"""
Ten thousand parts, and objects as large as a store takes.  Moving 48 TiB would take too long: the tables and the store already hold an
earlier attempt's checkpoint with all parts but a few, and the rest is carried as usual.  Source and destination make their bytes up
(bench/void.c).
"""

import http.client
import json
import subprocess

import pytest

from rig import BUILD, MIB, free_port, wait_until

GIB, TIB = 1 << 30, 1 << 40
BUCKET = "huge-1250000000"
LARGEST = 10000 * 5 * GIB


class Void:
    def __init__(self):
        self.port = free_port()
        self.process = subprocess.Popen([f"{BUILD}/tests/void", "-p", str(self.port)], stdout=subprocess.PIPE)
        assert self.process.stdout.readline().startswith(b"ready")

    def ask(self, method, path, **headers):
        conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        conn.request(method, path, headers=headers)
        answer = conn.getresponse()
        body = answer.read()
        conn.close()
        assert answer.status == 200, (answer.status, body)
        return answer, body

    def invent(self, key, size, part, leave):
        query = f"size={size}&part={part}&leave={','.join(map(str, leave))}"
        return json.loads(self.ask("POST", f"/-/invent/{BUCKET}/{key}?{query}")[1])

    def stats(self):
        return json.loads(self.ask("GET", "/-/stats")[1])

    def crc64(self, key):
        return int(self.ask("HEAD", f"/{BUCKET}/{key}")[0].getheader("x-cos-hash-crc64ecma"))

    def stores(self):
        host = "cos.ap-void.test"
        return {"inside": {"kind": "s3", "endpoint": f"http://127.0.0.1:{self.port}"},
                "cos": {"kind": "cos", "endpoint": f"http://{host}:{self.port}", "region": "ap-void",
                        "resolve": [f"{BUCKET}.{host}:{self.port}:127.0.0.1"]}}

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def void():
    server = Void()
    yield server
    server.stop()


@pytest.fixture
def begun(void, db):
    """begun(size, part, leave) makes a task whose earlier attempt has carried all parts but those in leave; returns its id."""
    def make(size, part, leave):
        source, target = f"inside://source/size-{size}", f"cos://{BUCKET}/object"
        known = void.invent("object", size, part, leave)
        task = db.put(source, target)
        db.began(task)
        count = (size + part - 1) // part
        assert count <= 10000
        db.sql("INSERT INTO ferry.upload (task, upload_id, destination, claim, source_size, source_etag, part_size, first_claim) "
               "VALUES (%s, %s, %s, 1, %s, %s, %s, 1)", (task, known["id"], target, size, f"made-up-{size}", part))
        db.sql("INSERT INTO ferry.part (task, upload_id, number, size, crc64, etag) SELECT %s, %s, n, "
               "least(%s, %s - (n - 1) * %s::bigint), CASE WHEN n = %s THEN %s::numeric ELSE %s END, "
               "CASE WHEN n = %s THEN %s ELSE %s END FROM generate_series(1, %s) n WHERE n <> ALL (%s)",
               (task, known["id"], part, size, part, count, known["last_crc"], known["crc"], count, known["last_etag"],
                known["etag"], count, leave))
        return task
    return make


def test_ten_thousand_parts_of_ten_tib_need_no_more_memory_than_eight_of_forty_mib(ferryd, db, void, begun):
    part = 1049 * MIB
    size = 10000 * part - 1000 * MIB
    assert size > 10 * TIB
    leave = [1, 5000, 9999, 10000]
    task = begun(size, part, leave)
    ferryd(void.stores(), workers=1, worker={"max_tasks": 1})  # each task gets a new worker, so that each has its own peak
    small = db.done(db.put(f"inside://source/size-{40 * MIB}", f"cos://{BUCKET}/small"))
    row = db.done(task, timeout=100)
    assert row["verified_by"] == "crc64" and int(row["crc64"]) == void.crc64("object") == void.crc64(f"size-{size}")
    assert row["bytes_done"] == row["bytes_total"] == size
    assert void.stats()["received"] < 40 * MIB + len(leave) * part + 2 * MIB, "parts that the checkpoint has were sent again"
    peaks = small["peak_memory"], row["peak_memory"]
    assert peaks[1] < 24 * MIB and peaks[1] < peaks[0] + 6 * MIB, peaks
    assert void.stats()["uploads"] == 0 and db.parts(task) == 0


def test_last_part_of_the_largest_object_lies_beyond_48_tib(ferryd, db, void, begun):
    size = LARGEST - 5 * GIB + 3 * MIB + 1
    task = begun(size, 5 * GIB, [10000])
    daemon = ferryd(void.stores(), workers=1)
    row = db.done(task)
    assert row["verified_by"] == "crc64" and int(row["crc64"]) == void.crc64(f"size-{size}")
    assert void.stats()["sent"] == 3 * MIB + 1
    daemon.wait_log("resumed=9999")


def test_one_byte_more_than_the_store_takes_is_refused(ferryd, db, void):
    ferryd(void.stores(), workers=1)
    row = db.wait(db.put(f"inside://source/size-{LARGEST + 1}", f"cos://{BUCKET}/object"))
    assert row["state"] == "failed" and row["error_class"] == "permanent" and row["attempt"] == 1
    assert str(LARGEST + 1) in row["error"] and str(LARGEST) in row["error"] and "cos" in row["error"]
    # the worker learns the size with the first bytes
    assert void.stats()["sent"] <= 16 * MIB and void.stats()["uploads"] == 0


def test_store_copies_its_largest_object_in_ten_thousand_parts(ferryd, db, void):
    """Without a checkpoint: each part is requested, recorded, and named in Complete."""
    ferryd(void.stores(), workers=1)
    task = db.put(f"cos://{BUCKET}/size-{LARGEST}", f"cos://{BUCKET}/copy")
    wait_until(lambda: db.parts(task) > 100, 30, "some parts")
    row = db.done(task, timeout=100)
    assert row["verified_by"] == "crc64" and row["bytes_done"] == LARGEST
    assert int(row["crc64"]) == void.crc64("copy") == void.crc64(f"size-{LARGEST}")
    assert row["peak_memory"] < 24 * MIB and void.stats()["sent"] == 0
