"""Producers: what they may insert, see, cancel, retry and delete, what ferry.permission lets them ask for, and that they do not see each other."""

import contextlib
import re

import psycopg2
import psycopg2.extras
import pytest

import statements
from rig import claimed_once, ferryctl, wait_until

DENIED = psycopg2.errors.InsufficientPrivilege
APP, OTHER, DAEMON = "ferry_test_producer", "ferry_test_other", "ferry_test_daemon"
TEAM, MEMBER = "ferry_test_team", "ferry_test_member"
SIGNED = "https://user:SECRET@host/object?X-Amz-Signature=SECRET"


@pytest.fixture(scope="module")
def roles(pg):
    """Another producer, and a member of a team of producers."""
    pg.admin(f"CREATE ROLE {OTHER} LOGIN IN ROLE ferry_producer", f"CREATE ROLE {TEAM} NOLOGIN IN ROLE ferry_producer",
             f"CREATE ROLE {MEMBER} LOGIN IN ROLE {TEAM}")
    yield
    pg.admin(f"DROP ROLE {MEMBER}", f"DROP ROLE {TEAM}", f"DROP ROLE {OTHER}")


@pytest.fixture
def ask(db, roles):
    """ask(role, statement, parameters): the rows as lists, or the number of changed rows.  Each role has one session."""
    with contextlib.ExitStack() as stack:
        sessions = {}

        def ask(role, statement, parameters=None):
            if role not in sessions:
                sessions[role] = stack.enter_context(contextlib.closing(db.connect(role)))
            with sessions[role].cursor() as cur:
                cur.execute(statement, parameters)
                return [list(row) for row in cur.fetchall()] if cur.description else cur.rowcount
        yield ask


def insert(ask, role, **columns):
    columns = {"source": "a://b/k", "destination": "c://d/k", **columns}
    return ask(role, f"INSERT INTO ferry.task ({', '.join(columns)}) VALUES ({', '.join(['%s'] * len(columns))}) RETURNING id",
               list(columns.values()))[0][0]


def ids(ask, role, relation="ferry.task", where="true"):
    return [row[0] for row in ask(role, f"SELECT id FROM {relation} WHERE {where} ORDER BY id")]


# What a producer may insert

def columns_of_task(db):
    return db.sql("SELECT column_name AS name, data_type AS type, column_default AS default, is_nullable = 'YES' AS nullable, "
                  "is_generated = 'ALWAYS' AS generated, is_identity = 'YES' AS identity "
                  "FROM information_schema.columns WHERE table_schema = 'ferry' AND table_name = 'task' ORDER BY ordinal_position")


OWN = {"source": "a://b/k", "destination": "c://d/k", "queue": "q", "priority": 1, "run_at": "2000-01-01", "dedup_key": "k", "max_attempts": 3,
       "if_exists": "skip", "expect_size": 1, "expect_crc64": 18446744073709551615, "content_type": "a/b", "metadata": '{"a": "b"}',
       "storage_class": "STANDARD", "notify": "shop", "tags": '{"order": 5}', "created_by": APP}
VALUES = {"bigint": 7, "integer": 7, "text": "x", "numeric": 7, "timestamp with time zone": "2000-01-01", "boolean": True, "USER-DEFINED": "done"}


def test_every_column_is_a_producers_or_is_refused_with_a_sentence(db, ask):
    for column in columns_of_task(db):
        name = column["name"]
        if name in OWN:
            insert(ask, APP, **{name: OWN[name]})
        elif not column["generated"] and not column["identity"]:
            with pytest.raises(DENIED, match=f"column {name} of ferry.task is the daemon's: a producer leaves it out"):
                insert(ask, APP, **{name: VALUES[column["type"]]})
    assert set(OWN) < {column["name"] for column in columns_of_task(db)}
    assert db.one("SELECT count(*) FROM ferry.task WHERE state <> 'queued' OR claim <> 0 OR attempt <> 0") == 0


def as_stored(db, task):
    row = db.task(task)
    return {name: value for name, value in row.items() if name not in ("id", "run_at", "created_at")}, row["run_at"] == row["created_at"]


def test_a_row_that_names_all_columns_is_the_row_that_names_only_two(db, ask):
    """Programs that map rows to objects name every column: with its default, with DEFAULT, or with NULL."""
    plain = as_stored(db, insert(ask, APP))
    for way in ("default", "DEFAULT", "NULL"):
        columns = columns_of_task(db)
        values = ["'a://b/k'" if c["name"] == "source" else "'c://d/k'" if c["name"] == "destination" else
                  "DEFAULT" if c["generated"] or c["identity"] or way == "DEFAULT" else
                  "'queued'" if c["name"] == "state" else
                  c["default"] or "NULL" if way == "default" else "NULL" for c in columns]
        names = ", ".join(c["name"] for c in columns)
        task = ask(APP, f"INSERT INTO ferry.task ({names}) VALUES ({', '.join(values)}) RETURNING id")[0][0]
        assert as_stored(db, task) == plain, way


