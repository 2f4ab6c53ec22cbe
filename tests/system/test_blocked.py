"""A lock that somebody else keeps on ferry's tables costs time, and no transfer: the lease is renewed over a connection of its own."""

import contextlib
import threading

from rig import MIB, holds, wait_until
from stores import BUCKET

LEASE = 6
LOCK = 14  # seconds; longer than a lease, and than a statement may take


def leases(db):
    return [s for s in db.sessions() if s["application_name"] == "ferryd lease"]


def test_a_lock_on_the_table_of_tasks_costs_no_transfer(ferryd, db, cos, spool):
    size = 30 * MIB
    cos.rate(MIB)
    task = db.put(spool.put("object", size), f"cos://{BUCKET}/object")
    nodes = [ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1, lease=f"{LEASE}s") for _ in range(2)]
    wait_until(lambda: cos.received("object"), 15, "the transfer to begin")
    assert not leases(db), "an idle connection for the lease"
    with contextlib.closing(db.connect()) as conn:
        conn.autocommit = False
        conn.cursor().execute("LOCK TABLE ferry.task IN ACCESS EXCLUSIVE MODE")
        wait_until(lambda: leases(db), LEASE, "the lease to have a connection")
        holds(lambda: db.one("SELECT bool_and(renewed_at + lease > clock_timestamp()) AND count(*) = 2 FROM ferry.node"), LOCK,
              "both leases hold")
        conn.rollback()
    cos.rate(0)
    row = db.done(task, timeout=30)
    assert row["claim"] == row["first_claim"] and row["attempt"] == 0
    wait_until(lambda: not leases(db), 15, "the connection for the lease to be closed")
    assert sum(cos.received("object").values()) <= size + 6 * MIB
    for node in nodes:
        assert not node.log("lapsed"), node.log_text()


def test_the_transaction_that_holds_a_lock_is_named_and_not_the_one_that_waits(ferryd, db):
    """The holder has no snapshot.  What waits for it is a statement of ferryd."""
    daemon = ferryd({}, workers=1, transaction_warning="2s", lease="1h")
    with contextlib.closing(db.connect()) as conn, conn.cursor() as cur, contextlib.closing(db.connect("ferry_test_daemon")) as waiter:
        conn.autocommit = False
        cur.execute("LOCK TABLE ferry.upload IN SHARE MODE; SELECT pg_backend_pid()")
        (pid,) = cur.fetchone()
        with waiter.cursor() as own, contextlib.ExitStack() as stack:
            own.execute("SELECT pg_backend_pid()")
            (waits,) = own.fetchone()
            thread = threading.Thread(target=own.execute, args=("UPDATE ferry.upload SET reap_at = now()",))
            thread.start()
            stack.callback(thread.join)
            stack.callback(conn.rollback)
            daemon.wait_log(rf"the transaction of pid {pid} .*holds a lock that others wait for; it is open for \d+ s", timeout=20)
            assert not daemon.log(f"the transaction of pid {waits} ")
