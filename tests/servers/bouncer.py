"""PgBouncer in front of a cluster: a process of the Debian package, as the account postgres."""

import os
import shutil
import socket
import subprocess
import time

PATH = "/usr/sbin/pgbouncer"
USERS = ("postgres", "ferry_test_daemon", "ferry_test_producer")


class Bouncer:
    """Listens in directory and on a port of loopback.  The settings are those of pgbouncer.ini; all others are the package's own."""

    def __init__(self, directory, pg, **settings):
        self.directory, self.pg, self.process = directory, pg, None
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        os.mkdir(directory)
        with open(f"{directory}/users", "w") as f:
            f.writelines(f'"{user}" "x"\n' for user in USERS)
        os.chmod(directory, 0o755)
        shutil.chown(directory, "postgres", "postgres")
        self.start(**settings)

    def start(self, **settings):
        settings = {"listen_addr": "127.0.0.1", "listen_port": self.port, "unix_socket_dir": self.directory, "auth_type": "trust",
                    "auth_file": f"{self.directory}/users", "admin_users": "postgres", "logfile": f"{self.directory}/bouncer.log", **settings}
        with open(f"{self.directory}/ini", "w") as f:
            f.write(f"[databases]\n* = host={self.pg.directory} port={self.pg.port}\n[pgbouncer]\n")
            f.writelines(f"{name} = {value}\n" for name, value in settings.items())
        self.process = subprocess.Popen(["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", PATH, "-q",
                                         f"{self.directory}/ini"], stdin=subprocess.DEVNULL, cwd="/")
        end = time.monotonic() + 60
        while not os.path.exists(f"{self.directory}/.s.PGSQL.{self.port}"):
            assert self.process.poll() is None and time.monotonic() < end, "PgBouncer does not start"
            time.sleep(0.02)

    def stop(self):
        """Ends it at once, and with it all its connections."""
        # since version 1.23 the first SIGTERM waits for the clients, and a second one does not
        while self.process.poll() is None:
            self.process.terminate()
            time.sleep(0.05)
        if os.path.exists(f"{self.directory}/.s.PGSQL.{self.port}"):
            os.unlink(f"{self.directory}/.s.PGSQL.{self.port}")

    def restart(self, **settings):
        self.stop()
        self.start(**settings)

    def conninfo(self, dbname, user="ferry_test_daemon"):
        return f"host=127.0.0.1 port={self.port} dbname={dbname} user={user}"