def test_ids_are_the_sequences(db, ask):
    assert ask(APP, "INSERT INTO ferry.task (source, destination) SELECT 'a://b/k', 'c://d/' || n FROM generate_series(1, 50) n "
                    "ORDER BY -n RETURNING id")[-1] == [50]
    for own in (7, 1000):
        with pytest.raises(DENIED, match="column id"):
            ask(APP, "INSERT INTO ferry.task (id, source, destination) OVERRIDING SYSTEM VALUE VALUES (%s, 'a://b/k', 'c://d/k')", (own,))
    with pytest.raises(psycopg2.errors.ObjectNotInPrerequisiteState):
        ask(OTHER, "INSERT INTO ferry.task (id, source, destination) OVERRIDING SYSTEM VALUE VALUES (1000, 'a://b/k', 'c://d/k')")
    assert max(ids(ask, DAEMON)) == 50


def test_nobody_inserts_in_the_name_of_another(ask):
    for name in (OTHER, TEAM, "nobody at all", ""):
        with pytest.raises(DENIED, match=f"role {APP} cannot insert a task with created_by {name}, whose rights"):
            insert(ask, APP, created_by=name)
    assert ask(MEMBER, "SELECT created_by FROM ferry.task WHERE id = %s", (insert(ask, MEMBER, created_by=TEAM),)) == [[TEAM]]
    insert(ask, DAEMON, created_by=OTHER)


@pytest.mark.parametrize("tags", ['["a"]', '"a"', "5", '{"a": "%s"}' % ("x" * 8000)])
def test_tags_are_an_object_of_limited_size(ask, tags):
    with pytest.raises(psycopg2.errors.CheckViolation, match="tags_object"):
        insert(ask, APP, tags=tags)


# What a producer sees

def test_producers_see_their_own_tasks_and_daemons_all(db, ask):
    mine, others, team = insert(ask, APP), insert(ask, OTHER), insert(ask, MEMBER, created_by=TEAM)
    members = insert(ask, MEMBER)
    old = insert(ask, DAEMON, created_by="")
    assert ids(ask, APP) == ids(ask, APP, "ferry.progress") == [mine, old]
    assert ids(ask, OTHER) == [others, old] and ids(ask, MEMBER) == [team, members, old]
    assert ids(ask, DAEMON) == ids(ask, DAEMON, "ferry.progress") == [mine, others, team, members, old]


def test_the_depth_of_a_queue_counts_the_tasks_of_all(db, ask):
    for n, queue in enumerate("aab"):
        insert(ask, OTHER, queue=queue, destination=f"c://d/{n}")
    insert(ask, APP, queue="a", run_at="2100-01-01"), insert(ask, DAEMON, queue="a", state="done"), insert(ask, DAEMON, behind=True)
    insert(ask, DAEMON, queue="b", state="running", destination="c://d/r")
    assert ask(APP, "SELECT ferry.depth('a'), ferry.depth('b'), ferry.depth('c'), ferry.depth()") == [[2, 2, 0, 4]]


def test_what_waits_for_a_task_of_another_says_so_without_its_id(ask):
    first, second = insert(ask, OTHER), insert(ask, APP)
    ask(DAEMON, "UPDATE ferry.task SET behind = true WHERE id = %s", (second,))
    assert ask(APP, "SELECT waiting_for FROM ferry.progress") == [["a task of another producer, which has the same destination"]]
    assert ask(DAEMON, "SELECT waiting_for FROM ferry.progress WHERE id = %s", (second,)) == [[f"task {first}, which has the same destination"]]


def test_the_tasks_of_workers_are_shown_to_their_producers(db, ask):
    db.sql("INSERT INTO ferry.node (id, name, pid, version, lease, workers) VALUES "
           "(1, 'n', 1, 'x', '1 hour', '[{\"slot\": 1, \"pid\": 5, \"state\": \"busy\"}]')")
    task = insert(ask, DAEMON, created_by=OTHER, state="running", node=1, worker=1, claim=1, first_claim=1)
    for role, seen in ((APP, None), (OTHER, task), (DAEMON, task)):
        assert ask(role, "SELECT node, slot, pid, task FROM ferry.workers") == [["n", 1, 5, seen]], role


