#!/usr/bin/python3
"""shots.py DIRECTORY [SECONDS]: pictures of the status page, in light, dark and at 390 px, of a ferryd that has worked for SECONDS (180).

It carries many tasks; one eats memory until the kernel kills its worker, again and again; some fail; a queue is paused.
"""

import os
import sys
import tempfile
import time

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[1:1] = [TESTS, f"{TESTS}/servers"]

from browser import Browser
from conftest import Spool
from daemon import Ferryd
from hogging import Hog
from rig import MIB, Database, Postgres, free_port
from stores import BUCKET, Cos

NAMES = ("video", "interview", "concert", "lecture", "match")


def put_tasks(db, spool):
    """Tasks of all kinds, in three queues."""
    for n in range(4):
        spool.put(f"source-{n}.mp4", (40 + 30 * n) * MIB)
    db.sql("INSERT INTO ferry.queue (name, max_transfers, weight, enabled) VALUES ('bulk', 3, 1, true), ('archive', NULL, 2, false)")
    for n in range(12):
        db.put(f"spool://lost/{n}.mp4", f"cos://{BUCKET}/lost/{n}.mp4")
    for n in range(60):
        name = f"{NAMES[n % 5]}/2026/11/{n:04d}-{NAMES[n % 5]}-in-full-length-uncut.mp4"
        db.put(f"spool://source-{n % 4}.mp4", f"cos://{BUCKET}/{name}", queue=("default", "bulk")[n % 2])
    for n in range(300):
        db.put("spool://source-0.mp4", f"cos://{BUCKET}/archive/{n}.mp4", queue="archive")
    db.put("spool://source-1.mp4", f"cos://{BUCKET}/hog/the-one-that-eats-memory.mp4", priority=9)


def take(directory, address):
    browser = Browser()
    try:
        for name, width, scheme in (("light", 1280, "light"), ("dark", 1280, "dark"), ("wide", 2200, "light"), ("phone", 390, "dark"), ("phone-light", 390, "light")):
            browser.open(f"http://{address}/", width=width, height=900, scheme=scheme)
            browser.wait("document.querySelectorAll('.row').length > 0 && document.querySelectorAll('#queue-rows tr').length > 0")
            time.sleep(4)  # rates need some answers
            browser.ask("screenshot", f"{directory}/page-{name}.png", True)
            if name == "phone":
                browser.eval("document.getElementById('queues').scrollIntoView()")
                browser.ask("screenshot", f"{directory}/page-{name}-queues.png", False)
                browser.eval("document.getElementById('tasks').scrollIntoView()")
                browser.ask("screenshot", f"{directory}/page-{name}-tasks.png", False)
            if name in ("light", "phone"):
                browser.eval("[...document.querySelectorAll('.card .task')].find((b) => b.textContent)?.click()")
                browser.wait_text("#story", "It was made")
                browser.ask("screenshot", f"{directory}/story-{name}.png", False)
    finally:
        browser.close()


def main(directory, seconds):
    os.makedirs(directory, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ferry-") as base:
        os.chmod(base, 0o755)
        pg = Postgres(f"{base}/pg")
        cos = Cos(f"{base}/cos")
        spool = Spool(f"{base}/spool")
        daemon = None
        try:
            Database.make_template(pg)
            db = Database(pg, "shots")
            hog = Hog(base, 1 << 40, marks=("/hog/", "/none/"), leak_ms=150)
            listen = f"127.0.0.1:{free_port()}"
            daemon = Ferryd(base, db, {"cos": cos.store(), "spool": spool.store()}, workers=6, worker_program=hog.program, max_ooms=1000, retry_delay="3s",
                            metrics={"listen": listen}, queues=["default", "bulk", "archive"]).start()
            cos.rate(6 * MIB)
            put_tasks(db, spool)
            time.sleep(seconds)
            take(directory, listen)
        finally:
            cos.stop()
            if daemon is not None:
                daemon.finish()
            pg.remove()


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) == 3 else 180)
