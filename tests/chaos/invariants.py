"""
Invariants that must hold when all is calm again: of the table, of the objects in the stores, and of the machine.  Each function
yields (task or None, what is wrong).
"""

import os
import re
import time

import stores
from daemon import parse_line
from places import descriptors
from rig import running, title, wait_until

FAULTS = {"transient", "throttled", "full", "credentials", "source_changed"}


def ends(task):
    """Returns the ends that a task's inputs allow, as a set of states; "skipped" is done without a transfer."""
    if task.story in ("missing", "hog", "crash"):
        allowed = {"failed"}
    elif task.story in ("wrong crc64", "wrong size"):
        allowed = {"failed"}
    elif task.story == "vanishes":
        allowed = {"done", "failed"}
    elif task.story == "contest":
        allowed = {"done", {"fail": "failed", "skip": "skipped"}[task.if_exists]}
    else:
        allowed = {"done"}
    if task.before and task.if_exists == "skip":
        allowed = allowed - {"done"} | {"skipped"}
    if task.before and task.if_exists == "fail":
        allowed = {"failed"}
    if meets_itself(task):
        allowed |= {{"fail": "failed", "skip": "skipped"}[task.if_exists]}
    if task.limited:
        allowed |= {"failed"}
    if task.cancel_at and not task.retried:
        allowed |= {"cancelled"}
    return allowed


def meets_itself(task):
    """Tells whether a task may find its own object: it was cancelled while the store made the object, then retried."""
    return bool(task.cancel_at and task.retried and task.if_exists != "overwrite")


def may_fail(task):
    """Tells whether the task itself, rather than a disturbance, may be the reason of a failure."""
    only_limited = task.limited and ends(task) - {"failed"} == {"done"} and task.story != "vanishes"
    return "failed" in ends(task) and (not only_limited or (meets_itself(task) and task.if_exists == "fail"))


def meets_its_own(run, task, row):
    """
    Tells whether a task may have met an object of its own, and taken it for another program's, which must stay.  The store spoiled a PUT
    whose answer was lost; or an attempt made the object and could not verify it, and the next one cannot tell that it is of the same
    bytes, since nothing pins the source or the source has changed.
    """
    found = run.found(task)
    if task.if_exists == "overwrite" or task.before or task.destination != "cos" or not found or found[0] != task.size:
        return False
    spoiled = found[1] not in task.crc64s and run.disturber.counts.get("store corrupts")
    unknown = found[1] in task.crc64s and (task.source == "http" or task.changes_at)
    return bool((spoiled or unknown) and (row["error"] == "destination exists" or row["verified_by"] == "skipped"))


def is_superseded(run, task, row):
    """Tells whether a task had begun, returned to the queue, and met a newer one of its dedup_key there."""
    said = re.fullmatch(r"superseded by task (\d+)", row["error"] or "")
    return bool(said) and any(t.id == int(said[1]) > task.id and t.group == task.group for t in run.tasks if t.story == "dedup")


def end_of(row):
    return "skipped" if row["state"] == "done" and row["verified_by"] == "skipped" else row["state"]


def states(run, rows):
    for task in run.tasks:
        if task.id is None:
            if not task.refused:
                yield task, "was never inserted"
            continue
        row = rows.get(task.id)
        if row is None:
            yield task, "its row is gone"
            continue
        end = end_of(row)
        if end == "cancelled" and is_superseded(run, task, row) or meets_its_own(run, task, row):
            pass
        elif end not in ends(task):
            yield task, f"is {end} ({row['error_class']}: {row['error']}), but may only be {' or '.join(sorted(ends(task)))}"
        elif end == "failed" and not may_fail(task) and row["error_class"] not in FAULTS:
            yield task, f"failed as {row['error_class']}: {row['error']}"
        if end == "failed" and task.story in ("hog", "crash"):
            yield from evidence(run, task, row)
        if end == "failed" and not row["error"]:
            yield task, "failed without an error"
        if end == "done":
            if (row["bytes_done"], row["bytes_total"]) != (task.size, task.size):
                yield task, f"done with {row['bytes_done']} of {row['bytes_total']} bytes, its size is {task.size}"
            if row["crc64"] is not None and int(row["crc64"]) not in task.crc64s:
                yield task, f"its row says crc64 {row['crc64']}, its content has {task.crc64s}"
            if not row["verified_by"]:
                yield task, "done, but verified_by is empty"
    for group in {t.group for t in run.tasks if t.story == "dedup"}:
        if not any(t.id for t in run.tasks if t.group == group):
            yield None, f"all tasks with a dedup_key of group {group} were refused"