def test_no_condition_sees_a_row_of_another(ask):
    """A function that a producer makes itself is called with the producer's own rows alone."""
    insert(ask, OTHER, source=SIGNED, tags='{"a": "b"}'), insert(ask, APP)
    ask(APP, "CREATE FUNCTION pg_temp.look(seen text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS "
             "$$ BEGIN RAISE 'seen: %', seen; END $$")
    for relation, column in (("ferry.progress", "source"), ("ferry.own", "id"), ("ferry.task", "source")):
        with pytest.raises(psycopg2.errors.RaiseException) as error:
            ask(APP, f"SELECT * FROM {relation} WHERE pg_temp.look({column}::text)")
        assert re.search(r"seen: (a://b/k|2)\n", str(error.value)), relation
    ask(APP, "SET ferry.tags = '{\"a\": \"b\"}'")
    assert ask(APP, "SELECT * FROM ferry.own_tagged WHERE pg_temp.look(id::text)") == []


def test_tasks_are_found_by_their_tags_through_an_index(db, ask):
    db.sql("INSERT INTO ferry.task (source, destination, tags, state, created_by) SELECT 'a://b/k', 'c://d/' || n, jsonb_build_object('n', n), "
           "'done', %s FROM generate_series(1, 5000) n", (OTHER,))
    live = insert(ask, OTHER, tags='{"n": 6000, "of": ["a", "b"]}')
    insert(ask, APP, tags='{"n": 6000}'), insert(ask, OTHER)
    db.sql("ANALYZE ferry.task")
    assert ask(OTHER, "SELECT id, state FROM ferry.tagged('{\"n\": 6000, \"of\": [\"a\"]}')") == [[live, "queued"]]
    assert ask(OTHER, "SELECT destination FROM ferry.tagged('{\"n\": 77}')") == [["c://d/77"]]
    assert ask(APP, "SELECT id FROM ferry.tagged('{\"n\": 77}')") == []
    assert len(ask(DAEMON, "SELECT id FROM ferry.tagged('{\"n\": 6000}')")) == 2
    plan = str(ask(OTHER, "SET ferry.tags = '{\"n\": 77}'; EXPLAIN SELECT id FROM ferry.own_tagged"))
    assert "Bitmap Index Scan on task_ended_tags_idx" in plan and "Seq Scan on task_ended" not in plan, plan


def test_signatures_are_in_no_error_of_ours_and_in_no_log_of_the_server(db, ask):
    """The text of the statement is the producer's: the server would log it for another error, too, and is told not to."""
    db.sql(f"ALTER ROLE {APP} IN DATABASE {db.name} SET log_min_error_statement = 'panic'")
    db.sql("INSERT INTO ferry.permission (role, queue) VALUES (%s, 'q')", (APP,))
    said = ""
    for error, columns in ((psycopg2.errors.CheckViolation, {"queue": "q", "max_attempts": 0}), (DENIED, {}), (DENIED, {"queue": "q", "node": 1}),
                           (psycopg2.errors.UniqueViolation, {"queue": "q", "dedup_key": SIGNED}), (DENIED, {"queue": "q", "created_by": OTHER}),
                           (psycopg2.errors.NotNullViolation, {"queue": "q", "destination": None}),
                           (psycopg2.errors.CheckViolation, {"queue": "q", "metadata": '{"a": "%s\\n"}' % SIGNED})):
        with pytest.raises(error) as raised:
            for _ in range(2):
                insert(ask, APP, **{"source": SIGNED, "destination": SIGNED, **columns})
        said += f"{raised.value} {raised.value.diag.message_detail} {raised.value.diag.message_hint}"
    assert "SECRET" not in said + db.pg.log_text() and "https://host/object?..." in said


# What a producer may do with its tasks

def test_producers_cancel_and_retry_their_own_tasks_alone(db, ask):
    mine, others = insert(ask, APP), insert(ask, OTHER)
    for task, may in ((mine, True), (others, False)):
        before = db.state(task)
        assert ask(APP, "SELECT ferry.cancel(%s)", (task,)) == [[may]]
        assert ask(APP, "SELECT ferry.cancel(%s)", (task,)) == [[False]], "nothing to cancel any more"
        assert db.state(task) == ("cancelled" if may else before)
    db.sql("UPDATE ferry.task SET state = 'failed', attempt = 3 WHERE id = %s", (others,))
    assert ask(APP, "SELECT ferry.retry(%s), ferry.retry(%s)", (mine, others)) == [[True, False]]
    assert db.state(mine) == "queued" and db.state(others) == "failed"
    assert ask(OTHER, "SELECT ferry.retry(%s)", (others,)) == [[True]] and db.task(others)["attempt"] == 0
    team = insert(ask, MEMBER, created_by=TEAM)
    assert ask(APP, "SELECT ferry.cancel(%s)", (team,)) == [[False]] and ask(MEMBER, "SELECT ferry.cancel(%s)", (team,)) == [[True]]
    old = insert(ask, DAEMON, created_by="")
    assert ask(APP, "SELECT ferry.cancel(%s)", (old,)) == [[False]], "nobody knows whose it is"


