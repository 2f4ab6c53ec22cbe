"""A short run of 'make chaos': all kinds of tasks under all kinds of disturbances, then calm, then the check of the invariants."""

import pytest

from chaos import chaos


@pytest.mark.limit(60)
def test_all_is_well_after_chaos(tmp_base, db, cos):
    summary, problems = chaos(tmp_base, db, cos, 7, 6, nodes=2, rate=3, every=0.6)
    assert not problems, "\n\n".join([summary, *problems])


def test_invariants_find_deliberate_damage(tmp_base, db, cos):
    """No disturbance, but the test damages an object, a file, an upload and a row."""
    def spoil(run):
        done = [t for t in run.tasks if t.story == "plain" and not (t.before or t.limited or t.cancel_at)]
        file = next(t for t in done if t.destination == "out")
        with open(f"{run.out}/{file.key}", "wb") as f:
            f.write(b"spoiled")
        stored = next(t for t in done if t.destination == "cos")
        run.client.call("PUT", stored.key, body=b"spoiled")
        run.initiate(stored.key)
        other = next(t for t in done if t not in (file, stored))
        run.db.sql("UPDATE ferry.task SET state = 'failed', error = 'so' WHERE id = %s", (other.id,))
        with open(f"{run.out}/.ferry-{file.id}-1.tmp", "w"), open(f"{run.out}/foreign-0", "w"):
            pass
        spoil.expected = [f"task {file.id}: done; at its destination", f"task {stored.id}: done; at its destination",
                          f"of {stored.key} is left at the store", f"task {other.id}: is failed (None: so)",
                          "says that a task is done which is not",
                          f".ferry-{file.id}-1.tmp is left", "foreign file foreign-0"]
    _, problems = chaos(tmp_base, db, cos, 4, 2, nodes=1, rate=8, every=1000, spoil=spoil)
    for expected in spoil.expected:
        assert sum(expected in problem.split("\n")[0] for problem in problems) == 1, (expected, problems)
    assert len(problems) == len(spoil.expected), problems
