"""
A table of everything that can be wrong with a task, a store or a source.  In each case the task must end with the right error_class
and a sentence in error, be retried or not, and leave no upload behind; the workers must stay alive.  If the trouble is not the task's
own, the task waits, and nothing is counted.
"""

import collections
import os
import re
import shutil

import pytest

from content import crc64_content, write_content
from daemon import Ferryd
from origin import Origin
from rig import MIB, Database, free_port, wait_until
from stores import BUCKET, REGION

SIZE = 12 * MIB  # three parts
ATTEMPTS = 2     # max_attempts of every task: a failure that is retried ends with attempt = 2, another one with less

Case = collections.namedtuple("Case", "source destination error_class error columns faults waits")
CASES = {}


def case(name, source, destination, error_class, error, faults=(), waits=False, **columns):
    CASES[name] = Case(source, destination, error_class, error, columns, faults, waits)


GOOD, TARGET = "spool://good", f"cos://{BUCKET}/target"

case("unknown store at the source", "nowhere://bucket/key", TARGET, "transient", "nowhere", waits=True)
case("unknown store at the destination", GOOD, "nowhere://bucket/key", "transient", "nowhere", waits=True)
case("missing bucket at the source", "cos://absent-1250000000/key", TARGET, "permanent", "absent|404|not found|no such")
case("missing bucket at the destination", GOOD, "cos://absent-1250000000/key", "transient", "NoSuchBucket")
case("missing bucket in ceph", "ceph://absent-bucket/key", TARGET, "transient", "404|not found|no such|NoSuch")
case("missing key", f"cos://{BUCKET}/absent", TARGET, "permanent", "404|not found|no such|NoSuchKey")
case("missing key in ceph", "ceph://ferry-source/absent", TARGET, "permanent", "404|not found|no such|NoSuchKey")
case("missing file", "spool://absent", TARGET, "permanent", "No such file|not found")
case("file that is a directory", "spool://directory", TARGET, "permanent", "director|regular")
case("key of 2000 bytes at the destination", GOOD, f"cos://{BUCKET}/" + "k" * 2000, "permanent", "850")
case("key of 2000 bytes at the source", "ceph://ferry-source/" + "k" * 2000, TARGET, "permanent", "1,?024")
case("no scheme", "good", TARGET, "permanent", "good|URI|scheme")
case("no bucket", "cos:///key", TARGET, "permanent", "bucket")
case("no key", GOOD, f"cos://{BUCKET}", "permanent", "key")
case("bad store name", "C@S://bucket/key", TARGET, "permanent", "store|name|scheme")
case("URL as destination", GOOD, "http://{origin}/size/10", "permanent", "destination|http")
case("wrong secret", GOOD, f"wrong-secret://{BUCKET}/target", "credentials", "SignatureDoesNotMatch|403", waits=True)
case("unknown access key", GOOD, f"unknown-key://{BUCKET}/target", "credentials", "InvalidAccessKeyId|403", waits=True)
case("wrong secret at the source", "ceph-wrong://ferry-source/any", TARGET, "credentials", "403|refused|denied|SignatureDoesNotMatch", waits=True)
case("wrong region", GOOD, f"elsewhere://{BUCKET}/target", "transient", "NoSuchBucket")
case("host that does not resolve", "nohost://bucket/key", TARGET, "transient", "nohost.invalid|resolve", waits=True)
case("refused connection", "refused://bucket/key", TARGET, "transient", "connect|refused", waits=True)
case("certificate that does not verify", "https://{tls}/size/1000", TARGET, "transient", "certificate", waits=True)
case("source that shrinks", "http://{origin}/shrinks/12582912", TARGET, "source_changed", "changed|it had")
case("source that grows", "http://{origin}/grows/12582912", TARGET, "source_changed", "changed|it had")
case("source that changes", "http://{origin}/changes/12582912", TARGET, "source_changed", "changed")
case("body shorter than promised", "http://{origin}/cuts/12582912?bytes=9&most=9", TARGET, "transient", "short|closed|partial|transfer|ended|missing")
case("error in the 200 of Complete", GOOD, TARGET, "transient", "InternalError",
     [{"match": {"op": "complete"}, "action": {"completeError": "InternalError"}}])
case("refusal in the 200 of Complete", GOOD, TARGET, "permanent", "EntityTooLarge|too large",
     [{"match": {"op": "complete"}, "action": {"completeError": "EntityTooLarge"}}])
case("corrupted part", GOOD, TARGET, "transient", r"(?i)crc64?.*\d{15,20}.*\d{15,20}|crc64",
     [{"match": {"op": "part", "part": 2}, "action": {"corrupt": True}}])
