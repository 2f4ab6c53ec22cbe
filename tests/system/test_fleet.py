"""Three nodes under load die, freeze, are cut off or disagree about the time: every task is done, and done once."""

import os
import shutil
import signal
import time

import pytest

from fleet import Fleet
from rig import ACCOUNT, BUILD, MIB, patience, wait_until
from stores import BUCKET

LEASE = 2


@pytest.fixture
def fleet(ferryd, db, cos, spool):
    made = Fleet(ferryd, db, cos, spool)
    yield made
    try:
        made.wake()
        for node in made.nodes:
            made.plug(node, "database", "store")
            if node.daemon.alive():
                node.daemon.stop()
    finally:
        made.remove()


def under_load(fleet, cos, lease=LEASE, ahead=0, **load):
    """Starts three nodes with tasks; waits until the first node carries a large object.  Returns that node and the tasks."""
    cos.rate(24 * MIB)
    fleet.start(lease=f"{lease}s")
    fleet.up(ahead)
    tasks = fleet.load(**load)
    fleet.wait_busy(fleet.nodes[0])
    return fleet.nodes[0], tasks


def wait_rescued(fleet, db, number):
    """Waits until the node with this row is gone and none of its tasks run; returns the time."""
    wait_until(lambda: not db.sql("SELECT 1 FROM ferry.node WHERE id = %s UNION ALL "
                                  "SELECT 1 FROM ferry.task WHERE node = %s AND state = 'running'", (number, number)), 30,
               "the dead node's tasks to return", step=0.005)
    return time.time()


def test_tasks_of_a_killed_node_return_when_its_lease_ends(fleet, db, cos):
    node, tasks = under_load(fleet, cos, lease=7, ahead=1.2, large=9)
    row = node.row(db)
    killed = fleet.kill(node)
    held = fleet.held(node)
    lapses = float(node.row(db)["lapses"])
    rescued = wait_rescued(fleet, db, row["id"])
    print(f"rescued {rescued - killed:.2f} s after the death, {rescued - lapses:.3f} s after the lease of 7 s")
    assert lapses <= rescued <= lapses + 2 * patience()
    cos.rate(0)
    fleet.check(tasks, again=held)


def test_death_of_a_worker_is_settled_without_the_lease(fleet, db, cos):
    """The master settles it at once; nobody waits until the lease of half a minute ends."""
    node, tasks = under_load(fleet, cos, lease=30)
    task = max(node.daemon.busy(), default=None) or fleet.held(node)[0]
    victim, claim, held = node.daemon.worker_of(task), db.task(task)["claim"], fleet.held(node)
    killed = time.time()
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: db.one("SELECT 1 FROM ferry.task WHERE id = %s AND (state <> 'running' OR claim <> %s) "
                              "UNION ALL SELECT 0", (task, claim)), 5, "the death to be settled", step=0.001)
    took = time.time() - killed
    print(f"settled {took * 1000:.0f} ms after the death")
    assert took < 3 * patience()
    cos.rate(0)
    fleet.check(tasks, again=[task, *held])


@pytest.mark.parametrize("which", ["master", "both"])
def test_frozen_node_writes_nothing_once_its_lease_has_ended(fleet, db, cos, which):
    node, tasks = under_load(fleet, cos, large=9)
    row = node.row(db)
    fleet.freeze(node, which)
    held = {tasks[t][0] for t in fleet.held(node)}
    lapses = float(node.row(db)["lapses"])
    rescued = wait_rescued(fleet, db, row["id"])
    assert held and lapses <= rescued <= lapses + 2 * patience()
    cos.rate(0)
    fleet.check(tasks)
    woken = fleet.wake()
    node.daemon.wait_log("has lapsed: its tasks are with other nodes")
    later = fleet.load(small=6, large=1, tag="later")
    fleet.check({**tasks, **later})
    since = woken if which == "both" else lapses
    assert not fleet.writes(node, since, held)
    assert node.daemon.log("the node's lease has lapsed")
    assert node.row(db)["id"] != row["id"], "the same identity after its lease had lapsed"


def test_frozen_workers_of_a_node_that_renews_go_on(fleet, db, cos):
    node, tasks = under_load(fleet, cos)
    row = node.row(db)
    fleet.freeze(node, "workers")
    time.sleep(0.5)  # meanwhile the results that the workers had sent are settled
    held = fleet.held(node)
    claims = {t: db.task(t)["claim"] for t in held}  # a task that was claimed ahead and given back has its second claim
    time.sleep(LEASE + 1)
    assert held and fleet.held(node) == held
    fleet.wake()
    cos.rate(0)
    fleet.check(tasks)
    assert node.row(db)["id"] == row["id"] and {t: db.task(t)["claim"] for t in held} == claims