def test_a_function_of_the_applications_owner_works_on_the_owners_tasks(db, ask):
    """Whose a task is does not depend on who logged in, but on whose rights count at that moment."""
    db.sql(f"CREATE SCHEMA shop AUTHORIZATION {APP}; GRANT USAGE ON SCHEMA shop TO {OTHER}; SET ROLE {APP}; "
           "CREATE FUNCTION shop.ship() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$ INSERT INTO ferry.task (source, destination) "
           "VALUES ('a://b/k', 'c://d/k') RETURNING id $$; "
           "CREATE FUNCTION shop.stop(task bigint) RETURNS boolean LANGUAGE sql SECURITY DEFINER AS $$ SELECT ferry.cancel(task) $$; RESET ROLE")
    task, others = ask(OTHER, "SELECT shop.ship()")[0][0], insert(ask, OTHER)
    assert db.task(task)["created_by"] == APP and ids(ask, OTHER) == [others]
    assert ask(OTHER, "SELECT ferry.cancel(%s)", (task,)) == [[False]] and ask(OTHER, "SELECT shop.stop(%s)", (others,)) == [[False]]
    assert ask(OTHER, "SELECT shop.stop(%s)", (task,)) == [[True]]


def test_the_view_own_takes_no_other_state(ask):
    task, others = insert(ask, APP), insert(ask, OTHER)
    for state in ("done", "failed", "running"):
        with pytest.raises(DENIED, match=f"a producer cannot set task {task} to {state}"):
            ask(APP, "UPDATE ferry.own SET state = %s", (state,))
    assert ask(APP, "UPDATE ferry.own SET state = 'cancelled'") == 1
    assert ids(ask, DAEMON, where="state = 'cancelled'") == [task] and ids(ask, DAEMON, where="state = 'queued'") == [others]


def test_a_producer_may_erase_what_has_ended(db, ask):
    tasks = {state: insert(ask, DAEMON, created_by=APP, state=state, destination=f"c://d/{state}")
             for state in ("queued", "running", "done", "failed", "cancelled")}
    others, old = insert(ask, DAEMON, created_by=OTHER, state="done"), insert(ask, DAEMON, created_by="", state="done")
    for task in (tasks["queued"], tasks["running"], others, old):
        assert ask(APP, "SELECT ferry.erase(%s)", (task,)) == [[False]]
    assert ask(APP, "SELECT ferry.erase(%s)", (tasks["done"],)) == [[True]]
    assert ask(APP, "UPDATE ferry.own SET state = NULL") == 2
    assert ids(ask, DAEMON) == [tasks["queued"], tasks["running"], others, old]
    assert ask(DAEMON, "SELECT ferry.erase(%s)", (old,)) == [[True]]


def test_dedup_keys_of_two_producers_do_not_meet(db, ask):
    first, others = insert(ask, APP, dedup_key="k"), insert(ask, OTHER, dedup_key="k")
    with pytest.raises(psycopg2.errors.UniqueViolation):
        insert(ask, APP, dedup_key="k")
    assert ask(APP, "INSERT INTO ferry.task (source, destination, dedup_key) VALUES ('a://b', 'c://d', 'k') ON CONFLICT DO NOTHING") == 0
    # neither takes the place of the other when it returns to the queue
    db.sql("UPDATE ferry.task SET state = 'running', node = 1, claim = 1, first_claim = 1, started_at = now() WHERE id = %s", (first,))
    db.sql("UPDATE ferry.task SET state = 'queued', node = NULL WHERE id = %s", (first,))
    assert (db.state(first), db.state(others)) == ("queued", "queued")
    newer = insert(ask, APP, dedup_key="k")
    db.sql("UPDATE ferry.task SET state = 'running', node = 1 WHERE id = %s", (first,))
    db.sql("UPDATE ferry.task SET state = 'queued', node = NULL WHERE id = %s", (first,))
    assert db.task(first)["error"] == f"superseded by task {newer}"
    with pytest.raises(psycopg2.errors.UniqueViolation, match=f"task {first} cannot be queued again: task {newer}, which has not begun"):
        ask(APP, "SELECT ferry.retry(%s)", (first,))


