"""ferryctl as people see it: screens of a terminal (tmux), tables, JSON and CSV for programs, completion."""

import csv
import io
import json
import os
import re
import shlex
import subprocess

import pytest

from rig import BUILD, MIB, ROOT, ferryctl, wait_until
from stores import BUCKET


class Terminal:
    """A terminal of tmux in which a shell command runs; the screen stays when the command has ended."""

    def __init__(self, directory, conninfo, columns=100, lines=30):
        self.socket, self.size, self.conninfo, self.directory = f"{directory}/tmux", (columns, lines), conninfo, directory

    def tmux(self, *arguments):
        return subprocess.run(["tmux", "-S", self.socket, "-f", "/dev/null", *arguments], check=True, stdout=subprocess.PIPE, text=True,
                              env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}).stdout

    def run(self, *arguments, **environment):
        environment.update(FERRYCTL_DATABASE=self.conninfo)
        sets = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
        words = " ".join(shlex.quote(str(word)) for word in arguments)
        columns, lines = self.size
        self.tmux("new-session", "-d", "-x", str(columns), "-y", str(lines),
                  f"env {sets} {BUILD}/ferryctl {words}; echo exit=$?; exec sleep 1000")

    def screen(self, colours=False):
        return self.tmux("capture-pane", "-p", *(["-e"] if colours else []))

    def wait(self, pattern, timeout=30, colours=False):
        """The match of pattern on the screen."""
        return wait_until(lambda: re.search(pattern, self.screen(colours)), timeout, lambda: f"{pattern!r} on:\n{self.screen(colours)}")

    def close(self):
        subprocess.run(["tmux", "-S", self.socket, "kill-server"], stderr=subprocess.DEVNULL)


@pytest.fixture
def terminal(tmp_base, db):
    made = []

    def make(**options):
        made.append(Terminal(tmp_base, db.conninfo(options.pop("user", "ferry_test_daemon")), **options))
        return made[-1]
    yield make
    for one in made:
        one.close()


@pytest.fixture
def ctl(db):
    def run(*arguments, **options):
        return ferryctl(*arguments, conninfo=db.conninfo("ferry_test_daemon"), **options)
    return run


def put(db, **columns):
    """A row that no daemon serves."""
    columns = {"source": "a://b/k", "destination": f"c://d/{db.one('SELECT count(*) FROM ferry.task')}", **columns}
    return db.one(f"INSERT INTO ferry.task ({', '.join(columns)}) VALUES ({', '.join(['%s'] * len(columns))}) RETURNING id",
                  tuple(columns.values()))


def upload(db, task, parts, part_size=MIB, size=10 * MIB):
    db.sql("INSERT INTO ferry.upload (task, upload_id, destination, claim, source_size, source_etag, part_size, first_claim) "
           "VALUES (%s, 'u', 'c://d/k', 1, %s, 'e', %s, 1)", (task, size, part_size))
    for number in parts:
        db.sql("INSERT INTO ferry.part VALUES (%s, 'u', %s, %s, 0, 'e')", (task, number, part_size))


# The bar

def test_bar_of_a_transfer_grows_until_it_is_done(terminal, ferryd, cos, spool, db):
    spool.put("object", 12 * MIB)
    cos.rate(MIB)
    ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1, worker={"part_size": "16M", "streams": 1})
    screen = terminal(columns=100)
    screen.run("put", "--wait", "spool://object", f"cos://{BUCKET}/object")
    first = int(screen.wait(r"task \d+ running \[█+░+\] (\d+)% \S+ MiB of 12.0 MiB")[1])
    assert 0 < first < 100
    screen.wait(r"running \[.*MiB/s, \d+s left")
    cos.rate(0)
    screen.wait(r"task \d+ done: 12.0 MiB, verified by crc64\s+exit=0")


def test_map_shows_parts_that_are_done_in_flight_and_to_do(terminal, db):
    task = put(db, state="running", claim=1, first_claim=1, bytes_total=10 * MIB, bytes_done=5 * MIB)
    upload(db, task, (1, 2, 5, 6))
    screen = terminal(columns=80)
    screen.run("watch", task, NO_COLOR="1")
    cells = screen.wait(rf"task {task} running \[([█▒░]+)\] 50% 5.0 MiB of 10.0 MiB")[1]
    n = len(cells)
    assert re.fullmatch(r"█+▒+░+█+░+", cells) and abs(cells.count("█") - 0.4 * n) <= 3 and abs(cells.count("▒") - 0.1 * n) <= 2
    assert "\033[3" not in screen.screen(colours=True)
    db.sql("SELECT ferry.cancel(%s)", (task,))
    screen.wait(rf"task {task} cancelled: cancelled\s+exit=1")


