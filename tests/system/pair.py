"""A primary PostgreSQL and its standby, and the loss of the primary."""

import contextlib
import os
import shutil
import signal

import psycopg2

from rig import Database, Postgres, as_postgres, children, free_port, running, wait_until


class Standby(Postgres):
    """A standby that follows primary; primary waits for it at each commit."""

    def __init__(self, directory, primary, port=None):
        self.directory, self.bin, self.port = directory, primary.bin, port or free_port()
        self.data = os.path.join(directory, "data")
        os.mkdir(directory)
        shutil.chown(directory, "postgres", "postgres")
        os.chmod(directory, 0o755)
        as_postgres(f"{self.bin}/pg_basebackup", "-D", self.data, "-R", "-X", "stream", "-c", "fast", "--no-sync", "-d",
                    f"host={primary.directory} port={primary.port} user=postgres application_name=standby", cwd=directory)
        with open(os.path.join(self.data, "postgresql.conf"), "a") as conf:
            conf.write(f"port = {self.port}\nunix_socket_directories = '{directory}'\nwal_retrieve_retry_interval = 200ms\n")
        self.start()
        primary.admin("ALTER SYSTEM SET synchronous_standby_names = 'standby'", "SELECT pg_reload_conf()")
        self.primary = primary
        wait_until(self.is_synchronous, 10, "the standby to be synchronous")

    def is_synchronous(self):
        with contextlib.closing(psycopg2.connect(self.primary.conninfo("postgres"))) as conn, conn.cursor() as cur:
            cur.execute("SELECT FROM pg_stat_replication WHERE sync_state = 'sync'")
            return cur.rowcount == 1

    def promote(self):
        self._ctl("promote")
        self.admin("ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")


class Pair(Database):
    """A database in two clusters, of which one accepts writes; the test itself uses the cluster `pg`."""

    def __init__(self, primary, standby, name):
        super().__init__(primary, name)
        self.clusters = (primary, standby)

    def conninfo(self, user="ferry_test_daemon"):
        if user != "ferry_test_daemon":
            return super().conninfo(user)
        return (f"host={','.join(c.directory for c in self.clusters)} port={','.join(str(c.port) for c in self.clusters)} "
                f"dbname={self.name} user={user} target_session_attrs=read-write")


def kill_cluster(cluster):
    """Kills all processes of a cluster at once, as the loss of its machine does."""
    with open(os.path.join(cluster.data, "postmaster.pid")) as f:
        postmaster = int(f.readline())
    os.kill(postmaster, signal.SIGSTOP)
    processes = [*children(postmaster), postmaster]
    for pid in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not any(map(running, processes)), 10, "the primary's processes to exit")
    os.remove(os.path.join(cluster.data, "postmaster.pid"))
