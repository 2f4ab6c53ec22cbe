"""Databases and disks that chaos can take away and bring back."""

import contextlib
import os
import re
import shutil
import subprocess
import threading
import time

import psycopg2

from pair import Pair, Standby, kill_cluster
from rig import Postgres


class Twins:
    """A primary and its synchronous standby, in two directories.  A new standby takes the place of a lost primary."""

    def __init__(self, directory):
        os.mkdir(directory)
        os.chmod(directory, 0o755)
        self.primary, self.builder = Postgres(f"{directory}/a"), None
        self.standby = None

    def complete(self):
        self.standby = Standby(f"{os.path.dirname(self.primary.directory)}/b", self.primary)
        return self

    def database(self, name):
        return Pair(self.primary, self.standby, name)

    def address(self):
        return f"{self.primary.directory}/.s.PGSQL.{self.primary.port}"

    def has_standby(self):
        try:
            return self.standby is not None and self.standby.is_synchronous()
        except psycopg2.Error:
            return False

    def lose_primary(self):
        kill_cluster(self.primary)

    def take_over(self):
        lost, self.primary = self.primary, self.standby
        self.primary.promote()

        def build():
            """Makes the standby; begins again if the new primary is stopped meanwhile."""
            for _ in range(50):
                shutil.rmtree(lost.directory, ignore_errors=True)
                try:
                    self.standby = Standby(lost.directory, self.primary, lost.port)
                    return
                except (subprocess.CalledProcessError, psycopg2.Error, AssertionError):
                    self.give_up(lost)
                    time.sleep(0.5)
        self.standby = None
        self.builder = threading.Thread(target=build, daemon=True)
        self.builder.start()

    def give_up(self, half_made):
        """Stops a half-made standby, and the primary's waiting for it."""
        with contextlib.suppress(psycopg2.Error):
            self.primary.admin("ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
        with contextlib.suppress(OSError, ValueError):
            kill_cluster(half_made)

    def remove(self):
        if self.builder:
            self.builder.join()
        for cluster in (self.primary, self.standby):
            if cluster:
                cluster.remove()


class Disk:
    """A small file system on directory that can be made full."""

    def __init__(self, directory, room):
        self.directory, self.room, self.full = directory, room, False
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.room},mode=777", "tmpfs", directory], check=True)

    def resize(self, size):
        return subprocess.run(["mount", "-o", f"remount,size={size}", self.directory], stderr=subprocess.PIPE, text=True)

    def fill(self):
        """Shrinks the file system to what is in use; repeats this if another writer was faster."""
        for _ in range(20):
            stat = os.statvfs(self.directory)
            used = (stat.f_blocks - stat.f_bfree) * stat.f_frsize
            if self.resize(max(used, 4096)).returncode == 0:
                return f"{used} bytes are in use"
        return "no, it could not be made so"

    def make_room(self):
        self.resize(self.room)

    def umount(self):
        subprocess.run(["umount", "-l", self.directory], check=True)


def descriptors(pid):
    """Counts the open descriptors of a process by kind: {"socket": n, "pipe": n, path: n}"""
    found = {}
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            kind = re.sub(r":?\[.*", "", os.readlink(f"/proc/{pid}/fd/{fd}"))
        except OSError:
            continue
        found[kind] = found.get(kind, 0) + 1
    return found
