"""
The fence: every statement that writes about a task names its claim, or the node, and with a stale one it changes nothing.  The
statements are those of the programs' sources, and none may be missing here.
"""

import contextlib
import re

import psycopg2.extensions
import pytest

import statements
from rig import ROOT, Database

GOOD, FIRST, OTHER = 4000000000000000001, 3000000000000000001, 2000000000000000001
NODE, NEIGHBOUR = 1000000000000000001, 1000000000000000002
TABLES = ("task", "upload", "part", "node", "node_store")

CLAIM, CLAIMS, NODE_ID, NAME = "the claim", "the claim, in an array", "the node", "the node's name"

# What a statement gets, with its claim or node.  A tuple begins with what has to be so before, if there is something.
CANCELLED = "UPDATE ferry.task SET state = 'cancelled', finished_at = now()"
NO_CURRENT = "UPDATE ferry.upload SET abandoned = true WHERE upload_id = 'current'"

FENCED = {
    # worker/transfer
    "task_total": [1, CLAIM, 100, 50],
    "part_done": [1, CLAIM, "current", 2, 5, 7, "etag"],
    "upload_begin": (NO_CURRENT, 1, CLAIM, "fresh", "d://b/k", 100, "pin", 5, None, True),
    "upload_initiated": [1, CLAIM, "intent", "given"],
    "upload_known": [1, CLAIM, "intent", "given", FIRST],
    "upload_intend": [1, CLAIM, "current"],
    "upload_abandon": [1, CLAIM, "current"],
    "upload_forget": [1, CLAIM, "current"],
    "upload_forget_cancelled": (CANCELLED, 1, CLAIM, "current"),
    "upload_unspoil": [1, CLAIM, "spoiled"],
    "task_done": [1, CLAIM, 100, 100, 7, "etag", "crc64", 1, "warning"],
    "task_failed": [1, CLAIM, "error", "permanent", 1],
    "task_retry": [1, CLAIM, "error", "transient", 1, 100, 1000, 0, 50],
    "task_release": [1, CLAIM, 50],
    "task_postponed": [1, CLAIM, "error", "transient", 1, 100, 0, 50],
    # worker/cleanup: the claim is the one that began the upload
    "reap_delete": [1, CLAIM, "old"],
    "reap_failed": [1, CLAIM, "old", "why"],
    "lost_adopt": [1, CLAIM, "intent", "found"],
    # master/queue
    "settle_done": ["{1}", CLAIMS, "{100}", "{100}", "{7}", "{etag}", "{crc64}", "{1}", "{warning}"],
    "claim_refuse": [1, CLAIM, "why"],
    "settle_death": [1, CLAIM, "crash", 5, 2, "died", None, None, 0],
    "release_claims": ["{1}", CLAIMS],
    "put_off": ["{1}", CLAIMS, "{5}", "{why}"],
    "revoked_claims": ["{1}", CLAIMS, "{2}"],
    "write_progress": ["{1}", CLAIMS, "{60}", "{100}"],
    # by node
    "reconcile": [NODE_ID, "{}", "{}"],
    "leave": [NODE_ID],
    "renew": [NODE_ID, 9000, "[]", NAME, 11, 0],
}

UNFENCED = {
    "claim": "takes queued tasks, which nobody has",
    "claim_numbers": "does so too",
    "rescue": "takes the tasks of nodes that have lapsed or have no row: see below",
    "register": "makes a row",
    "state_limits": "writes rows of the node, which the row of the node holds",
    "prune": "deletes tasks that have ended",
    "reap_find": "marks uploads that no live task has",
    "upload_spoil": "makes a row that bears its own claim: see below",
}


