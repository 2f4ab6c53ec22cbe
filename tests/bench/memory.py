"""The peak memory of a worker that carries 1 GiB, and of a worker that finishes an object of 10 TiB in 10,000 parts."""

import json

from bench import BUCKET, GIB, table, void
from cost import MIB

HEADER = ("object", "parts", "of them carried", "bytes carried", "peak memory", "verified by")
TEN_TIB = 10 * 1024 * GIB
PART = 1049 * MIB  # the size of 10,000 parts of 10 TiB, in whole MiB


def begun(server, database, source, size, left):
    """Makes a task whose earlier attempt has carried all parts but those in left, in the tables and at the server."""
    target = f"outside://{BUCKET}/ten-tib"
    known = json.loads(server.request("POST", f"-/invent/{BUCKET}/ten-tib?size={size}&part={PART}&leave={','.join(map(str, left))}"))
    task = database.put(source, target)
    database.sql("UPDATE ferry.task SET claim = 1, first_claim = 1 WHERE id = %s", (task,))
    database.sql("INSERT INTO ferry.upload (task, upload_id, destination, claim, source_size, source_etag, part_size, first_claim) "
                 "VALUES (%s, %s, %s, 1, %s, %s, %s, 1)", (task, known["id"], target, size, f"made-up-{size}", PART))
    # left includes the last part, which is smaller
    database.sql("INSERT INTO ferry.part (task, upload_id, number, size, crc64, etag) SELECT %s, %s, n, %s, %s::numeric, %s "
                 "FROM generate_series(1, %s) n WHERE n <> ALL (%s)",
                 (task, known["id"], PART, known["crc"], known["etag"], -(-size // PART), left))
    return task


def carried(bench, server, size, left=None):
    """Carries an object of size bytes, or its parts in left; returns the row and how many bytes arrived."""
    source, before = f"inside://bench/size-{size}", server.stats()["received"]
    with bench.ferryd(server, server, worker={"streams": 4}, ready=False) as daemon:
        task = begun(server, daemon.database, source, size, left) if left else daemon.database.put(source, f"outside://{BUCKET}/object")
        daemon.start()
        row = daemon.database.done(task, timeout=600)
        assert not left or daemon.log(f"task {task} .*resumed="), "the task did not resume"
        return row, server.stats()["received"] - before


def memory(bench, options):
    rows, parts = [], -(-TEN_TIB // PART)
    for name, size, number, left in (("1 GiB", GIB, GIB // (16 * MIB), None),
                                     ("10 TiB, the rest by an earlier attempt", TEN_TIB, parts, [1, parts // 2, parts - 1, parts])):
        with void() as server:
            row, received = carried(bench, server, size, left)
        rows.append((name, number, len(left or range(number)), f"{received / GIB:.1f} GiB", f"{row['peak_memory'] / MIB:.1f} MiB",
                     row["verified_by"]))
    table("Peak memory of a worker, 4 streams", HEADER, rows)
