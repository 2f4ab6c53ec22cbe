"""Keys of stores are renewed while transfers go on: from files that change, and by commands."""

import json
import os
import re
import shutil
import signal

import pytest

from content import content_bytes, crc64_content
from rig import ACCOUNT, MIB, children, claimed_once, holds, read_proc, wait_until
from stores import BUCKET, COS_ID, COS_SECRET, Sums

PART, SIZE = 5 * MIB, 30 * MIB
NEW_ID, NEW_SECRET, NEW_TOKEN = "AKIDnewaccesskey0000", "newSecretKeyThatMustNeverShow", "newTokenThatMustNeverShow"
NEW_KEY = {NEW_ID: {"secret": NEW_SECRET, "token": NEW_TOKEN}}
AWS = "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n"
TENCENT = "[common]\nsecret_id = {}\nsecret_key = {}\ntoken = {}\nbucket = b-1\n"


@pytest.fixture
def sums():
    endpoint = Sums()
    yield endpoint
    endpoint.stop()


def replace(path, text, mode=0o600):
    """Replaces a file at once, as careful tools do."""
    with open(path + ".new", "w") as f:
        f.write(text)
    os.chmod(path + ".new", mode)
    shutil.chown(path + ".new", ACCOUNT)
    os.rename(path + ".new", path)


def without_keys(store):
    return {name: value for name, value in store.items() if name not in ("access_key", "secret")}


def hides_secrets(daemon):
    text = daemon.log_text()
    return not [secret for secret in (COS_SECRET, NEW_SECRET, NEW_TOKEN, "tempSecret", "tempToken") if secret in text]


class Rotation:
    """A transfer to COS that has sent two parts.  The endpoint has the next two, and looks at their keys when it is let go on."""

    def __init__(self, daemon, db, cos, task, write):
        self.daemon, self.db, self.task, self.write = daemon, db, task, write
        wait_until(lambda: cos.held() == 2, 60, "two parts to be held")
        self.pid = daemon.worker_of(task)

    def ends_well(self):
        row = self.db.done(self.task)
        assert claimed_once(row) and (row["attempt"], row["crashes"]) == (0, 0)
        assert self.pid in self.daemon.workers(), "the worker was replaced"
        line, = self.daemon.log("store [a-z]+: new keys")
        assert "access key AKIDnewacc..., without an end" in line and hides_secrets(self.daemon)
        return row


@pytest.fixture(params=["credentials_file", "files"])
def to_cos(ferryd, db, cos, spool, tmp_base, request):
    """The keys are in a file of Tencent's tools, or in a file each."""
    cos.keys({COS_ID: {"secret": COS_SECRET, "token": "oldToken"}})
    cos.faults(*({"match": match, "action": {"hold": True}, "times": 1}
                 for match in ({"op": "part", "part": 3}, {"op": "part", "part": 4}, {"op": "complete"})))
    paths = {f"{name}_file": f"{tmp_base}/{name}" for name in ("access_key", "secret_key", "session_token")}

    def write(*keys):
        if request.param == "credentials_file":
            replace(f"{tmp_base}/cos.conf", TENCENT.format(*keys))
        else:
            for path, key in zip(paths.values(), keys):
                replace(path, key)
    write(COS_ID, COS_SECRET, "oldToken")
    origin = {"credentials_file": f"{tmp_base}/cos.conf", "credentials_profile": "common"}
    store = {**without_keys(cos.store()), **(origin if request.param == "credentials_file" else paths)}
    daemon = ferryd({"cos": store, "spool": spool.store()}, workers=2, worker={"streams": 2})
    task = db.put(spool.put("object", SIZE), f"cos://{BUCKET}/object")
    return Rotation(daemon, db, cos, task, lambda: write(NEW_ID, NEW_SECRET, NEW_TOKEN))


