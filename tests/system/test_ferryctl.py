"""ferryctl as an operator uses it: its output and its exit codes."""

import json
import re
import subprocess

import pytest

from rig import BUILD, MIB, ROOT, ferryctl, wait_until
from stores import BUCKET


@pytest.fixture
def ctl(db):
    def run(*arguments, **options):
        return ferryctl(*arguments, conninfo=db.conninfo("postgres"), **options)
    return run


@pytest.fixture
def daemon(ferryd, cos, spool):
    return ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1)


def test_put_wait_show_and_ls(ctl, daemon, db, cos, spool):
    spool.put("object", 6 * MIB)
    done = ctl("put", "--wait", "--priority", 3, "--content-type", "a/b", "--meta", "colour=green", "--storage-class", "STANDARD_IA",
               "--dedup", "k", "--expect-size", 6 * MIB, "--expect-crc64", spool.crc64("object", 6 * MIB), "--max-attempts", 2,
               "spool://object", f"cos://{BUCKET}/object")
    task = int(re.search(r"\d+", done.stdout).group())
    row = db.task(task)
    assert row["state"] == "done" and row["priority"] == 3 and row["dedup_key"] == "k" and row["max_attempts"] == 2
    headers = cos.object("object")["headers"]
    assert headers["content-type"] == "a/b" and headers["x-cos-meta-colour"] == "green"
    assert headers["x-cos-storage-class"] == "STANDARD_IA"
    shown = ctl("show", task).stdout
    for word in ("spool://object", f"cos://{BUCKET}/object", "done", "crc64", str(spool.crc64("object", 6 * MIB))):
        assert word in shown
    assert re.search(rf"^\s*{task}\s.*done", ctl("ls").stdout, re.M)
    assert not re.search(rf"^\s*{task}\s", ctl("ls", "-s", "failed").stdout, re.M)


def test_put_wait_of_a_task_that_fails(ctl, daemon, spool):
    spool.put("other", 1)  # an empty root may be a mount that is late, and is waited for
    done = ctl("put", "--wait", "spool://absent", f"cos://{BUCKET}/object", check=False)
    assert done.returncode == 1 and "No such file" in done.stderr


def test_put_sets_tags_and_the_channel_that_is_told(ctl, db):
    task = int(ctl("put", "--tag", "order=5", "--tag", "who=it's me", "--notify", "shop", "a://b/c", "d://e/f").stdout)
    row = db.task(task)
    assert row["tags"] == {"order": "5", "who": "it's me"} and row["notify"] == "shop" and row["metadata"] is None
    ctl("put", "--tag", "order=6", "a://b/c", "d://e/g")
    db.sql("""UPDATE ferry.task SET tags = '{"order": 7}' WHERE destination = 'd://e/g'""")
    assert [json.loads(ctl("ls", "--json", "--tag", tag).stdout) != [] for tag in ("order=5", "order=6", "order=7", "who=it's me")] == \
        [True, False, True, True]
    assert ctl("ls", "--tag", "order", check=False).stderr.startswith('ferryctl: "order": NAME=VALUE is right')
    done = ctl("put", "--tag", "order", "a://b/c", "d://e/f", check=False)
    assert done.returncode == 64 and done.stderr.startswith('ferryctl: tags "order" is not of the form NAME=VALUE')


def test_put_prints_the_id_alone(ctl, db):
    done = ctl("put", "a://b/c", "d://e/f")
    assert db.task(int(done.stdout.strip()))["source"] == "a://b/c"


def test_cancel_and_retry(ctl, db):
    task = int(ctl("put", "a://b/c", "d://e/f").stdout)
    ctl("cancel", task)
    assert db.state(task) == "cancelled"
    assert ctl("cancel", task, check=False).returncode == 1
    ctl("retry", task)
    assert db.state(task) == "queued"
    assert ctl("retry", task, check=False).returncode == 1
    assert ctl("cancel", 999999, check=False).returncode == 1
    assert ctl("show", 999999, check=False).returncode == 1


def test_priority_pause_and_resume(ctl, db):
    task = int(ctl("put", "a://b/c", "d://e/f").stdout)
    assert ctl("priority", "-7", task).stdout == f"task {task} has priority -7\n" and db.task(task)["priority"] == -7
    ctl("cancel", task)
    done = ctl("priority", 1, task, check=False)
    assert done.returncode == 1 and "it is cancelled" in done.stderr
    assert ctl("pause", "--create", "default", "other").stdout == "queue default paused\nqueue other paused\n"
    assert db.one("SELECT count(*) FROM ferry.queue WHERE NOT enabled") == 2
    assert ctl("pause", "default", check=False).returncode == 1
    assert ctl("resume", "default").stdout == "queue default resumed\n"
    done = ctl("resume", "default", "unknown", check=False)
    assert done.returncode == 1 and "unknown" in done.stderr


