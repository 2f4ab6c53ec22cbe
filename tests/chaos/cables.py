"""Ports that lead to the stores and the database, and that can be cut."""

import select
import threading
import time

from wires import Cut, HttpWire, Stream, Tripwire, Wire, operation


class Cable(Wire):
    """Passes bytes on until it is cut."""

    def __init__(self, address):
        super().__init__(None, address)

    def carry(self, client, server):
        pairs = {client: server, server: client}
        while True:
            for end in select.select(list(pairs), [], [])[0]:
                data = end.recv(1 << 18)
                if not data:
                    return
                pairs[end].sendall(data)


class Nobody:
    """Swallows an answer, so that the client never gets it."""

    def sendall(self, data):
        pass


class GatewayCable(HttpWire):
    """
    Leads to the real gateway, and makes requests fail on the way.  An action is a status (the answer), "before" (the connection ends
    before the request arrives), "mid" (it ends after half of the body), "after" (the gateway handles the request, but its answer is
    lost), "corrupt" (a bit of the body changes), "hold" (the whole request waits until held[n] is set), None (nothing fails), or a
    function, which may make further rules and returns one of these.
    """

    def __init__(self, port):
        super().__init__(Tripwire(), "gateway", port)
        self.rules, self.rules_lock, self.held = [], threading.Lock(), []

    def fault(self, seconds, action, times, operations):
        with self.rules_lock:
            self.rules.append([time.monotonic() + seconds, action, times, operations])

    def clear(self):
        with self.rules_lock:
            self.rules = []

    def take(self, op):
        with self.rules_lock:
            self.rules = [rule for rule in self.rules if rule[0] > time.monotonic() and rule[2] > 0]
            for rule in self.rules:
                if rule[3] is None or op.split()[0] in rule[3]:
                    rule[2] -= 1
                    return rule[1]
        return None

    def refuse(self, status, stream, client, length):
        while length > 0:
            length -= len(stream.some(min(1 << 16, length)))
        code = "SlowDown" if status == 503 else "InternalError"
        text = f"<?xml version=\"1.0\"?><Error><Code>{code}</Code></Error>"
        client.sendall(f"HTTP/1.1 {status} So\r\nContent-Type: application/xml\r\nContent-Length: {len(text)}\r\n"
                       f"Connection: close\r\n\r\n{text}".encode())
        raise Cut

    def carry(self, client, server):
        down, up = Stream(client), Stream(server)
        while True:
            text, first, headers = self.head(down)
            method, target, _ = first.split(" ", 2)
            op, length = operation(method, target, headers), int(headers.get("content-length", 0))
            action = self.take(op)
            if callable(action):
                action = action()
            if isinstance(action, int):
                self.refuse(action, down, client, length)
            if action == "before":
                raise Cut
            if action == "hold":
                text, length = text + down.exactly(length), 0
                self.held.append(threading.Event())
                self.held[-1].wait()
            server.sendall(text)
            if action == "corrupt" and length > 0:
                data = down.some(length)
                server.sendall(bytes([data[0] ^ 1]) + data[1:])
                length -= len(data)
            if action == "mid":
                self.body(down, server, length // 2, op)
                raise Cut
            self.body(down, server, length, op)
            if not self.answer(op, op, target, up, Nobody() if action == "after" else client) or action == "after":
                return
