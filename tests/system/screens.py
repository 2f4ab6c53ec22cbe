#!/usr/bin/python3
"""screens.py FILE: writes what ferryctl shows of a small fleet on a terminal of 150 columns, as text.

A fast task is done, a large one is under way, one failed, and a queue is paused.
"""

import os
import re
import sys
import tempfile

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[1:1] = [TESTS, f"{TESTS}/servers"]

from conftest import Spool
from daemon import Ferryd
from rig import MIB, Database, Postgres, wait_until
from stores import BUCKET, Cos
from test_ctl_screens import Terminal

COLUMNS, LINES = 150, 60


def put_tasks(db, spool, cos):
    """The tasks, by name."""
    small, large = spool.put("interview.mp4", 6 * MIB), spool.put("concert.mp4", 120 * MIB)
    tasks = {"done": db.put(small, f"cos://{BUCKET}/2026/interview.mp4", tags='{"upload": "5"}')}
    db.done(tasks["done"])
    tasks["failed"] = db.put("spool://lost.mp4", f"cos://{BUCKET}/2026/lost.mp4")
    db.wait(tasks["failed"], "failed")
    db.sql("INSERT INTO ferry.queue (name, weight, enabled) VALUES ('archive', 2, false)")
    for n in range(2):
        db.put(small, f"cos://{BUCKET}/archive/{n}.mp4", queue="archive")
    cos.rate(5 * MIB)
    tasks["running"] = db.put(large, f"cos://{BUCKET}/2026/concert.mp4")
    wait_until(lambda: db.task(tasks["running"])["bytes_done"] > 40 * MIB, 60, "a third of the large object")
    cos.rate(MIB // 2)  # so that it is under way on each screen
    return tasks


def shown(base, db, *arguments, pattern="exit=0"):
    """The screen after the command has ended, or when it shows the pattern."""
    with tempfile.TemporaryDirectory(dir=base) as directory:
        terminal = Terminal(directory, db.conninfo(), columns=COLUMNS, lines=LINES)
        try:
            terminal.run(*arguments)
            terminal.wait(pattern)
            text = terminal.screen().rstrip()
        finally:
            terminal.close()
    return f"$ ferryctl {' '.join(map(str, arguments))}\n{re.sub(r'exit=0$', '', text).rstrip()}\n"


def take(base, db, tasks):
    return "\n".join((shown(base, db, "status"),
                      shown(base, db, "watch", tasks["running"], pattern=r"iB/s, .* left"),
                      shown(base, db, "ls"),
                      shown(base, db, "show", tasks["done"])))


def main(path):
    with tempfile.TemporaryDirectory(prefix="ferry-") as base:
        os.chmod(base, 0o755)
        pg, cos, daemon = Postgres(f"{base}/pg"), Cos(f"{base}/cos"), None
        try:
            Database.make_template(pg)
            db = Database(pg, "screens")
            spool = Spool(f"{base}/spool")
            daemon = Ferryd(base, db, {"cos": cos.store(), "spool": spool.store()}, workers=3, queues=["default", "archive"]).start()
            text = take(base, db, put_tasks(db, spool, cos))
        finally:
            if daemon is not None:
                daemon.finish()
            cos.stop()
            pg.remove()
    with open(path, "w", encoding="utf-8") as f:
        f.write("What ferryctl shows of a small fleet.  \"make screens\" in the source wrote this file.\n\n" + text)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