# ferry.permission

MATCHES = [
    ("*", "a://b/../c", True), ("*", "", True), ("bulk", "bulk", True), ("bulk", "bulk2", False), ("bulk*", "bulk2", True), ("b*k", "bulk", True),
    ("Bulk", "bulk", False), ("ceph://up/*", "ceph://up/x/y", True), ("ceph://up/*", "ceph://upper/x", False), ("CEPH://up/*", "ceph://up/x", True),
    ("ceph://up/*", "Ceph://up/x", True), ("ceph://up/*", "ceph://UP/x", False), ("ceph://a_b/*", "ceph://aXb/k", False),
    ("ceph://a%b/*", "ceph://aXb/k", False), (r"ceph://a\*", r"ceph://a\k", True), (r"ceph://a\*", "ceph://a*", False),
    ("spool://in/*", "spool://in/../out", False), ("spool://in/*", "spool://in/a/..", False), ("spool://in/*", "spool://in/./a", False),
    ("spool://in/*", "spool://in/..a/b..", True), ("spool://in/*", "spool://in/...", True), ("https://h/in/*", "https://h/in/%2e%2E/out", False),
    ("https://h/in/*", "https://h/in/..?x", False), ("https://h/in/*", r"https://h/in/..\out", False), ("https://h/in/*", "https://h/in/a?b=..c", True),
    ("https://h/*", "https://h@evil/x", False), ("https://h/*", "https://h.evil/x", False), ("https://h/*", " https://h/x", False),
]


@pytest.mark.parametrize("pattern, value, matches", MATCHES)
def test_patterns(db, pattern, value, matches):
    assert db.one("SELECT ferry.matches(%s, %s)", (pattern, value)) is matches


def permit(db, *rows):
    for row in rows:
        db.sql("INSERT INTO ferry.permission (role, queue, source, destination) VALUES (%s, %s, %s, %s)", row)


REFUSED = [dict(queue="slow"), dict(source="cos://in/k"), dict(destination="cos://other/k"), dict(source="ceph://in/../k"), dict(source=SIGNED)]


def test_with_rows_a_producer_asks_for_what_they_permit_alone(db, ask):
    permit(db, (APP, "default", "ceph://in/*", "cos://out/*"), (APP, "big", "*", "cos://big/*"), (TEAM, "*", "*", "*"))
    good = {"source": "ceph://in/k", "destination": "cos://out/k"}
    insert(ask, APP, **good), insert(ask, APP, queue="big", source=SIGNED, destination="cos://big/k")
    for bad in REFUSED:
        row = {"queue": "default", **good, **bad}
        shown = "https://host/object?..." if row["source"] == SIGNED else row["source"]
        with pytest.raises(DENIED) as error:
            insert(ask, APP, **row)
        assert error.value.diag.message_primary == (f"role {APP} may not ask for a task in queue {row['queue']} from {shown} "
                                                    f"to {row['destination']}: no row of ferry.permission permits it")
    with pytest.raises(DENIED, match=f"role {OTHER} may not ask"):
        insert(ask, OTHER, **good)
    insert(ask, MEMBER), insert(ask, DAEMON)
    with pytest.raises(DENIED, match="from cos://in/k"):  # one row of a statement is enough
        ask(APP, "INSERT INTO ferry.task (source, destination) VALUES ('ceph://in/1', 'cos://out/1'), ('cos://in/k', 'cos://out/2')")
    assert db.one("SELECT count(*) FROM ferry.task") == 4
    db.sql("DELETE FROM ferry.permission")
    insert(ask, OTHER)


def test_a_task_that_is_not_permitted_any_more_is_not_retried(db, ask):
    task = insert(ask, APP)
    permit(db, (APP, "*", "x://*", "*"))
    assert ask(APP, "SELECT ferry.cancel(%s)", (task,)) == [[True]]
    with pytest.raises(DENIED, match=f"task {task} cannot be queued again: no row of ferry.permission permits such a task any more"):
        ask(APP, "SELECT ferry.retry(%s)", (task,))
    assert db.state(task) == "cancelled"
    permit(db, (APP, "*", "a://*", "*"))
    assert ask(APP, "SELECT ferry.retry(%s)", (task,)) == [[True]]


