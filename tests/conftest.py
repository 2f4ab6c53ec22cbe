"""Fixtures: one PostgreSQL cluster, one Ceph and one COS endpoint a session; a database and a directory a test."""

import os
import re
import shutil
import signal
import tempfile
import time

import pytest

import stores
from content import crc64_content, write_content
from daemon import Ferryd
from origin import Origin, make_certificate
from rig import Database, MIB, Postgres, patience, wait_until

LIMIT = 120  # seconds that a test may take on an idle machine, unless it is marked limit(seconds)


def pytest_configure(config):
    config.addinivalue_line("markers", "limit(seconds): how long the test may take at most")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    marker = item.get_closest_marker("limit")
    seconds = marker.args[0] if marker else LIMIT

    began = time.monotonic()

    def expired(number, frame):
        left = began + seconds * max(3, patience()) - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"the test took more than {seconds} s")
        signal.alarm(int(left) + 1)
    signal.signal(signal.SIGALRM, expired)
    signal.alarm(seconds)
    yield
    signal.alarm(0)


def pytest_sessionfinish(session, exitstatus):
    """Writes the names of the tests that failed, a line each, into the file that FERRY_FAILED names: see again.sh."""
    path = os.environ.get("FERRY_FAILED")
    if not path or hasattr(session.config, "workerinput") or exitstatus != pytest.ExitCode.TESTS_FAILED:
        return
    stats = session.config.pluginmanager.get_plugin("terminalreporter").stats
    with open(path, "w") as f:
        f.writelines(f"{name}\n" for name in sorted({report.nodeid for kind in ("failed", "error") for report in stats.get(kind, [])}))


@pytest.fixture(scope="session")
def base():
    """The directory of this session.  Its path is short, because paths of sockets are limited, and open to other accounts."""
    directory = tempfile.mkdtemp(prefix="ferry-")
    os.chmod(directory, 0o755)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)
    assert not os.path.exists(directory), f"{directory} could not be removed"


@pytest.fixture(scope="session")
def pg(base):
    cluster = Postgres(f"{base}/pg")
    try:
        Database.make_template(cluster)
        yield cluster
    finally:
        cluster.remove()


@pytest.fixture
def db(pg, request):
    number = db.serial = getattr(db, "serial", 0) + 1
    if not pg.is_running():
        pg.start()
    database = Database(pg, f"ferry_{number}")
    yield database
    if not pg.is_running():
        pg.start()
    try:
        wait_until(lambda: not database.sessions(), 5, "sessions to end")
    finally:
        database.drop()


@pytest.fixture(scope="session")
def cos_process(base):
    endpoint = stores.Cos(f"{base}/cos")
    yield endpoint
    endpoint.stop()


@pytest.fixture
def cos(cos_process):
    """The COS endpoint, empty and without faults."""
    cos_process.reset()
    yield cos_process
    cos_process.reset()


@pytest.fixture(scope="session")
def ceph(base):
    gateway = stores.Ceph(f"{base}/ceph")
    try:
        yield gateway
    finally:
        gateway.stop()


@pytest.fixture(scope="session")
def swift(base):
    server = stores.Swift(f"{base}/swift")
    try:
        yield server
    finally:
        server.stop()


class Gib:
    """The object of 1 GiB that the large tests share: ceph://ferry-source/gib."""

    size, key = 1024 * MIB, "gib"

    def __init__(self, ceph):
        ceph.put_content(ceph.SOURCE, self.key, "gib", self.size)
        self.uri = f"ceph://{ceph.SOURCE}/{self.key}"
        self.crc64 = crc64_content("gib", self.size)


@pytest.fixture(scope="session")
def gib(ceph):
    return Gib(ceph)


@pytest.fixture
def origin():
    server = Origin().start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def certificate(base):
    return make_certificate(base)


class Spool:
    """A store of kind file with objects to carry."""

    def __init__(self, directory):
        self.root = directory
        os.mkdir(directory)
        os.chmod(directory, 0o777)

    def put(self, name, size, seed=None):
        """Makes an object; returns its URI."""
        write_content(f"{self.root}/{name}", seed or name, size)
        return f"spool://{name}"

    def crc64(self, name, size, seed=None):
        return crc64_content(seed or name, size)

    def store(self):
        return {"kind": "file", "root": self.root}


@pytest.fixture
def spool(tmp_base):
    return Spool(f"{tmp_base}/spool")


@pytest.fixture
def tmp_base(base):
    directory = tempfile.mkdtemp(prefix="t", dir=base)
    os.chmod(directory, 0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def ferryd(tmp_base, db, request):
    """Makes a ferryd: ferryd(stores, **configuration).  At the end, stops all of them and checks what they leave behind."""
    made = []

    def make(store_table, start=True, **options):
        daemon = Ferryd(tmp_base, db, store_table, **options)
        made.append(daemon)
        if start:
            daemon.start()
        return daemon
    yield make
    problems = []
    for daemon in reversed(made):
        try:
            daemon.finish()
            check_log(daemon)
        except (AssertionError, TimeoutError, OSError) as problem:
            problems.append(str(problem))
    assert not problems, "\n".join(problems)


def check_log(daemon):
    text = daemon.log_text()
    for secret in (stores.COS_SECRET, stores.CEPH_SECRET, stores.SWIFT_SECRET):
        assert secret not in text, f"a secret is in the log of {daemon.name}"
    found = re.findall(r".*(?:AddressSanitizer|runtime error:|LeakSanitizer).*", text)
    assert not found, found


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows the logs of its daemons."""
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed and "tmp_base" in item.funcargs:
        for directory, _, names in os.walk(item.funcargs["tmp_base"]):
            for name in names:
                if name.endswith(".log"):
                    with open(os.path.join(directory, name), errors="replace") as f:
                        report.sections.append((os.path.join(directory, name), f.read()[-20000:]))
