"""A cancelled task breaks off a PUT in the middle of its body."""

import socket
import threading

from rig import MIB, wait_until


class Deaf:
    """A store that reads a request's head, and the body only after listen is set."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.asked, self.listen, self.end = threading.Event(), threading.Event(), None
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        conn = self.listener.accept()[0]
        head = b""
        while b"\r\n\r\n" not in head:
            head += conn.recv(1)
        self.head = head.decode()
        self.asked.set()
        self.listen.wait(30)
        try:
            while conn.recv(1 << 16):
                pass
            self.end = "end of file"
        except ConnectionResetError:
            self.end = "reset"


def test_bytes_in_the_kernel_do_not_arrive_after_a_cancel(ferryd, db, spool):
    """A cancelled PUT resets its connection: an orderly close would first send the bytes that the kernel has buffered."""
    deaf = Deaf()
    ferryd({"spool": spool.store(), "deaf": {"kind": "s3", "endpoint": f"http://127.0.0.1:{deaf.port}", "region": "r",
                                             "addressing": "path", "access_key": "k", "secret": "s"}}, workers=1,
           worker={"part_size": "16M"})
    task = db.put(spool.put("object", 12 * MIB), "deaf://bucket/key")
    assert deaf.asked.wait(10)
    assert f"\r\nContent-Length: {12 * MIB}\r\n" in deaf.head and "Transfer-Encoding" not in deaf.head, deaf.head
    db.sql("SELECT ferry.cancel(%s)", (task,))
    wait_until(lambda: db.state(task) == "cancelled", 5)
    threading.Timer(1.5, deaf.listen.set).start()
    wait_until(lambda: deaf.end, 10, "the connection to end")
    assert deaf.end == "reset"