def test_producers_see_their_own_permissions_and_change_none(db, ask):
    permit(db, (APP, "*", "a://*", "*"), (OTHER, "*", "b://*", "*"), (TEAM, "*", "c://*", "*"))
    seen = {role: [row[0] for row in ask(role, "SELECT source FROM ferry.permission ORDER BY 1")] for role in (APP, MEMBER, DAEMON)}
    assert seen == {APP: ["a://*"], MEMBER: ["c://*"], DAEMON: ["a://*", "b://*", "c://*"]}
    for statement in ("DELETE FROM ferry.permission", "UPDATE ferry.permission SET queue = '*'", "INSERT INTO ferry.permission (role) VALUES ('x')"):
        with pytest.raises(DENIED):
            ask(APP, statement)
    ask(DAEMON, "UPDATE ferry.permission SET queue = 'q'; DELETE FROM ferry.permission")


# The daemon

def plans(ask):
    """What each statement of the programs sorts or reads from end to end."""
    found = {}
    for name, sql in statements.prepared("master", "worker").items():
        if not re.match("(WITH|SELECT|INSERT|UPDATE|DELETE) ", sql):
            continue
        parameters = max(map(int, re.findall(r"\$(\d+)", sql)), default=0)
        ask(DAEMON, "DEALLOCATE ALL")
        ask(DAEMON, f"PREPARE statement AS {sql}")
        values = f"({', '.join(['NULL'] * parameters)})" if parameters else ""
        plan = [row[0] for row in ask(DAEMON, f"EXPLAIN (COSTS off) EXECUTE statement{values}")]
        found[name] = [line.strip("-> ") for line in plan if re.search(r"Sort|Seq Scan on task", line)], "created_by =" in str(plan)
    return found


def test_policies_do_not_change_the_plans_of_the_daemon(db, ask):
    """Not even a policy that shows all rows is free: the planner may no longer see that an index has the order that is asked for."""
    db.sql("INSERT INTO ferry.task (source, destination, behind) SELECT 'a://b/k', 'c://d/' || n / 2, n % 2 = 1 FROM generate_series(1, 5000) n")
    db.sql("INSERT INTO ferry.task (source, destination, state, finished_at) SELECT 'a://b/k', 'c://d/' || n, 'done', now() "
           "FROM generate_series(1, 5000) n")
    db.sql("ANALYZE ferry.task")
    ask(DAEMON, "SET search_path = pg_catalog, pg_temp; SET plan_cache_mode = force_generic_plan; " +
        "; ".join(f"SET {name} = off" for name in ("enable_sort", "enable_bitmapscan", "enable_seqscan", "jit")))
    with_policies = plans(ask)
    db.sql("ALTER TABLE ferry.task DISABLE ROW LEVEL SECURITY")
    assert with_policies == plans(ask) and len(with_policies) > 50


def test_policies_of_functions_of_the_schema_do_not_make_them_sort(db, ask):
    """Twenty thousand tasks wait in one lane: a claim by lanes reads a few of them."""
    db.sql("INSERT INTO ferry.task (source, destination) SELECT 'a://b/k', 'c://d/' || n FROM generate_series(1, 20000) n")
    db.sql("INSERT INTO ferry.node (id, name, pid, version, lease) VALUES (1, 'n', 1, 'x', '1 hour')")
    db.sql("UPDATE ferry.queue SET max_transfers = 4")
    db.sql("VACUUM ANALYZE ferry.task_live"), db.sql("SELECT pg_stat_reset()")
    for setting in ("enable_sort", "enable_bitmapscan", "enable_seqscan", "jit"):
        ask(DAEMON, f"SET {setting} = off")
    claim = "SELECT id FROM ferry.claim(1, '{1,1}', '{default}', 2, %s, '{}', NULL, false, true, '{}')"
    assert [len(ask(DAEMON, claim, (n * 10 ** 6,))) for n in (1, 2)] == [2, 2]
    ask(DAEMON, "SELECT pg_stat_force_next_flush()")
    read = db.one("SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname = 'task_live'")
    assert 4 <= read < 1000


def test_a_task_goes_its_way_and_is_seen_by_its_producer_alone(ferryd, db, ask, spool):
    daemon = ferryd({"spool": spool.store()}, workers=1)
    task = insert(ask, OTHER, source=spool.put("object", 1000), destination="spool://copy", tags='{"order": 5}', dedup_key="k")
    db.done(task)
    assert ids(ask, OTHER, where="state = 'done'") == [task] and ids(ask, APP) == []
    assert not daemon.log("refuses"), daemon.log_text()


