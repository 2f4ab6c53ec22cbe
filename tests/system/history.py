"""What companies do to a database under a running fleet: it comes back as it was at an earlier moment, or loses what came last."""

import contextlib
import subprocess
import time

import psycopg2

from pair import Standby


class Snapshot:
    """A dump of the database; restore() puts it in the place of the database, in one moment."""

    def __init__(self, db):
        self.db = db
        dump = [f"{db.pg.bin}/pg_dump", "-Fc", db.pg.conninfo(db.name)]
        self.data = subprocess.run(dump, check=True, stdout=subprocess.PIPE).stdout

    def restore(self, meanwhile=lambda cursor: None):
        """meanwhile(cursor) works on the restored database before anybody else can."""
        pg, name = self.db.pg, self.db.name
        pg.admin(f"CREATE DATABASE {name}_new")
        restore = [f"{pg.bin}/pg_restore", "--exit-on-error", "-d", pg.conninfo(f"{name}_new")]
        subprocess.run(restore, check=True, input=self.data)
        with contextlib.closing(psycopg2.connect(pg.conninfo(f"{name}_new"))) as conn, conn, conn.cursor() as cur:
            meanwhile(cur)
        if self.db.conn is not None:
            self.db.conn.close()
        pg.admin(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")
        self.disconnect()
        pg.admin(f"ALTER DATABASE {name} RENAME TO {name}_lost", f"ALTER DATABASE {name}_new RENAME TO {name}",
                 f"DROP DATABASE {name}_lost")

    def disconnect(self):
        with contextlib.closing(psycopg2.connect(self.db.pg.conninfo("postgres"))) as conn, conn.cursor() as cur:
            conn.autocommit = True
            end = time.monotonic() + 10
            while time.monotonic() < end:
                cur.execute("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = %s", (self.db.name,))
                if cur.fetchone() == (0,):
                    return
                time.sleep(0.01)
        raise TimeoutError("sessions stay")


class LaggingStandby(Standby):
    """A standby for which its primary does not wait, and which can stop to follow."""

    def __init__(self, directory, primary):
        super().__init__(directory, primary)
        primary.admin("ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")

    def fall_behind(self):
        """From now on it receives nothing more.  What was committed before has been received."""
        with contextlib.closing(psycopg2.connect(self.primary.conninfo("postgres"))) as conn, conn.cursor() as cur:
            cur.execute("SELECT pg_current_wal_lsn()::text")
            (lsn,) = cur.fetchone()
        with contextlib.closing(psycopg2.connect(self.conninfo("postgres"))) as conn, conn.cursor() as cur:
            conn.autocommit = True
            end = time.monotonic() + 10
            while True:
                cur.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", (lsn,))
                if cur.fetchone() == (True,):
                    break
                assert time.monotonic() < end, "the standby does not catch up"
                time.sleep(0.01)
            cur.execute("ALTER SYSTEM SET primary_conninfo = ''")
            cur.execute("SELECT pg_reload_conf()")
            while True:
                cur.execute("SELECT FROM pg_stat_wal_receiver")
                if cur.rowcount == 0:
                    break
                assert time.monotonic() < end, "the standby still follows"
                time.sleep(0.01)

