"""Secrets and signed query strings never show; a source cannot lead to private addresses; a file store ends at its root."""

import os
import re
import shutil
import signal
import socket

import pytest

from content import write_content
from origin import Origin, SIGNATURE
from rig import MIB, read_proc, title, trusting, wait_until
from stores import BUCKET, CEPH_SECRET, COS_SECRET, Sums


@pytest.fixture
def sums():
    endpoint = Sums()
    yield endpoint
    endpoint.stop()


SIGNED = f"X-Amz-Signature={SIGNATURE}&X-Amz-Credential=AKIAsigned"


def test_no_secret_and_no_signed_query_shows(ferryd, db, cos, ceph, origin):
    cos.rate(3 * MIB)
    daemon = ferryd({"cos": cos.store(), "ceph": ceph.store()}, workers=2, log_level="debug",
                    http={"allow": ["127.0.0.1"], "private": True})
    size = 12 * MIB
    task = db.put(origin.url(f"/secret/{size}?{SIGNED}"), f"cos://{BUCKET}/object")
    pid = daemon.worker_of(task)
    seen = ""
    for process in [daemon.pid, pid, *daemon.workers()]:
        seen += title(process) + read_proc(process, "environ").decode(errors="replace")
    db.done(task)
    bad = [db.put(origin.url(f"/cuts/{size}?bytes=9&most=9&{SIGNED}"), f"cos://{BUCKET}/bad", max_attempts=1),
           db.put(origin.url(f"/status/403?{SIGNED}"), f"cos://{BUCKET}/bad", max_attempts=1),
           db.put(f"http://user:{SIGNATURE}@127.0.0.1:1/x?{SIGNED}", f"cos://{BUCKET}/bad", max_attempts=1),
           db.put(f"http://[not-a-host?{SIGNED}", f"cos://{BUCKET}/bad", max_attempts=1),
           db.put(f"nowhere://b/k", f"http://127.0.0.1/x?{SIGNED}", max_attempts=1)]
    for other in bad[:4]:
        row = db.wait(other, "failed")
        seen += str({k: v for k, v in row.items() if k not in ("source", "destination")})
    seen += str(db.sql("SELECT * FROM ferry.upload")) + str(db.sql("SELECT source FROM ferry.progress"))
    seen += daemon.log_text()
    for secret in (SIGNATURE, "AKIAsigned", COS_SECRET, CEPH_SECRET):
        assert secret not in seen, re.findall(f".*{secret}.*", seen)[:3]
    assert [r for r in origin.requests if SIGNATURE in r.query], "the source got no signature"


def test_death_of_a_worker_with_a_signed_source(ferryd, db, cos, origin):
    """The line about the death names the source, without its query."""
    cos.rate(3 * MIB)
    daemon = ferryd({"cos": cos.store()}, workers=1, http={"allow": ["127.0.0.1"], "private": True})
    task = db.put(origin.url(f"/secret/{12 * MIB}?{SIGNED}"), f"cos://{BUCKET}/object")
    wait_until(lambda: db.parts(task) > 0, 20, "a part")
    os.kill(daemon.worker_of(task), signal.SIGKILL)
    daemon.wait_log(rf"killed.*task {task} http://127.0.0.1:{origin.port}/secret/{12 * MIB}\b")
    cos.rate(0)
    row = db.done(task)
    seen = daemon.log_text() + str({k: v for k, v in row.items() if k != "source"})
    assert row["crashes"] == 0 and SIGNATURE not in seen and "AKIAsigned" not in seen


INWARD = ["http://127.0.0.1:{port}/size/10", "http://localhost:{port}/size/10", "http://2130706433:{port}/size/10",
          "http://0x7f.1:{port}/size/10", "http://0.0.0.0:{port}/size/10", "http://[::1]:{port}/size/10",
          "http://[::ffff:127.0.0.1]:{port}/size/10", "http://169.254.169.254/latest/meta-data", "http://10.0.0.1/x",
          "http://192.168.1.1/x", "http://172.16.0.1/x", "http://100.64.0.1/x", "http://[fe80::1]/x", "http://[fd00::1]/x"]


@pytest.mark.parametrize("url", INWARD)
def test_private_addresses_are_refused_even_of_allowed_hosts(ferryd, db, cos, origin, url):
    hosts = ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0.0.0.0", "::1", "[::1]", "::ffff:127.0.0.1", "169.254.169.254",
             "10.0.0.1", "192.168.1.1", "172.16.0.1", "100.64.0.1", "fe80::1", "fd00::1"]
    daemon = ferryd({"cos": cos.store()}, workers=1, start=False)
    accepted = []
    for host in hosts:
        daemon.http = {"allow": accepted + [host]}
        daemon.write()
        if daemon.run("-t")[0] == 0:
            accepted.append(host)
    daemon.http = {"allow": accepted}
    daemon.write()
    daemon.start()
    row = db.wait(db.put(url.format(port=origin.port), f"cos://{BUCKET}/object"))
    assert row["state"] == "failed" and row["error_class"] == "permanent", row["error"]
    assert re.search("private|loopback|not allowed|address|allow", row["error"]), row["error"]
    assert origin.requests == [] and cos.objects() == {}


