"""
Wires that can be cut: proxies between the daemon and its stores and database.  They recognise every request and every statement that
passes, and can act and cut the connection before, within or after one of them.
"""

import collections
import contextlib
import re
import socket
import struct
import threading
import time
import urllib.parse

PIECE = 1 << 16


class Tripwire:
    """
    Every request and statement passes points: (name, phase).  A name ends with how often it has come ("dest HEAD#2").  arm() chooses
    a point: when it is passed, action() is called once, and then the connection is cut.
    """

    def __init__(self):
        self.lock = threading.Lock()
        self.reset()

    def reset(self):
        with self.lock:
            self.points, self.counts = [], collections.Counter()
            self.bytes, self.created = collections.Counter(), collections.defaultdict(set)
            self.armed, self.fired = [], []
            self.flip = None

    def arm(self, point, action=lambda: None):
        with self.lock:
            self.armed.append((point, action))

    def flipped(self, name, data):
        """Returns data, with one bit changed if flip = (beginning of the name, how often) says so."""
        with self.lock:
            if not self.flip or not name.startswith(self.flip[0]) or self.flip[1] == 0:
                return data
            self.flip = (self.flip[0], self.flip[1] - 1)
            self.fired.append(name)
        middle = len(data) // 2
        return data[:middle] + bytes([data[middle] ^ 0x10]) + data[middle + 1:]

    def name(self, name):
        with self.lock:
            self.counts[name] += 1
            return f"{name}#{self.counts[name]}"

    def passes(self, name, phase):
        """Notes the point.  Returns False if the connection must be cut here."""
        with self.lock:
            self.points.append((name, phase))
            if not self.armed or self.armed[0][0] != (name, phase):
                return True
            point, action = self.armed.pop(0)
            self.fired.append(point)
            action()
            return False


class Cut(Exception):
    """The connection has ended or was cut."""


class Wire:
    """A port that leads to another port, with a thread for each connection."""

    def __init__(self, trip, address, buffer=None):
        """buffer: how many unread bytes the kernel may hold."""
        self.trip, self.address = trip, address
        self.live, self.down_until = set(), 0
        self.listener = socket.socket()
        if buffer:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(self.listener.accept()[0],), daemon=True).start()

    def _serve(self, client):
        family = socket.AF_UNIX if isinstance(self.address, str) else socket.AF_INET
        with client, socket.socket(family) as server:
            self.live.update((client, server))
            with contextlib.suppress(Cut, OSError):
                if time.monotonic() < self.down_until:
                    raise Cut
                server.connect(self.address)
                if family == socket.AF_INET:
                    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.carry(client, server)
            self.live -= {client, server}
            for end in (client, server):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def down(self, seconds):
        """Ends all connections, and from now on each new one at once."""
        self.down_until = time.monotonic() + seconds
        for end in list(self.live):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def check(self, name, phase):
        if not self.trip.passes(name, phase):
            raise Cut

    def stop(self):
        self.listener.close()


