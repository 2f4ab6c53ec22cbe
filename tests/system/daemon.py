"""A ferryd under test: its configuration, processes, log and cgroups."""

import os
import re
import shutil
import signal
import subprocess

from rig import ACCOUNT, BUILD, children, running, title, wait_until

LINE = re.compile(r"^(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (?P<level>\w+) (?P<program>[a-z-]+)(?:/(?P<slot>\d+))?"
                  r"\[(?P<pid>\d+)\] (?P<fields>.*)$")
FIELD = re.compile(r'([A-Za-z0-9_]+)=("(?:[^"\\]|\\.)*"|\S*)')


def parse_line(line):
    """Returns the head and the fields of a log line as one dictionary; the head wins.  A line of another form fails the test."""
    match = LINE.match(line)
    assert match, f"not a log line: {line!r}"
    event = match.groupdict()
    for name, value in FIELD.findall(event.pop("fields")):
        if value.startswith('"'):
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
        event.setdefault(name, value)
    return event


def literal(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "{" + ", ".join(literal(v) for v in value) + "}"
    return str(value) if isinstance(value, int) else f'"{value}"'


class Ferryd:
    """
    write() makes the configuration file from conf, worker, http and stores; a store's "secret" becomes a file.
    With daemonize, ferryd starts as from an init script and opens its pid file and log; otherwise it is our child, with -d.
    """

    serial = 0

    def __init__(self, directory, database, stores, workers=2, daemonize=False, program=None, worker=None, http=None, metrics=None, **conf):
        Ferryd.serial += 1
        self.name = f"ferrytest-{os.getpid()}-{Ferryd.serial}"
        self.directory = os.path.join(directory, self.name)
        self.database, self.daemonize, self.program = database, daemonize, program or f"{BUILD}/ferryd"
        os.mkdir(self.directory)
        self.log_file, self.pid_file = f"{self.directory}/ferryd.log", f"{self.directory}/ferryd.pid"
        self.conf = {"database": database.conninfo(), "user": ACCOUNT, "pidfile": self.pid_file, "log": self.log_file,
                     "workers": workers, "cgroup": self.name, "retry_delay": "200ms", "grace": "8s", **conf}
        self.worker = {"memory": "64M", "streams": 4, "part_size": "5M", **(worker or {})}
        self.metrics = metrics  # the section; None: no exporter
        self.http, self.stores = http or {}, {name: dict(store) for name, store in stores.items()}
        self.process, self.pid, self.killed, self.seen, self.environment = None, None, False, set(), {}
        self.prefix = []  # a command that becomes ferryd
        self.write()
        shutil.chown(self.directory, ACCOUNT)

    # Configuration

    def secret(self, name, text):
        path = f"{self.directory}/{name}.secret"
        with open(path, "w") as f:
            f.write(text + "\n")
        os.chmod(path, 0o600)
        shutil.chown(path, ACCOUNT)
        return path

    def text(self):
        lines = [f"{k} = {literal(v)}" for k, v in self.conf.items() if v is not None]
        for section, keys in (("worker", self.worker), ("http", self.http), ("metrics", self.metrics)):
            if keys is None:
                continue
            lines += [f"{section} {{", *(f"\t{k} = {literal(v)}" for k, v in keys.items()), "}"]
        for name, keys in self.stores.items():
            keys = dict(keys)
            if "secret" in keys:
                keys["secret_key_file"] = self.secret(name, keys.pop("secret"))
            lines += [f'store "{name}" {{', *(f"\t{k} = {literal(v)}" for k, v in keys.items()), "}"]
        return "\n".join(lines) + "\n"

    def write(self):
        self.file = f"{self.directory}/ferryd.conf"
        with open(self.file, "w") as f:
            f.write(self.text())

    # Processes

    def spawn(self, *arguments, **options):
        env = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **self.environment}
        return subprocess.Popen([*self.prefix, self.program, *arguments, "-f", self.file], env=env, stdin=subprocess.DEVNULL, **options)

    def run(self, *arguments):
        """Runs ferryd until it exits; returns (exit code, stdout, stderr)."""
        process = self.spawn(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        out, err = process.communicate(timeout=30)
        return process.returncode, out, err

    def start(self, ready=True):
        self.killed = False
        if self.daemonize:
            code, out, err = self.run()
            assert code == 0, f"ferryd: {code}: {err}\n{self.log_text()}"
            self.pid = int(open(self.pid_file).read())
        else:
            with open(self.log_file, "ab") as log:
                self.process = self.spawn("-d", stdout=log, stderr=log)
            self.pid = self.process.pid
        if ready:
            self.ready()
        return self

    def ready(self, timeout=20):
        """Waits until the configured number of workers runs, and the master has a database session.  A worker opens one when it needs it."""
        def there():
            assert self.alive(), f"ferryd ended:\n{self.log_text()}"
            up = [pid for pid in self.workers() if not title(pid).endswith("starting")]
            return len(up) == self.conf["workers"] and any(s["application_name"] == "ferryd" for s in self.database.sessions())
        wait_until(there, timeout, lambda: f"{self.conf['workers']} workers; log:\n{self.log_text()}")
        return self

    def alive(self):
        if self.process is not None:
            return self.process.poll() is None
        return self.pid is not None and running(self.pid)

    def workers(self):
        """Returns the pids of the workers, without children that have not become workers yet."""
        found = [pid for pid in children(self.pid) if title(pid).startswith("ferry-worker")]
        self.seen.update(found)
        return found

    def busy(self):
        """Returns {task: pid}, from the titles of the workers."""
        found = {}
        for pid in self.workers():
            match = re.search(r"task (\d+)", title(pid))
            if match:
                found[int(match.group(1))] = pid
        return found

    def worker_of(self, task, timeout=20):
        return wait_until(lambda: self.busy().get(task), timeout, lambda: f"a worker with task {task}; log:\n{self.log_text()}")

    def send(self, number):
        os.kill(self.pid, number)

    def wait(self, timeout=20):
        """Waits until the master has exited; returns its exit code (None if it is not our child)."""
        self.workers()
        if self.process is not None:
            wait_until(lambda: self.process.poll() is not None, timeout, "the master to end")
            return self.process.returncode
        wait_until(lambda: not self.alive(), timeout, "the master to end")
        return None

    def stop(self, number=signal.SIGTERM, timeout=20):
        if self.alive():
            self.workers()
            self.send(number)
        return self.wait(timeout)

    def kill(self):
        self.workers()
        self.send(signal.SIGKILL)
        self.killed = True
        return self.wait()

    # The log

    def log_text(self):
        try:
            with open(self.log_file, errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def log(self, pattern=""):
        """Returns the lines that match the pattern."""
        return [line for line in self.log_text().splitlines() if re.search(pattern, line)]

    def wait_log(self, pattern, timeout=10, count=1):
        wait_until(lambda: len(self.log(pattern)) >= count, timeout, lambda: f"{pattern!r} in the log:\n{self.log_text()}")
        return self.log(pattern)

    # What a ferryd must not leave behind

    def cgroups(self):
        """Returns the directories of this ferryd's cgroup in every hierarchy: the base and its leaves."""
        found = []
        for base in ("/sys/fs/cgroup/memory", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"):
            for directory, names, _ in os.walk(base):
                found += [os.path.join(directory, name) for name in names if f"/{self.name}" in os.path.join(directory, name)]
                if base == "/sys/fs/cgroup":
                    names[:] = [n for n in names if n not in ("memory", "unified")]
        return sorted(set(found))

    def leaves(self):
        return [group for group in self.cgroups() if group.rpartition("/")[2] != self.name]

    def orphans(self):
        return [pid for pid in self.seen if running(pid) and title(pid).startswith("ferry-worker")]

    def finish(self):
        """Stops ferryd if it runs, and checks that it leaves no processes and no cgroups behind."""
        ended = not self.alive()
        try:
            code = self.stop()
            assert ended or code in (0, None), f"exit code {code}:\n{self.log_text()}"
            wait_until(lambda: not self.orphans(), 5, "workers to exit")
            if not self.killed:  # a killed master leaves cgroups, which the next master removes
                wait_until(lambda: not self.leaves(), 5, lambda: f"cgroup leaves to go: {self.leaves()}")
        finally:
            for pid in [self.pid, *self.orphans()]:
                if pid is not None and running(pid) and title(pid).startswith("ferry"):
                    os.kill(pid, signal.SIGKILL)
            for group in reversed(self.cgroups()):
                try:
                    os.rmdir(group)
                except OSError:
                    pass
