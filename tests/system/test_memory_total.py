"""memory_total: no more workers run than fit into the node's budget; each counts until it has exited."""

import os
import re
import signal
import time

import pytest

from rig import MIB, holds, title, wait_until
from stores import BUCKET


@pytest.fixture
def stores(cos, spool):
    return {"cos": cos.store(), "spool": spool.store()}


@pytest.fixture
def held(ferryd, stores):
    """A ferryd with eight workers of 64M configured and a budget of 200M."""
    daemon = ferryd(stores, workers=8, memory_total="200M", start=False)
    daemon.start(ready=False)
    wait_until(lambda: up(daemon) >= 3, 15, lambda: f"three workers; log:\n{daemon.log_text()}")
    return daemon


def up(daemon):
    return len([pid for pid in daemon.workers() if not title(pid).endswith("starting")])


def reload(daemon, **conf):
    daemon.conf.update(conf)
    daemon.write()
    before = len(daemon.log("reload"))
    daemon.send(signal.SIGHUP)
    daemon.wait_log("reload", count=before + 1)


def test_no_more_workers_than_fit_and_one_line_says_so(held, db, spool):
    source = spool.put("object", 1000)
    tasks = [db.put(source, f"spool://copy{n}") for n in range(30)]
    holds(lambda: len(held.workers()) <= 3, 1)
    db.done(*tasks)
    (line,) = held.log("memory_total")
    assert "8 workers are wanted, the pool is held at 3 by memory_total of 200M: each may have 64M" in line and " warn " in line
    assert held.log("is up, 3 workers")


def test_ttin_is_refused_with_a_reason_and_ttou_takes_a_worker_off(held):
    held.send(signal.SIGTTIN)
    held.wait_log("3 workers wanted, as before: memory_total holds no more")
    holds(lambda: len(held.workers()) == 3, 0.5)
    held.send(signal.SIGTTOU)
    wait_until(lambda: len(held.workers()) == 2, 5, "two workers")
    held.send(signal.SIGTTIN)
    wait_until(lambda: up(held) == 3, 5, "three workers")


def test_hup_raises_lowers_and_lifts_it(held):
    reload(held, memory_total="330M")
    wait_until(lambda: up(held) == 5, 5, "five workers")
    reload(held, memory_total="100M")
    wait_until(lambda: len(held.workers()) == 1, 5, "one worker")
    reload(held, memory_total="60M")
    assert held.log("reload.*holds no worker.*the old configuration stays in force")
    holds(lambda: len(held.workers()) == 1, 0.5)
    reload(held, memory_total=None)
    wait_until(lambda: up(held) == 8, 10, "eight workers")
    assert len(held.log("the pool is held at")) == 3


def test_retiring_workers_count_until_they_have_exited(held, db, cos, spool):
    """Three busy workers of 64M, and a new configuration with 32M: 8 + 3 x 64 of 200 leave no room for a worker of 32M."""
    cos.rate(2 * MIB)
    source = spool.put("object", 30 * MIB)
    tasks = [db.put(source, f"cos://{BUCKET}/{n}") for n in range(3)]
    wait_until(lambda: len(held.busy()) == 3, 10, "three busy workers")
    old = set(held.workers())
    held.worker.update(memory="32M", streams=2)
    reload(held)
    assert held.log("the pool is held at 6")
    holds(lambda: set(held.workers()) == old, 1, "no worker is started beside the old ones")
    db.sql("SELECT ferry.cancel(%s)", (tasks[0],))  # makes room for two
    wait_until(lambda: len(set(held.workers()) - old) == 2, 5, "two small workers in the place of a large one")
    holds(lambda: len(held.workers()) == 4, 0.5)
    cos.rate(0)
    db.done(*tasks[1:])
    wait_until(lambda: up(held) == 6, 10, "six small workers")


def test_slot_that_waits_for_memory_does_not_spin(ferryd, db, cos, spool, stores):
    """A dead worker's delay is over, but the other worker still holds the memory that its successor needs now."""
    cos.rate(2 * MIB)
    daemon = ferryd(stores, workers=2, memory_total="136M")
    task = db.put(spool.put("object", 30 * MIB), f"cos://{BUCKET}/object")
    pid = daemon.worker_of(task)
    (idle,) = set(daemon.workers()) - {pid}
    daemon.worker["memory"] = "96M"
    daemon.write()
    os.kill(idle, signal.SIGKILL)
    daemon.wait_log(rf"\(pid {idle}\) (was )?killed")
    daemon.send(signal.SIGHUP)
    daemon.wait_log("reloaded")
    time.sleep(0.5)

    def ticks():
        fields = open(f"/proc/{daemon.pid}/stat").read().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])
    before = ticks()
    holds(lambda: daemon.workers() == [pid], 1.5)
    assert ticks() - before < 30
    cos.rate(0)
    db.done(task)
    wait_until(lambda: up(daemon) == 1 and daemon.workers() != [pid], 5, "a worker of 96M in its place")


def test_ferryd_t_warns_if_not_all_workers_fit_and_refuses_if_none_does(ferryd, stores):
    daemon = ferryd(stores, workers=8, memory_total="200M", start=False)
    code, out, err = daemon.run("-t")
    assert code == 0 and out.endswith(": ok\n")
    assert re.search(r"ferryd\.conf: warning: workers is 8, of which memory_total holds 3$", err.strip())
    daemon.conf["memory_total"] = "71M"
    daemon.write()
    code, out, err = daemon.run("-t")
    assert code == 78 and "raise it to 72M" in err
    daemon.conf.update(memory_total="200M", workers=3)
    daemon.write()
    assert daemon.run("-t")[0::2] == (0, "")