def evidence(run, task, row):
    """Checks the evidence in the row of a task that kills its worker each time."""
    kind, count, most, words = ("out_of_memory", row["ooms"], run.MAX_OOMS, "killed: out of memory") if task.story == "hog" else \
        ("crash", row["crashes"], run.MAX_CRASHES, r"killed: signal 11 \(Segmentation fault\), sent by itself")
    if row["error_class"] != kind or count != most or not re.search(words, row["error"] or ""):
        yield task, f"is poison ({task.story}), and ended with {row['crashes']} crashes, {row['ooms']} ooms, " \
                    f"{row['error_class']}: {row['error']}"


def objects(run, rows):
    """Checks the objects at the destinations."""
    for task in run.tasks:
        if task.id is None or task.id not in rows or task.story in ("contest", "chain"):
            continue
        end, found, row = end_of(rows[task.id]), run.found(task), rows[task.id]
        right, before = [(task.size, crc64) for crc64 in task.crc64s], run.before.get(task.number)
        if task.before and task.if_exists != "overwrite":
            if found != before:
                yield task, f"{end}; the object that was there before, {before}, has become {found}"
            elif task.destination == "cos" and run.cos_objects[(stores.BUCKET, task.key)]["puts"] != 1:
                yield task, f"{end}; the object that was there before was written again"
        elif end == "done":
            if found not in right:
                yield task, f"done; at its destination is {found}, not {right} (before: {before})"
            elif row["crc64"] is not None and int(row["crc64"]) != found[1]:
                yield task, f"done; its row says crc64 {row['crc64']}, at its destination is {found}"
            else:
                yield from headers(run, task)
        elif end == "skipped" and meets_itself(task) and found in right or meets_its_own(run, task, row):
            continue
        elif end == "cancelled" and found and found[0] == task.size:
            continue  # it may be spoiled: no worker has waited for the answer that says so
        elif end == "skipped" or found not in (before, *right):
            yield task, f"{end}; at its destination is {found}, its content is {right} (before: {before})"
        elif task.story in ("missing", "wrong crc64", "wrong size", "hog", "crash") and found != before:
            yield task, f"{end}; there is an object that it should not have made"


def headers(run, task):
    if task.destination != "cos":
        return
    has = run.cos_objects[(stores.BUCKET, task.key)]["headers"]
    wanted = {f"x-cos-meta-{name.lower()}": value for name, value in task.columns.get("metadata", {}).items()}
    if "content_type" in task.columns:
        wanted["content-type"] = task.columns["content_type"]
    for name, value in wanted.items():
        if has.get(name) != value:
            yield task, f"done; {name} of its object is {has.get(name)!r}, not {value!r}"


def groups(run, rows):
    """Checks the keys that several tasks write."""
    for number in sorted({t.group for t in run.tasks if t.story in ("contest", "chain")}):
        group = [t for t in run.tasks if t.group == number and t.id in rows]
        if not group or any(meets_its_own(run, t, rows[t.id]) for t in group):
            continue
        done = [t for t in group if end_of(rows[t.id]) == "done"]
        found = run.found(group[0])
        if group[0].story == "contest" and len(done) != 1:
            yield group[0], f"{len(done)} of {[t.id for t in group]} made {group[0].key}, where none may replace another's"
        elif done and found != (done[-1].size, done[-1].crc64):
            whose = [t.id for t in run.tasks if (t.size, t.crc64) == found]
            yield done[-1], f"was the last to make {group[0].key}; there is {found}, of {whose or 'no task'}"


