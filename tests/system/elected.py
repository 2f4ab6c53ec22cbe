"""A PostgreSQL under Patroni: etcd, a primary and a standby, each with its Patroni, which decides who is the primary."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import urllib.error
import urllib.request

from rig import Postgres, children, free_port, postgres_bin, running, wait_until

CONFIG = """
scope: ferry
name: {name}
restapi: {{listen: "127.0.0.1:{rest}", connect_address: "127.0.0.1:{rest}"}}
etcd3: {{hosts: "127.0.0.1:{etcd}"}}
bootstrap:
  dcs:
    ttl: 20
    loop_wait: 2
    retry_timeout: 5
    synchronous_mode: {synchronous}
    postgresql:
      use_pg_rewind: true
      parameters: {{max_connections: 120, wal_level: replica, hot_standby: "on", wal_log_hints: "on", max_wal_senders: 6}}
  initdb: [{{encoding: UTF8}}, {{locale: C.UTF-8}}, no-sync]
  pg_hba: ["local all all trust", "host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust"]
postgresql:
  listen: "127.0.0.1:{port}"
  connect_address: "127.0.0.1:{port}"
  data_dir: {data}
  bin_dir: {bin}
  authentication: {{replication: {{username: postgres}}, superuser: {{username: postgres}}, rewind: {{username: postgres}}}}
  parameters: {{unix_socket_directories: "{directory}", fsync: "off", shared_buffers: 32MB}}
"""


class Server:
    """One PostgreSQL and its Patroni."""

    def __init__(self, cluster, name):
        self.cluster, self.name, self.port, self.rest = cluster, name, free_port(), free_port()
        self.directory, self.data, self.process = cluster.directory, f"{cluster.directory}/{name}", None
        self.file = f"{cluster.directory}/{name}.yml"
        with open(self.file, "w") as f:
            f.write(CONFIG.format(name=name, rest=self.rest, etcd=cluster.etcd_port, port=self.port, data=self.data, bin=postgres_bin(),
                                  directory=cluster.directory, synchronous="true" if cluster.synchronous else "false"))
        shutil.chown(self.file, "postgres")

    def start(self):
        self.process = self.cluster.spawn(self.name, "patroni", self.file)

    def status(self):
        """What its Patroni says of it; {} if it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.rest}/patroni", timeout=5) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            return json.load(error)
        except OSError:
            return {}

    def is_primary(self):
        status = self.status()
        return status.get("role") in ("master", "primary") and status.get("state") == "running"

    def is_standby(self):
        """Whether it follows the primary, and has all that the primary waits for."""
        status = self.status()
        return status.get("role") == "replica" and status.get("state") == "running" and \
            (not self.cluster.synchronous or status.get("sync_standby") is True)

    def processes(self):
        """Patroni, the server's processes, and what they have started."""
        found, roots = [], [self.process.pid, *children(self.process.pid)]
        with contextlib.suppress(OSError, ValueError), open(f"{self.data}/postmaster.pid") as f:
            roots.append(int(f.readline()))
        while roots:
            pid = roots.pop()
            if pid not in found:
                found.append(pid)
                roots += children(pid)
        return found

    def kill(self):
        """Kills all its processes at once, as the loss of its machine does."""
        processes = self.processes()
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in processes:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
        self.process.wait()
        wait_until(lambda: not any(map(running, processes)), 10, "the killed server's processes to exit")

    def conninfo(self, dbname, user="postgres"):
        return f"host=127.0.0.1 port={self.port} dbname={dbname} user={user}"


class Cluster:
    """Stands for rig.Postgres: conninfo() leads to whichever server is the primary."""

    def __init__(self, directory, synchronous):
        self.directory, self.synchronous, self.etcd_port, self.started = directory, synchronous, free_port(), []
        os.mkdir(directory)
        shutil.chown(directory, "postgres", "postgres")
        os.chmod(directory, 0o755)
        self.servers = [Server(self, "one"), Server(self, "two")]

    def start(self):
        client, peer = f"http://127.0.0.1:{self.etcd_port}", f"http://127.0.0.1:{free_port()}"
        self.spawn("etcd", "etcd", "--data-dir", f"{self.directory}/etcd", "--listen-client-urls", client, "--advertise-client-urls", client,
                   "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}")
        for server, is_up in zip(self.servers, (Server.is_primary, Server.is_standby)):
            server.start()
            wait_until(lambda: is_up(server) or server.process.poll() is not None, 60, lambda: self.log(server.name), step=0.5)
            assert server.process.poll() is None, self.log(server.name)

    def spawn(self, name, *command):
        with open(f"{self.directory}/{name}.log", "ab") as log:
            process = subprocess.Popen(["setpriv", "--reuid", "postgres", "--regid", "postgres", "--init-groups", "--", *command],
                                       stdout=log, stderr=log, cwd=self.directory, env={"PATH": os.environ["PATH"], "HOME": self.directory})
        self.started.append(process)
        return process

    def log(self, name):
        with open(f"{self.directory}/{name}.log", errors="replace") as f:
            return f.read()[-3000:]

    def primary(self):
        return next((server for server in self.servers if server.is_primary()), None)

    def wait_primary(self, but=None):
        return wait_until(lambda: (server := self.primary()) is not but and server, 90,
                          lambda: "\n".join(self.log(s.name) for s in self.servers), step=0.5)

    def switch_over(self):
        """Makes the standby the primary, as an administrator asks for it; returns the new primary."""
        old = self.wait_primary()
        new = next(server for server in self.servers if server is not old)
        wait_until(new.is_standby, 60, "a standby to switch to", step=0.5)
        body = json.dumps({"leader": old.name, "candidate": new.name}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{old.rest}/switchover", data=body, method="POST")
        with urllib.request.urlopen(request, timeout=120) as answer:
            assert answer.status == 200, answer.read()
        assert self.wait_primary(but=old) is new
        return new

    def conninfo(self, dbname, user="postgres"):
        """A string of both servers that leads to the primary, as applications have it."""
        ports = ",".join(str(server.port) for server in self.servers)
        return f"host=127.0.0.1,127.0.0.1 port={ports} dbname={dbname} user={user} target_session_attrs=read-write"

    def admin(self, *statements):
        Postgres.admin(self, *statements)

    def remove(self):
        for server in self.servers:
            if server.process is not None and server.process.poll() is None:
                server.kill()
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)
