"""ferryctl doctor: what it finds in a ferryd that works, and in each thing that does not; the mend; exit codes; JSON."""

import contextlib
import email.utils
import json
import os
import socket
import threading
import time

import pytest

from rig import ACCOUNT, ferryctl, free_port
from stores import BUCKET, COS_SECRET, Sums


@pytest.fixture
def sums():
    endpoint = Sums()
    yield endpoint
    endpoint.stop()


def examine(daemon, *arguments):
    """Runs the doctor; returns its exit code and {check: [(level, text), ...]}."""
    done = ferryctl("doctor", "--json", *arguments, config=daemon.file, check=False)
    found = {}
    for finding in json.loads(done.stdout):
        found.setdefault(finding["check"], []).append((finding["level"], finding["text"]))
    assert done.returncode == (1 if "fail" in levels(found) else 0), (done.returncode, done.stdout, done.stderr)
    assert COS_SECRET not in done.stdout + done.stderr and Sums.SECRET not in done.stdout + done.stderr
    return done.returncode, found


def levels(found):
    return {level for findings in found.values() for level, _ in findings}


def one(found, check):
    (finding,) = found[check]
    return finding


def says(finding, level, *words):
    assert finding[0] == level and all(word in finding[1] for word in words), finding


def test_a_ferryd_that_works(ferryd, db, cos, sums, spool):
    daemon = ferryd({"spool": spool.store(), "cos": cos.store(), "sums": sums.store(verify="auto")}, workers=1)
    source = spool.put("object", 1000)
    db.done(db.put(source, f"cos://{BUCKET}/object"), db.put(source, f"sums://{Sums.BUCKET}/object"))
    code, found = examine(daemon)
    assert code == 0 and levels(found) == {"ok"}, found
    for check in ("database", "tls", "schema", "sequences", "rights", "connections", "lease", "nodes", "memory caps", "memory",
                  "descriptors", "store spool, read", "store cos, read", "store cos, clock", "store cos, uploads", "store sums, read"):
        says(one(found, check), "ok")
    says(one(found, "account"), "ok", f"judged as {ACCOUNT}")
    assert any("ReadWritePaths=" in text for _, text in found["configuration"])
    assert "of the ferryd that runs" in one(found, "descriptors")[1]
    plain = ferryctl("doctor", config=daemon.file).stdout.splitlines()
    assert len(plain) == sum(map(len, found.values())) and all(line.startswith("ok    ") for line in plain), plain


def test_writing_is_tried_on_demand_and_leaves_nothing(ferryd, db, cos, sums, spool):
    stores = {"spool": spool.store(), "cos": cos.store(), "sums": sums.store(verify="auto")}
    daemon = ferryd(stores, workers=1)
    buckets = (f"cos://{BUCKET}", f"sums://{Sums.BUCKET}")
    assert not [check for check in examine(daemon, *buckets)[1] if "write" in check]
    assert sums.log("CreateMultipartUpload") == []
    code, found = examine(daemon, "--write", *buckets)
    assert code == 0 and levels(found) == {"ok"}, found
    for store in ("cos", "sums"):
        for check in ("write", "parts", "abort"):
            says(one(found, f"store {store}, {check}"), "ok")
    says(one(found, "store spool, write"), "ok", spool.root)
    assert os.listdir(spool.root) == [] and len(sums.log("CreateMultipartUpload")) == len(sums.log("AbortMultipartUpload")) == 1


@pytest.mark.parametrize("over, bucket, words", [
    ({"secret": "not-the-secret"}, Sums.BUCKET, ["SignatureDoesNotMatch", "the secret is wrong"]),
    ({"access_key": "AKNOBODY"}, Sums.BUCKET, ["InvalidAccessKeyId", "correct access_key"]),
    ({}, "no-such-bucket", ["NoSuchBucket", "make the bucket"]),
    ({"scheme": "https"}, Sums.BUCKET, ["speaks no TLS", "http://"]),
    ({"port": 1}, Sums.BUCKET, ["start the server, or correct host and port"]),
], ids=["secret", "key", "bucket", "tls", "port"])
def test_a_store_that_refuses(ferryd, db, sums, over, bucket, words):
    endpoint = f"{over.pop('scheme', 'http')}://127.0.0.1:{over.pop('port', sums.port)}"
    daemon = ferryd({"sums": sums.store(verify="auto", endpoint=endpoint, **over)}, start=False)
    code, found = examine(daemon, f"sums://{bucket}")
    says(one(found, "store sums, read"), "fail", *words)
    assert code == 1


def test_a_right_that_is_missing_is_a_warning_that_names_it(ferryd, db, sums):
    daemon = ferryd({"sums": sums.store(verify="auto")}, start=False)
    sums.deny("GetObject", "ListMultipartUploads", "CreateMultipartUpload")
    code, found = examine(daemon, "--write", f"sums://{Sums.BUCKET}")
    says(one(found, "store sums, read"), "warn", "s3:GetObject")
    says(one(found, "store sums, uploads"), "warn", "s3:ListBucketMultipartUploads")
    says(one(found, "store sums, write"), "warn", "s3:PutObject")
    assert code == 0


