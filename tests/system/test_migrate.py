"""
ferryctl migrate: a new database and an old one end up the same, it may run twice at once and leaves nothing when it fails; and a
ferryd that refuses a schema that it does not know.
"""

import contextlib
import os
import re
import shutil
import subprocess

import psycopg2
import pytest

from rig import BUILD, MIB, ROOT, SCHEMA, ferryctl, old_schema, wait_until
from stores import BUCKET


@pytest.fixture
def empty(pg):
    pg.admin("CREATE DATABASE ferry_empty")
    yield pg.conninfo("ferry_empty")
    pg.admin("DROP DATABASE ferry_empty WITH (FORCE)")


def test_from_nothing_and_again(empty):
    assert f"0 → {SCHEMA}" in ferryctl("migrate", conninfo=empty).stdout
    again = ferryctl("migrate", conninfo=empty).stdout
    assert f"version {SCHEMA}" in again and "nothing to do" in again


@contextlib.contextmanager
def cursor(conninfo):
    with contextlib.closing(psycopg2.connect(conninfo)) as conn, conn.cursor() as cur:
        conn.autocommit = True
        yield cur


def dump(pg, conninfo):
    text = subprocess.run([f"{pg.bin}/pg_dump", "--schema-only", conninfo], check=True, stdout=subprocess.PIPE, text=True).stdout
    return re.sub(r"^\\(un)?restrict .*$", "", text, flags=re.M)  # a new random word each time


@pytest.fixture
def fresh(pg):
    """The dump of a database that schema.sql alone has made."""
    pg.admin("CREATE DATABASE ferry_fresh")
    try:
        ferryctl("migrate", conninfo=pg.conninfo("ferry_fresh"))
        yield dump(pg, pg.conninfo("ferry_fresh"))
    finally:
        pg.admin("DROP DATABASE ferry_fresh WITH (FORCE)")


FILL = """
    INSERT INTO ferry.task (source, destination, dedup_key, state) SELECT 'a://b/c', 'd://e/' || s, s, s
        FROM unnest(enum_range(NULL::ferry.state)) s;
    INSERT INTO ferry.upload (task, upload_id, destination, claim, source_size, source_etag, part_size) VALUES (2, 'x', 'd://e', 1, 9, 'y', 5);
    INSERT INTO ferry.part (task, upload_id, number, size, crc64, etag) VALUES (2, 'x', 1, 5, 18446744073709551615, 'z');
    INSERT INTO ferry.node (name, pid, version, lease) VALUES ('host', 1, '0', '1 hour');
    UPDATE ferry.task SET claim = 3 WHERE state IN ('running', 'failed');
    INSERT INTO ferry.queue (name, enabled) VALUES ('bulk', false)"""


# since version 9 a node draws its id and a row of an upload names the first claim
FILL_11 = FILL.replace("ferry.node (", "ferry.node (id, ").replace("VALUES ('host'", "VALUES (1, 'host'") \
    .replace("claim, source_size", "claim, first_claim, source_size").replace("'d://e', 1, 9", "'d://e', 1, 3, 9") \
    .replace("SET claim = 3", "SET claim = 3, first_claim = CASE state WHEN 'running' THEN 3 END")


def rows(cur):
    found = {}
    for table in ("task", "upload", "part", "node", "queue"):
        cur.execute(f"SELECT to_jsonb(t) FROM ferry.{table} t ORDER BY t::text")
        found[table] = [row for row, in cur.fetchall()]
    return found


@pytest.mark.parametrize("version", [*range(1, 9), 11, 12, 13, 15])
def test_old_database_becomes_what_a_new_one_is_and_keeps_its_rows(pg, empty, fresh, version):
    with cursor(empty) as cur:
        old_schema(cur, version)
        cur.execute(FILL if version < 9 else FILL_11)
        before = rows(cur)
        assert f"{version} → {SCHEMA}" in ferryctl("migrate", conninfo=empty).stdout
        after = rows(cur)
        for table, old in before.items():
            assert [{k: new[k] for k in row} for row, new in zip(old, after[table], strict=True)] == old, table
        assert {row["state"]: row["first_claim"] for row in after["task"] if row["claim"]} == {"running": 3, "failed": None}
        assert [row["first_claim"] for row in after["upload"]] == [3], "the task no longer knows its upload"
        cur.execute("INSERT INTO ferry.task (source, destination) VALUES ('a://b/c', 'd://e/f') RETURNING id")
        assert cur.fetchone() == (6,)
    assert dump(pg, empty) == fresh


def test_migrating_again_what_part_2_makes_changes_nothing(pg, empty, fresh):
    ferryctl("migrate", conninfo=empty)
    with open(f"{ROOT}/etc/schema.sql") as f, cursor(empty) as cur:
        cur.execute(f.read().partition("\n-- ==== Part 2:")[2].partition("\n")[2])
    assert dump(pg, empty) == fresh