def leftovers(run, rows):
    """Checks that ferryctl reap has left no uploads and no temporary files."""
    waiting = run.db.sql("SELECT task, upload_id, destination, initiated, abandoned, reap_error, "
                         "extract(epoch FROM now() - created_at) AS age FROM ferry.upload")
    by_id = {t.id: t for t in run.tasks if t.id}
    for row in waiting:
        if row["initiated"] or float(row["age"]) - (time.time() - run.reaped_at) > 155:
            yield by_id.get(row["task"]), f"its upload is still in the table: {row}"
    patient = {row["destination"].partition("://")[2].partition("/")[2] for row in waiting if not row["initiated"]}
    left = {(u["key"], u["id"]) for u in run.cos.uploads()}
    for key, upload in sorted(run.foreign_uploads - left):
        yield None, f"foreign upload {upload} of {key} is gone"
    by_key = {t.key: t for t in run.tasks}
    for key, upload in sorted(left - run.foreign_uploads):
        if key not in patient:
            yield by_key.get(key), f"upload {upload} of {key} is left at the store, without a row"
    if run.ceph:
        left = run.gateway.uploads(run.ceph.TARGET, f"{run.seed}/")
        for key, upload in sorted(run.foreign_at_gateway - left):
            yield None, f"foreign upload {upload} of {key} at the gateway is gone"
        for key, upload in sorted(left - run.foreign_at_gateway):
            if key not in patient:
                yield by_key.get(key.partition("/")[2]), f"upload {upload} of {key} is left at the gateway, without a row"
    names = {row["upload_id"] for row in waiting}
    for directory, _, files in os.walk(run.out):
        for name in files:
            if name.startswith(".ferry") and name not in names:
                task = re.match(r"\.ferry-(\d+)-", name)
                yield by_id.get(int(task.group(1))) if task else None, f"temporary file {name} is left"
    for key, size_and_crc in run.foreign_files.items():
        if run.file(key) != size_and_crc:
            yield None, f"foreign file {key} is now {run.file(key)}"


def idle(run, rows):
    """Checks open descriptors of idle daemons: a master has three for each worker (channel, process, its
    cgroup's notices) and some others, a worker its connections."""
    for node in run.nodes:
        workers = node.daemon.workers()
        has = descriptors(node.daemon.pid)
        if sum(has.values()) > 3 * len(workers) + 14:
            yield None, f"the master of {node.name} has {len(workers)} workers and open {has}"
        for pid in workers:
            has = descriptors(pid)
            if sum(has.values()) > 40:
                yield None, f"a worker of {node.name} has nothing to do, and open {has}"
    alive = len(run.nodes)
    known = run.db.one("SELECT count(*) FROM ferry.node")
    if known != alive:
        yield None, f"there are {alive} nodes, and {known} in the table"


def logs(run):
    done = {row["id"] for row in run.db.sql("SELECT id FROM ferry.task WHERE state = 'done'")}
    for node, line in run.lines():
        said = re.search(r'ferryd\[\d+\] msg="task (\d+) done"', line)
        if said and int(said.group(1)) not in done:
            yield None, f"{node} says that a task is done which is not: {line}"
        try:
            parse_line(line)
        except AssertionError as problem:
            yield None, f"{node}: {problem}"
        if any(secret in line for secret in (stores.COS_SECRET, stores.CEPH_SECRET)):
            yield None, f"{node}: a secret is in {line!r}"
        if re.search("AddressSanitizer|runtime error:|LeakSanitizer|fatal", line):
            yield None, f"{node}: {line}"


def machine(run):
    """Checks that stopped daemons leave no sessions, processes, rows and cgroups."""
    try:
        wait_until(lambda: not run.db.sessions(), 5)
    except AssertionError:
        yield None, f"database sessions are left: {run.db.sessions()}"
    try:
        wait_until(lambda: not processes(run.directory), 5)
    except AssertionError:
        yield None, f"processes are left: {processes(run.directory)}"
    if run.db.one("SELECT count(*) FROM ferry.node"):
        yield None, f"nodes are left in the table: {run.db.sql('SELECT * FROM ferry.node')}"
    for node in run.nodes:
        if node.daemon.leaves():
            yield None, f"cgroup leaves of {node.name} are left: {node.daemon.leaves()}"


def processes(directory):
    """Returns {pid: title} of ferryd's processes that hold a file below the directory open."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if int(pid) == os.getpid() or not title(pid).startswith("ferry"):
            continue
        try:
            links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        except OSError:
            continue
        if running(pid) and any(link.startswith(directory + "/") for link in links):
            found[int(pid)] = title(pid)
    return found