def test_retry_of_a_task_whose_key_is_taken_names_the_other(ctl, db):
    task = int(ctl("put", "--dedup", "k", "a://b/c", "d://e/f").stdout)
    ctl("cancel", task)
    other = int(ctl("put", "--dedup", "k", "a://b/c", "d://e/g").stdout)
    done = ctl("retry", task, check=False)
    assert done.returncode == 1 and f"task {task} cannot be queued again: task {other}" in done.stderr


@pytest.mark.parametrize("arguments", [[], ["fly"], ["put"], ["put", "a://b/c"], ["put", "not a uri", "d://e/f"], ["show"], ["show", "x"],
                                       ["cancel", "1x"], ["priority", "1"], ["priority", "high", "1"], ["pause"], ["watch"], ["watch", "x"], ["status", "x"], ["show", "--xml", "1"], ["ls", "-s", "nonsense"], ["put", "-p", "high", "a://b/c", "d://e/f"],
                                       ["put", "--if-exists", "maybe", "a://b/c", "d://e/f"]], ids=" ".join)
def test_wrong_usage(ctl, arguments):
    done = ctl(*arguments, check=False)
    assert done.returncode == 64 and done.stderr != "" and done.stdout == ""


def test_help_of_a_command(ctl):
    for name in ("status", "migrate", "put", "ls", "show", "watch", "cancel", "retry", "priority", "pause", "resume", "reap",
                 "doctor"):
        done = ctl(name, "--help")
        assert done.stdout.startswith(f"usage: ferryctl [-f file] {name}") and done.stdout == ctl(name, "-h").stdout
    page = open(f"{ROOT}/master/ctl/ferryctl.8").read()
    for name, following in (("status", "migrate"), ("put", "ls"), ("ls", "show"), ("show", "watch"), ("pause", "resume")):
        part = page[page.index(f".It Cm {name}"):page.index(f".It Cm {following}")]
        options = set(re.findall(r"--[a-z0-9-]+", ctl(name, "--help").stdout))
        assert options == {f"--{option}" for option in re.findall(r"(?:Fl |Fl \w , |, )-([\w-]+)", part)}, name
    done = subprocess.run([f"{BUILD}/ferryd", "--help"], stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0 and done.stdout.startswith("usage: ferryd [-dhtTV] [-f file]")
    done = ctl("put", "--bogus", check=False)
    assert done.returncode == 64 and done.stderr.startswith("ferryctl put: unrecognized option '--bogus'")


def test_database_that_cannot_be_reached(base):
    done = ferryctl("ls", conninfo=f"host={base} port=1 dbname=x", check=False)
    assert done.returncode == 69 and done.stderr.strip() != ""


def test_database_of_a_configuration_file(daemon):
    done = ferryctl("ls", config=daemon.file)
    assert done.returncode == 0
    assert ferryctl("ls", config="/nonexistent/ferryd.conf", check=False).returncode == 78


def test_duplicate_is_refused_with_a_reason(ctl):
    ctl("put", "--dedup", "k", "a://b/c", "d://e/f")
    done = ctl("put", "--dedup", "k", "a://b/c", "d://e/g", check=False)
    assert done.returncode == 1 and "k" in done.stderr


def test_query_strings_are_never_printed(ctl, db):
    task = int(ctl("put", "https://user:pass@host/x?X-Amz-Signature=deadbeefsecret", "d://e/f").stdout)
    for text in (ctl("ls").stdout, ctl("show", task).stdout, ctl("cancel", task).stdout):
        assert "deadbeefsecret" not in text and "user:pass" not in text


def test_put_wait_follows_a_cancel(ctl, db):
    waiting = subprocess.Popen([f"{BUILD}/ferryctl", "put", "--wait", "a://b/c", "d://e/f"],
                               env={"FERRYCTL_DATABASE": db.conninfo("postgres")}, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    task = wait_until(lambda: db.sql("SELECT id FROM ferry.task"), 10)[0]["id"]
    ctl("cancel", task)
    assert waiting.wait(10) == 1
    waiting.communicate()
