"""PgBouncer in front of the database: in session mode all works, and transaction mode is refused by name."""

import contextlib
import json
import os
import re

import psycopg2
import pytest

from bouncer import Bouncer
from rig import MIB, ferryctl, holds, wait_until
from stores import BUCKET

NAMED = r"a pooler gives this connection to other clients between transactions; set pool_mode = session"


@pytest.fixture
def bouncer(tmp_base, db):
    made = []

    def make(**settings):
        made.append(Bouncer(f"{tmp_base}/bouncer{len(made)}", db.pg, **settings))
        return made[-1]
    yield make
    for one in made:
        one.stop()


def behind(ferryd, pooler, db, stores, **conf):
    daemon = ferryd(stores, start=False, **conf)
    daemon.conf["database"] = pooler.conninfo(db.name)
    daemon.write()
    return daemon


def test_session_mode_works_as_it_comes(bouncer, ferryd, db, spool, cos):
    """The task is seen long before a poll, so that LISTEN works; the object has parts, so that the worker has a session, too."""
    pooler = bouncer(pool_mode="session")
    daemon = behind(ferryd, pooler, db, {"cos": cos.store(), "spool": spool.store()}, poll="1h").start()
    row = db.done(db.put(spool.put("o", 12 * MIB), f"cos://{BUCKET}/o"))
    assert int(row["crc64"]) == spool.crc64("o", 12 * MIB)
    names = {s["application_name"] for s in db.sessions()}
    assert "ferryd" in names and any(n.startswith("ferry-worker") for n in names), names
    assert "ferryd pooler" not in names, "the second connection lasts as long as the question"
    assert not daemon.log("database away"), daemon.log_text()


def fill(pooler, db, count):
    """Makes the pool hold so many servers, all free."""
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(contextlib.closing(psycopg2.connect(pooler.conninfo(db.name)))) for _ in range(count)]
        for conn in connections:
            conn.cursor().execute("SELECT 1")
        for conn in connections:
            conn.commit()
    assert len(db.sessions()) == count


@pytest.mark.parametrize("servers, in_turns", [(1, 0), (3, 0), (2, 1), (3, 1)])
def test_transaction_mode_is_refused_at_the_start(bouncer, ferryd, db, servers, in_turns):
    pooler = bouncer(pool_mode="transaction", server_round_robin=in_turns)
    fill(pooler, db, servers)
    code, _, text = behind(ferryd, pooler, db, {}, workers=1).run("-d")
    assert code == os.EX_CONFIG, text
    assert "the database cannot be used" in text and NAMED in text, text


@pytest.mark.parametrize("mode,level", [("session", "ok"), ("transaction", "fail")])
def test_the_doctor_names_transaction_mode(bouncer, ferryd, db, mode, level):
    pooler = bouncer(pool_mode=mode)
    done = ferryctl("doctor", "--json", config=behind(ferryd, pooler, db, {}, workers=1).file, check=False)
    (found,) = [finding for finding in json.loads(done.stdout) if finding["check"] == "pooler"]
    assert found["level"] == level and bool(re.match(NAMED, found["text"])) == (level == "fail"), found


def test_a_statement_that_another_has_prepared_names_transaction_mode(bouncer, ferryd, db):
    """The one server of the pool has a prepared statement of the name that ferryd gives to its own."""
    pooler = bouncer(pool_mode="transaction", default_pool_size=1)
    with contextlib.closing(psycopg2.connect(pooler.conninfo(db.name))) as conn, conn.cursor() as cursor:
        cursor.execute("PREPARE session AS SELECT 1")
        conn.commit()
        code, _, text = behind(ferryd, pooler, db, {}, workers=1).run("-d")
    assert code == os.EX_CONFIG and NAMED in text, text


def test_a_pooler_that_changes_its_mode_is_named_and_waited_for(bouncer, ferryd, db, spool):
    pooler = bouncer(pool_mode="session")
    daemon = behind(ferryd, pooler, db, {"spool": spool.store()}, workers=1).start()
    db.done(db.put(spool.put("a", 1000), "spool://a.copy"))
    pooler.restart(pool_mode="transaction")
    daemon.wait_log(NAMED, 20)
    task = db.put(spool.put("b", 1000), "spool://b.copy")
    holds(lambda: db.state(task) == "queued", 2)
    pooler.restart(pool_mode="session")
    db.done(task)
    assert daemon.alive()


def test_ferryctl_works_over_session_mode(bouncer, ferryd, db, spool):
    pooler = bouncer(pool_mode="session")
    daemon = behind(ferryd, pooler, db, {"spool": spool.store()}, workers=1).start()
    conninfo = pooler.conninfo(db.name)
    ferryctl("put", "--wait", spool.put("o", 1000), "spool://o.copy", conninfo=conninfo)
    assert "spool://o.copy" in ferryctl("ls", "-s", "done", conninfo=conninfo).stdout
    ferryctl("status", conninfo=conninfo)
    assert daemon.alive()


TRACES = """SELECT name, setting FROM pg_settings WHERE source = 'session' AND name NOT IN ('application_name', 'client_encoding')
            UNION ALL SELECT 'lock', locktype FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'
            UNION ALL SELECT 'prepared', name FROM pg_prepared_statements
            UNION ALL SELECT 'listens', pg_listening_channels() ORDER BY 1, 2"""


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_migrate_leaves_nothing_behind_on_a_pooled_server(bouncer, pg, db, mode):
    """The pool has one server, which nobody resets."""
    pooler = bouncer(pool_mode=mode, default_pool_size=1, server_reset_query="")
    pg.admin(f"CREATE DATABASE {db.name}_bare")
    conninfo = pooler.conninfo(f"{db.name}_bare", "postgres")

    def look():
        with contextlib.closing(psycopg2.connect(conninfo)) as conn, conn.cursor() as cursor:
            conn.autocommit = True  # a client that leaves in a transaction takes its server along
            cursor.execute("SELECT pg_backend_pid()")
            backend = cursor.fetchone()[0]
            cursor.execute(TRACES)
            return backend, cursor.fetchall()
    try:
        before = look()
        ferryctl("migrate", conninfo=conninfo)
        assert look() == before
        ferryctl("migrate", "-n", conninfo=conninfo)
        assert look() == before
    finally:
        pooler.stop()
        pg.admin(f"DROP DATABASE {db.name}_bare")
        pooler.start()
