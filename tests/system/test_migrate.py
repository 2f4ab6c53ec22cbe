"""ferryctl migrate: idempotent, safe twice at once; and a ferryd that refuses a schema that it does not know."""

import subprocess

import pytest

from rig import BUILD, ROOT, SCHEMA, ferryctl, wait_until


@pytest.fixture
def empty(pg):
    pg.admin("CREATE DATABASE ferry_empty")
    yield pg.conninfo("ferry_empty")
    pg.admin("DROP DATABASE ferry_empty WITH (FORCE)")


def test_from_nothing_and_again(empty):
    assert f"0 → {SCHEMA}" in ferryctl("migrate", conninfo=empty).stdout
    again = ferryctl("migrate", conninfo=empty).stdout
    assert f"version {SCHEMA}" in again and "nothing to do" in again


def test_several_at_once(empty):
    env = {"FERRYCTL_DATABASE": empty, "PATH": "/usr/bin:/bin", "FERRY_SCHEMA_DIR": f"{ROOT}/etc"}
    running = [subprocess.Popen([f"{BUILD}/ferryctl", "migrate"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
               for _ in range(5)]
    results = [(*p.communicate(timeout=60), p.returncode) for p in running]
    assert [code for _, _, code in results] == [0] * 5, results
    assert sorted(f"0 → {SCHEMA}" in out for out, _, _ in results) == [False] * 4 + [True], results


def test_newer_schema_is_refused(db):
    db.sql("INSERT INTO ferry.schema_version (version) VALUES (999)")
    done = ferryctl("migrate", conninfo=db.conninfo("postgres"), check=False)
    assert done.returncode != 0 and "999" in done.stderr


def test_without_the_right_to_create(pg, empty):
    done = ferryctl("migrate", conninfo=pg.conninfo("ferry_empty", "ferry_test_producer"), check=False)
    assert done.returncode != 0 and done.stderr.strip() != ""
    assert "ferry_test_producer" in done.stderr or "permission" in done.stderr


@pytest.mark.parametrize("change", ["INSERT INTO ferry.schema_version (version) VALUES (999)", "DELETE FROM ferry.schema_version",
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