def test_ferryctl_serves_a_producer(db, ask):
    other = insert(ask, OTHER, dedup_key="k", destination="c://d/other")
    conninfo = db.conninfo(APP)
    task = ferryctl("put", "--dedup", "k", "a://b/k", "c://d/k", conninfo=conninfo).stdout.strip()
    again = ferryctl("put", "--dedup", "k", "a://b/k", "c://d/k", conninfo=conninfo, check=False)
    assert f"task {task} has the dedup key" in again.stderr
    assert "cancelled" in ferryctl("cancel", task, conninfo=conninfo).stdout and "queued" in ferryctl("retry", task, conninfo=conninfo).stdout
    assert f"there is no task {other}" in ferryctl("cancel", other, conninfo=conninfo, check=False).stderr
    permit(db, (OTHER, "*", "*", "*"))
    refused = ferryctl("put", "a://b/k", "c://d/k", conninfo=conninfo, check=False)
    assert refused.returncode != 0 and f"role {APP} may not ask" in refused.stderr and "ferry_daemon" not in refused.stderr


def test_policies_of_others_that_hide_rows_are_found_while_the_daemon_connects(ferryd, db):
    """A permissive policy beside the schema's own hides nothing."""
    db.sql("CREATE POLICY more ON ferry.task USING (queue = 'mine')")
    daemon = ferryd({}, workers=1)
    db.sql("ALTER TABLE ferry.upload ENABLE ROW LEVEL SECURITY; CREATE POLICY less ON ferry.task AS RESTRICTIVE USING (queue = 'mine'); "
           "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'ferryd%'")
    wait_until(lambda: daemon.log("row-level security policy hides rows of ferry.task, ferry.upload from this role"), 15, daemon.log_text)
    db.sql("ALTER TABLE ferry.upload DISABLE ROW LEVEL SECURITY; DROP POLICY less ON ferry.task")
    wait_until(lambda: daemon.log("schema fits now"), 15, daemon.log_text)


# Told of the end

@contextlib.contextmanager
def listening(db, role, *channels):
    """Yields a function that returns what was notified since it was called last, after it has seen at least so many."""
    with contextlib.closing(db.connect(role)) as conn:
        with conn.cursor() as cur:
            for channel in channels:
                cur.execute(f'LISTEN "{channel}"')

        def heard(most):
            def enough():
                conn.poll()
                return len(conn.notifies) >= most
            wait_until(enough, 20, lambda: f"{most} notifications; there are {conn.notifies}")
            found = sorted((note.channel, note.payload) for note in conn.notifies)
            conn.notifies.clear()
            return found
        yield heard


ENDS = ["UPDATE ferry.task SET state = 'done'", "UPDATE ferry.task SET state = 'failed'", "SELECT ferry.cancel(id) FROM ferry.task"]


@pytest.mark.parametrize("end", ENDS)
def test_a_channel_is_told_of_every_end(db, ask, end):
    state = "cancelled" if "cancel" in end else re.search("'(.*)'", end)[1]
    tasks = [insert(ask, APP, notify=channel, destination=f"c://d/{n}") for n, channel in enumerate(("shop", "shop", None, "Other Channel"))]
    with listening(db, APP, "shop", "Other Channel") as heard:
        db.sql(end)
        told = [("Other Channel", f"{tasks[3]} {state}"), ("shop", f"{tasks[0]} {state}"), ("shop", f"{tasks[1]} {state}")]
        assert heard(3) == told
        db.sql("UPDATE ferry.task SET state = 'queued', node = NULL; UPDATE ferry.task SET state = 'running', node = 1, bytes_done = 5")
        db.sql("SELECT pg_notify('shop', 'last')")
        assert heard(1) == [("shop", "last")], "only an end is told"
        db.sql("UPDATE ferry.task SET state = 'done'")
        assert len(heard(3)) == 3, "a second end is told as well"


@pytest.mark.parametrize("channel", ["", "x" * 64])
def test_a_channel_has_a_name_that_can_be_listened_to(ask, channel):
    with pytest.raises(psycopg2.errors.CheckViolation, match="notify_channel"):
        insert(ask, APP, notify=channel)


def test_a_producer_hears_of_the_end_from_the_daemon(ferryd, db, ask, spool):
    ferryd({"spool": spool.store()}, workers=1)
    with listening(db, APP, "shop") as heard:
        good = insert(ask, APP, source=spool.put("object", 1000), destination="spool://copy", notify="shop")
        bad = insert(ask, APP, source="spool://missing", destination="spool://other", notify="shop")
        assert heard(2) == sorted([("shop", f"{good} done"), ("shop", f"{bad} failed")])