def test_kept_connection_to_a_private_address_is_not_used(ferryd, db, cos, sums):
    """A store may be in a private network.  libcurl keeps its connection, which no URL of the same host may use."""
    daemon = ferryd({"cos": cos.store(), "sums": sums.store(verify="md5")}, workers=1, http={"allow": ["127.0.0.1"]})
    sums.put(Sums.BUCKET, "object", b"x" * 1000)
    db.done(db.put(f"sums://{Sums.BUCKET}/object", f"cos://{BUCKET}/object"))
    before = len(sums.log())
    row = db.wait(db.put(f"http://127.0.0.1:{sums.port}/{Sums.BUCKET}/object", f"cos://{BUCKET}/other"))
    assert (row["state"], row["error_class"]) == ("failed", "permanent") and "address is private" in row["error"], row["error"]
    assert len(sums.log()) == before and len(daemon.workers()) == 1


def test_private_address_is_not_even_connected_to(ferryd, db, cos):
    """Else the time that a failure takes would tell which ports are open."""
    ferryd({"cos": cos.store()}, workers=1, http={"allow": ["127.0.0.1"]})
    with socket.create_server(("127.0.0.1", 0)) as listener:
        row = db.wait(db.put(f"http://127.0.0.1:{listener.getsockname()[1]}/x", f"cos://{BUCKET}/object"))
        assert row["state"] == "failed" and "address is private" in row["error"]
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_redirect_to_a_private_address_is_refused(ferryd, db, cos, origin):
    """The first host is allowed and answers; its redirect leads to a name that is not allowed."""
    ferryd({"cos": cos.store()}, workers=1, http={"allow": ["127.0.0.1"], "private": True})
    inward = f"http://localhost:{origin.port}/size/10"
    row = db.wait(db.put(origin.url(f"/redirect?to={inward}"), f"cos://{BUCKET}/object"))
    assert row["state"] == "failed" and row["error_class"] == "permanent"
    assert [r.path for r in origin.requests] == ["/redirect"]


@pytest.mark.parametrize("opens", ["by its first GET", "by a look"])
def test_redirect_from_https_to_http_is_refused(ferryd, db, cos, origin, tmp_base, certificate, opens):
    os.mkdir(f"{tmp_base}/system")
    shutil.copy(certificate[0], f"{tmp_base}/system/ca-certificates.crt")
    secure = Origin(tls=certificate).start()
    try:
        daemon = ferryd({"cos": cos.store()}, workers=1, http={"allow": ["127.0.0.1"], "private": True}, start=False)
        daemon.prefix = trusting(f"{tmp_base}/system")
        daemon.start()
        how = {"if_exists": "overwrite" if opens == "by its first GET" else "fail"}
        row = db.wait(db.put(secure.url(f"/redirect?to={origin.url('/size/10')}"), f"cos://{BUCKET}/object", **how))
        assert (row["state"], row["error_class"]) == ("failed", "permanent") and "from https to http" in row["error"]
        assert origin.requests == []
        db.done(db.put(secure.url(f"/redirect?to={secure.url('/size/10')}"), f"cos://{BUCKET}/object", **how))
    finally:
        secure.stop()


def test_redirects_end_after_five(ferryd, db, cos, origin):
    ferryd({"cos": cos.store()}, workers=1, http={"allow": ["127.0.0.1"], "private": True})
    row = db.wait(db.put(origin.url("/redirect-loop"), f"cos://{BUCKET}/object"))
    assert (row["state"], row["error_class"]) == ("failed", "permanent") and "more than 5 redirects" in row["error"]
    assert len(origin.requests) == 6


def test_redirect_to_an_allowed_host_is_followed(ferryd, db, cos, origin):
    ferryd({"cos": cos.store()}, workers=1, http={"allow": ["127.0.0.1", "localhost"], "private": True})
    row = db.done(db.put(origin.url(f"/redirect?to=http://localhost:{origin.port}/size/10"), f"cos://{BUCKET}/object"))
    assert row["bytes_total"] == 10


@pytest.fixture
def outside(tmp_base):
    """A directory beside the root of the spool, which no task may reach through the spool."""
    os.mkdir(f"{tmp_base}/outside")
    os.chmod(f"{tmp_base}/outside", 0o777)
    write_content(f"{tmp_base}/outside/secret", "secret", 1000)
    return f"{tmp_base}/outside"


