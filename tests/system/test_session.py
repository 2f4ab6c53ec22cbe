"""What other roles, other schemas and settings of the database cannot do to the sessions of ferryd and ferryctl."""

import contextlib

import psycopg2
import pytest

from rig import MIB, ferryctl, wait_until
from stores import BUCKET

# A setting of the role that would change what statements mean, and what a session has instead.
SETTINGS = {"search_path": "evil, pg_catalog", "default_transaction_isolation": "serializable", "DateStyle": "SQL, DMY",
            "IntervalStyle": "sql_standard", "TimeZone": "Asia/Kathmandu", "array_nulls": "off", "standard_conforming_strings": "off",
            "extra_float_digits": "-10", "enable_indexscan": "off", "lock_timeout": "1", "transform_null_equals": "on",
            "default_transaction_deferrable": "on"}


@pytest.fixture
def odd(db):
    for name, value in SETTINGS.items():
        value = value if name == "search_path" else f"'{value}'"
        db.sql(f"ALTER ROLE ferry_test_daemon IN DATABASE {db.name} SET {name} = {value}")
    return db


def test_a_daemon_works_whatever_its_role_and_database_are_set_to(ferryd, odd, spool):
    odd.sql("UPDATE ferry.queue SET weight = 2, max_transfers = 5")
    tasks = [odd.put(spool.put(f"o{n}", 1000), f"spool://copy{n}", metadata={"a": "b"}) for n in range(5)]
    daemon = ferryd({"spool": spool.store()}, workers=2)
    rows = odd.done(*tasks, timeout=20)
    assert {(row["warning"], row["etag"]) for row in rows} == {(None, None)}, "NULL in an array is no text"
    assert not daemon.log("refuses"), daemon.log_text()


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_limits_hold_under_every_isolation_level(ferryd, db, cos, spool, level):
    """The claims of two nodes, of other queues, wait for each other.  The second counts what the first has taken."""
    db.sql(f"ALTER ROLE ferry_test_daemon IN DATABASE {db.name} SET default_transaction_isolation = '{level}'")
    stores = {"cos": {**cos.store(), "max_transfers": 1}, "spool": spool.store()}
    for queue in "ab":
        ferryd(stores, workers=2, queues=[queue])
    cos.rate(MIB)
    spool.put("object", 2 * MIB)
    with contextlib.closing(db.connect()) as conn:
        conn.autocommit = False
        conn.cursor().execute("LOCK TABLE ferry.claim_lock IN SHARE ROW EXCLUSIVE MODE")
        db.sql("INSERT INTO ferry.task (source, destination, queue) "
               "SELECT 'spool://object', %s || n, CASE n %% 2 WHEN 0 THEN 'a' ELSE 'b' END FROM generate_series(1, 4) n",
               (f"cos://{BUCKET}/",))
        wait_until(lambda: db.one("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'ferry.claim_lock'::regclass") == 2, 10,
                   "both claims to wait")
        conn.commit()
    running = "SELECT count(*) FROM ferry.task WHERE state = 'running'"
    seen = set()
    wait_until(lambda: seen.add(db.one(running)) or not db.sql("SELECT id FROM ferry.task_live"), 60, "all to end")
    assert max(seen) == 1


EVIL = """
    CREATE SCHEMA evil;
    GRANT ALL ON SCHEMA evil TO PUBLIC;
    CREATE TABLE evil.called (by text);
    GRANT ALL ON evil.called TO PUBLIC;
    CREATE FUNCTION evil.note() RETURNS void LANGUAGE sql AS 'INSERT INTO evil.called VALUES (current_user)';
    CREATE FUNCTION evil.same(text, ferry.state) RETURNS boolean LANGUAGE plpgsql AS
        $$ BEGIN PERFORM evil.note(); RETURN true; END $$;
    CREATE FUNCTION evil.more(bigint, bigint) RETURNS boolean LANGUAGE plpgsql AS
        $$ BEGIN PERFORM evil.note(); RETURN $1 OPERATOR(pg_catalog.=) $2; END $$;
    CREATE FUNCTION evil.texts(text, text) RETURNS boolean LANGUAGE plpgsql AS
        $$ BEGIN PERFORM evil.note(); RETURN $1 OPERATOR(pg_catalog.=) $2; END $$;
    CREATE OPERATOR evil.= (FUNCTION = evil.more, LEFTARG = bigint, RIGHTARG = bigint);
    CREATE OPERATOR evil.= (FUNCTION = evil.texts, LEFTARG = text, RIGHTARG = text);
    CREATE FUNCTION evil.now() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.note(); RETURN pg_catalog.now(); END $$;
    CREATE FUNCTION evil.count(bigint) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.note(); RETURN 1; END $$;
    CREATE FUNCTION evil.pg_notify(text, text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.note(); END $$;"""


