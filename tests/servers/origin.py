"""An HTTP source with faults.  The first word of the path says how it behaves, the second how long the object is:

/size/N        as it should: Range, ETag, If-Match, If-Range; content by ?seed=...
/etagless/N    the same without ETag
/shrinks/N     is a KiB shorter at every request                      /grows/N    a KiB longer (neither has an ETag)
/changes/N     has another ETag at every request                      /changed/N  has another, and another content, from the third on
/short/N       promises a body and closes after half of it
/no-range/N    ignores Range                                          /chunked/N  and knows no length either; ?cut=N ends early
/slow/N        ?rate=BYTES a second                                  /stops/N   sends ?after=BYTES of a body, then nothing
/secret/N      GET only, and only with the right X-Amz-Signature      /hang       takes the request and says nothing
/status/CODE   that status                                            /redirect?to=URL
/interim/N     100 and 103 before the answer                          /closes/N   Connection: close with each answer
/drops/N       closes after each answer without saying so             /ancient/N  HTTP/1.0, ?length=0: until it closes
/longer/N      a KiB more than the range has                          /busy/N     503 or ?status= at first, Retry-After: ?after=
/moved/N       307 to another host, for every method                  (a store of kind s3 finds all of them as buckets)
/redirect-loop to itself, for ever                                    /header-flood[?bytes=N]  10 GB of response headers

As a program: origin.py PORT.
"""

import collections
import http.server
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse

try:
    from .content import content
except ImportError:
    from content import content