def test_bar_has_colours_and_fits_the_terminal(terminal, db):
    task = put(db, state="running", claim=1, first_claim=1, bytes_total=10 * MIB, bytes_done=5 * MIB)
    narrow = terminal(columns=60)
    narrow.run("watch", task)
    narrow.wait(r"\033\[32m█+", colours=True)
    lines = narrow.screen().rstrip().splitlines()
    assert len(lines) == 1 and lines[0].endswith("5.0 MiB of 10.0 MiB"), lines


def test_producer_who_may_not_read_parts_has_a_bar_of_bytes(terminal, db):
    task = put(db, state="running", claim=1, first_claim=1, bytes_total=10 * MIB, bytes_done=5 * MIB, created_by="ferry_test_producer")
    upload(db, task, (7, 8))
    screen = terminal(columns=80, user="ferry_test_producer")
    screen.run("watch", task)
    screen.wait(r"\[█+░+\] 50%")


def test_who_waits_sees_why(terminal, db):
    task = put(db)
    screen = terminal()
    screen.run("watch", task)
    screen.wait(rf"task {task} queued, waits for: no node is alive")


def test_without_a_terminal_there_are_plain_lines(db, ctl):
    task = put(db, state="running", claim=1, first_claim=1, bytes_total=10 * MIB, bytes_done=5 * MIB)
    watch = subprocess.Popen([f"{BUILD}/ferryctl", "watch", str(task)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                             env={"FERRYCTL_DATABASE": db.conninfo("ferry_test_daemon")})
    assert watch.stderr.readline() == f"task {task} running 50% 5.0 MiB of 10.0 MiB\n"
    db.sql("UPDATE ferry.task SET state = 'done', bytes_done = bytes_total, verified_by = 'crc64', finished_at = now()")
    assert watch.stderr.readline() == f"task {task} done: 10.0 MiB, verified by crc64\n"
    assert watch.wait(30) == 0
    watch.communicate()
    assert ctl("watch", 999, check=False).returncode == 1


# status

def test_status_of_a_fleet(ctl, ferryd, cos, spool, db):
    done = ctl("status", check=False)
    assert done.returncode == 1 and "trouble: no node is alive" in done.stdout
    spool.put("object", MIB)
    daemon = ferryd({"cos": cos.store(), "spool": {**spool.store(), "max_transfers": 7}}, workers=2)
    db.done(db.put("spool://object", f"cos://{BUCKET}/object"))
    failed = db.put("spool://absent", f"cos://{BUCKET}/absent")
    db.wait(failed, "failed")
    db.sql("SELECT ferry.pause('default')")
    db.put("spool://object", f"cos://{BUCKET}/later")
    node = rf"^\S.*\s{daemon.pid}\s+\S+\s+\d+[smh]\s+\d+[smh]\s+2\s+0\s+0\s+default$"
    wait_until(lambda: re.search(node, ctl("status").stdout, re.M), 30, lambda: f"two workers in {ctl('status').stdout}")
    shown = ctl("status").stdout
    assert shown.startswith("all is well\n"), shown
    assert re.search(r"^default\s+paused\s+0\s+1\s+\d+[smh]", shown, re.M), shown
    assert re.search(r"^\s+1 queue default is paused$", shown, re.M), shown
    assert re.search(r"^spool\s+1\s+0\s+0\s+7$", shown, re.M), shown
    assert re.search(r"^\s+1\s+1\s+1.0 MiB\s", shown, re.M), shown
    assert re.search(rf"^\s*\d+[smh]\s+{failed}\s+permanent\s+spool://absent\s", shown, re.M), shown
    told = json.loads(ctl("status", "--json").stdout)
    assert told["troubles"] == [] and told["nodes"][0]["workers"] == 2 and told["failures"][0]["id"] == failed
    assert told["queues"][0] == {"queue": "default", "open": "paused", "running": 0, "waiting": 1, "max_transfers": None, "rate": None,
                                 "weight": None, "oldest_s": told["queues"][0]["oldest_s"]}
    db.sql("SELECT ferry.resume('default')")
    db.put("spool://object", f"cos://{BUCKET}/never", queue="unserved")
    wait_until(lambda: ctl("status", check=False).returncode == 1, 20, "the status to tell the trouble")
    assert "trouble: 1 task(s) wait: no node serves queue unserved" in ctl("status", check=False).stdout


def test_status_names_a_lapsed_node(ctl, db):
    db.sql("INSERT INTO ferry.node (id, name, pid, version, lease, renewed_at) VALUES (1, 'gone', 1, 'x', '1 s', now() - interval '1 h')")
    done = ctl("status", check=False)
    assert done.returncode == 1 and "trouble: the lease of node gone has lapsed" in done.stdout


def test_status_names_a_store_that_is_held(ctl, db):
    db.sql("INSERT INTO ferry.node (id, name, pid, version, lease, queues) VALUES (1, 'n', 1, 'x', '30 s', '{default}')")
    db.sql("INSERT INTO ferry.node_store (node, store) VALUES (1, 'cos'), (1, 'ceph')")
    assert ctl("status").stdout.startswith("all is well\n")
    db.sql("INSERT INTO ferry.hold VALUES (1, 'cos', 'destination', 'held', 'store', 'transient', 'connection refused', now() - interval '70 s')")
    done = ctl("status", check=False)
    assert done.returncode == 1 and "trouble: store cos is held on node n: connection refused" in done.stdout
    assert re.search(r"^ceph\s.*\s-\s+-$", done.stdout, re.M) and re.search(r"^cos\s.*\s1m connection refused$", done.stdout, re.M), done.stdout


# ls and show

def listed(ctl, *options):
    return [row["id"] for row in json.loads(ctl("ls", "--json", *options).stdout)]


def test_ls_filters_and_sorts(ctl, db):
    small = put(db, source="ceph://b/small", bytes_total=1, priority=9)
    large = put(db, source="ceph://b/large", bytes_total=1000, queue="video", created_at="2020-01-01")
    failed = put(db, state="failed", error="HTTP 404", error_class="permanent", destination="cos://b/k", bytes_total=100, finished_at="now")
    assert listed(ctl) == [failed, large, small] and listed(ctl, "-r") == [small, large, failed]
    assert listed(ctl, "-o", "size") == [large, failed, small] and listed(ctl, "-o", "size", "-r", "-n", "1") == [small]
    assert listed(ctl, "-o", "priority", "-n", "1") == [small] and listed(ctl, "-o", "finished", "-n", "1") == [failed]
    assert listed(ctl, "--store", "ceph") == [large, small] and listed(ctl, "--store", "cos") == [failed]
    assert listed(ctl, "--text", "lar") == [large] and listed(ctl, "-q", "video") == [large]
    assert listed(ctl, "--error", "permanent") == [failed] and listed(ctl, "--since", "1h") == [failed, small]
    shown = ctl("ls").stdout
    assert re.search(rf"^{failed}\s+failed\s.*\sHTTP 404\s+-$", shown, re.M) and "no node is alive" in shown
    assert "ERROR" not in ctl("ls", "-s", "queued").stdout
    assert re.search(rf"^{large}\s.*\s1000\s+0\s+\d{{7,}}\s", ctl("ls", "--bytes").stdout, re.M)
    for wrong in (["-o", "colour"], ["--since", "soon"], ["-n", "0"]):
        assert ctl("ls", *wrong, check=False).returncode == 64


HOSTILE = 'ceph://b/"quoted", \\back\x1b[31m\u009b'


def test_hostile_names_are_text_in_every_form(ctl, db):
    task = put(db, source=HOSTILE, error="line\nbreak", state="failed")
    url = put(db, source="https://u:p@h/k?sig=secret")
    (row,) = [r for r in json.loads(ctl("ls", "--json").stdout) if r["id"] == task]
    assert row["source"] == HOSTILE and row["error"] == "line\nbreak"
    assert json.loads(ctl("show", "--json", task).stdout)["task"]["source"] == HOSTILE
    rows = list(csv.DictReader(io.StringIO(ctl("ls", "--csv").stdout)))
    assert [int(r["id"]) for r in rows] == [url, task] and rows[1]["source"] == 'ceph://b/"quoted", \\back?[31m?'
    for arguments in (("ls",), ("ls", "--json"), ("ls", "--csv"), ("show", task), ("show", "--json", task), ("show", "--csv", url),
                      ("show", "--json", url), ("show", url), ("status",)):
        out = ctl(*arguments, check=False).stdout
        assert "\x1b" not in out and "\u009b" not in out and "secret" not in out and "u:p" not in out, arguments


def test_show_tells_the_story(ctl, db):
    task = put(db, state="running", claim=1, first_claim=1, attempt=2, crashes=1, error="HTTP 503", queue="video", bytes_total=10 * MIB,
               created_at="2026-01-01 00:00", started_at="2026-01-01 00:05")
    upload(db, task, (1, 2))
    shown = ctl("show", task).stdout
    for sentence in (r"it was made \d+d ago, for queue video", "it was first claimed after 5m",
                     "failed transfers: 2, workers that died: 1, and for want of memory: 0", "the last failure was: HTTP 503",
                     r"bytes_total\s+10485760 \(10.0 MiB\)", r"upload\s+u: open, 2 parts with 2.0 MiB of 10.0 MiB, part size 1.0 MiB"):
        assert re.search(sentence, shown), shown
    assert re.search(r"bytes_total\s+10485760$", ctl("show", "--bytes", task).stdout, re.M)
    told = json.loads(ctl("show", "--json", task).stdout)
    assert told["task"]["attempt"] == 2 and told["uploads"][0]["parts"] == 2
    queued = put(db)
    assert "it was never claimed" in ctl("show", queued).stdout and "it waits for: no node is alive" in ctl("show", queued).stdout


def test_ls_fits_the_terminal(terminal, db):
    put(db, source="ceph://b/" + "x" * 200, destination="cos://b/" + "y" * 200, state="failed", error="HTTP 404 " + "z" * 200)
    screen = terminal(columns=110)
    screen.run("ls")
    screen.wait("exit=0")
    lines = screen.screen().rstrip().splitlines()
    assert len(lines) == 3 and "…xxx" in lines[1] and "HTTP 404" in lines[1], lines


# Queues

def test_pause_of_a_queue_that_nobody_named(ctl, db):
    done = ctl("pause", "vidoe", check=False)
    assert done.returncode == 1 and "--create" in done.stderr and db.sql("SELECT name FROM ferry.queue WHERE name = 'vidoe'") == []
    assert ctl("pause", "--create", "vidoe").stdout == "queue vidoe paused\n"
    put(db, queue="video")
    db.sql("INSERT INTO ferry.node (id, name, pid, version, lease, queues) VALUES (1, 'n', 1, 'x', '30 s', '{bulk}')")
    assert ctl("pause", "video", "bulk").stdout == "queue video paused\nqueue bulk paused\n"
    done = ctl("pause", "video", check=False)
    assert done.returncode == 1 and "queue video is paused already" in done.stderr


# Completion

def bash(db, line):
    words = line.split(" ")
    script = (f". {ROOT}/etc/completion/ferryctl.bash; COMP_WORDS=({' '.join(shlex.quote(w) for w in words)}); "
              f"COMP_CWORD={len(words) - 1}; _ferryctl; printf '%s\\n' \"${{COMPREPLY[@]}}\"")
    return completed(db, ["bash", "--norc", "-c", script])


def zsh(db, line):
    """compadd outside of a completion is a function that prints."""
    words = line.split(" ")
    script = ("compadd() { for word in ${(P)2}; do [[ $word == ${words[CURRENT]}* ]] && print -r -- $word; done; return 0 }; "
              f"words=({' '.join(shlex.quote(w) for w in words)}); CURRENT={len(words)}; . {ROOT}/etc/completion/_ferryctl")
    return completed(db, ["zsh", "-f", "-c", script])


def completed(db, command):
    env = {"PATH": f"{BUILD}:{os.environ['PATH']}", "FERRYCTL_DATABASE": db.conninfo("ferry_test_daemon"), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.stderr == "", done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("shell", [bash, zsh])
def test_completion(shell, db):
    queued, failed = put(db, queue="video"), put(db, state="failed")
    assert shell(db, "ferryctl st") == {"status"} and {"put", "ls", "show", "watch", "pause"} <= shell(db, "ferryctl ")
    assert {"--wait", "--queue", "--if-exists", "--dedup"} <= shell(db, "ferryctl put --")
    assert shell(db, "ferryctl put --wa") == {"--wait"}
    assert shell(db, "ferryctl ls -s f") == {"failed"} and shell(db, "ferryctl put --if-exists s") == {"skip"}
    assert shell(db, "ferryctl pause v") == {"video"} and shell(db, "ferryctl ls -q d") == {"default"}
    assert shell(db, "ferryctl cancel ") == {str(queued)} and shell(db, "ferryctl retry ") == {str(failed)}
    assert shell(db, "ferryctl show ") == {str(queued), str(failed)}
