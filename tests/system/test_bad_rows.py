"""One row that cannot be read never stops the queue.  The database here has an encoding that lets any byte into a text."""

import contextlib

import psycopg2
import pytest

from rig import ROOT, SCHEMA, Database, ferryctl, wait_until
from stores import BUCKET

LANES = {"in order": "SELECT", "by lanes": "UPDATE ferry.queue SET weight = 3"}
ENCODINGS = {"SQL_ASCII": r"E'\xff'", "WIN1252": r"E'\x81'", "EUC_CN": r"E'\xfe\xfe'"}


def make(pg, name, encoding):
    pg.admin(f"CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")


@pytest.fixture(params=ENCODINGS)
def encoding(request):
    return request.param


@pytest.fixture
def db(pg, encoding):
    """A database that has a schema although migrate refuses its encoding."""
    name = f"ferry_{encoding.lower()}"
    make(pg, name, encoding)
    database = Database.__new__(Database)
    database.pg, database.name, database.conn = pg, name, None
    with contextlib.closing(psycopg2.connect(database.pg.conninfo(name))) as conn, conn, conn.cursor() as cur:
        with open(f"{ROOT}/etc/schema.sql", encoding="ascii") as f:
            cur.execute(f.read())
        cur.execute("INSERT INTO ferry.schema_version (version, compatible_from) VALUES (%s, %s)", (SCHEMA, SCHEMA))
    yield database
    database.drop()


def wait(db, task):
    wait_until(lambda: db.one("SELECT state FROM ferry.task WHERE id = %s", (task,)) in ("done", "failed"), 10, f"task {task} to end")
    row = db.sql("SELECT state, error FROM ferry.task WHERE id = %s", (task,))[0]
    return row["state"], row["error"]


@pytest.mark.parametrize("lanes", LANES)
def test_a_row_that_cannot_be_read_fails_alone(ferryd, db, encoding, cos, spool, lanes):
    db.sql(LANES[lanes])
    source = spool.put("object", 1000)
    bad = ENCODINGS[encoding]
    before = [db.put(source, f"cos://{BUCKET}/before{n}") for n in range(3)]
    broken = [db.one(f"INSERT INTO ferry.task (source, destination) VALUES ('{source}', 'cos://{BUCKET}/' || {bad}) RETURNING id"),
              db.one(f"INSERT INTO ferry.task (source, destination, queue) VALUES ('{source}' || {bad}, 'cos://{BUCKET}/x', 'default') "
                     "RETURNING id")]
    after = [db.put(source, f"cos://{BUCKET}/after{n}") for n in range(3)]
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=4)
    for task in before + after:
        assert wait(db, task) == ("done", None)
    for task in broken:
        state, error = wait(db, task)
        assert state == "failed" and error.startswith("the row cannot be read: "), (state, error)
    assert f"encoding {encoding}" in daemon.log_text()


def test_migrate_refuses_the_encoding_and_names_the_right_one(pg, encoding):
    make(pg, "ferry_refused", encoding)
    try:
        done = ferryctl("migrate", conninfo=pg.conninfo("ferry_refused"), check=False)
        assert done.returncode == 1
        assert encoding in done.stderr and "UTF8" in done.stderr and "createdb -E UTF8" in done.stderr
    finally:
        pg.admin("DROP DATABASE ferry_refused WITH (FORCE)")