@pytest.fixture(scope="module")
def prepared(pg):
    """A running task of one node, with an upload of each kind, and all statements prepared."""
    db = Database(pg, "ferry_fence")
    conn = db.connect()
    conn.autocommit = False
    with contextlib.closing(conn), conn.cursor(cursor_factory=psycopg2.extensions.cursor) as cur:
        cur.execute("INSERT INTO ferry.node (id, name, pid, version, lease) VALUES (%s, 'ours', 11, '0', '1 hour'), "
                    "(%s, 'neighbour', 12, '0', '1 hour')", (NODE, NEIGHBOUR))
        cur.execute("INSERT INTO ferry.task (source, destination, state, node, worker, claim, first_claim) "
                    "VALUES ('s://b/k', 'd://b/k', 'running', %s, 1, %s, %s)", (NODE, GOOD, FIRST))
        for upload, columns in {"current": "claim", "intent": "claim, abandoned, initiated", "old": "claim, abandoned",
                                "spoiled": "claim, spoiled"}.items():
            flags = {"intent": ", true, false", "old": ", true", "spoiled": ", true"}.get(upload, "")
            cur.execute(f"INSERT INTO ferry.upload (task, upload_id, destination, source_size, source_etag, part_size, first_claim, "
                        f"{columns}) VALUES (1, %s, 'd://b/k', 100, 'pin', 50, %s, %s{flags})", (upload, FIRST, GOOD))
            if upload == "current":
                cur.execute("INSERT INTO ferry.part (task, upload_id, number, size, crc64, etag) VALUES (1, %s, 1, 50, 7, 'e')", (upload,))
        for name, sql in SOURCES.items():
            cur.execute(f"PREPARE {name} AS {sql}")
        conn.commit()
        yield Table(cur)
    db.drop()


@pytest.fixture
def table(prepared):
    """What a test does here is undone."""
    yield prepared
    prepared.cursor.connection.rollback()


SOURCES = {name: sql for name, sql in statements.prepared("master", "worker", "common").items()
           if statements.writes(sql, *TABLES) or name in ("upload_load", "task_owner")}


class Table:
    def __init__(self, cursor):
        self.cursor = cursor

    def rows(self, *tables):
        found = {}
        for name in tables or TABLES:
            self.cursor.execute(f"SELECT to_jsonb(t) FROM ferry.{name} t ORDER BY to_jsonb(t)::text")
            found[name] = [row for row, in self.cursor.fetchall()]
        return found

    def run(self, name, claim=GOOD, node=NODE, parameters=None):
        """Executes the statement; returns its rows."""
        parameters = parameters or split(FENCED[name])[1]
        values = {CLAIM: claim, CLAIMS: f"{{{claim}}}", NODE_ID: node, NAME: "ours" if node == NODE else "neighbour"}
        values = [None if p is None else str(values.get(p, p)) for p in parameters]
        self.cursor.execute(f"EXECUTE {name} ({', '.join(['%s'] * len(values))})" if values else f"EXECUTE {name}", values)
        return self.cursor.fetchall() if self.cursor.description else []

    def changes(self, name, tables=TABLES, **fence):
        """Whether the statement changes these tables, and its rows; it is undone."""
        self.cursor.execute("SAVEPOINT before")
        if split(FENCED[name])[0]:
            self.cursor.execute(split(FENCED[name])[0])
        before = self.rows(*tables)
        answer = self.run(name, **fence)
        changed = self.rows(*tables) != before
        self.cursor.execute("ROLLBACK TO before")
        return changed, answer


def split(parameters):
    return (parameters[0], parameters[1:]) if isinstance(parameters, tuple) else (None, parameters)


def test_every_statement_that_writes_is_here():
    """A new statement has to be put into FENCED, or into UNFENCED with the reason."""
    found = {name for name, sql in SOURCES.items() if statements.writes(sql, *TABLES)}
    assert found == FENCED.keys() | UNFENCED.keys()


def test_every_fenced_statement_names_id_and_claim():
    by_node = {"reconcile", "leave", "renew"}
    assert {name for name in FENCED if not re.search(r"(?<!first_)claim = ", SOURCES[name])} == by_node - {"reconcile"}


@pytest.mark.parametrize("name", FENCED)
def test_stale_claim_changes_nothing(table, name):
    assert table.changes(name)[0], "the statement changes nothing even with the claim that holds"
    by_node = NODE_ID in FENCED[name]
    for stale in ({"claim": c} for c in (FIRST, OTHER, GOOD + 1, GOOD - 1, 0, 1)) if not by_node else [{"node": NEIGHBOUR + 1}]:
        changed, answer = table.changes(name, **stale)
        assert not changed, stale
        if name not in ("settle_done", "revoked_claims", "lost_adopt", "leave"):
            assert answer in ([], [(False,)], [(False, None)]), f"the statement says that it has done its work with {stale}"


def test_stale_result_is_named_in_the_answer(table):
    for name in ("settle_done", "revoked_claims"):
        assert table.changes(name, claim=FIRST)[1] == [(1, FIRST)]
        assert table.changes(name)[1] == []


