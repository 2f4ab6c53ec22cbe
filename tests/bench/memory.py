"""Memory at scale: the peak of a worker that carries 1 GiB, and of one that ends an object of 10 TiB in 10,000 parts."""

import re
import urllib.parse

from bench import BUCKET, GIB, table, void
from cost import MIB
from rig import wait_until

HEADER = ("object", "parts", "of them carried", "bytes carried", "peak memory", "verified by")
KEY = "ten-tib"
LEFT = 4  # parts that the attempt before has not carried


def begun(bench, server, source, **how):
    """A ferryd that begins the object, and is stopped as soon as there is an upload: its task, and the row of the upload."""
    with bench.ferryd(server, server, **how) as daemon:
        task = daemon.database.put(source, f"outside://{BUCKET}/{KEY}")
        row = wait_until(lambda: daemon.database.sql("SELECT * FROM ferry.upload WHERE task = %s AND initiated", (task,)), 20,
                         "an upload")[0]
        daemon.stop()
        wait_until(lambda: daemon.database.state(task) == "queued", 10, "the task to be handed back")
        yield daemon, task, row


def invent(server, daemon, task, upload, parts):
    """Parts of an earlier attempt, at the server and in the table, so that both know them."""
    query = urllib.parse.urlencode({"uploadId": upload["upload_id"], "size": upload["part_size"], "count": parts})
    server.request("PUT", f"-/parts?upload={BUCKET}/{KEY}&{query}")
    daemon.database.sql("DELETE FROM ferry.part WHERE task = %s", (task,))
    found, marker = 0, 0
    while marker < parts:
        page = server.request("GET", f"{BUCKET}/{KEY}?uploadId={upload['upload_id']}&part-number-marker={marker}")
        for number, size, etag in re.findall(r'<PartNumber>(\d+)</PartNumber><Size>(\d+)</Size><ETag>"(\w+)"</ETag>', page):
            daemon.database.sql("INSERT INTO ferry.part (task, upload_id, number, size, crc64, etag) VALUES (%s, %s, %s, %s, %s, %s)",
                                (task, upload["upload_id"], int(number), int(size), int(etag[:16], 16), etag))
            found, marker = found + 1, int(number)
    assert found == parts, found


def end_of_it(bench, server, size):
    """Carries the last parts of an object; the row of the task, and how many parts it has."""
    for daemon, task, upload in begun(bench, server, f"inside://bench/size-{size}", defaults=True, worker={"streams": 4}):
        parts = -(-size // upload["part_size"])
        invent(server, daemon, task, upload, parts - LEFT)
        before = server.stats()["received"]
        daemon.start()
        row = daemon.database.done(task, timeout=600)
        return row, parts, server.stats()["received"] - before


def memory(bench, options):
    rows = []
    with void() as server:
        with bench.ferryd(server, server, defaults=True, worker={"streams": 4}) as daemon:
            row = daemon.database.done(daemon.database.put(f"inside://bench/size-{GIB}", f"outside://{BUCKET}/one-gib"), timeout=300)
            parts = GIB // (16 * MIB)
            rows.append(("1 GiB", parts, parts, "1.0 GiB", f"{row['peak_memory'] / MIB:.1f} MiB", row["verified_by"]))
        row, parts, carried = end_of_it(bench, server, 10 * 1024 * GIB)
        rows.append((f"10 TiB, all parts but {LEFT} by an earlier attempt", parts, LEFT, f"{carried / GIB:.1f} GiB",
                     f"{row['peak_memory'] / MIB:.1f} MiB", row["verified_by"]))
    table("Peak memory of the worker, 4 streams", HEADER, rows)
