"""Waiting for the end of a task on a connection of its own."""

import select

from django.db import connections

from ferry.models import Task

LOOK = 10  # seconds between looks at the row when no notification comes


def wait(pk, channel):
    """Yields the task each time that it was looked at; the last one has ended."""
    own = connections.create_connection("default")
    try:
        with own.cursor() as cursor:
            cursor.execute(f"LISTEN {own.ops.quote_name(channel)}")
            while True:
                cursor.execute("SELECT 1")  # takes in the notifications that have come; what comes later wakes select()
                task = Task.objects.get(pk=pk)
                yield task
                if task.has_ended():
                    return
                select.select([own.connection.fileno()], [], [], LOOK)
    finally:
        own.close()