def test_results_of_two_lives_of_one_id_are_told_apart(table):
    parameters = ["{1,1}", f"{{{OTHER},{GOOD}}}", "{9,100}", "{9,100}", "{8,7}", "{other,good}", "{crc64,crc64}", "{1,1}", "{warning,warning}"]
    assert table.run("settle_done", parameters=parameters) == [(1, OTHER)]
    (row,) = table.rows("task")["task"]
    assert (row["state"], row["etag"], row["bytes_done"]) == ("done", "good", 100)


@pytest.mark.parametrize("state", ["queued", "done", "failed", "cancelled"])
@pytest.mark.parametrize("name", [name for name, p in FENCED.items() if not {NODE_ID, "old", "intent", "spoiled"} & set(p)])
def test_claim_counts_only_while_the_task_runs(table, name, state):
    """A task that was given back keeps its claim until it is claimed again, and its old worker may still live."""
    if state == "cancelled" and split(FENCED[name])[0] == CANCELLED:
        return
    table.cursor.execute("UPDATE ferry.task SET state = %s, node = NULL, worker = NULL", (state,))
    before = table.rows()
    table.run(name)
    assert table.rows() == before


# Of an earlier task with the same id: TRUNCATE ... RESTART IDENTITY leaves such rows, and so do workers of a lost history.
@pytest.mark.parametrize("name", [name for name in FENCED if name not in (
    "upload_begin", "upload_initiated", "upload_known", "reap_delete", "reap_failed", "lost_adopt")])
def test_upload_of_another_life_is_left_alone(table, name):
    table.cursor.execute("UPDATE ferry.upload SET first_claim = %s, claim = %s", (OTHER, OTHER))
    changed, answer = table.changes(name, tables=("upload", "part"))
    assert not changed
    if name == "settle_death":
        state, crashes, ooms, next_part, bytes_done, total, counts, newer = answer[0]
        assert (state, crashes, next_part, bytes_done) == ("queued", 1, None, 0)
    if name.startswith("upload_intend") or name == "part_done":
        assert answer == []


def test_upload_of_another_life_is_not_resumed_and_does_not_hinder(table):
    columns = ["d://b/k", "host"]
    assert [row[0] for row in table.run("upload_load", parameters=[1, CLAIM, *columns])] == ["current", "spoiled"]
    assert table.run("upload_load", claim=FIRST, parameters=[1, CLAIM, *columns]) == []
    table.cursor.execute("UPDATE ferry.upload SET first_claim = %s, claim = %s", (OTHER, OTHER))
    assert [row[0] for row in table.run("upload_load", parameters=[1, CLAIM, *columns])] == [None]
    assert table.run("upload_begin") == [(1,)]
    assert [row[0] for row in table.run("upload_load", parameters=[1, CLAIM, *columns])] == ["fresh"]
    table.cursor.execute("SELECT upload_id FROM ferry.abandoned ORDER BY 1")
    assert [row[0] for row in table.cursor.fetchall()] == ["current", "intent", "old", "spoiled"]


@pytest.mark.parametrize("state, first, known", [
    ("running", FIRST, False), ("queued", FIRST, False), ("done", FIRST, True), ("failed", FIRST, True), ("cancelled", FIRST, True),
    ("done", OTHER, False)])
def test_upload_is_unknown_if_its_task_has_not_ended_without_it(table, state, first, known):
    """A successor that has ended the task has completed or aborted the upload, too."""
    table.cursor.execute("UPDATE ferry.task SET state = %s, claim = %s", (state, GOOD + 1))
    assert table.run("upload_known", parameters=[1, CLAIM, "none", "gone", first]) == ([(1,)] if known else [])
    assert table.run("upload_known", parameters=[1, CLAIM, "none", "current", OTHER]) == [(1,)]


def test_spoiled_object_is_recorded_under_the_claim_that_made_it(table):
    before = table.rows()
    table.run("upload_spoil", parameters=[1, OTHER, "wrong", "d://b/k", 9, FIRST])
    table.run("upload_spoil", parameters=[1, OTHER, "current", "d://b/k", 9, FIRST])
    after = table.rows()
    new = [row for row in after["upload"] if row not in before["upload"]]
    assert [(row["upload_id"], row["claim"], row["first_claim"], row["spoiled"]) for row in new] == [("wrong", OTHER, FIRST, True)]
    assert {**after, "upload": None} == {**before, "upload": None} and len(after["upload"]) == len(before["upload"]) + 1


