"""The time from the commit of an INSERT to the first request at the source, with idle workers."""

import contextlib
import statistics
import time

from rig import patience, wait_until
from stores import BUCKET


def test_insert_to_first_request_without_a_poll(ferryd, db, cos, origin):
    """The notification wakes the daemon.  tests/bench measures how fast; here each task must be far from waiting for a poll."""
    daemon = ferryd({"cos": cos.store()}, workers=4, poll="1m", http={"allow": ["127.0.0.1"], "private": True})
    taken = []
    with contextlib.closing(db.connect("ferry_test_producer")) as conn, conn.cursor() as cur:
        for n in range(34):
            path = f"/size/1000?seed={n}"
            cur.execute("INSERT INTO ferry.task (source, destination) VALUES (%s, %s) RETURNING id",
                        (origin.url(path), f"cos://{BUCKET}/{n}"))
            inserted = time.time()
            task = cur.fetchone()[0]
            wait_until(lambda: any(r.query == f"seed={n}" for r in origin.requests), 5, "the first request", step=0.005)
            first = next(r for r in origin.requests if r.query == f"seed={n}")
            taken.append((first.time - inserted) * 1000)
            db.done(task)
    measured = taken[4:]
    print(f"milliseconds: {sorted(round(t, 1) for t in measured)}")
    assert statistics.median(measured) < 1000 * patience()
    assert daemon.alive()
