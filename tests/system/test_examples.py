"""The programs of etc/examples, with the rights of a producer and nothing else of ferry's."""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading

import psycopg2.extensions
import pytest

from rig import ROOT, free_port, wait_until

APP = "ferry_test_producer"
EXAMPLES = f"{ROOT}/etc/examples"
PROGRAMS = {"psql": lambda source, destination: ["psql", "-X", "-v", f"source={source}", "-v", f"destination={destination}", "-f",
                                                 f"{EXAMPLES}/ship.sql"],
            "psycopg": lambda *uris: [sys.executable, f"{EXAMPLES}/ship_psycopg.py", *uris],
            "sqlalchemy": lambda *uris: [sys.executable, f"{EXAMPLES}/ship_sqlalchemy.py", *uris],
            "node": lambda *uris: ["node", f"{EXAMPLES}/ship.js", *uris]}


@pytest.fixture
def app(db):
    """The environment of an application with a schema of its own, in which the name of a table needs no prefix."""
    db.sql(f"CREATE SCHEMA {APP} AUTHORIZATION {APP}")
    dsn = psycopg2.extensions.parse_dsn(db.conninfo(APP))
    return {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1", "NODE_PATH": f"{ROOT}/tests/node_modules",
            "PGHOST": dsn["host"], "PGDATABASE": dsn["dbname"], "PGUSER": dsn["user"], **({"PGPORT": dsn["port"]} if "port" in dsn else {})}


def run(command, env, **options):
    return subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


@pytest.fixture
def shop(app):
    """The table of the programs that ship one object."""
    made = run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", f"{EXAMPLES}/upload.sql"], app)
    assert made.returncode == 0, made.stderr
    return app


def uploads(db):
    return db.sql(f"SELECT key, task FROM {APP}.upload ORDER BY id")


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_object_is_shipped_and_a_failure_is_told(ferryd, db, spool, shop, program):
    ferryd({"spool": spool.store()})
    source = spool.put("object", 3000)
    done = run(PROGRAMS[program](source, "spool://copy"), shop)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    task = db.one("SELECT max(id) FROM ferry.task")
    assert done.stdout == f"task {task} done: 3000 bytes, verified by {db.task(task)['verified_by']}\n"
    assert os.path.getsize(f"{spool.root}/copy") == 3000 and db.task(task)["created_by"] == APP
    assert uploads(db) == [{"key": source, "task": task}]
    failed = run(PROGRAMS[program]("spool://absent", "spool://copy"), shop)
    row = db.task(db.one("SELECT max(id) FROM ferry.task"))
    assert failed.returncode != 0 and row["state"] == "failed" and row["id"] > task
    assert failed.stdout == f"task {row['id']} failed: {row['error']}\n"


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_task_does_not_outlive_the_applications_transaction(db, shop, program):
    """No ferryd is needed: the application's row is refused, since its key is taken, and the task with it."""
    db.sql(f"INSERT INTO {APP}.upload (key, task) VALUES ('spool://object', 0)")
    done = run(PROGRAMS[program]("spool://object", "spool://copy"), shop)
    assert done.returncode != 0 and "upload_key_key" in done.stderr, done
    assert db.sql("SELECT id FROM ferry.task") == [] and len(uploads(db)) == 1


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_waits_until_somebody_carries_its_task(ferryd, db, spool, shop, program):
    source = spool.put("object", 3000)
    waiting = subprocess.Popen(PROGRAMS[program](source, "spool://copy"), env=shop, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: uploads(db) != [] or waiting.poll() is not None, 30, "the program to insert its rows")
        assert waiting.poll() is None, waiting.communicate()
        ferryd({"spool": spool.store()})
        out, err = waiting.communicate(timeout=100)
    finally:
        waiting.kill()
        waiting.communicate()
    assert waiting.returncode == 0 and " done: 3000 bytes" in out, err


# Django

DJANGO = f"{EXAMPLES}/django"


@pytest.fixture
def site(app, spool):
    """site(code): what the code prints in the shell of the site, whose tables are made."""
    env = {**app, "SECRET_KEY": "of the tests", "SPOOL": spool.root, "ARCHIVE": "spool://archive"}

    def shell(code):
        done = run([sys.executable, "manage.py", "shell", "-c", code], env, cwd=DJANGO)
        assert done.returncode == 0, done.stderr
        return done.stdout
    migrated = run([sys.executable, "manage.py", "migrate"], env, cwd=DJANGO)
    assert migrated.returncode == 0, migrated.stderr
    shell.env = env
    return shell


def test_django_knows_the_whole_of_its_models(db, site):
    """No migration is missing; each column of the models is one of the database; a task is inserted alone and in bulk."""
    checked = run([sys.executable, "manage.py", "makemigrations", "--check", "--dry-run", "uploads"], site.env, cwd=DJANGO)
    assert checked.returncode == 0, checked.stdout
    out = site("""
from ferry.models import Progress, Task
one = Task(source="spool://a", destination="spool://b", tags={"order": 5})
one.save()
many = Task.objects.bulk_create([Task(source=f"spool://{n}", destination=f"spool://to-{n}") for n in range(3)])
print(one.pk, [task.pk for task in many], Task.objects.filter(tags__order=5).count(), Progress.objects.count())
one.refresh_from_db()
print(one.state, one.cancel(), Task.objects.get(pk=one.pk).state, one.retry(), Task.objects.get(pk=one.pk).state)
""")
    ids = [row["id"] for row in db.sql("SELECT id FROM ferry.task WHERE source <> 'spool://a' ORDER BY id")]
    assert out.splitlines() == [f"{ids[0] - 1} {ids} 1 4", "queued True cancelled True queued"]