def test_node_that_lives_keeps_its_tasks(table):
    before = table.rows()
    table.run("rescue", parameters=[NEIGHBOUR, 10**12])
    assert table.rows() == before
    table.cursor.execute("UPDATE ferry.node SET renewed_at = '2000-01-01' WHERE id = %s", (NODE,))
    table.cursor.execute("UPDATE ferry.node SET lease = '30 days'")
    # a lease holds from the start of the server on
    table.run("rescue", parameters=[NEIGHBOUR, 10**12])
    assert table.rows("task") == {"task": before["task"]}


def test_row_of_another_process_is_not_renewed(table):
    for name, pid in (("ours", 12), ("neighbour", 11)):
        assert table.run("renew", parameters=[NODE, 9000, "[]", name, pid, 0]) == []


def test_claims_are_random_and_never_come_twice(db):
    db.sql("INSERT INTO ferry.task (source, destination, queue) SELECT 's://b/k', 'd://b/' || n, 'a' FROM generate_series(1, 40) n")
    claim = "SELECT id, claim, first_claim, slot FROM (SELECT (c).*, (c).worker AS slot FROM (" \
            "SELECT ferry.claim(%s, '{7,8}', '{a}', 10, %s, '{}', '{0}', false, true, '{}') AS c) c) c ORDER BY id"
    base = 1 << 61
    rows = db.sql(claim, (NODE, base))
    assert {row["claim"] for row in rows} == set(range(base + 1, base + 11)) and all(r["claim"] == r["first_claim"] for r in rows)
    assert [row["slot"] for row in rows] == [7, 8] + [None] * 8
    ids = [row["id"] for row in rows]
    db.sql("UPDATE ferry.task SET state = 'queued' WHERE id = ANY (%s)", (ids,))
    again = db.sql(claim, (NODE, (1 << 62) - 1))
    assert [row["id"] for row in again] == ids and [row["first_claim"] for row in again] == [row["first_claim"] for row in rows]
    assert all(row["claim"] >= 1 << 62 for row in again)


def test_retry_changes_the_claim_and_keeps_the_first(db):
    db.sql("INSERT INTO ferry.task (source, destination, state, claim, first_claim) "
           "VALUES ('s://b/k', 'd://b/k', 'failed', 9, 5), ('s://b/k', 'd://b/l', 'failed', 9, NULL), ('s://b/k', 'd://b/m', 'failed', 0, NULL)")
    assert all(row["retry"] for row in db.sql("SELECT ferry.retry(id) FROM ferry.task"))
    # of a database that was upgraded, tasks that had ended have no first claim
    assert [row["first_claim"] for row in db.sql("SELECT first_claim FROM ferry.task ORDER BY id")] == [5, 9, None]
    numbers = {row["new_claim"] for row in db.sql("SELECT ferry.new_claim() FROM generate_series(1, 4000)")}
    numbers |= {row["claim"] for row in db.sql("SELECT claim FROM ferry.task")}
    assert len(numbers) == 4003 and all(0 < n < 1 << 62 for n in numbers)
    assert all(1000 < sum(n >> bit & 1 for n in numbers) < 3003 for bit in range(62)), "a bit that is not random"


def test_schema_and_programs_have_no_other_source_of_claims():
    """Nothing counts claims or nodes: a number that can be counted comes again."""
    with open(f"{ROOT}/etc/schema.sql") as f:
        schema = f.read()
    for text in (schema, *SOURCES.values()):
        assert "claim + 1" not in text
    assert schema.count("GENERATED ALWAYS AS IDENTITY") == 1, "only a task's id comes from a sequence"


def test_two_processes_draw_other_numbers(ferryd, db, spool):
    """Neither node nor claim of one process follows from another's."""
    nodes, claims = [], []
    for n in range(2):
        daemon = ferryd({"spool": spool.store()}, workers=1)
        nodes.append(db.one("SELECT id FROM ferry.node"))
        claims += [db.done(db.put(spool.put("object", 10), f"spool://copy-{n}-{m}"))["claim"] for m in range(2)]
        daemon.stop()
    numbers = nodes + claims
    assert all(abs(a - b) > 1 << 30 for i, a in enumerate(numbers) for b in numbers[:i]), numbers
