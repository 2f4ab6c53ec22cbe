"""An HTTP source with faults.  The first word of the path chooses the behaviour, the second is the object's length:

/size/N        correct: Range, ETag, If-Match, If-Range; content by ?seed=...
/etagless/N    the same without ETag
/shrinks/N     is a KiB shorter at every request                      /grows/N    is a KiB longer (no ETag, the same Last-Modified)
/changes/N     has another ETag at every request                      /changed/N  has another ETag and content from the third on
/heedless/N    is like changed, and does not look at If-Match
/short/N       promises a body and closes after half of it
/no-range/N    ignores Range                                          /chunked/N  also states no length; ?cut=N ends early; ?each: always another
               ?grow=N has an ETag, and each answer ends early, but N bytes later than the one before
/cuts/N        closes after ?bytes= of each body, and behind the byte ?most= of the object sends nothing
/slow/N        ?rate=BYTES a second                                  /stops/N   sends ?after=BYTES of a body, then nothing
/secret/N      GET only, and only with the right X-Amz-Signature      /hang       takes the request and never answers
/status/CODE   answers with that status                               /redirect?to=URL
/interim/N     100 and 103 before the answer                          /closes/N   Connection: close with each answer
/drops/N       closes after each answer without notice                /ancient/N  HTTP/1.0; with ?length=0 the end of the body is the close
/longer/N      sends a KiB more; ?chunked: later                            /busy/N     503 or ?status= at first, Retry-After: ?after=
/moved/N       307 to another host, for every method                  (for a store of kind s3 these words are buckets)
/page/N/K/M    correct, but the requests K to M (default: all from K on) are answered by a proxy's page of HTML
/tickets/N     302 to /ticket/N with a new ticket, which is good for ?uses= requests, then refused like an expired URL; the tickets
               from ?void= on are good for none; ?other=K: from ticket K on it is another object
/expired/CODE  refuses with ?say= as the message of an S3 error, or with ?plain= as text
/full/N        like size, but answers 200 with all bytes to a range    /shifted/N a 206 with the range that lies one byte behind
/refuses/N     416 to a range; ?total=T says bytes */T, ?whole=416 refuses everything
/dated/N       no ETag but Last-Modified, ?age=SECONDS old; ?weak=E adds ETag W/"E".  Another object from the request ?from=K on, or
               when the server's replaced is true, with a later Last-Modified, or the same with ?same.  Heeds If-Unmodified-Since,
               but not with ?deaf.  Content-Type: x/first or x/second.  ?undated=K: no Last-Modified from request K on; ?short=K: the body
               of request K is cut
/framing/N     ?length= and ?coding= are what Content-Length (may be two, with a comma) and Transfer-Encoding say
/cut/N         no length, and the close after ?bytes= of the body (HTTP/1.1)
/redirect-once redirects to ?to= at first, then to ?then=
/redirect-loop redirects to itself, for ever                          /header-flood[?bytes=N][?line]  10 GB of response headers;
               with ?line they are one line

?header=NAME:VALUE adds a header to any of them.
As a program: origin.py PORT.
"""