ESCAPES = ["../outside/secret", "a/../../outside/secret", "link", "links/secret", "/etc/passwd", "proc/self/root/etc/passwd",
           "magic/etc/passwd", "./../outside/secret"]


@pytest.fixture
def traps(spool, outside):
    os.symlink(f"{outside}/secret", f"{spool.root}/link")
    os.symlink(outside, f"{spool.root}/links")
    os.symlink("/proc/self/root", f"{spool.root}/magic")
    os.symlink("/proc", f"{spool.root}/proc")
    os.mkdir(f"{spool.root}/a")
    os.chmod(f"{spool.root}/a", 0o777)
    return spool


@pytest.mark.parametrize("path", ESCAPES)
def test_reading_ends_at_the_root(ferryd, db, cos, traps, path):
    ferryd({"cos": cos.store(), "spool": traps.store()}, workers=1)
    row = db.wait(db.put(f"spool://{path}", f"cos://{BUCKET}/object"))
    assert row["state"] == "failed" and row["error_class"] == "permanent", row
    assert cos.objects() == {}


@pytest.mark.parametrize("path", ["../outside/new", "a/../../outside/new", "links/new", "/etc/ferry-test-new", "magic/tmp/ferry-test-new"])
def test_writing_ends_at_the_root(ferryd, db, traps, outside, path):
    ferryd({"spool": traps.store()}, workers=1)
    traps.put("object", 1000)
    row = db.wait(db.put("spool://object", f"spool://{path}"))
    stray = ["/etc/ferry-test-new", "/tmp/ferry-test-new"]
    assert os.listdir(outside) == ["secret"] and not any(os.path.exists(name) for name in stray)
    assert row["state"] == "failed" and row["error_class"] == "permanent", row


def test_a_link_at_the_destination_is_not_followed(ferryd, db, traps, outside):
    ferryd({"spool": traps.store()}, workers=1)
    traps.put("object", 1000)
    row = db.wait(db.put("spool://object", "spool://link"))
    assert os.path.getsize(f"{outside}/secret") == 1000
    assert open(f"{outside}/secret", "rb").read() != open(f"{traps.root}/object", "rb").read()
    if row["state"] == "done":
        assert not os.path.islink(f"{traps.root}/link")


def test_special_files_are_no_objects(ferryd, db, cos, traps):
    ferryd({"cos": cos.store(), "spool": traps.store()}, workers=1)
    os.mkfifo(f"{traps.root}/fifo", 0o666)
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(f"{traps.root}/socket")
        for name in ("fifo", "socket", "a"):
            row = db.wait(db.put(f"spool://{name}", f"cos://{BUCKET}/object"), timeout=15)
            assert row["state"] == "failed" and row["error_class"] == "permanent", row["error"]


def test_hostile_metadata_does_not_make_headers(ferryd, db, cos, ceph):
    """User metadata of a source stays a value: it makes no header of its own."""
    ceph.call("PUT", ceph.SOURCE, "meta", body=b"x", headers={"x-amz-meta-good": "yes", "x-amz-meta-odd": "a\tb=%0d%0aX-Evil: 1"})
    ferryd({"cos": cos.store(), "ceph": ceph.store()}, workers=1)
    db.done(db.put(f"ceph://{ceph.SOURCE}/meta", f"cos://{BUCKET}/meta"))
    headers = cos.object("meta")["headers"]
    assert headers["x-cos-meta-good"] == "yes" and "x-evil" not in headers
    ceph.delete(ceph.SOURCE, "meta")


def test_secret_file_that_others_may_read_is_refused(ferryd, db, cos):
    daemon = ferryd({"cos": cos.store()}, start=False)
    path = f"{daemon.directory}/cos.secret"
    os.chmod(path, 0o644)
    code, out, err = daemon.run("-t")
    assert code == 78 and path in out + err and COS_SECRET not in out + err
    os.chmod(path, 0o600)
    assert daemon.run("-t")[0] == 0


def test_workers_do_not_inherit_a_secret_from_the_environment(ferryd, db, cos, spool):
    store = cos.store(secret_key_env="FERRY_TEST_SECRET")
    store.pop("secret")
    daemon = ferryd({"cos": store, "spool": spool.store()}, workers=1, start=False)
    daemon.environment["FERRY_TEST_SECRET"] = COS_SECRET
    daemon.start()
    db.done(db.put(spool.put("object", 1000), f"cos://{BUCKET}/object"))
    for pid in daemon.workers():
        assert COS_SECRET.encode() not in read_proc(pid, "environ")
    wait_until(daemon.alive, 1)