SIGNATURE = "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
Request = collections.namedtuple("Request", "time method path query headers status")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    extra = ()

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.serve()

    def do_GET(self):
        self.serve()

    def do_PUT(self):
        self.serve()

    def do_POST(self):
        self.serve()

    def serve(self):
        self.arrived = time.time()
        url = urllib.parse.urlsplit(self.path)
        self.words = url.path.strip("/").split("/")
        self.query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        self.seed = self.query.get("seed", "origin")
        with self.server.lock:
            self.nth = self.server.seen[url.path] = self.server.seen.get(url.path, 0) + 1
        behave = getattr(self, "at_" + self.words[0].replace("-", "_"), None)
        if behave is None:
            return self.answer(404)
        try:
            behave()
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            self.close_connection = True

    def record(self, status):
        path = urllib.parse.urlsplit(self.path)
        with self.server.lock:
            self.server.requests.append(
                Request(self.arrived, self.command, path.path, path.query, dict(self.headers.items()), status))

    def answer(self, status, headers=(), length=0):
        """The status line and headers.  length None: none is given."""
        self.record(status)
        self.send_response(status)
        for name, value in [*headers, *self.extra]:
            self.send_header(name, value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def size(self):
        return int(self.words[1])

    def range_of(self, size):
        """(first, last) of the range asked for, None for the whole, False if it cannot be had."""
        text = self.headers.get("Range", "")
        if not text.startswith("bytes=") or "," in text:
            return None
        first, _, last = text[6:].partition("-")
        if first == "":
            return (max(0, size - int(last)), size - 1)
        first, last = int(first), min(int(last) if last else size - 1, size - 1)
        return (first, last) if first <= last else False

    def serve_object(self, size, etag, rate=0, seed=None, stop_at=None):
        match = self.headers.get("If-Match")
        if match and etag and match not in (etag, "*"):
            return self.answer(412)
        wanted = self.range_of(size)
        if wanted is False:
            return self.answer(416, [("Content-Range", f"bytes */{size}")])
        headers = [("Accept-Ranges", "bytes"), ("Content-Type", "application/x-origin")]
        if etag:
            headers.append(("ETag", etag))
        first, last = wanted or (0, size - 1)
        if wanted:
            headers.append(("Content-Range", f"bytes {first}-{last}/{size}"))
        self.answer(206 if wanted else 200, headers, last - first + 1)
        if self.command == "GET":
            self.send_body(seed or self.seed, first, last - first + 1, rate, stop_at)

    def send_body(self, seed, offset, length, rate=0, stop_at=None):
        sent, started = 0, time.monotonic()
        for piece in content(seed, offset, length):
            step = len(piece) if not rate else min(16384, max(1, rate // 4))
            for at in range(0, len(piece), step):
                chunk = piece[at:at + step]
                if stop_at is not None and sent + len(chunk) > stop_at:
                    self.wfile.write(chunk[:stop_at - sent])
                    self.close_connection = True
                    return
                self.wfile.write(chunk)
                sent += len(chunk)
                if rate:
                    time.sleep(max(0.0, sent / rate - (time.monotonic() - started)))

    def at_size(self):
        self.serve_object(self.size(), f'"{self.seed}-{self.size()}"')

    def at_etagless(self):
        self.serve_object(self.size(), None)

    def at_slow(self):
        self.serve_object(self.size(), f'"slow-{self.size()}"', rate=int(self.query.get("rate", "1000000")))

    def at_stops(self):
        wanted = self.range_of(self.size())
        if wanted == (0, 0):
            return self.serve_object(self.size(), '"stops"')
        self.serve_object(self.size(), '"stops"', stop_at=int(self.query["after"]))
        self.wfile.flush()
        self.server.stopping.wait(600)

    def at_interim(self):
        for status in (b"100 Continue", b"103 Early Hints"):
            self.wfile.write(b"HTTP/1.1 " + status + b'\r\nETag: "interim"\r\nContent-Range: bytes 5-6/7\r\n\r\n')
        self.serve_object(self.size(), '"interim-after"')

    def at_closes(self):
        self.extra = [("Connection", "close")]
        self.serve_object(self.size(), '"closes"')

    def at_drops(self):
        self.serve_object(self.size(), '"drops"')
        self.close_connection = True

    def at_ancient(self):
        self.protocol_version = "HTTP/1.0"
        self.close_connection = True
        self.answer(200, [], None if self.query.get("length") == "0" else self.size())
        self.send_body(self.seed, 0, self.size())

    def at_longer(self):
        first, last = self.range_of(self.size()) or (0, self.size() - 1)
        self.answer(206, [("Content-Range", f"bytes {first}-{last}/{self.size()}"), ("ETag", '"longer"')], last - first + 1 + 1024)
        if self.command == "GET":
            self.send_body(self.seed, first, last - first + 1 + 1024)

    def at_busy(self):
        if self.nth <= int(self.query.get("times", "2")):
            return self.answer(int(self.query.get("status", "503")), [("Retry-After", self.retry_after())])
        self.serve_object(self.size(), '"busy"')

    def retry_after(self):
        after = int(self.query.get("after", "1"))
        return self.date_time_string(time.time() + after) if "date" in self.query else str(after)

    def at_moved(self):
        self.close_connection = True
        self.answer(307, [("Location", "http://bucket.s3.elsewhere-1.test/key?X-Amz-Signature=secret"), ("Connection", "close")])

    def at_shrinks(self):
        self.serve_object(self.size() - 1024 * self.nth, None)

    def at_grows(self):
        self.serve_object(self.size() + 1024 * self.nth, None)

    def at_changes(self):
        self.serve_object(self.size(), f'"{self.nth}"')

    def at_changed(self):
        changed = self.nth > 2
        self.serve_object(self.size(), '"second"' if changed else '"first"', seed="second" if changed else "first")

    def at_short(self):
        wanted = self.range_of(self.size()) or (0, self.size() - 1)
        self.serve_object(self.size(), '"short"', stop_at=max(1, (wanted[1] - wanted[0] + 1) // 2))

    def at_no_range(self):
        self.answer(200, [("Content-Type", "application/x-origin")], self.size())
        if self.command == "GET":
            self.send_body(self.seed, 0, self.size())

    def at_chunked(self):
        self.answer(200, [("Transfer-Encoding", "chunked")], None)
        if self.command != "GET":
            return
        for piece in content(self.seed, 0, int(self.query.get("cut", self.size()))):
            self.wfile.write(b"%x\r\n" % len(piece) + piece + b"\r\n")
        if "cut" in self.query:
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")

    def at_secret(self):
        if self.command != "GET" or self.query.get("X-Amz-Signature") != SIGNATURE:
            return self.answer(403)
        self.serve_object(self.size(), '"secret"')

    def at_hang(self):
        self.record(0)
        self.server.stopping.wait(600)
        self.close_connection = True

    def at_status(self):
        self.answer(int(self.words[1]))

    def at_redirect(self):
        self.answer(302, [("Location", self.query["to"])])

    def at_redirect_loop(self):
        self.answer(302, [("Location", self.path.split("?")[0] + f"?hop={self.nth}")])

    def at_header_flood(self):
        self.record(200)
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        line = (b"X-Flood: " + b"f" * 1000 + b"\r\n") * 64
        left = int(self.query.get("bytes", str(10 << 30)))
        try:
            while left > 0 and not self.server.stopping.is_set():
                self.wfile.write(line)
                left -= len(line)
                self.server.flooded += len(line)
        finally:
            self.close_connection = True


class Origin(http.server.ThreadingHTTPServer):
    """start(), stop(); requests is the log, seen counts by path."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port=0, host="127.0.0.1", tls=None):
        super().__init__((host, port), Handler)
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.scheme = "http"
        self.forget()
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
            self.scheme = "https"

    @property
    def port(self):
        return self.server_address[1]

    def url(self, path):
        return f"{self.scheme}://127.0.0.1:{self.port}/{path.lstrip('/')}"

    def forget(self):
        self.requests, self.seen, self.flooded = [], {}, 0

    def handle_error(self, request, client_address):
        """A client that goes away or refuses our certificate is what tests are about."""

    def start(self):
        self.thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()
        return self

    def stop(self):
        self.stopping.set()
        self.shutdown()
        self.thread.join()
        self.server_close()


def make_certificate(directory, name="localhost", address="127.0.0.1"):
    """A self-signed certificate: (certificate, key).  A client that has it as its CA file accepts it, no other does."""
    cert, key = f"{directory}/{name}.crt", f"{directory}/{name}.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
                    key, "-out", cert, "-days", "2", "-subj", f"/CN={name}", "-addext",
                    f"subjectAltName=DNS:{name},DNS:*.{name},IP:{address}"], check=True, stderr=subprocess.DEVNULL)
    return cert, key


if __name__ == "__main__":
    origin = Origin(int(sys.argv[1])).start()
    print(origin.port, flush=True)
    origin.thread.join()