import collections
import contextlib
import email.utils
import http.server
import socket
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
    extra, content_type = (), "application/x-origin"

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
        """Sends the status line and headers, without Content-Length if length is None."""
        self.record(status)
        self.send_response(status)
        given = [tuple(self.query["header"].split(":", 1))] if "header" in self.query else []
        for name, value in [*headers, *self.extra, *given]:
            self.send_header(name, value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def size(self):
        return int(self.words[1])

    def range_of(self, size):
        """Returns (first, last) of the requested range, None for the whole object, False for a range that the object does not have."""
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
        headers = [("Accept-Ranges", "bytes"), ("Content-Type", self.content_type)]
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

    def at_cuts(self):
        first, _ = self.range_of(self.size()) or (0, 0)
        most = int(self.query.get("most", self.size()))
        self.serve_object(self.size(), '"cuts"', stop_at=min(int(self.query["bytes"]), max(0, most - first)))

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
        headers = [("Content-Range", f"bytes {first}-{last}/{self.size()}"), ("ETag", '"longer"')]
        if "chunked" in self.query:
            self.answer(206, [*headers, ("Transfer-Encoding", "chunked")], None)
            for offset, length in ((first, last - first + 1), (last + 1, 1024)):
                self.wfile.write(b"%x\r\n" % length)
                self.send_body(self.seed, offset, length)
                self.wfile.write(b"\r\n")
                time.sleep(0.5)
            return self.wfile.write(b"0\r\n\r\n")
        self.answer(206, headers, last - first + 1 + 1024)
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

    def at_page(self):
        first, last = int(self.words[2]), int(self.words[3]) if len(self.words) > 3 else 1 << 30
        if not first <= self.nth <= last:
            return self.serve_object(self.size(), '"page"')
        page = b'<html><head>\n<title>Log in</title></head><a href="/in?X-Amz-Signature=secret">' + b"Who are you? " * 8
        self.server_version = self.sys_version = "proxy"
        self.answer(200, [("Content-Type", "text/html; charset=utf-8")], len(page))
        if self.command == "GET":
            self.wfile.write(page)

    def at_tickets(self):
        query = urllib.parse.urlencode({**self.query, "ticket": self.nth})
        self.answer(302, [("Location", f"/ticket/{self.size()}?{query}")])

    def at_ticket(self):
        ticket, uses = int(self.query["ticket"]), int(self.query["uses"])
        with self.server.lock:
            used = self.server.seen[f"ticket {ticket}"] = self.server.seen.get(f"ticket {ticket}", 0) + 1
        if used > uses or ticket >= int(self.query.get("void", 1 << 30)):
            self.query["say"] = "Request has expired"
            return self.refuse(403)
        other = "other" if ticket >= int(self.query.get("other", 1 << 30)) else self.seed
        self.serve_object(self.size(), f'"{other}-{self.size()}"', seed=other)

    def at_expired(self):
        self.refuse(int(self.words[1]))

    def refuse(self, status):
        text = self.query.get("plain", f"<Error><Code>AccessDenied</Code><Message>{self.query.get('say', '')}</Message></Error>").encode()
        self.answer(status, [("Content-Type", "text/plain" if "plain" in self.query else "application/xml")], len(text))
        self.wfile.write(text)

    def at_full(self):
        del self.headers["Range"]
        self.serve_object(self.size(), '"full"')

    def at_shifted(self):
        first, last = self.range_of(self.size()) or (0, self.size() - 1)
        if self.command == "HEAD":
            return self.answer(200, [("ETag", '"shifted"')], self.size())
        content_range = f"bytes {first + 1}-{last + 1}/{self.size() + 1}"
        self.answer(206, [("Content-Range", content_range), ("ETag", '"shifted"')], last - first + 1)
        self.send_body(self.seed, first + 1, last - first + 1)

    def at_refuses(self):
        if self.query.get("whole") == "416" or (self.command == "GET" and "Range" in self.headers):
            return self.answer(416, [("Content-Range", f"bytes */{self.query['total']}")] if "total" in self.query else [])
        self.serve_object(self.size(), None if self.query.get("etag") == "none" else '"refuses"')

    def at_dated(self):
        replaced = self.server.replaced or self.nth >= int(self.query.get("from", 1 << 30))
        modified = self.server.started - int(self.query.get("age", 3600)) + (60 if replaced and "same" not in self.query else 0)
        date, since = self.date_time_string(modified), self.headers.get("If-Unmodified-Since")
        if since and since != date and "deaf" not in self.query:
            return self.answer(412)
        self.content_type = "x/second" if replaced else "x/first"
        self.extra = [("Last-Modified", date)] if self.nth < int(self.query.get("undated", 1 << 30)) else []
        if "weak" in self.query:
            self.extra.append(("ETag", f'W/"{self.query["weak"]}{replaced or ""}"'))
        self.serve_object(self.size(), None, seed="second" if replaced else "first", rate=int(self.query.get("rate", 0)),
                          stop_at=100000 if self.nth == int(self.query.get("short", 0)) else None)

    def at_framing(self):
        lengths = self.query.get("length", "").split(",")
        headers = [("Content-Length", length) for length in lengths if length]
        if "coding" in self.query:
            headers.append(("Transfer-Encoding", self.query["coding"]))
        self.close_connection = True
        self.answer(200, headers + [("ETag", '"framing"')], None)
        self.send_body(self.seed, 0, self.size())

    def at_cut(self):
        self.close_connection = True
        self.answer(200, [("Connection", "close")], None)
        self.send_body(self.seed, 0, int(self.query.get("bytes", self.size())))

    def at_shrinks(self):
        self.extra = [("Last-Modified", self.server.date(self.server.started - 3600))]
        self.serve_object(self.size() - 1024 * self.nth, None)

    def at_grows(self):
        self.extra = [("Last-Modified", self.server.date(self.server.started - 3600))]
        self.serve_object(self.size() + 1024 * self.nth, None)

    def at_changes(self):
        self.serve_object(self.size(), f'"{self.nth}"')

    def at_changed(self):
        changed = self.nth > 2
        self.serve_object(self.size(), '"second"' if changed else '"first"', seed="second" if changed else "first")

    def at_heedless(self):
        """Another object from the third answer on, whatever If-Match says."""
        del self.headers["If-Match"]
        self.at_changed()

    def at_short(self):
        wanted = self.range_of(self.size()) or (0, self.size() - 1)
        self.serve_object(self.size(), '"short"', stop_at=max(1, (wanted[1] - wanted[0] + 1) // 2))

    def at_no_range(self):
        self.answer(200, [("Content-Type", "application/x-origin")], self.size())
        if self.command == "GET":
            self.send_body(self.seed, 0, self.size())

    def at_chunked(self):
        if "each" in self.query:
            self.seed = str(self.nth)
            self.extra = [("Content-Type", f"x/{self.seed}")]
        end = int(self.query.get("cut", self.size()))
        if "grow" in self.query:
            end = min(end, int(self.query["grow"]) * self.nth)
            self.extra = [("ETag", '"grow"')]
        self.answer(200, [("Transfer-Encoding", "chunked")], None)
        if self.command != "GET":
            return
        for piece in content(self.seed, 0, end):
            self.wfile.write(b"%x\r\n" % len(piece) + piece + b"\r\n")
        if end < self.size():
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

    def at_redirect_once(self):
        """To ?to= at first, then to ?then=."""
        self.answer(302, [("Location", self.query["to"] if self.nth == 1 else self.query["then"])])

    def at_redirect_loop(self):
        self.answer(302, [("Location", self.path.split("?")[0] + f"?hop={self.nth}")])

    def at_header_flood(self):
        self.record(200)
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        line = (b"X-Flood: " + b"f" * 1000 + b"\r\n") * 64
        if "line" in self.query:
            self.wfile.write(b"X-Flood: ")
            line = b"f" * 65536
        left = int(self.query.get("bytes", str(10 << 30)))
        try:
            while left > 0 and not self.server.stopping.is_set():
                self.wfile.write(line)
                left -= len(line)
                self.server.flooded += len(line)
        finally:
            self.close_connection = True


class Origin(http.server.ThreadingHTTPServer):
    """The server: start(), stop(); requests is the log, seen counts requests by path."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port=0, host="127.0.0.1", tls=None):
        super().__init__((host, port), Handler)
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.scheme, self.started, self.replaced = "http", int(time.time()), False
        self.connections = []
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

    @staticmethod
    def date(seconds):
        return email.utils.formatdate(seconds, usegmt=True)

    def forget(self):
        self.requests, self.seen, self.flooded = [], {}, 0

    def handle_error(self, request, client_address):
        """Ignores errors: tests let clients go away and refuse the certificate."""

    def start(self):
        self.thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()
        return self

    def cut(self):
        """Accepts nothing more, and ends the connections that there are."""
        self.shutdown()
        self.socket.close()
        with self.lock:
            for connection in self.connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def get_request(self):
        connection, address = super().get_request()
        with self.lock:
            self.connections.append(connection)
        return connection, address

    def stop(self):
        self.stopping.set()
        self.shutdown()
        self.thread.join()
        self.server_close()


def make_certificate(directory, name="localhost", address="127.0.0.1", expired=False, days="2"):
    """Makes a self-signed certificate; returns (certificate, key).  Only a client with this certificate as its CA file accepts it."""
    kind = "expired-" if expired else ""
    cert, key = f"{directory}/{kind}{name}.crt", f"{directory}/{kind}{name}.key"
    request = subprocess.run(["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key,
                              "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name},DNS:*.{name},IP:{address}"],
                             check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    sign = ["openssl", "x509", "-req", "-signkey", key, "-copy_extensions", "copy", "-out", cert]
    dates = [["-not_before", "240101000000Z", "-not_after", "240102000000Z"], ["-days", "-1"]] if expired else [["-days", days]]
    # OpenSSL 3.4 has brought -not_after, and takes no negative number of days any more
    done = (subprocess.run([*sign, *date], input=request, check=False, stderr=subprocess.DEVNULL).returncode == 0 for date in dates)
    assert any(done), "openssl makes no certificate"
    return cert, key


if __name__ == "__main__":
    origin = Origin(int(sys.argv[1])).start()
    print(origin.port, flush=True)
    origin.thread.join()