def test_a_store_without_a_known_bucket_is_asked_all_the_same(ferryd, db, sums):
    daemon = ferryd({"sums": sums.store(verify="auto")}, start=False)
    says(one(examine(daemon)[1], "store sums, read"), "warn", 'ask again with "ferryctl doctor sums://BUCKET"')
    daemon.stores["sums"]["secret"] = "not-the-secret"
    daemon.write()
    says(one(examine(daemon)[1], "store sums, read"), "fail", "SignatureDoesNotMatch")


@contextlib.contextmanager
def clock_of(seconds):
    """A store whose clock differs from ours by so many seconds; gives its port."""
    document = b"<Error><Code>NoSuchKey</Code><Message>absent</Message></Error>"

    def serve(server):
        with contextlib.suppress(OSError):
            while True:
                with server.accept()[0] as client:
                    client.recv(65536)
                    date = email.utils.formatdate(time.time() + seconds, usegmt=True)
                    client.sendall(f"HTTP/1.1 404 Not Found\r\nDate: {date}\r\nContent-Type: application/xml\r\nConnection: close\r\n"
                                   f"Content-Length: {len(document)}\r\n\r\n".encode() + document)
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,), daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join(10)


@pytest.mark.parametrize("seconds, words", [(-3600, "behind ours"), (3600, "ahead of ours")])
def test_a_clock_that_is_wrong(ferryd, db, seconds, words):
    with clock_of(seconds) as port:
        daemon = ferryd({"far": {"kind": "s3", "endpoint": f"http://127.0.0.1:{port}"}}, start=False)
        says(one(examine(daemon, "far://bucket")[1], "store far, clock"), "warn", words, "set the clock")


def test_roots_of_file_stores(ferryd, db, spool, tmp_base):
    os.mkdir(f"{tmp_base}/in", 0o755)
    daemon = ferryd({"in": {"kind": "file", "root": f"{tmp_base}/in"}}, start=False)
    code, found = examine(daemon, "--write")
    says(one(found, "store in, write"), "fail", f"{tmp_base}/in", "chown", "ReadWritePaths=")
    os.rmdir(f"{tmp_base}/in")
    code, found = examine(daemon)
    says(one(found, "store in, read"), "fail", "No such file or directory")
    assert ("fail", f"store in: root {tmp_base}/in: No such file or directory; make the directory for the account {ACCOUNT}, "
            "or correct root") in found["configuration"]


@pytest.mark.parametrize("conninfo, words", [
    (lambda db: db.pg.conninfo("absent", "ferry_test_daemon"), ["does not exist", "create the database"]),
    (lambda db: db.conninfo("absent"), ["does not exist", "CREATE ROLE"]),
    (lambda db: f"host=127.0.0.1 port={free_port()} dbname=x", ["Connection refused", "start PostgreSQL", "ferryd waits for this"]),
], ids=["database", "role", "port"])
def test_a_database_that_cannot_be_used(ferryd, db, conninfo, words):
    daemon = ferryd({}, start=False)
    daemon.conf["database"] = conninfo(db)
    daemon.write()
    says(one(examine(daemon)[1], "database"), "fail", *words)


def test_the_state_of_the_database(ferryd, db):
    daemon = ferryd({}, start=False, workers=4)
    says(one(examine(daemon)[1], "nodes"), "warn", "no ferryd holds a lease")
    db.sql("ALTER ROLE ferry_test_daemon CONNECTION LIMIT 3")
    try:
        says(one(examine(daemon)[1], "connections"), "warn", "3 may be open at once", "open up to 6", "raise max_connections")
    finally:
        db.sql("ALTER ROLE ferry_test_daemon CONNECTION LIMIT -1")
    task = db.put("a://b/c", "d://e/f")
    db.sql("SELECT setval('ferry.task_id_seq', 1, false)")
    says(one(examine(daemon)[1], "sequences"), "fail", f"SELECT setval('ferry.task_id_seq', {task})")
    daemon.conf["database"] = db.conninfo("ferry_test_producer")
    daemon.write()
    says(one(examine(daemon)[1], "rights"), "fail", "GRANT ferry_daemon TO ferry_test_producer")
    daemon.conf["database"] = db.conninfo("postgres")
    daemon.write()
    says(one(examine(daemon)[1], "rights"), "warn", "superuser")
    db.sql("UPDATE ferry.schema_version SET version = version - 1 WHERE version = (SELECT max(version) FROM ferry.schema_version)")
    says(one(examine(daemon)[1], "schema"), "fail", 'run "ferryctl migrate"')


def test_a_configuration_that_is_bad(ferryd, db):
    daemon = ferryd({}, start=False)
    with open(daemon.file, "a") as f:
        f.write("nonsense = 1\n")
    code, found = examine(daemon)
    says(one(found, "configuration"), "fail", "nonsense", daemon.file)
    assert code == 1


def test_memory_that_the_machine_lacks(ferryd, db):
    daemon = ferryd({}, start=False, workers=200, worker={"memory": "100G"})
    says(one(examine(daemon)[1], "memory"), "warn", "lower workers")
    daemon.conf.update(workers=1, memory_total="1000G")
    daemon.write()
    says(one(examine(daemon)[1], "memory"), "warn", "lower memory_total")


def test_without_a_configuration_the_database_alone_is_looked_at(db):
    done = ferryctl("doctor", conninfo=db.conninfo())
    assert "warn  configuration: there is no " in done.stdout and "ok    schema: " in done.stdout
    assert ferryctl("doctor", "nonsense", conninfo=db.conninfo(), check=False).returncode == 64
