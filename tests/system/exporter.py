"""The exporter of a ferryd, asked over HTTP."""

import re
import urllib.error
import urllib.request

from rig import children, title, wait_until

SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def get(address, path, **headers):
    """(status, body, content type) of a request."""
    request = urllib.request.Request(f"http://{address}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode(), answer.headers["Content-Type"]
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), error.headers["Content-Type"]


def parse(text):
    """{(name, ((label, value), ...)): value}; a sample that comes twice fails the test."""
    found = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        match = SAMPLE.match(line)
        assert match, f"not a sample: {line!r}"
        key = (match[1], tuple(LABEL.findall(match[2] or "")))
        assert key not in found, f"twice: {line!r}"
        found[key] = float(match[3])
    return found


class Exporter:
    def __init__(self, daemon):
        self.daemon, self.address = daemon, daemon.metrics["listen"]

    def pid(self):
        return next((pid for pid in children(self.daemon.pid) if title(pid).startswith("ferry-exporter")), None)

    def status(self, path):
        try:
            return get(self.address, path)[:2]
        except OSError:
            return None, ""

    def metrics(self):
        status, text, kind = get(self.address, "/metrics")
        assert status == 200 and kind.startswith("text/plain; version=0.0.4"), (status, kind)
        return parse(text)

    def value(self, name, **labels):
        return self.metrics().get((name, tuple(labels.items())))

    def wait(self, predicate, name, timeout=20, **labels):
        """Waits until predicate holds for the sample, which may be None."""
        wait_until(lambda: self.status("/metrics")[0] == 200 and predicate(self.value(name, **labels)), timeout,
                   lambda: f"{name} {labels}: {self.value(name, **labels)}; log:\n{self.daemon.log_text()}")

    def speaks(self):
        return self.status("/metrics")[0] == 200 and self.value("ferry_exporter_speaks") == 1
