"""Runs every C unit program as one test; the programs print TAP."""

import glob
import os
import re
import subprocess

import pytest

from rig import BUILD, ROOT

# The ordinary build, and the build with sanitizers if the caller has made it.
BUILDS = {"plain": BUILD, **({"sanitized": os.path.abspath(os.environ["FERRY_SAN_BUILD"])} if "FERRY_SAN_BUILD" in os.environ else {})}
PROGRAMS = sorted(os.path.basename(path)[:-2] for path in glob.glob(f"{ROOT}/tests/unit/test_*.c"))


def parse_tap(text):
    """Returns (number of checks, failed lines); fails unless the text is a complete TAP document."""
    results = re.findall(r"^(not ok|ok) (\d+)\b(.*)$", text, re.M)
    plan = re.search(r"^1\.\.(\d+)", text, re.M)
    assert plan, "no plan: the program did not finish"
    assert [int(number) for _, number, _ in results] == list(range(1, int(plan.group(1)) + 1)), "checks are missing"
    return len(results), [word + " " + number + rest for word, number, rest in results if word == "not ok"]


@pytest.mark.limit(300)
@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("build", BUILDS)
def test_unit(build, program, pg, tmp_base):
    database = f"unit_{build}_{program}"
    pg.admin(f"CREATE DATABASE {database}")
    try:
        env = {**os.environ, "FERRY_TEST_DATABASE": pg.conninfo(database), "TMPDIR": tmp_base}
        done = subprocess.run([f"{BUILDS[build]}/tests/unit/{program}"], cwd=ROOT, env=env, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", timeout=280)
    finally:
        pg.admin(f"DROP DATABASE {database} WITH (FORCE)")
    checks, failed = parse_tap(done.stdout)
    tail = done.stdout[-3000:]
    assert not failed, "\n".join(failed) + "\n" + tail
    assert done.returncode == 0, f"exit code {done.returncode}\n{tail}"
    skipped = re.search(r"^1\.\.0 # SKIP (.*)$", done.stdout, re.M | re.I)
    assert checks > 0 and not skipped, f"nothing was checked\n{tail}"


def test_tap_parser_sees_failures():
    assert parse_tap("ok 1 - a\nnot ok 2 - b\n1..2\n") == (2, ["not ok 2 - b"])
    with pytest.raises(AssertionError):
        parse_tap("ok 1 - a\n")
    with pytest.raises(AssertionError):
        parse_tap("ok 1 - a\n1..2\n")