case("corrupted object in one PUT", "spool://small", TARGET, "transient", "(?i)crc64",
     [{"match": {"op": "put"}, "action": {"corrupt": True}}])
case("endless redirects", "http://{origin}/redirect-loop", TARGET, "permanent", "redirect")
case("redirect to a host that is not allowed", "http://{origin}/redirect?to=http://example.invalid/x", TARGET, "permanent",
     "example.invalid|not allowed")
case("redirect to another scheme", "http://{origin}/redirect?to=file:///etc/passwd", TARGET, "permanent", "file|scheme|redirect|http")
case("10 GB of response headers", "http://{origin}/header-flood", TARGET, "transient", "the server sends response headers of more than 64 KiB")
case("one response header of 10 GB", "http://{origin}/header-flood?line", TARGET, "transient", "a header line of more than 100 KiB")
case("flood of headers from the destination", GOOD, TARGET, "transient", "cos: .*the server sends response headers of more than 64 KiB",
     [{"match": {"op": "initiate"}, "action": {"flood": 10 << 30}}])
case("one header of 10 GB from the destination", GOOD, TARGET, "transient", "cos: .*a header line of more than 100 KiB",
     [{"match": {"op": "initiate"}, "action": {"flood": 10 << 30, "line": True}}])
case("garbage for XML at Initiate", GOOD, TARGET, "transient", "XML|answer|document",
     [{"match": {"op": "initiate"}, "action": {"body": "<<<not & xml"}}])
case("XML of another kind at Initiate", GOOD, TARGET, "transient", "XML|answer|document|Result",
     [{"match": {"op": "initiate"}, "action": {"body": "<?xml version=\"1.0\"?><html><body/></html>"}}])
case("entities without end in XML", GOOD, TARGET, "transient", "XML|answer|document",
     [{"match": {"op": "initiate"}, "action": {"body": "<!DOCTYPE a [<!ENTITY a \"aaaa\">]><InitiateMultipartUploadResult><UploadId>"
                                                       "&a;</UploadId></InitiateMultipartUploadResult>"}}])
case("ETag that is none", GOOD, TARGET, "transient", "ETag", [{"match": {"op": "part"}, "action": {"etag": "none"}}])
case("ETags that are not those of the parts", GOOD, TARGET, "transient", "InvalidPart",
     [{"match": {"op": "part"}, "action": {"etag": "lie"}}])
case("server error for ever", GOOD, TARGET, "transient", "500|InternalError", [{"match": {"op": "part"}, "action": {"status": 500}}])
case("slow down for ever", GOOD, TARGET, "throttled", "SlowDown|503",
     [{"match": {"op": "part"}, "action": {"status": 503, "code": "SlowDown"}}], waits=True)
case("gone in mid-transfer", "http://{origin}/status/410", TARGET, "permanent", "410")
case("expected CRC64 that does not match", GOOD, TARGET, "permanent", "(?i)crc64", expect_crc64=1234567890)
case("expected CRC64 that does not match one PUT", "spool://small", TARGET, "permanent", "(?i)crc64", expect_crc64=1234567890)
case("expected CRC64 that an empty object has not", "spool://empty", TARGET, "permanent", "(?i)crc64", expect_crc64=1234567890)
case("expected size that does not match", GOOD, TARGET, "permanent", "size|bytes", expect_size=1)
case("host that is not allowed", "http://example.com/x", TARGET, "permanent", "example.com|allow")
case("metadata beyond what the store takes", GOOD, TARGET, "permanent", "meta", metadata={"a": "x" * 2500})