def arrived_once(cos):
    return cos.received("object") == {n: PART for n in range(1, SIZE // PART + 1)}


def test_keys_that_change_before_the_old_ones_end_cost_nothing(to_cos, cos):
    cos.keys(NEW_KEY)
    to_cos.write()
    to_cos.daemon.wait_log("new keys", 30)
    cos.faults()
    cos.keys({COS_ID: None})
    row = to_cos.ends_well()
    assert cos.refusals() == [] and arrived_once(cos) and row["verified_by"] == "crc64"


def test_keys_that_end_as_they_change_are_asked_for(to_cos, cos):
    """The store refuses the old keys before the master has looked at the file.  The task waits for the new ones."""
    cos.keys({**NEW_KEY, COS_ID: None})
    to_cos.write()
    cos.faults()
    wait_until(cos.refusals, 30, "a refusal")
    to_cos.ends_well()
    assert cos.object("object")["crc64"] == str(crc64_content("object", SIZE))
    assert len(cos.log("complete")) == 1, "the upload was begun anew"


def test_a_complete_that_is_refused_is_sent_again(to_cos, cos):
    cos.release()
    wait_until(lambda: cos.held() == 1, 30, "Complete to be held")
    cos.keys({**NEW_KEY, COS_ID: None})
    to_cos.write()
    cos.release()
    to_cos.ends_well()
    assert "InvalidAccessKeyId" in cos.refusals() and arrived_once(cos)


def test_hup_takes_up_new_keys_and_replaces_no_worker(to_cos, cos):
    idle = [pid for pid in to_cos.daemon.workers() if pid != to_cos.pid]
    cos.keys(NEW_KEY)
    to_cos.write()
    to_cos.daemon.send(signal.SIGHUP)
    line, = to_cos.daemon.wait_log("msg=\"reloaded")
    assert "replaced" not in line
    to_cos.daemon.wait_log("new keys")
    cos.faults()
    cos.keys({COS_ID: None})
    to_cos.ends_well()
    assert idle[0] in to_cos.daemon.workers() and cos.refusals() == []


@pytest.mark.parametrize("role", ["destination", "source"])
def test_s3_in_both_roles(ferryd, db, sums, spool, tmp_base, role):
    """Its requests are signed with the token, and the old keys end as the file changes."""
    path, token = f"{tmp_base}/credentials", "aws_session_token = {}\n"
    sums.keys({"AKIDold": {"secret": "old", "token": "oldToken"}})
    replace(path, AWS.format("AKIDold", "old") + token.format("oldToken"))
    store = {**without_keys(sums.store(verify="md5")), "credentials_file": path}
    # the file store's rate makes the transfer last
    daemon = ferryd({"sums": store, "spool": {**spool.store(), "rate": "6M"}}, workers=1, worker={"streams": 1})
    source, destination = spool.put("object", SIZE), f"sums://{Sums.BUCKET}/object"
    if role == "source":
        sums.put(Sums.BUCKET, "object", content_bytes("object", SIZE))
        source, destination = destination, "spool://copy"
    task = db.put(source, destination)
    pid = daemon.worker_of(task)
    wait_until(lambda: db.parts(task) >= 1, 30, "a part")
    sums.keys({**NEW_KEY, "AKIDold": None})
    replace(path, AWS.format(NEW_ID, NEW_SECRET) + token.format(NEW_TOKEN) + "expiration = 2099-01-01T00:00:00Z\n")
    wait_until(sums.refusals, 30, "a refusal")
    row = db.done(task)
    assert claimed_once(row) and row["attempt"] == 0 and daemon.workers() == [pid] and hides_secrets(daemon)
    assert daemon.log("store sums: new keys .access key AKIDnewacc..., valid until 2099-01-01T00:00:00Z")
    if role == "source":
        with open(f"{spool.root}/copy", "rb") as f:
            assert f.read() == content_bytes("object", SIZE)
    else:
        assert len(sums.log("CreateMultipartUpload")) == 1
        assert sums.get(Sums.BUCKET, "object") == content_bytes("object", SIZE)


def test_a_file_that_is_bad_at_renewal_is_told_once(ferryd, db, cos, spool, tmp_base):
    path = f"{tmp_base}/keys"
    replace(path, AWS.format(COS_ID, COS_SECRET))
    daemon = ferryd({"cos": {**without_keys(cos.store()), "credentials_file": path}, "spool": spool.store()}, workers=1)
    replace(path, f"[default]\naws_secret_access_key = {NEW_SECRET} x\n")
    line, = daemon.wait_log("old keys stay in use", 30)
    assert f"store cos: {path}:2: aws_secret_access_key holds spaces or quotes" in line
    db.done(db.put(spool.put("object", 1000), f"cos://{BUCKET}/object"))
    replace(path, AWS.format(COS_ID, COS_SECRET))
    daemon.wait_log(f"store cos: {path} gives keys again, the ones that are in use", 30)
    assert len(daemon.log("old keys stay in use")) == 1 and hides_secrets(daemon)


def test_a_refusal_without_newer_keys_gives_the_task_back_soon(ferryd, db, cos, spool, tmp_base):
    path = f"{tmp_base}/keys"
    replace(path, AWS.format(COS_ID, "wrong"))
    daemon = ferryd({"cos": {**without_keys(cos.store()), "credentials_file": path}, "spool": spool.store()}, workers=1)
    row = db.waits(db.put(spool.put("object", 1000), f"cos://{BUCKET}/object"))
    assert row["error_class"] == "credentials" and "SignatureDoesNotMatch" in row["error"]
    assert len(cos.refusals()) < 10, "the store was asked without end"
    assert not daemon.log("new keys")


# Commands

TEMPORARY = """#!/usr/bin/python3
import http.client, json, time
until = time.time() + {seconds}
name = "AKIDtemp%d" % (until * 1000)
conn = http.client.HTTPConnection("127.0.0.1", {control})
conn.request("POST", "/keys", json.dumps({{name: {{"secret": "tempSecret", "token": "tempToken" + name, "until": until * 1000}}}}))
conn.getresponse().read()
print(json.dumps({{"Version": 1, "AccessKeyId": name, "SecretAccessKey": "tempSecret", "SessionToken": "tempToken" + name,
                  "Expiration": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(until))}}))
"""


class Program:
    def __init__(self, directory):
        self.path, self.runs = f"{directory}/keys", f"{directory}/runs"
        with open(self.runs, "w"):
            os.chmod(self.runs, 0o666)

    def write(self, text, mode=0o755):
        replace(self.path, text, mode)
        return self

    def script(self, text, mode=0o755):
        return self.write(f"#!/bin/sh\necho $$ >> {self.runs}\n{text}\n", mode)

    def count(self):
        with open(self.runs) as f:
            return len(f.read().split())

    def store(self, endpoint):
        return {**without_keys(endpoint.store()), "credentials_command": [self.path]}


@pytest.fixture
def program(tmp_base):
    return Program(tmp_base)


def gives(name, secret):
    return "echo '" + json.dumps({"Version": 1, "AccessKeyId": name, "SecretAccessKey": secret}) + "'"


@pytest.mark.limit(240)
def test_tokens_that_expire_during_a_transfer(ferryd, db, cos, spool, program):
    cos.keys({COS_ID: None})
    cos.rate(MIB)
    program.write(TEMPORARY.format(seconds=10, control=cos.control))
    daemon = ferryd({"cos": program.store(cos), "spool": spool.store()}, workers=1, worker={"streams": 2})
    task = db.put(spool.put("object", 2 * SIZE), f"cos://{BUCKET}/object")
    pid = daemon.worker_of(task)
    daemon.wait_log("store cos: new keys .access key AKIDtemp[0-9]*..., valid until 20", 60, count=4)
    assert db.state(task) == "running", "the transfer was too short for this test"
    cos.rate(0)
    row = db.done(task)
    assert claimed_once(row) and row["attempt"] == 0 and daemon.workers() == [pid] and hides_secrets(daemon)
    assert cos.object("object")["crc64"] == str(crc64_content("object", 2 * SIZE))
    assert len(cos.log("complete")) == 1


@pytest.mark.parametrize("wrong,told", [
    ("exit 1", "exited with code 1"), ("echo garbage", "printed no JSON"),
    ("head -c 1000000 /dev/zero", "printed more than 64 KiB"),
    (gives(COS_ID, COS_SECRET).replace("1,", "2,", 1), "printed JSON whose Version is not 1")])
def test_tasks_wait_for_the_first_keys_and_others_go_on(ferryd, db, cos, spool, program, wrong, told):
    program.script(wrong)
    daemon = ferryd({"cos": program.store(cos), "spool": spool.store()}, workers=1)
    daemon.wait_log(f"store cos: credentials_command {program.path} {told}.*tasks of this store wait until there are keys")
    task = db.put(spool.put("object", 1000), f"cos://{BUCKET}/object")
    db.done(db.put("spool://object", "spool://copy"))
    wait_until(lambda: program.count() >= 3, 30, "a third run")
    assert db.state(task) == "queued" and len(daemon.log("credentials_command")) == 1
    assert db.one("SELECT waiting_for FROM ferry.progress") == "store cos is held as a destination (ferry.store says why)"
    assert {(row["held_as"], row["reason"]) for row in db.sql("SELECT * FROM ferry.store WHERE store = 'cos'")} == {
        (end, "its credentials_command has given no keys yet; the log says why") for end in ("source", "destination")}
    program.script(gives(COS_ID, COS_SECRET))
    row = db.done(task)
    assert row["attempt"] == 0 and cos.refusals() == [] and hides_secrets(daemon)
    wait_until(lambda: db.one("SELECT count(*) FROM ferry.hold") == 0, what="the store to be held no more")


def test_a_command_that_hangs_holds_nothing_up(ferryd, db, cos, spool, program):
    program.script("exec sleep 600")
    daemon = ferryd({"cos": program.store(cos), "spool": spool.store()}, workers=1)
    wait_until(lambda: program.count() == 1, 10, "the command to run")
    task = db.put(spool.put("object", 1000), f"cos://{BUCKET}/object")
    db.done(db.put("spool://object", "spool://copy"))
    assert db.state(task) == "queued"
    with open(program.runs) as f:
        pid = int(f.read())
    assert daemon.stop() == 0
    wait_until(lambda: b"sleep" not in read_proc(pid, "cmdline"), 10, "the command to end")


def test_process_1_of_a_container_takes_the_end_of_a_command(ferryd, db, cos, spool, program):
    program.script(gives(COS_ID, COS_SECRET))
    daemon = ferryd({"cos": program.store(cos), "spool": spool.store()}, workers=1, start=False)
    daemon.prefix = ["unshare", "--pid", "--fork", "--mount-proc"]
    outside = daemon.start(ready=False).process
    daemon.process, daemon.pid = None, wait_until(lambda: next(iter(children(outside.pid)), None), 10, "ferryd in its own namespace")
    daemon.wait_log("new keys")
    db.done(db.put(spool.put("object", 1000), f"cos://{BUCKET}/object"))
    daemon.stop()
    assert outside.wait(10) == 0


def test_hup_and_a_refusal_run_the_command_again(ferryd, db, cos, spool, program):
    program.script(gives(COS_ID, COS_SECRET))
    daemon = ferryd({"cos": program.store(cos), "spool": spool.store()}, workers=1)
    daemon.wait_log("new keys")
    program.script(gives(NEW_ID, NEW_SECRET))
    cos.keys({NEW_ID: {"secret": NEW_SECRET}})
    daemon.send(signal.SIGHUP)
    daemon.wait_log("new keys .access key AKIDnewacc")
    holds(lambda: program.count() == 2, 5.5)  # the time in which a refusal does not run it
    other = {"AKIDother": {"secret": "otherSecret"}}
    cos.keys({**other, NEW_ID: None, COS_ID: None})
    program.script(gives("AKIDother", "otherSecret"))
    row = db.done(db.put(spool.put("object", 1000), f"cos://{BUCKET}/object"))
    assert row["attempt"] == 0 and cos.refusals() == ["InvalidAccessKeyId"] and program.count() == 3


def test_the_command_runs_as_the_account_without_secrets(ferryd, db, cos, spool, program):
    report = program.path + ".report"
    program.script(f"{{ id -un; env; ls -l /proc/self/fd; }} > {report} 2>&1; {gives(COS_ID, COS_SECRET)}")
    with open(report, "w"):
        os.chmod(report, 0o666)
    store = {**cos.store(), "secret_key_env": "FERRY_TEST_SECRET"}
    store.pop("secret")
    daemon = ferryd({"cos": program.store(cos), "other": store, "spool": spool.store()}, workers=1, start=False)
    daemon.environment.update(FERRY_TEST_SECRET=COS_SECRET, PGPASSWORD="passwordThatMustNotShow")
    daemon.start()
    db.done(db.put(spool.put("object", 1000), f"cos://{BUCKET}/object"))
    with open(report) as f:
        text = f.read()
    assert text.splitlines()[0] == ACCOUNT and COS_SECRET not in text and "passwordThatMustNotShow" not in text
    assert not re.search("socket:|ferryd.log|ferry-worker", text), text


# Rights

def test_what_the_account_may_not_read_or_run_is_told_at_start(ferryd, db, cos, program, tmp_base):
    path = f"{tmp_base}/roots"
    replace(path, AWS.format(COS_ID, COS_SECRET))
    shutil.chown(path, "root", "root")
    program.script("exit 1", 0o700)
    shutil.chown(program.path, "root", "root")
    daemon = ferryd({"cos": {**without_keys(cos.store()), "credentials_file": path}, "other": program.store(cos)}, workers=1,
                    start=False)
    code, out, err = daemon.run("-t")
    told = [f"store cos: the account {ACCOUNT} cannot read {path}", f"store other: the account {ACCOUNT} cannot execute {program.path}"]
    assert code == 0 and all(f"warning: {line}" in err for line in told) and "chmod 640" in err and "chmod 755" in err
    daemon.start()
    for line in told:
        daemon.wait_log(line)


def test_a_credentials_file_that_others_may_read_is_refused(ferryd, db, cos, tmp_base):
    path = f"{tmp_base}/keys"
    replace(path, AWS.format(COS_ID, COS_SECRET), 0o644)
    daemon = ferryd({"cos": {**without_keys(cos.store()), "credentials_file": path}}, start=False)
    code, out, err = daemon.run("-t")
    assert code == 78 and f"{path} is open to everybody" in err and COS_SECRET not in out + err
    os.chmod(path, 0o600)
    code, out, err = daemon.run("-T")
    assert code == 0 and f'credentials_file = "{path}"' in out and COS_SECRET not in out and COS_ID not in out
