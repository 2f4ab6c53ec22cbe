"""A port that a test opens and shuts: while it is shut, connections to it are refused."""

import contextlib
import socket
import threading

from rig import free_port


class Gate:
    """Leads to another port of loopback.  Shut at first."""

    def __init__(self, to):
        self.to, self.port, self.listener, self.live = to, free_port(), None, set()

    def open(self):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", self.port))
        self.listener.listen(64)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def shut(self):
        if self.listener is not None:
            with contextlib.suppress(OSError):
                self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            self.listener = None
        for end in list(self.live):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(listener.accept()[0],), daemon=True).start()

    def _serve(self, client):
        with client, socket.socket() as server:
            with contextlib.suppress(OSError):
                server.connect(("127.0.0.1", self.to))
                self.live.update((client, server))
                threading.Thread(target=self._carry, args=(server, client), daemon=True).start()
                self._carry(client, server)
            self.live -= {client, server}

    @staticmethod
    def _carry(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


class Babbler:
    """A port of its own where each connection gets these bytes, whatever it sends."""

    def __init__(self, port, words):
        self.listener, self.words = socket.socket(), words
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client = self.listener.accept()[0]
                with client, contextlib.suppress(OSError):
                    client.recv(1 << 16)
                    client.sendall(self.words)
                    client.shutdown(socket.SHUT_WR)
                    while client.recv(1 << 16):
                        continue

    def stop(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