class NarrowWire(Wire):
    """Takes rate bytes a second and buffers next to nothing, like a slow line; answers come back at once."""

    def __init__(self, port, rate):
        self.rate = rate
        super().__init__(None, ("127.0.0.1", port), buffer=PIECE)

    def carry(self, client, server):
        threading.Thread(target=self._back, args=(server, client), daemon=True).start()
        due = time.monotonic()
        while data := client.recv(PIECE // 4):
            server.sendall(data)
            due = max(due + len(data) / self.rate, time.monotonic())
            time.sleep(max(due - time.monotonic(), 0))

    @staticmethod
    def _back(server, client):
        with contextlib.suppress(OSError):
            while data := server.recv(PIECE):
                client.sendall(data)
            client.shutdown(socket.SHUT_RDWR)


class RenamingWire(Wire):
    """A proxy that sends each request on with another Host, on a connection of its own."""

    def __init__(self, port, host):
        self.host = host
        super().__init__(None, ("127.0.0.1", port))

    def carry(self, client, server):
        threading.Thread(target=NarrowWire._back, args=(server, client), daemon=True).start()
        stream = Stream(client)
        while True:
            head = stream.until(b"\r\n\r\n")
            server.sendall(re.sub(rb"\r\nHost: [^\r]*", b"\r\nHost: " + self.host.encode(), head))
            length = re.search(rb"\r\nContent-Length: (\d+)", head)
            server.sendall(stream.exactly(int(length.group(1)) if length else 0))


class Stream:
    """Reads from a socket in the pieces that a protocol needs."""

    def __init__(self, sock):
        self.sock, self.held = sock, b""

    def more(self):
        data = self.sock.recv(PIECE)
        if not data:
            raise Cut
        self.held += data

    def until(self, mark):
        while mark not in self.held:
            self.more()
        head, _, self.held = self.held.partition(mark)
        return head + mark

    def exactly(self, n):
        while len(self.held) < n:
            self.more()
        data, self.held = self.held[:n], self.held[n:]
        return data

    def some(self, most):
        if not self.held:
            self.more()
        data, self.held = self.held[:most], self.held[most:]
        return data


def operation(method, target, headers):
    path, _, query = target.partition("?")
    query = urllib.parse.parse_qs(query, keep_blank_values=True)
    if "uploads" in query:
        return "Initiate" if method == "POST" else "ListUploads"
    if "uploadId" in query:
        return {"POST": "Complete", "DELETE": "Abort", "GET": "ListParts",
                "PUT": f"Part {query.get('partNumber', ['?'])[0]}"}[method]
    if method == "GET" and "range" in headers:
        return "GET from " + re.search(r"bytes=(\d+)", headers["range"]).group(1)
    return method


class HttpWire(Wire):
    def __init__(self, trip, side, port):
        self.side = side
        super().__init__(trip, ("127.0.0.1", port))

    @staticmethod
    def head(stream):
        text = stream.until(b"\r\n\r\n")
        first, *lines = text.decode("latin-1").rstrip("\r\n").split("\r\n")
        headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        return text, first, headers

    def body(self, stream, out, length, name, count=None):
        """Passes length bytes on; a large body also passes the phase "middle"."""
        sent, middle = 0, length > PIECE
        while sent < length:
            data = stream.some(min(PIECE, length - sent))
            if middle and sent + len(data) > length // 2:
                middle = False
                self.check(name, "middle")
            out.sendall(self.trip.flipped(name, data) if sent == 0 else data)
            sent += len(data)
            if count:
                with self.trip.lock:
                    self.trip.bytes[count] += len(data)

    @staticmethod
    def chunked(stream):
        """Returns a chunked body with its framing, unchanged."""
        text = b""
        while True:
            line = stream.until(b"\r\n")
            size = int(line.split(b";")[0], 16)
            text += line + stream.exactly(size + 2)
            if size == 0:
                return text

    def answer(self, name, op, target, upstream, client):
        text, first, headers = self.head(upstream)
        status = int(first.split()[1])
        if 100 <= status < 200:
            client.sendall(text)
            return self.answer(name, op, target, upstream, client)
        empty = op == "HEAD" or status in (204, 304)
        length = 0 if empty else int(headers.get("content-length", 0))
        document = b""
        if not op.startswith("GET") and not empty:
            document = self.chunked(upstream) if "chunked" in headers.get("transfer-encoding", "") else upstream.exactly(length)
        if (op == "PUT" and status == 200) or (op == "Complete" and b"CompleteMultipartUploadResult" in document):
            with self.trip.lock:
                # a gateway may report the completion of one upload more than once
                self.trip.created[self.side].add(target if op == "Complete" else name)
        self.check(name, "handled")
        client.sendall(text + document)
        if op.startswith("GET"):
            self.body(upstream, client, length, name, self.side)
        self.check(name, "answered")
        return headers.get("connection", "").lower() != "close"

    def carry(self, client, server):
        down, up = Stream(client), Stream(server)
        while True:
            text, first, headers = self.head(down)
            method, target, _ = first.split(" ", 2)
            op = operation(method, target, headers)
            name = self.trip.name(f"{self.side} {op}")
            self.check(name, "before")
            server.sendall(text)
            self.body(down, server, int(headers.get("content-length", 0)), name, self.side)
            if not self.answer(name, op, target, up, client):
                return


class PostgresWire(Wire):
    """PostgreSQL's protocol 3.0: a point is the execution of a prepared statement, or its answer."""

    QUIET = re.compile(r"renew|schema_version|rescue|lost|reconcile|listen|walk|limits|next")

    def __init__(self, trip, directory, port):
        super().__init__(trip, f"{directory}/.s.PGSQL.{port}")

    def carry(self, client, server):
        stream = Stream(client)
        (length,) = struct.unpack("!I", stream.exactly(4))
        body = stream.exactly(length - 4)
        if length == 8 and body == struct.pack("!I", 80877103):  # SSLRequest
            client.sendall(b"N")
            return self.carry(client, server)
        who = re.search(rb"application_name\0([^\0]*)", body)
        program = who.group(1) if who else b""
        worker = program.startswith(b"ferry-worker")
        side = "worker" if worker else "second" if program == b"ferryd settle" else "master"
        server.sendall(struct.pack("!I", length) + body)
        waiting = collections.deque()
        back = threading.Thread(target=self._back, args=(Stream(server), client, waiting), daemon=True)
        back.start()
        while True:
            kind = stream.exactly(1)
            (length,) = struct.unpack("!I", stream.exactly(4))
            body = stream.exactly(length - 4)
            if kind == b"B":
                statement = body.split(b"\0")[1].decode()
                name = None
                if (worker or not self.QUIET.search(statement)) and statement != "session":
                    name = self.trip.name(f"{side} {statement}")
                    self.check(name, "before")
                waiting.append(name)
            server.sendall(kind + struct.pack("!I", length) + body)

    def _back(self, stream, client, waiting):
        """Passes answers back; an execution ends with CommandComplete or with an error."""
        try:
            while True:
                kind = stream.exactly(1)
                size = stream.exactly(4)
                body = stream.exactly(struct.unpack("!I", size)[0] - 4)
                if kind in b"CE" and waiting:
                    name = waiting.popleft()
                    if name:
                        self.check(name, "handled")
                client.sendall(kind + size + body)
        except (Cut, OSError):
            for end in (client, stream.sock):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
