"""Rights: producers may insert and read, the daemon may do its work, and neither owns anything.  Whose rows: test_producers.py."""

import contextlib

import psycopg2
import pytest

DENIED = psycopg2.errors.InsufficientPrivilege


@pytest.fixture
def session(db):
    with contextlib.ExitStack() as stack:
        def as_role(role):
            return stack.enter_context(contextlib.closing(db.connect(role))).cursor()
        yield as_role


PRODUCER_MAY = [
    "INSERT INTO ferry.task (source, destination) VALUES ('a://b', 'c://d') RETURNING id",
    "INSERT INTO ferry.task (source, destination, queue, priority, run_at, dedup_key, max_attempts, if_exists, expect_size, "
    "expect_crc64, content_type, metadata, storage_class) VALUES ('a://b', 'c://d', 'q', 1, now(), 'k', 3, 'skip', 1, "
    "18446744073709551615, 'a/b', '{\"a\": \"b\"}', 'STANDARD')",
    "SELECT * FROM ferry.task", "SELECT * FROM ferry.progress", "SELECT * FROM ferry.workers", "SELECT * FROM ferry.queue",
    "SELECT * FROM ferry.store", "SELECT * FROM ferry.hold", "SELECT * FROM ferry.limits", "SELECT * FROM ferry.permission", "SELECT * FROM ferry.own",
    "SELECT ferry.cancel(1)", "SELECT ferry.retry(1)", "SELECT ferry.tagged('{}')", "SELECT ferry.depth()", "SELECT ferry.erase(1)",
]
PRODUCER_MAY_NOT = [
    "UPDATE ferry.task SET priority = 1", "UPDATE ferry.task SET state = 'cancelled'", "DELETE FROM ferry.task",
    "TRUNCATE ferry.task", "DELETE FROM ferry.own", "INSERT INTO ferry.own (state) VALUES ('queued')",
    "DELETE FROM ferry.task_ended", "SELECT * FROM ferry.task_live", "SELECT * FROM ferry.task FOR UPDATE",
    "SELECT nextval('ferry.task_id_seq')", "SELECT setval('ferry.task_id_seq', 1)", "UPDATE ferry.own SET id = 1",
    "INSERT INTO ferry.task (source, destination, state) VALUES ('a://b', 'c://d', 'done')",
    "INSERT INTO ferry.task (source, destination, claim) VALUES ('a://b', 'c://d', 7)",
    "SELECT * FROM ferry.node", "SELECT * FROM ferry.upload", "SELECT * FROM ferry.part",
    "INSERT INTO ferry.queue (name) VALUES ('x')", "SELECT ferry.reprioritise(1, 1)", "SELECT ferry.pause('x')",
    "SELECT ferry.new_claim()", "INSERT INTO ferry.permission (role) VALUES ('x')", "DELETE FROM ferry.permission",
    "CREATE TABLE ferry.x (a int)", "DROP TABLE ferry.task", "ALTER TABLE ferry.task ADD x int",
]
DAEMON_MAY = [
    "SELECT * FROM ferry.task", "UPDATE ferry.task SET priority = 1", "SELECT * FROM ferry.schema_version",
    "SELECT * FROM ferry.node", "DELETE FROM ferry.upload", "SELECT ferry.cancel(1)", "SELECT ferry.retry(1)",
    "INSERT INTO ferry.queue (name) VALUES ('x')", "SELECT * FROM ferry.progress", "SELECT * FROM ferry.workers", "LISTEN ferry_task",
    "INSERT INTO ferry.permission (role) VALUES ('x')", "SELECT ferry.tagged('{}')", "SELECT ferry.depth()",
]
DAEMON_MAY_NOT = [
    "DROP TABLE ferry.task", "TRUNCATE ferry.task", "CREATE TABLE ferry.x (a int)", "ALTER TABLE ferry.task ADD x int",
    "DROP SCHEMA ferry CASCADE", "CREATE ROLE x", "CREATE OR REPLACE FUNCTION ferry.cancel(task_id bigint) RETURNS boolean "
    "LANGUAGE sql AS 'SELECT true'",
]


@pytest.mark.parametrize("statement", PRODUCER_MAY)
def test_producer_may(session, statement):
    session("ferry_test_producer").execute(statement)


@pytest.mark.parametrize("statement", PRODUCER_MAY_NOT)
def test_producer_may_not(session, statement):
    with pytest.raises(DENIED):
        session("ferry_test_producer").execute(statement)


@pytest.mark.parametrize("statement", DAEMON_MAY)
def test_daemon_may(session, statement):
    session("ferry_test_daemon").execute(statement)


@pytest.mark.parametrize("statement", DAEMON_MAY_NOT)
def test_daemon_may_not(session, statement):
    with pytest.raises(DENIED):
        session("ferry_test_daemon").execute(statement)


def test_neither_role_owns_a_thing_or_can_log_in(db):
    owners = db.sql("SELECT DISTINCT pg_get_userbyid(relowner) AS owner FROM pg_class WHERE relnamespace = 'ferry'::regnamespace "
                    "UNION SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = 'ferry' "
                    "UNION SELECT pg_get_userbyid(proowner) FROM pg_proc WHERE pronamespace = 'ferry'::regnamespace")
    assert {row["owner"] for row in owners} == {"postgres"}
    assert db.one("SELECT bool_or(rolcanlogin OR rolsuper OR rolcreaterole OR rolcreatedb) FROM pg_roles "
                  "WHERE rolname IN ('ferry_producer', 'ferry_daemon')") is False


BAD_ROWS = [
    dict(source=""), dict(source="x" * 8192), dict(max_attempts=0), dict(if_exists="maybe"), dict(expect_size=-1),
    dict(expect_crc64=-1), dict(expect_crc64=18446744073709551616), dict(content_type="a\nb"), dict(storage_class="a b"),
    dict(metadata={"a b": "c"}), dict(metadata={"a": "b\r\nX-Evil: 1"}), dict(metadata={"a": "x" * 8000}), dict(queue=""),
]


@pytest.mark.parametrize("columns", BAD_ROWS, ids=range(len(BAD_ROWS)))
def test_rows_that_no_worker_should_ever_see_are_refused(db, columns):
    row = {"source": "a://b/c", "destination": "d://e/f", **columns}
    with pytest.raises(psycopg2.errors.CheckViolation):
        db.put(row.pop("source"), row.pop("destination"), **row)