def watch(db, body, when=""):
    """A function of an application that is called with each task that ends, and keeps its id and state."""
    db.sql("CREATE SCHEMA shop; CREATE TABLE shop.ended (id bigint, state text); "
           f"CREATE FUNCTION shop.task_ended(task ferry.task) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN "
           f"INSERT INTO shop.ended VALUES (task.id, task.state); {body} END $$; GRANT USAGE ON SCHEMA shop TO ferry_daemon; "
           f"CREATE TRIGGER shop AFTER INSERT ON ferry.task_ended FOR EACH ROW {when} EXECUTE FUNCTION ferry.call('shop.task_ended')")


def test_a_trigger_hears_of_the_end_in_its_transaction(ferryd, db, ask, spool):
    watch(db, "", "WHEN (NEW.queue = 'default')")
    daemon = ferryd({"spool": spool.store()}, workers=1, queues=["default", "other"])
    good = insert(ask, APP, source=spool.put("object", 1000), destination="spool://copy")
    bad = insert(ask, APP, source="spool://missing", destination="spool://other")
    other = insert(ask, APP, source="spool://object", destination="spool://third", queue="other")
    for task in (good, bad, other):
        db.wait(task)
    assert sorted(tuple(row.values()) for row in db.sql("SELECT id, state FROM shop.ended")) == [(good, "done"), (bad, "failed")]
    assert not daemon.log("which the trigger"), daemon.log_text()


def test_a_trigger_that_fails_does_not_change_the_end(ferryd, db, ask, spool):
    watch(db, "RAISE 'no % today', 'shop';")
    daemon = ferryd({"spool": spool.store()}, workers=1)
    good = [insert(ask, APP, source=spool.put(f"object{n}", 1000), destination=f"spool://copy{n}") for n in range(3)]
    db.done(*good)
    bad = insert(ask, APP, source="spool://missing", destination="spool://other")
    row = db.wait(bad)
    assert (row["state"], row["error_class"], row["crashes"]) == ("failed", "permanent", 0)
    assert db.one("SELECT count(*) FROM shop.ended") == 0
    said = daemon.log("the function shop.task_ended, which the trigger shop calls when a task ends, failed: no shop today")
    assert 1 <= len(said) <= 2, "the master says it once for all that are done, and the worker once for those that failed"


def forbid(db, when):
    """A trigger of the application's own that raises, without ferry.call()."""
    db.sql("CREATE SCHEMA shop; CREATE FUNCTION shop.forbid() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not today'; END $$; "
           f"CREATE TRIGGER forbids AFTER INSERT ON ferry.task_ended FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION shop.forbid()")


def test_a_done_task_that_a_raw_trigger_keeps_from_ending_is_kept(ferryd, db, ask, spool):
    forbid(db, "NEW.queue = 'shop'")
    daemon = ferryd({"spool": spool.store()}, workers=2, queues=["default", "shop"])
    source = spool.put("object", 1000)
    held = [insert(ask, APP, source=source, destination=f"spool://held{n}", queue="shop") for n in range(3)]
    for task in held:
        daemon.wait_log(rf"task {task}: its end cannot be recorded: not today \(raised in shop.forbid\(\)\); will try again")
    db.done(*[insert(ask, APP, source=source, destination=f"spool://other{n}") for n in range(9)])
    assert {(db.task(task)["state"], claimed_once(db.task(task))) for task in held} == {("running", True)}
    db.sql("DROP TRIGGER forbids ON ferry.task_ended")
    assert all(claimed_once(row) and row["crashes"] == row["attempt"] == 0 for row in db.done(*held))
    assert len(daemon.log("its end cannot be recorded")) <= len(held) + 1, "later attempts are told of once a minute"


def test_a_failed_task_that_a_raw_trigger_keeps_from_ending_is_tried_again(ferryd, db, ask, spool):
    forbid(db, "NEW.queue = 'shop'")
    daemon = ferryd({"spool": spool.store()}, workers=1, queues=["default", "shop"], retry_delay_max="1s")
    pids, source = daemon.workers(), spool.put("object", 1000)
    held = insert(ask, APP, source="spool://missing", destination="spool://held", queue="shop")
    daemon.wait_log(rf"task {held}: its end could not be recorded: .*not today \(raised in shop.forbid\(\)\)", count=2)
    db.done(insert(ask, APP, source=source, destination="spool://other"))
    row = db.task(held)
    assert (row["state"], row["attempt"], row["crashes"]) in (("queued", 0, 0), ("running", 0, 0))
    assert "No such file" in row["error"] and "not today (raised in shop.forbid())" in row["error"]
    db.sql("DROP TRIGGER forbids ON ferry.task_ended")
    row = db.wait(held)
    assert (row["state"], row["error_class"], row["crashes"]) == ("failed", "permanent", 0)
    assert daemon.workers() == pids, "no worker exits for it"
