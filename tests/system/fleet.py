"""
Nodes in network namespaces of their own.  Each has one cable to the database and one to the store, which tests can pull.

All cables end in one more namespace, the hub, in which proxies listen; they lead to the tests' PostgreSQL and COS endpoint.
No address is made outside of these namespaces.
"""

import collections
import contextlib
import ctypes
import os
import signal
import socket
import struct
import subprocess
import threading
import time

from rig import MIB, wait_until
from stores import BUCKET

CLONE_NEWNET = 0x40000000
PIECE, BUFFER = 1 << 16, 1 << 17
SO_TIMESTAMPNS = 35  # of Linux; Python does not name it
TIMESPEC = struct.Struct("qq")
RESET = struct.pack("ii", 1, 0)
WRITES = ("put", "initiate", "part", "complete", "abort")


def ip(*arguments, check=True):
    subprocess.run(["ip", *arguments], check=check, stdout=subprocess.DEVNULL, stderr=None if check else subprocess.DEVNULL)


def listen_in(namespace):
    """Returns a socket that listens in the namespace; only the thread that makes the socket enters the namespace."""
    made = []

    def make():
        with open(f"/run/netns/{namespace}") as f:
            if ctypes.CDLL(None, use_errno=True).setns(f.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
        listener = socket.socket()
        # small, so that a frozen process leaves few bytes in the kernel
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        listener.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        listener.bind(("0.0.0.0", 0))
        listener.listen(64)
        made.append(listener)
    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    return made[0]


class Proxy:
    """
    Passes connections of nodes on to address.  For each connection, by its local port: who names the node, and heard has the times at
    which bytes came from the node.  The kernel notes the times: a busy machine or a slow store delays the reading.
    """

    def __init__(self, namespace, address):
        self.address, self.who, self.heard = address, {}, collections.defaultdict(list)
        self.listener = listen_in(namespace)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, peer = self.listener.accept()
                threading.Thread(target=self._serve, args=(client, int(peer[0].split(".")[2])), daemon=True).start()

    def _serve(self, client, node):
        server = socket.socket(socket.AF_UNIX if isinstance(self.address, str) else socket.AF_INET)
        with contextlib.suppress(OSError):
            if server.family == socket.AF_INET:
                server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
                server.bind(("127.0.0.1", 0))
                self.who[server.getsockname()[1]] = node
                server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            server.connect(self.address)
            threading.Thread(target=self._pump, args=(server, client), daemon=True).start()
        self._pump(client, server, self.heard[server.getsockname()[1]] if server.family == socket.AF_INET else None)

    @staticmethod
    def _receive(source):
        """Returns bytes, and when the last of them came."""
        data, ancillary, _, _ = source.recvmsg(PIECE, socket.CMSG_SPACE(TIMESPEC.size))
        for level, kind, value in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
                seconds, nanoseconds = TIMESPEC.unpack(value)
                return data, seconds + nanoseconds / 1e9
        assert not data, "the kernel has not noted when bytes came"
        return data, None

    @classmethod
    def _pump(cls, source, sink, heard=None):
        """Passes an end on as an end and an error as a reset, so that half a request does not look whole."""
        try:
            while True:
                data, came = cls._receive(source) if heard is not None else (source.recv(PIECE), None)
                if not data:
                    break
                if came is not None:
                    heard.append(came)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            for end in (source, sink):
                with contextlib.suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    end.shutdown(socket.SHUT_RDWR)
                    end.close()

    def stop(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class Node:
    """A ferryd in a namespace of its own."""

    def __init__(self, number, namespace, daemon):
        self.number, self.namespace, self.daemon = number, namespace, daemon

    def row(self, db):
        """Returns the node's present row, or None; times are seconds since 1970 by the database's clock."""
        rows = db.sql("SELECT id, extract(epoch FROM renewed_at + lease) AS lapses FROM ferry.node WHERE name LIKE %s "
                      "ORDER BY started_at DESC LIMIT 1", (f"%{self.daemon.name}/%",))
        return rows[0] if rows else None

    def processes(self, which):
        return {"master": [self.daemon.pid], "workers": self.daemon.workers(),
                "both": [self.daemon.pid, *self.daemon.workers()]}[which]


class Fleet:
    def __init__(self, make, db, cos, spool):
        self.make, self.db, self.cos, self.spool = make, db, cos, spool
        self.names, self.nodes, self.frozen, self.proxies = [], [], [], []
        self.sweep()
        self.hub = self.namespace("hub")
        self.database = self.proxy(f"{db.pg.directory}/.s.PGSQL.{db.pg.port}")
        self.store = self.proxy(("127.0.0.1", cos.port))

    @staticmethod
    def sweep():
        """Removes the namespaces that a killed session left behind."""
        for name in os.listdir("/run/netns") if os.path.isdir("/run/netns") else []:
            if name.startswith("ferry-") and not os.path.exists(f"/proc/{name.split('-')[1]}"):
                ip("netns", "delete", name, check=False)

    def namespace(self, name):
        name = f"ferry-{os.getpid()}-{name}"
        ip("netns", "add", name)
        self.names.append(name)
        ip("-n", name, "link", "set", "lo", "up")
        return name

    def proxy(self, address):
        self.proxies.append(Proxy(self.hub, address))
        return self.proxies[-1]

    def cable(self, node, kind, net):
        """
        Leads from 10.NET.NODE.1 in the hub to 10.NET.NODE.2 in the node.  The node has the other end's hardware address: if it had to ask
        for the address while the cable is pulled, the kernel would keep up to 200 KiB meanwhile and send them after the lease's end.
        """
        end, hardware = f"{kind}{node}", f"02:00:00:{net}:{node:02}:01"
        ip("-n", self.hub, "link", "add", end, "address", hardware, "type", "veth", "peer", "name", kind, "netns", self.names[-1])
        for namespace, device, last in ((self.hub, end, 1), (self.names[-1], kind, 2)):
            ip("-n", namespace, "address", "add", f"10.{net}.{node}.{last}/24", "dev", device)
            ip("-n", namespace, "link", "set", device, "up")
        ip("-n", self.names[-1], "neighbour", "replace", f"10.{net}.{node}.1", "lladdr", hardware, "dev", kind, "nud", "permanent")

    def start(self, count=3, **conf):
        for _ in range(count):
            number = len(self.nodes) + 1
            namespace = self.namespace(f"node{number}")
            self.cable(number, "database", 77)
            self.cable(number, "store", 78)
            store = self.cos.store()
            stores = {"cos": {**store, "endpoint": store["endpoint"].replace(str(self.cos.port), str(self.store.port)),
                              "resolve": [r.replace(f":{self.cos.port}:127.0.0.1", f":{self.store.port}:10.78.{number}.1")
                                          for r in store["resolve"]]},
                      "spool": self.spool.store()}
            daemon = self.make(stores, start=False, workers=2, worker={"streams": 2, "part_size": "5M"}, **conf)
            daemon.conf["database"] = (f"host=10.77.{number}.1 port={self.database.port} dbname={self.db.name} "
                                       "user=ferry_test_daemon sslmode=disable")
            daemon.write()
            daemon.prefix = ["nsenter", f"--net=/run/netns/{namespace}"]
            self.nodes.append(Node(number, namespace, daemon))
        return self.nodes

    def up(self, ahead=0):
        """Starts the nodes, the first one ahead seconds before the others, so that they renew at different moments."""
        for node in self.nodes:
            node.daemon.start(ready=False)
            time.sleep(ahead if node is self.nodes[0] else 0)
        for node in self.nodes:
            node.daemon.ready()
        return self.nodes

    # The load

    def load(self, small=30, large=6, tag=""):
        """Inserts tasks for objects of one PUT and of five parts; returns {task: (key, size, seed)}."""
        sizes = {"small": 300 * 1024 + 1, "large": 20 * MIB + 7}
        sources = {kind: self.spool.put(f"{kind}{tag}", size) for kind, size in sizes.items()}
        tasks = {}
        for n in range(max(small, large)):
            for kind, most in (("large", large), ("small", small)):
                if n < most:
                    key = f"{kind}{tag}-{n}"
                    tasks[self.db.put(sources[kind], f"cos://{BUCKET}/{key}")] = (key, sizes[kind], f"{kind}{tag}")
        return tasks

    def held(self, node):
        """Returns the tasks that run on the node."""
        row = node.row(self.db)
        return [r["id"] for r in self.db.sql("SELECT id FROM ferry.task WHERE node = %s AND state = 'running' ORDER BY id",
                                             (row["id"],))] if row else []

    def wait_busy(self, node):
        """Waits until the node carries a large object and has finished a part of it."""
        wait_until(lambda: self.db.sql("SELECT 1 FROM ferry.task t JOIN ferry.part p ON p.task = t.id WHERE t.node = %s AND "
                                       "t.state = 'running'", ((node.row(self.db) or {"id": 0})["id"],)), 20,
                   f"node {node.number} to carry something", step=0.005)

    # What happens to nodes

    def freeze(self, node, which="both"):
        self.frozen = node.processes(which)
        for pid in self.frozen:
            os.kill(pid, signal.SIGSTOP)
        return time.time()

    def wake(self):
        for pid in self.frozen:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self.frozen = []
        return time.time()

    def kill(self, node):
        for pid in node.processes("both"):
            os.kill(pid, signal.SIGKILL)
        node.daemon.killed = True
        node.daemon.process.wait()
        return time.time()

    def pull(self, node, *cables):
        for kind in cables:
            ip("-n", self.hub, "link", "set", f"{kind}{node.number}", "down")
        return time.time()

    def plug(self, node, *cables):
        for kind in cables:
            ip("-n", self.hub, "link", "set", f"{kind}{node.number}", "up")
        return time.time()

    # What must be true

    def writes(self, node, since, keys):
        """Returns the requests for these keys that change the store and of which the node sent bytes after since."""
        return [e for e in self.cos.log() if e["op"] in WRITES and e["key"] in keys and self.store.who.get(e["peer"]) == node.number
                and any(max(since, e["time"] / 1000) < at <= (e["time"] + e["ms"]) / 1000 for at in self.store.heard[e["peer"]])]

    def check(self, tasks, again=()):
        """Checks that every task is done, settled once, and its object right and made once; objects of again may be made again."""
        self.db.done(*tasks, timeout=60)
        logs = "\n".join(node.daemon.log_text() for node in self.nodes)
        for task, (key, size, seed) in tasks.items():
            row, found = self.db.task(task), self.cos.object(key)
            assert found["size"] == size and int(found["crc64"]) == self.spool.crc64(seed, size, seed) == int(row["crc64"]), key
            assert found["puts"] == 1 or task in again, f"{key} was made {found['puts']} times: {self.cos.log(key=key)}"
            assert logs.count(f'msg="task {task} done"') <= 1, f"task {task} was settled more than once"
        # a worker that was killed while it began an upload has left one whose id only the reaper can find
        wait_until(lambda: not self.cos.uploads(), 130, "uploads without a known id to be aborted")

    def remove(self):
        self.wake()
        for proxy in self.proxies:
            proxy.stop()
        for name in self.names:
            ip("netns", "delete", name, check=False)
