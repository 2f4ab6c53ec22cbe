#!/usr/bin/python3
"""Ships one object with SQLAlchemy: ship_sqlalchemy.py SOURCE DESTINATION, such as ceph://uploads/a cos://archive-1250000000/a."""

import sys
import time

from sqlalchemy import BigInteger, Column, FetchedValue, Identity, Text, create_engine
from sqlalchemy.dialects.postgresql import ENUM, JSONB
from sqlalchemy.orm import Session, declarative_base

Base = declarative_base()


class Task(Base):
    """The columns that this program uses.  The others have their defaults."""

    __tablename__ = "task"
    __table_args__ = {"schema": "ferry"}

    id = Column(BigInteger, Identity(always=True), primary_key=True)
    source = Column(Text, nullable=False)
    destination = Column(Text, nullable=False)
    tags = Column(JSONB(none_as_null=True))  # else None becomes the JSON null, which is no object

    # The daemon's.  An INSERT leaves them out, so that the database sets them.
    state = Column(ENUM("queued", "running", "done", "failed", "cancelled", name="state", schema="ferry", create_type=False),
                   server_default=FetchedValue())
    bytes_done = Column(BigInteger, server_default=FetchedValue())
    verified_by = Column(Text, server_default=FetchedValue())
    error = Column(Text, server_default=FetchedValue())


class Upload(Base):
    __tablename__ = "upload"

    id = Column(BigInteger, Identity(always=True), primary_key=True)
    key = Column(Text, nullable=False, unique=True)
    task = Column(BigInteger, nullable=False)


def ask(engine, source, destination):
    """Inserts the application's row and the task, both or neither; returns the task's id."""
    with Session(engine) as session, session.begin():
        task = Task(source=source, destination=destination, tags={"program": "ship_sqlalchemy"})
        session.add(task)
        session.flush()  # the database gives the task its id
        session.add(Upload(key=source, task=task.id))
        return task.id


def wait(engine, task):
    """Waits for the end of the task; returns its row.  Each look is a transaction of its own, so that waiting holds nothing."""
    while True:
        with Session(engine) as session:
            row = session.get(Task, task)
        if row is None:
            sys.exit(f"task {task} is gone: somebody deleted it, or its retention was over")
        if row.state in ("done", "failed", "cancelled"):
            return row
        time.sleep(0.5)


def main(source, destination):
    engine = create_engine("postgresql+psycopg2://", future=True)
    task = wait(engine, ask(engine, source, destination))
    is_done = task.state == "done"
    print(f"task {task.id} {task.state}: {f'{task.bytes_done} bytes, verified by {task.verified_by}' if is_done else task.error}")
    return 0 if is_done else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
