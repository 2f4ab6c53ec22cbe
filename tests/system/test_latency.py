"""From the commit of an INSERT to the first request at the source, with idle workers."""

import contextlib
import statistics
import time

from rig import wait_until
from stores import BUCKET


def test_insert_to_first_request_in_under_20_ms(ferryd, db, cos, origin):
    daemon = ferryd({"cos": cos.store()}, workers=4, http={"allow": ["127.0.0.1"], "private": True})
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
    assert statistics.median(measured) < 20, f"milliseconds: {sorted(round(t, 1) for t in measured)}"
    assert daemon.alive()