@pytest.mark.parametrize("cables", [("database",), ("store",), ("database", "store")], ids=" and ".join)
def test_node_that_is_cut_off(fleet, db, cos, cables):
    node, tasks = under_load(fleet, cos, large=9)
    row = node.row(db)
    fleet.pull(node, *cables)
    held = {tasks[t][0] for t in fleet.held(node)}
    if "database" in cables:
        lapses = float(node.row(db)["lapses"])
        rescued = wait_rescued(fleet, db, row["id"])
        assert held and lapses <= rescued <= lapses + 2 * patience()
        cos.rate(0)
        fleet.check(tasks)
    else:
        time.sleep(LEASE + 1)
        assert node.row(db)["id"] == row["id"]
    healed = fleet.plug(node, *cables)
    cos.rate(0)
    later = fleet.load(small=6, large=1, tag="later")
    if "database" in cables:
        node.daemon.wait_log("has lapsed: its tasks are with other nodes", 15)
        assert not fleet.writes(node, healed if "store" in cables else lapses, held)
        assert node.daemon.log("the node's lease has lapsed")
    fleet.check({**tasks, **later}, again=() if "store" not in cables else [t for t in tasks if tasks[t][0] in held])


def clock_off(node, directory, offset):
    """Shows the node's processes a wrong time of day; the monotonic clocks stay right, as with a clock that is set wrong."""
    library = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
    node.daemon.environment.update(LD_PRELOAD=library, FAKETIME=offset, DONT_FAKE_MONOTONIC="1")
    program = f"{directory}/worker-{node.number}"
    shutil.copy(f"{BUILD}/tests/preload_exec", program)
    shutil.chown(program, ACCOUNT)
    with open(program + ".env", "w") as env:
        env.write(f"WORKER={BUILD}/ferry-worker\nLD_PRELOAD={library}\nFAKETIME={offset}\nDONT_FAKE_MONOTONIC=1\n")
    node.daemon.conf["worker_program"] = program
    node.daemon.write()


def test_clocks_that_are_an_hour_off(fleet, db, cos, tmp_base):
    ahead, behind, _ = fleet.start(lease=f"{LEASE}s")
    clock_off(ahead, tmp_base, "+1h")
    clock_off(behind, tmp_base, "-1h")
    fleet.up()
    cos.rate(24 * MIB)
    tasks = fleet.load(small=24, large=3)
    due = db.one("INSERT INTO ferry.task (source, destination, run_at, if_exists) VALUES (%s, %s, now() + interval '3 s', 'fail') "
                 "RETURNING id", ("spool://small", f"cos://{BUCKET}/due"))
    head = [db.put(f"cos://{BUCKET}/large-0", f"spool://back-{n}", run_at="infinity") for n in range(6)]
    fleet.check(tasks)
    db.sql("UPDATE ferry.task SET run_at = now() WHERE id = ANY (%s)", (head,))
    rows = db.done(due, *head)
    assert rows[0]["started_at"] >= rows[0]["run_at"]
    assert all((row["attempt"], row["crashes"]) == (0, 0) for row in map(db.task, [*tasks, due, *head]))
    for node, word in ((ahead, "behind"), (behind, "ahead of")):
        said = node.daemon.log(rf"store cos: its clock is (3599|3600|3601) s {word} ours")
        assert 1 <= len(said) <= 2, "each worker logs the difference once"
        verdict = rf"2 of 2 clocks, of stores and the database, agree that this machine's clock is 60 min {'fast' if node is ahead else 'slow'}"
        assert len(node.daemon.log(verdict)) == 1
        assert node.daemon.log(r'msg="task \d+ done"'), "a node with a wrong clock did nothing"
        assert not node.daemon.log("lapsed|lease of|run out")


def test_new_node_with_the_host_name_and_pid_of_a_dead_one(fleet, db, cos):
    node, tasks = under_load(fleet, cos)
    row = node.row(db)
    fleet.kill(node)
    held = fleet.held(node)
    node.daemon.start()
    wait_until(lambda: node.row(db)["id"] != row["id"], 10, "a new row for the node")
    db.sql("UPDATE ferry.node SET pid = %s WHERE id = %s", (node.daemon.pid, row["id"]))
    wait_rescued(fleet, db, row["id"])
    assert node.row(db)["id"] != row["id"]
    cos.rate(0)
    fleet.check(tasks, again=held)
