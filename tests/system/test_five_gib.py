"""5 GiB into a real Ceph and out of it again, 4 streams, under a cap of 32 MiB.  Takes minutes, so make check-long runs it."""

import os
import subprocess

import pytest

from rig import BUILD, MIB, free_port, wait_until
from stores import BUCKET

SIZE = 5 << 30


@pytest.fixture
def made_up():
    """A source that makes up objects while they are read; gives the URL of an object of SIZE bytes."""
    port = free_port()
    server = subprocess.Popen([f"{BUILD}/tests/void", "-p", str(port)], stdout=subprocess.PIPE)
    server.stdout.readline()
    yield f"http://127.0.0.1:{port}/bucket/size-{SIZE}"
    server.terminate()
    server.wait()
    server.stdout.close()


@pytest.mark.limit(900)
@pytest.mark.skipif("FERRY_LONG" not in os.environ, reason="make check-long runs it")
def test_5_gib_both_ways_under_a_cap_of_32_mib(ferryd, db, ceph, cos, made_up):
    ferryd({"ceph": ceph.store(), "cos": cos.store()}, workers=1, worker={"memory": "32M", "streams": 4, "part_size": "16M"},
           http={"allow": ["127.0.0.1"], "private": True})
    into = db.done(db.put(made_up, f"ceph://{ceph.TARGET}/five-gib"), timeout=400)
    assert into["verified_by"] == "md5" and into["bytes_done"] == SIZE and into["ooms"] == into["crashes"] == 0
    out = db.done(db.put(f"ceph://{ceph.TARGET}/five-gib", f"cos://{BUCKET}/five-gib"), timeout=400)
    assert out["verified_by"] == "crc64" and out["crc64"] == into["crc64"] and out["ooms"] == out["crashes"] == 0
    assert int(cos.object("five-gib")["crc64"]) == into["crc64"]
    assert into["peak_memory"] < 24 * MIB and out["peak_memory"] < 24 * MIB
    ceph.delete(ceph.TARGET, "five-gib")
    wait_until(lambda: ceph.head(ceph.TARGET, "five-gib") is None, 10, "the object to go")
