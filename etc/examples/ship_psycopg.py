#!/usr/bin/python3
"""Ships one object with psycopg 3: ship_psycopg.py SOURCE DESTINATION, such as ceph://uploads/a cos://archive-1250000000/a."""

import select
import sys

import psycopg

CHANNEL = "uploads"
LOOK = 10  # seconds between looks at the row when no notification comes


def ask(conn, source, destination):
    """Inserts the application's row and the task, both or neither; returns the task's id."""
    with conn.transaction():
        (task,) = conn.execute("INSERT INTO ferry.task (source, destination, notify) VALUES (%s, %s, %s) RETURNING id",
                               (source, destination, CHANNEL)).fetchone()
        conn.execute("INSERT INTO upload (key, task) VALUES (%s, %s)", (source, task))
    return task


def wait(conn, task):
    """Waits for the end of the task; returns its state, its bytes, what verified them, and its error."""
    heard = []
    conn.add_notify_handler(heard.append)
    conn.execute(f"LISTEN {CHANNEL}")
    while True:
        row = conn.execute("SELECT state, bytes_done, verified_by, error FROM ferry.task WHERE id = %s", (task,)).fetchone()
        if row is None:
            sys.exit(f"task {task} is gone: somebody deleted it, or its retention was over")
        if row[0] in ("done", "failed", "cancelled"):
            return row
        if not heard:  # else a notification came with the row
            select.select([conn], [], [], LOOK)
        heard.clear()


def main(source, destination):
    with psycopg.connect(autocommit=True) as conn:  # a session in no transaction hears notifications, and holds nothing
        task = ask(conn, source, destination)
        state, size, verified_by, error = wait(conn, task)
    print(f"task {task} {state}: {f'{size} bytes, verified by {verified_by}' if state == 'done' else error}")
    return 0 if state == "done" else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