def test_django_inserts_no_task_for_an_upload_that_failed(db, site, spool):
    out = site("""
from unittest import mock
from django.core.files.uploadedfile import SimpleUploadedFile
from uploads import views
real = views.Task.objects.create
def late(**values):
    real(**values)
    raise RuntimeError("refused")
try:
    with mock.patch.object(views.Task.objects, "create", late):
        views.archive(SimpleUploadedFile("a.txt", b"hello"))
except RuntimeError as error:
    print(error)
""")
    assert out == "refused\n" and os.listdir(spool.root) == []
    assert db.sql("SELECT id FROM ferry.task") == db.sql(f"SELECT id FROM {APP}.uploads_upload") == []


def test_django_admin_shows_adds_cancels_and_retries(db, site):
    out = site("""
from django.contrib.auth.models import User
from django.test import Client
from ferry.models import Task
User.objects.create_superuser("admin", "", "secret")
client = Client()
client.login(username="admin", password="secret")
added = client.post("/admin/ferry/task/add/", {"source": "spool://a", "destination": "spool://b", "queue": "default", "priority": "0",
                                               "tags": "null"})
task = Task.objects.get()
print(added.status_code, task.source, task.dedup_key, task.state)
for path in "/", f"/{task.pk}/change/":
    page = client.get("/admin/ferry/task" + path, follow=True)
    print(page.status_code, "spool://a" in page.content.decode())
page = client.get("/admin/ferry/progress/")
print(page.status_code, "spool://a" in page.content.decode())
for action in "cancel", "retry":
    client.post("/admin/ferry/task/", {"action": action, "_selected_action": task.pk})
    print(Task.objects.get().state)
""")
    assert out.splitlines() == ["302 spool://a None queued", "200 True", "200 True", "200 True", "cancelled", "queued"], out


@pytest.fixture
def server(site):
    """The address of the site, served by Django's own server."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "manage.py", "runserver", "--noreload", f"127.0.0.1:{port}"], env=site.env, cwd=DJANGO,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def answers():
        assert process.poll() is None, process.stderr.read()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    try:
        wait_until(answers, 30, "the site to answer")
        yield f"127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate()


def ask(address, method, path, body=None, headers=None):
    """The answer of the site, read to its end."""
    with contextlib.closing(http.client.HTTPConnection(address, timeout=100)) as conn:
        conn.request(method, path, body, headers or {})
        answer = conn.getresponse()
        return answer, answer.read().decode()


def upload(address, name, content):
    form, page = ask(address, "GET", "/uploads/")
    cookie = re.search(r"csrftoken=\w+", form.headers["Set-Cookie"])[0]
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[1]
    body = (f'--x\r\nContent-Disposition: form-data; name="csrfmiddlewaretoken"\r\n\r\n{token}\r\n'
            f'--x\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n{content}\r\n--x--\r\n')
    answer, text = ask(address, "POST", "/uploads/", body.encode(), {"Cookie": cookie, "Content-Type": "multipart/form-data; boundary=x"})
    assert answer.status == 302, text
    return answer.headers["Location"]


def test_django_carries_an_upload_and_its_page_hears_of_the_end(ferryd, db, spool, site, server):
    shutil.chown(spool.root, "nobody")
    page = upload(server, "a file.txt", "hello")
    answer, text = ask(server, "GET", page)
    assert answer.status == 200 and "a file.txt" in text and 'new EventSource("end")' in text
    told = json.loads(ask(server, "GET", page + "progress")[1])
    assert (told["state"], told["waiting_for"]) == ("queued", "no node is alive")
    heard = []
    listener = threading.Thread(target=lambda: heard.append(ask(server, "GET", page + "end")))
    listener.start()
    wait_until(lambda: [s for s in db.sessions() if s["usename"] == APP and s["state"] == "idle"], 30, "the page to listen")
    ferryd({"spool": spool.store()})
    listener.join(100)
    answer, text = heard[0]
    assert answer.headers["Content-Type"] == "text/event-stream"
    *_, last = text.rstrip().split("\n\n")
    assert last.startswith("event: end\ndata: ")
    assert json.loads(last.partition("data: ")[2]) == {"state": "done", "bytes_done": 5, "bytes_total": 5, "error": None}
    assert json.loads(ask(server, "GET", page + "progress")[1])["state"] == "done"
    row = db.sql("SELECT * FROM ferry.task")[0]
    assert row["expect_size"] == 5 and row["destination"] == "spool://archive/1/a file.txt" and row["created_by"] == APP
    assert open(f"{spool.root}/archive/1/a file.txt").read() == "hello"