class Environment:
    """A ferryd with many stores, which the whole table shares: damage that one bad task does to a worker shows in the next case."""

    def __init__(self, base, pg, cos, ceph, certificate):
        self.db, self.cos, self.ceph = Database(pg, "ferry_bad_input"), cos, ceph
        self.root = f"{base}/bad-input"
        os.mkdir(self.root)
        os.chmod(self.root, 0o755)
        self.spool = f"{self.root}/spool"
        os.makedirs(f"{self.spool}/directory")
        write_content(f"{self.spool}/good", "good", SIZE)
        write_content(f"{self.spool}/small", "small", 100000)
        write_content(f"{self.spool}/empty", "empty", 0)
        self.origin, self.tls = Origin().start(), Origin(tls=certificate).start()
        good = cos.store()
        absent = [f"absent-1250000000.cos.{REGION}.myqcloud.com:{cos.port}:127.0.0.1"]
        table = {
            "spool": {"kind": "file", "root": self.spool},
            "cos": {**good, "resolve": good["resolve"] + absent},
            "ceph": ceph.store(), "ceph-wrong": ceph.store(secret="not-the-secret-of-this-key"),
            "wrong-secret": {**good, "secret": "not-the-secret-of-this-key"},
            "unknown-key": {**good, "access_key": "AKIDnobody"},
            "elsewhere": {**good, "region": "ap-beijing", "endpoint": f"http://cos.ap-beijing.myqcloud.com:{cos.port}",
                          "resolve": [f"{BUCKET}.cos.ap-beijing.myqcloud.com:{cos.port}:127.0.0.1"]},
            "nohost": ceph.store(endpoint="http://nohost.invalid:7480"),
            "refused": ceph.store(endpoint=f"http://127.0.0.1:{free_port()}"),
        }
        self.daemon = Ferryd(self.root, self.db, table, workers=2, retry_delay="50ms", retry_delay_max="200ms",
                             http={"allow": ["127.0.0.1"], "private": True}).start()
        self.workers = self.daemon.workers()

    def mend(self):
        """Shows the daemon that the stores are well, so that the next failure is the first one."""
        self.cos.faults()
        self.db.done(self.db.put(self.origin.url("/size/10"), f"cos://{BUCKET}/well"))
        self.db.done(self.db.put(f"cos://{BUCKET}/well", f"cos://{BUCKET}/as-well"))

    def give_up(self, task):
        """Cancels a task that waits, and aborts what it has left."""
        self.db.sql("SELECT ferry.cancel(%s)", (task,))
        self.cos.faults()
        self.db.sql("UPDATE ferry.task SET finished_at = now() - interval '1 hour' WHERE id = %s", (task,))
        self.db.sql("SELECT ferry.reap()")
        wait_until(lambda: not self.cos.uploads(), 20, "the uploads to be aborted")

    def stop(self):
        self.daemon.finish()
        self.origin.stop()
        self.tls.stop()
        wait_until(lambda: not self.db.sessions(), 5, "sessions to close")
        self.db.drop()
        shutil.rmtree(self.root)


@pytest.fixture(scope="module")
def zoo(base, pg, cos_process, ceph, certificate):
    environment = Environment(base, pg, cos_process, ceph, certificate)
    yield environment
    environment.stop()


@pytest.mark.parametrize("name", CASES)
def test_bad_input(zoo, cos, name):
    case = CASES[name]
    places = {"origin": f"127.0.0.1:{zoo.origin.port}", "tls": f"127.0.0.1:{zoo.tls.port}"}
    source, destination = (re.sub(r"\{(\w+)\}", lambda m: places[m.group(1)], uri) for uri in (case.source, case.destination))
    zoo.origin.forget()
    zoo.mend()
    cos.faults(*case.faults)
    task = zoo.db.put(source, destination, max_attempts=ATTEMPTS, **case.columns)
    row = zoo.db.waits(task) if case.waits else zoo.db.wait(task, "failed")
    assert row["error_class"] == case.error_class, row["error"]
    assert re.search(case.error, row["error"]), row["error"]
    assert " " in row["error"] and len(row["error"].splitlines()) == 1 and "?" not in row["error"].replace("<?xml", ""), row["error"]
    if case.waits:
        zoo.give_up(task)
    else:
        retried = case.error_class in ("transient", "credentials", "source_changed")
        assert row["attempt"] == ATTEMPTS if retried else row["attempt"] <= 1, f"attempt {row['attempt']}"
        assert row["finished_at"] is not None
    assert row["crashes"] == row["ooms"] == 0
    assert cos.uploads() == [], "an upload was left behind"
    assert cos.object("target") is None, "the failed task made an object"
    # an Initiate whose answer cannot be read may have begun an upload, so its row stays for the reaper
    unread = any(f["match"].get("op") == "initiate" for f in case.faults)
    assert zoo.db.sql("SELECT * FROM ferry.upload WHERE task = %s AND NOT (%s AND NOT initiated)", (row["id"], unread)) == []
    assert zoo.daemon.workers() == zoo.workers, "a worker died"
    assert zoo.origin.flooded < 64 * MIB


def test_the_same_workers_still_carry_good_tasks(zoo, cos):
    row = zoo.db.done(zoo.db.put(GOOD, TARGET))
    assert row["verified_by"] == "crc64" and cos.object("target")["size"] == SIZE
    assert zoo.daemon.workers() == zoo.workers


def test_source_that_changed_once_is_carried_in_its_new_state(zoo, cos):
    row = zoo.db.done(zoo.db.put(zoo.origin.url(f"/changed/{SIZE}"), TARGET))
    assert row["attempt"] == 1
    assert int(row["crc64"]) == crc64_content("second", SIZE) == int(cos.object("target")["crc64"])
    assert cos.uploads() == []