@pytest.mark.parametrize("file, line", [(f"upgrade-{SCHEMA:03d}.sql", None), ("schema.sql", "-- ---- Rights")])
def test_failed_upgrade_changes_nothing_and_names_the_line(pg, empty, tmp_path, file, line):
    shutil.copytree(f"{ROOT}/etc", tmp_path / "etc")
    text = (tmp_path / "etc" / file).read_text().splitlines()
    at = next(n for n, t in enumerate(text) if t.startswith(line)) if line else 0
    text.insert(at, "SELECT missing FROM ferry.node;")
    (tmp_path / "etc" / file).write_text("\n".join(text))
    with cursor(empty) as cur:
        old_schema(cur, 5)
    before = dump(pg, empty)
    done = subprocess.run([f"{BUILD}/ferryctl", "migrate"], stderr=subprocess.PIPE, text=True, env={
        "FERRYCTL_DATABASE": empty, "PATH": os.environ["PATH"], "FERRY_SCHEMA_DIR": str(tmp_path / "etc")})
    assert done.returncode == 1 and f"{file}:{at + 1}: " in done.stderr and '"missing"' in done.stderr, done.stderr
    assert dump(pg, empty) == before


def test_several_at_once(empty):
    env = {"FERRYCTL_DATABASE": empty, "PATH": "/usr/bin:/bin", "FERRY_SCHEMA_DIR": f"{ROOT}/etc"}
    running = [subprocess.Popen([f"{BUILD}/ferryctl", "migrate"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
               for _ in range(5)]
    results = [(*p.communicate(timeout=60), p.returncode) for p in running]
    assert [code for _, _, code in results] == [0] * 5, results
    assert sorted(f"0 → {SCHEMA}" in out for out, _, _ in results) == [False] * 4 + [True], results


def test_newer_schema_is_refused(db):
    db.sql("INSERT INTO ferry.schema_version (version, compatible_from) VALUES (999, 999)")
    done = ferryctl("migrate", conninfo=db.conninfo("postgres"), check=False)
    assert done.returncode != 0 and "999" in done.stderr


def test_migrate_says_what_it_would_do_and_what_it_did(empty):
    with cursor(empty) as cur:
        old_schema(cur, 11)
        said = ferryctl("migrate", "-n", conninfo=empty).stdout
        assert f"version 11, the newest is {SCHEMA}" in said and f"Version {SCHEMA}: " in said and "Locks: " in said, said
        cur.execute("SELECT max(version) FROM ferry.schema_version")
        assert cur.fetchone() == (11,)
    said = ferryctl("migrate", conninfo=empty).stdout
    assert re.search(rf"11 → {SCHEMA}, tables were locked for \d+ ms", said), said


def test_migrate_does_not_queue_others_behind_itself(empty):
    """While a transaction of another keeps a lock, producers go on; when it has ended, the migration comes to its end."""
    with cursor(empty) as cur, contextlib.closing(psycopg2.connect(empty)) as holder:
        old_schema(cur, 11)
        holder.cursor().execute("SELECT count(*) FROM ferry.task")
        env = {"FERRYCTL_DATABASE": empty, "PATH": "/usr/bin:/bin", "FERRY_SCHEMA_DIR": f"{ROOT}/etc"}
        running = subprocess.Popen([f"{BUILD}/ferryctl", "migrate"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert "will try again" in running.stderr.readline()
        cur.execute("SET lock_timeout = '20 s'")
        for _ in range(20):
            cur.execute("INSERT INTO ferry.task (source, destination) VALUES ('a://b/c', 'd://e/f')")
        assert running.poll() is None
        holder.rollback()
        out, err = running.communicate(timeout=60)
    assert running.returncode == 0 and f"11 → {SCHEMA}" in out, err


def test_migrate_leaves_nothing_in_its_session(pg, empty):
    """A pooler gives the session to others: the advisory lock and every setting end with the transaction."""
    with open(f"{ROOT}/master/ctl/migrate.c") as f:
        source = f.read()
    assert not re.findall(r'"\s*SET (?!LOCAL)', source)
    assert set(re.findall(r"pg_(?:try_)?advisory\w+", source)) == {"pg_advisory_xact_lock"}


def test_files_say_which_programs_a_schema_serves(empty, tmp_path):
    shutil.copytree(f"{ROOT}/etc", tmp_path / "etc")
    (tmp_path / "etc" / f"upgrade-{SCHEMA + 1:03d}.sql").write_text(f"-- Version {SCHEMA + 1}: a test.\n-- Compatible from: {SCHEMA}\n")
    env = {"FERRYCTL_DATABASE": empty, "PATH": os.environ["PATH"]}
    for directory in (ROOT, tmp_path):
        subprocess.run([f"{BUILD}/ferryctl", "migrate"], env={**env, "FERRY_SCHEMA_DIR": f"{directory}/etc"}, check=True)
    with cursor(empty) as cur:
        cur.execute("SELECT version, compatible_from FROM ferry.schema_version ORDER BY version")
        assert cur.fetchall() == [(SCHEMA, SCHEMA), (SCHEMA + 1, SCHEMA)]


def test_ferryd_works_with_the_next_schema_if_that_serves_it(db, ferryd, spool):
    db.sql("INSERT INTO ferry.schema_version (version, compatible_from) VALUES (%s, %s)", (SCHEMA + 1, SCHEMA))
    task = db.put(spool.put("object", 1000), "spool://copy")
    ferryd({"spool": spool.store()}, workers=1)
    db.done(task, timeout=15)


def next_schema(directory):
    """A directory with the schema after ours, which serves our programs: it adds a column and replaces a function."""
    shutil.copytree(f"{ROOT}/etc", directory / "etc")
    (directory / "etc" / f"upgrade-{SCHEMA + 1:03d}.sql").write_text(
        f"-- Version {SCHEMA + 1}: a test.\n-- Locks: ferry.task, for a moment.\n-- Compatible from: {SCHEMA}\n"
        "ALTER TABLE ferry.task ADD COLUMN colour text;\n")
    return directory / "etc"


def test_a_fleet_is_upgraded_without_a_stop(db, ferryd, cos, spool, tmp_path):
    """Two nodes under load; migrate, then one node after the other starts again.  Only parts in flight are sent twice."""
    parts, streams, size = 8, 2, 40 * MIB
    worker = {"part_size": "5M", "streams": streams}
    nodes = [ferryd({"cos": cos.store(), "spool": spool.store()}, workers=2, worker=worker, grace="1s") for _ in range(2)]
    cos.rate(20 * MIB)
    large = {db.put(spool.put(f"large{n}", size), f"cos://{BUCKET}/large{n}"): f"large{n}" for n in range(8)}
    small = spool.put("small", 1000)

    def fill(tag):
        db.sql("INSERT INTO ferry.task (source, destination) SELECT %s, 'spool://' || %s || n FROM generate_series(1, 50) n", (small, tag))

    def sent(least):
        return sum(sum(cos.received(key).values()) for key in large.values()) >= least
    fill("before")
    wait_until(lambda: sent(40 * MIB), 60, "the transfers to be under way")
    subprocess.run([f"{BUILD}/ferryctl", "migrate"], check=True, env={
        "PATH": os.environ["PATH"], "FERRYCTL_DATABASE": db.pg.conninfo(db.name), "FERRY_SCHEMA_DIR": str(next_schema(tmp_path))})
    assert db.one("SELECT max(version) FROM ferry.schema_version") == SCHEMA + 1
    fill("migrated")
    for node in nodes:
        assert node.stop() == 0
        fill(f"stopped{node.name}")
        node.start()
    wait_until(lambda: db.one("SELECT count(*) FROM ferry.task WHERE state <> 'done'") == 0, 120, "all tasks")
    assert db.one("SELECT max(attempt + crashes + ooms) FROM ferry.task") == 0
    again = sum(sum(cos.received(key).values()) for key in large.values()) - len(large) * size
    assert again <= len(nodes) * 2 * streams * 5 * MIB, f"{again} bytes were sent twice, more than the parts in flight at two stops"
    for key in large.values():
        assert int(cos.object(key)["crc64"]) == spool.crc64(key, size)
    assert not [line for node in nodes for line in node.log("schema")]


def test_without_the_right_to_create(pg, empty):
    done = ferryctl("migrate", conninfo=pg.conninfo("ferry_empty", "ferry_test_producer"), check=False)
    assert done.returncode != 0 and done.stderr.strip() != ""
    assert "ferry_test_producer" in done.stderr or "permission" in done.stderr


@pytest.mark.parametrize("change", ["INSERT INTO ferry.schema_version (version, compatible_from) VALUES (999, 999)", "DELETE FROM ferry.schema_version",
                                    "DROP SCHEMA ferry CASCADE"], ids=["too new", "too old", "missing"])
def test_ferryd_refuses_a_schema_that_does_not_fit(db, ferryd, change):
    db.sql(change)
    daemon = ferryd({}, start=False)
    daemon.start(ready=False)
    assert daemon.wait(15) == 78
    said = daemon.log("schema")
    assert len(said) >= 1, daemon.log_text()
    assert "migrate" in daemon.log_text() or "999" in daemon.log_text()


def test_schema_that_disappears_does_not_stop_a_running_ferryd(db, ferryd):
    daemon = ferryd({}, workers=1)
    db.sql("ALTER SCHEMA ferry RENAME TO away")
    db.sql("SELECT pg_notify('ferry_task', '')")
    wait_until(lambda: daemon.alive(), 1)
    db.sql("ALTER SCHEMA away RENAME TO ferry")
    assert daemon.alive()
