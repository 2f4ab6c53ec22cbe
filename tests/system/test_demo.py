"""The demos show what they promise, end by themselves and leave nothing."""

import os
import re
import subprocess

import pytest

from rig import BUILD, ROOT, read_proc, wait_until


@pytest.fixture
def demo(tmp_base):
    """demo(script, MiB of the object): what the script prints.  All of its files and processes are gone at the end."""
    def run(script, size):
        done = subprocess.run(["bash", f"{ROOT}/tests/demo/{script}"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True,
                              env={**os.environ, "TMPDIR": tmp_base, "BUILD": BUILD, "SIZE_MIB": str(size)})
        assert done.returncode == 0, done.stdout
        return done.stdout
    yield run
    assert os.listdir(tmp_base) == []
    wait_until(lambda: left(tmp_base) == [], 10, lambda: f"the processes of the demo to end: {left(tmp_base)}")


def left(directory):
    """The processes whose arguments name a file below the directory."""
    lines = [(int(pid), read_proc(int(pid), "cmdline").decode(errors="replace")) for pid in os.listdir("/proc") if pid.isdigit()]
    return [(pid, line) for pid, line in lines if f"{directory}/" in line]


def must_follow(text, *patterns):
    """Each of the patterns matches behind the one before."""
    at = 0
    for pattern in patterns:
        found = re.compile(pattern, re.M).search(text, at)
        assert found, f"no {pattern!r} behind {text[:at][-200:]!r} in:\n{text}"
        at = found.end()


@pytest.mark.limit(240)
def test_a_worker_is_killed_and_its_task_resumes(demo):
    must_follow(demo("demo.sh", 160), r"kill -9 (\d+), the worker that carries task 1", r"the rows", r"^ +1 \| done +\| +0 \|",
                r"CRC64 of the bytes outside: +\d+", r"all processes are stopped again")


@pytest.mark.limit(240)
def test_a_worker_that_leaks_is_seen_named_counted_and_its_task_resumes(demo):
    shown = demo("oom.sh", 160)
    heights = [float(height) for height in re.findall(r"^   worker 1  █+░*  +([\d.]+) MiB of 64.0 MiB$", shown, re.M)]
    peak = max(heights)
    after = heights[heights.index(peak):]
    assert heights[0] < peak / 2 > min(after), f"no sawtooth: {heights}"
    must_follow(shown, r"the log names the cause",
                r"worker 1 \(pid \d+\) killed: out of memory, peak [\d.]+ MiB of 64.0 MiB cap \(.*\), task 1 inside://.* at .* of 160.0 MiB; "
                r"task requeued, resumes at part \d+, oom 1 of 2",
                r"the metrics count it", r'ferry_worker_deaths_total\{cause="out_of_memory"\} 1$',
                r"the task resumed and is done", r"state +done$", r"ooms +1$",
                r"CRC64 of the bytes outside: +\d+", r"all processes are stopped again")