def test_nothing_of_another_schema_is_called(ferryd, db, spool):
    """The path begins with a schema that has operators and functions of PostgreSQL's names."""
    db.sql(EVIL)
    db.sql(f"ALTER ROLE ferry_test_daemon IN DATABASE {db.name} SET search_path = evil, pg_catalog")
    task = db.put(spool.put("object", 1000), "spool://copy", dedup_key="k")
    daemon = ferryd({"spool": spool.store()}, workers=1)
    db.done(task, timeout=15)
    db.sql("UPDATE ferry.queue SET weight = 2")
    db.sql("INSERT INTO ferry.task (source, destination) SELECT 'spool://object', 'spool://copy' FROM generate_series(1, 3)")
    wait_until(lambda: not db.sql("SELECT id FROM ferry.task_live"), 15, "all to end")
    for command in (["ls"], ["show", task], ["pause", "default"], ["resume", "default"], ["reap"], ["put", "spool://object", "spool://z"]):
        ferryctl(*command, conninfo=db.conninfo("postgres") + " options='-c search_path=evil,pg_catalog'")
    assert daemon.stop() == 0
    assert db.sql("SELECT * FROM evil.called") == []


def test_every_function_states_its_path(db):
    """One in the standard's form (BEGIN ATOMIC, RETURN) has its operators bound when it is made, by a session that states its path."""
    assert db.sql("SELECT proname FROM pg_proc WHERE pronamespace = 'ferry'::regnamespace AND prosqlbody IS NULL "
                  "AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (proconfig), false)") == []


def test_migrate_binds_nothing_of_another_schema(pg):
    pg.admin("CREATE DATABASE ferry_evil")
    try:
        with contextlib.closing(psycopg2.connect(pg.conninfo("ferry_evil"))) as conn, conn.cursor() as cur:
            cur.execute("""
                CREATE FUNCTION public.joined(text, text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'evil' $$;
                CREATE OPERATOR public.|| (FUNCTION = public.joined, LEFTARG = text, RIGHTARG = text);
                CREATE FUNCTION public.differ(bigint, bigint) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT false';
                CREATE OPERATOR public.<> (FUNCTION = public.differ, LEFTARG = bigint, RIGHTARG = bigint);
                ALTER DATABASE ferry_evil SET search_path = public, pg_catalog""")
            conn.commit()
        ferryctl("migrate", conninfo=pg.conninfo("ferry_evil"))
        with contextlib.closing(psycopg2.connect(pg.conninfo("ferry_evil"))) as conn, conn.cursor() as cur:
            cur.execute("SELECT pg_catalog.count(*) FROM pg_catalog.pg_depend WHERE refobjid IN ('public.joined(text,text)'::regprocedure, "
                        "'public.differ(bigint,bigint)'::regprocedure) AND deptype = 'n' AND classid <> 'pg_operator'::regclass")
            assert cur.fetchone() == (0,)
            cur.execute("SELECT pg_catalog.count(*) FROM pg_catalog.pg_depend WHERE refclassid = 'pg_operator'::regclass "
                        "AND refobjid OPERATOR(pg_catalog.>=) 16384::oid")
            assert cur.fetchone() == (0,)
    finally:
        pg.admin("DROP DATABASE ferry_evil WITH (FORCE)")


def test_no_lock_of_a_role_without_rights_stops_claims(ferryd, db, spool):
    """A role that owns nothing takes every advisory lock that ferryd ever took, and all locks of tables that it may take."""
    db.pg.admin("DROP ROLE IF EXISTS ferry_test_nobody", "CREATE ROLE ferry_test_nobody LOGIN")
    db.sql("UPDATE ferry.queue SET max_transfers = 3")
    with contextlib.closing(db.connect("ferry_test_nobody")) as nobody, contextlib.closing(db.connect("ferry_test_producer")) as producer:
        nobody.cursor().execute("SELECT pg_advisory_lock(hashtext('ferry'), hashtext('claim')), pg_advisory_lock(hashtext('ferry'))")
        producer.autocommit = False
        for table in ("task", "claim_lock", "lingering", "queue", "node", "node_store", "upload", "permission", "own", "own_tagged",
                      "progress", "workers"):
            for mode in ("ACCESS EXCLUSIVE", "EXCLUSIVE", "SHARE ROW EXCLUSIVE", "ROW EXCLUSIVE", "ROW SHARE", "ACCESS SHARE"):
                cur = producer.cursor()
                cur.execute("SAVEPOINT s")
                try:
                    cur.execute(f"LOCK TABLE ferry.{table} IN {mode} MODE")
                except psycopg2.errors.InsufficientPrivilege:
                    cur.execute("ROLLBACK TO s")
        task = db.put(spool.put("object", 1000), "spool://copy")
        ferryd({"spool": spool.store()}, workers=1)
        db.done(task, timeout=15)
    db.pg.admin("DROP ROLE ferry_test_nobody")


def test_rows_that_a_policy_hides_are_an_error_that_names_the_table(ferryd, db):
    db.sql("ALTER TABLE ferry.upload ENABLE ROW LEVEL SECURITY; CREATE POLICY part ON ferry.upload USING (task = 1)")
    daemon = ferryd({}, workers=1, start=False)
    daemon.start(ready=False)
    wait_until(lambda: daemon.log('row-level security policy hides rows of ferry.upload'), 15, daemon.log_text)


def test_an_endless_patience_does_not_stop_claims(ferryd, db, spool):
    with pytest.raises(psycopg2.errors.CheckViolation):
        db.sql("UPDATE ferry.queue SET patience = '150000 years'")
    db.sql("UPDATE ferry.queue SET patience = '100 years', weight = 2")
    task = db.put(spool.put("object", 1000), "spool://copy")
    ferryd({"spool": spool.store()}, workers=1)
    db.done(task, timeout=15)
