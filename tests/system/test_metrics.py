"""The exporter: what Prometheus reads of a node and of the whole queue, and what it says while something is away."""

import calendar
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from exporter import Exporter, get, parse
from gate import Gate
from hogging import Hog
from origin import make_certificate
from rig import BUILD, MIB, free_port, running, title, wait_until
from stores import BUCKET, REGION, Cos
from test_confine import CALLS, has_landlock

OPEN = "application/openmetrics-text;version=1.0.0"


@pytest.fixture
def start(ferryd, cos, spool):
    """Makes a ferryd with an exporter, which listens and has the figures of its master."""
    def make(**options):
        metrics = {"listen": f"127.0.0.1:{free_port()}", **options.pop("metrics", {})}
        daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, metrics=metrics, **options)
        exporter = Exporter(daemon)
        wait_until(lambda: exporter.status("/healthz")[0] == 200, 15, lambda: f"the exporter; log:\n{daemon.log_text()}")
        return exporter
    return make


def test_figures_of_a_node_and_its_queue_pass_promtool(start, db, spool):
    """Every task of two queues counts, and Prometheus' own check has nothing to complain of."""
    exporter = start(queues=["default", "video"])
    wait_until(exporter.speaks, 15, "the figures of the whole queue")
    source = spool.put("object", 3000)
    db.done(*[db.put(source, f"cos://{BUCKET}/{n}", queue="video" if n < 3 else "default") for n in range(5)])
    exporter.wait(lambda n: n == 3, "ferry_tasks_ended_total", queue="video", state="done")
    exporter.wait(lambda n: n == 2, "ferry_tasks_ended_total", queue="default", state="done")
    exporter.wait(lambda n: n == 15000, "ferry_bytes_total", source_store="spool", destination_store="cos")
    found = exporter.metrics()
    for name in ("ferry_task_wait_seconds", "ferry_task_duration_seconds"):
        assert found[f"{name}_count", (("queue", "video"),)] == found[f"{name}_bucket", (("queue", "video"), ("le", "+Inf"))] == 3
    assert found["ferry_claim_seconds_count", ()] > 0 and found["ferry_settle_seconds_count", ()] > 0
    assert found["ferry_up", ()] == found["ferry_database_up", ()] == found["ferry_store_up", (("store", "cos"),)] == 1
    assert 0 < found["ferry_lease_remaining_seconds", ()] <= 30
    assert found["ferry_workers", (("state", "idle"),)] == 2
    assert found["ferry_database_connections", ()] >= 3 and found["ferry_uploads_abandoned", ()] == 0
    assert found["ferry_worker_memory_cap_bytes", (("worker", "1"),)] == 64 * MIB
    assert 0 < found["ferry_worker_memory_bytes", (("worker", "1"),)] <= 64 * MIB
    text = get(exporter.address, "/metrics")[1]
    check = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
    assert (check.returncode, check.stdout, check.stderr) == (0, "", ""), check.stdout + check.stderr


def test_open_metrics_on_request(start):
    exporter = start()
    status, text, kind = get(exporter.address, "/metrics", Accept=f"{OPEN},text/plain;q=0.5")
    assert status == 200 and kind == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert text.endswith("\n# EOF\n")
    families = {line.split()[2]: line.split()[3] for line in text.splitlines() if line.startswith("# TYPE")}
    assert families["ferry_worker_deaths"] == "counter" and "ferry_worker_deaths_total" not in families
    assert 'ferry_worker_deaths_total{cause="hung"} 0' in text.splitlines()


def test_what_waits_and_runs(start, db, cos, spool):
    """Waiting tasks count by queue, with the age of the oldest; a name with quotes and line feeds is one label."""
    cos.rate(MIB)
    exporter = start(workers=1)
    wait_until(exporter.speaks, 15, "the figures of the whole queue")
    source = spool.put("object", 20 * MIB)
    name = 'a "queue"\\of\nlines'
    tasks = [db.put(source, f"cos://{BUCKET}/{n}") for n in range(3)]
    db.put(source, f"cos://{BUCKET}/other", queue=name)
    exporter.wait(lambda n: n == 1, "ferry_tasks", queue="default", state="running")
    exporter.wait(lambda n: n == 2, "ferry_tasks", queue="default", state="queued")
    exporter.wait(lambda n: n == 1, "ferry_tasks", queue='a \\"queue\\"\\\\of\\nlines', state="queued")
    exporter.wait(lambda s: s is not None and s > 2, "ferry_queue_oldest_waiting_seconds", queue="default")
    cos.rate(0)
    db.done(*tasks)
    exporter.wait(lambda n: n == 0, "ferry_tasks", queue="default", state="queued")


def test_out_of_memory_is_counted_and_seen(ferryd, db, cos, spool, tmp_base):
    hog = Hog(tmp_base, 1 << 40, marks=("/hog", "/crash"))
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=1, worker_program=hog.program,
                    metrics={"listen": f"127.0.0.1:{free_port()}"})
    exporter = Exporter(daemon)
    row = db.wait(db.put(spool.put("object", 6 * MIB), f"cos://{BUCKET}/hog"))
    assert row["error_class"] == "out_of_memory"
    exporter.wait(lambda n: n == 2, "ferry_worker_deaths_total", cause="out_of_memory")
    assert exporter.value("ferry_task_attempts_failed_total", **{"class": "out_of_memory", "store": ""}) == 2


def test_a_store_that_fails_is_seen_as_held(start, db, cos, spool):
    """Its root is gone: it is held with the class of its failures until it is back."""
    exporter = start(workers=1)
    source = f"{spool.root}.away"
    spool.put("object", 1000)
    os.rename(spool.root, source)
    try:
        tasks = [db.put("spool://object", f"cos://{BUCKET}/{n}") for n in range(4)]
        exporter.wait(lambda n: n == 0, "ferry_store_up", store="spool")
        held = {labels: value for (name, labels), value in exporter.metrics().items() if name == "ferry_store_held"}
        assert [dict(labels)["reason"] for labels, value in held.items() if value == 1] == ["transient"], held
        assert not any(name == "ferry_task_attempts_failed_total" for name, _ in exporter.metrics()), "a store's trouble costs no attempt"
        assert exporter.value("ferry_store_up", store="cos") == 1
    finally:
        os.rename(source, spool.root)
    db.done(*tasks)
    exporter.wait(lambda n: n == 1, "ferry_store_up", store="spool")


def requests_of(exporter, store):
    """{(operation, status): requests} of a store."""
    found = {}
    for (name, labels), value in exporter.metrics().items():
        labels = dict(labels)
        if name == "ferry_store_requests_total" and labels["store"] == store:
            found[labels["operation"], labels["status"]] = int(value)
    return found


def test_requests_are_those_that_the_store_has_seen(start, db, cos, spool):
    """Single PUTs, parts, an answer of 503 and one that never comes; file stores get no requests."""
    exporter = start(workers=2)
    cos.fault({"status": 503, "code": "SlowDown"}, times=1, op="part", nth=2)
    tasks = [db.put(spool.put("small", 1000), f"cos://{BUCKET}/{n}") for n in range(3)]
    tasks.append(db.put(spool.put("large", 12 * MIB), f"cos://{BUCKET}/large"))
    tasks.append(db.put("spool://none", f"cos://{BUCKET}/none"))
    db.done(*tasks[:-1])
    assert db.wait(tasks[-1])["state"] == "failed"
    names = {"put": "put", "part": "upload_part", "initiate": "initiate", "complete": "complete", "head": "head", "get": "get",
             "list-parts": "list_parts", "list-uploads": "list_uploads", "delete": "delete", "abort": "abort"}

    def seen():
        counts = {}
        for entry in cos.log():
            if entry.get("op"):
                key = names[entry["op"]], str(entry["status"])
                counts[key] = counts.get(key, 0) + 1
        return counts
    wait_until(lambda: requests_of(exporter, "cos") == seen(), 20, lambda: f"{seen()}; counted: {requests_of(exporter, 'cos')}")
    assert seen()["put", "200"] == 3 and seen()["upload_part", "503"] == 1 and seen()["complete", "200"] == 1
    assert requests_of(exporter, "spool") == {}


def test_requests_without_an_answer(start, db, cos, spool):
    """Nobody listens, or the answer is cut off: the status is none; a long transfer counts while it goes on."""
    exporter = start(workers=1, worker={"streams": 1})
    cos.fault({"close": "before"}, times=1, op="put")
    db.done(db.put(spool.put("small", 1000), f"cos://{BUCKET}/small"))
    wait_until(lambda: requests_of(exporter, "cos").get(("put", "none"), 0) >= 1 and requests_of(exporter, "cos")["put", "200"] == 1, 20,
               lambda: requests_of(exporter, "cos"))
    cos.rate(5 * MIB)
    task = db.put(spool.put("large", 60 * MIB), f"cos://{BUCKET}/large")
    wait_until(lambda: requests_of(exporter, "cos").get(("upload_part", "200"), 0) >= 2, 30, "parts that count")
    assert db.state(task) == "running"
    cos.rate(0)
    db.done(task)


def test_a_certificate_s_end_is_told_and_renewed(ferryd, db, spool, tmp_base):
    certificates = []
    for days in ("40", "9"):
        directory = f"{tmp_base}/{days}"
        os.mkdir(directory)
        certificates.append(make_certificate(directory, f"cos.{REGION}.myqcloud.com", days=days))
        os.chmod(certificates[-1][0], 0o644)
    with open(f"{tmp_base}/both.crt", "w") as both:
        both.write("".join(open(certificate).read() for certificate, _ in certificates))

    def ends(certificate):
        date = subprocess.run(["openssl", "x509", "-enddate", "-noout", "-in", certificate], check=True, stdout=subprocess.PIPE, text=True).stdout
        return calendar.timegm(time.strptime(date.strip(), "notAfter=%b %d %H:%M:%S %Y GMT"))
    endpoint = Cos(f"{tmp_base}/cos-1", tls=certificates[0])
    gate = Gate(endpoint.port)
    gate.open()
    try:
        daemon = ferryd({"cos": endpoint.store(port=gate.port, ca_file=f"{tmp_base}/both.crt"), "spool": spool.store()}, workers=1,
                        metrics={"listen": f"127.0.0.1:{free_port()}"})
        exporter = Exporter(daemon)
        name = "ferry_store_certificate_expiry_timestamp_seconds"
        exporter.wait(lambda n: n is None, name, store="cos")
        source = spool.put("object", 1000)
        db.done(db.put(source, f"cos://{BUCKET}/first"))
        exporter.wait(lambda n: n == ends(certificates[0][0]), name, store="cos")
        endpoint.stop()
        endpoint = Cos(f"{tmp_base}/cos-2", tls=certificates[1])
        gate.to = endpoint.port
        db.done(db.put(source, f"cos://{BUCKET}/second"))
        exporter.wait(lambda n: n == ends(certificates[1][0]), name, store="cos")
        assert exporter.value(name, store="spool") is None
    finally:
        gate.shut()
        endpoint.stop()


def test_kill_from_outside_is_a_signal(start, db):
    exporter = start()
    pid = exporter.daemon.workers()[0]
    wait_until(lambda: title(pid).endswith(": idle"), 10, "the worker to have started well")
    time.sleep(0.5)  # until the master has heard of it
    os.kill(pid, signal.SIGKILL)
    exporter.wait(lambda n: n == 1, "ferry_worker_deaths_total", cause="signal")
    assert exporter.value("ferry_worker_starts_failed_total") == 0


def test_a_resumed_task_does_not_count_its_bytes_twice(start, db, cos, spool):
    cos.rate(8 * MIB)
    exporter = start(workers=1)
    task = db.put(spool.put("object", 40 * MIB), f"cos://{BUCKET}/object")
    pid = exporter.daemon.worker_of(task)
    wait_until(lambda: db.parts(task) >= 3, 20, "three parts")
    os.kill(pid, signal.SIGKILL)
    exporter.wait(lambda n: n == 1, "ferry_worker_deaths_total", cause="signal")
    labels = {"source_store": "spool", "destination_store": "cos"}
    first, resumed = exporter.value("ferry_bytes_total", **labels), db.parts(task) * 5 * MIB
    assert first >= resumed >= 15 * MIB
    cos.rate(0)
    db.done(task)
    exporter.wait(lambda n: n == 1, "ferry_tasks_ended_total", queue="default", state="done")
    assert exporter.value("ferry_bytes_total", **labels) - first <= 40 * MIB - resumed


def test_health_and_readiness(start, db, pg):
    """Ready needs the database; healthy needs the master alone."""
    exporter = start()
    wait_until(lambda: exporter.status("/readyz") == (200, "ready\n"), 15, "ready")
    pg.stop("immediate")
    try:
        wait_until(lambda: exporter.status("/readyz") == (503, "the database is away\n"), 15, "not ready")
        assert exporter.status("/healthz") == (200, "ok\n")
        found = exporter.metrics()
        assert found["ferry_database_up", ()] == 0 and ("ferry_database_connections", ()) not in found
    finally:
        pg.start()
    wait_until(lambda: exporter.status("/readyz")[0] == 200 and exporter.speaks(), 30, "ready again")


def test_a_stopped_master_is_noticed(start):
    exporter = start()
    exporter.daemon.send(signal.SIGSTOP)
    try:
        wait_until(lambda: exporter.status("/healthz")[0] == 503, 20, "unhealthy")
        found = exporter.metrics()
        assert found["ferry_up", ()] == 0 and ("ferry_workers", (("state", "idle"),)) not in found
    finally:
        exporter.daemon.send(signal.SIGCONT)
    wait_until(lambda: exporter.status("/healthz")[0] == 200, 10, "healthy again")


def test_one_node_speaks_of_the_whole_queue(start):
    """Sums over nodes are right; when the speaker's ferryd ends, another speaks."""
    first, second = start(), start()
    wait_until(lambda: first.speaks() or second.speaks(), 15, "a speaker")
    assert not (first.speaks() and second.speaks())
    speaker, other = (first, second) if first.speaks() else (second, first)
    assert not any(name.startswith(("ferry_tasks", "ferry_queue_")) for name, _ in other.metrics())
    speaker.daemon.stop()
    wait_until(other.speaks, 20, "the other one to speak")


def test_a_lock_of_a_foreign_role_silences_nobody(start, db):
    """Every role can take an advisory lock, the one by which exporters agree who speaks too."""
    with contextlib.closing(db.connect("ferry_test_producer")) as conn, conn.cursor() as cur:
        cur.execute("SELECT pg_advisory_lock(7310595160413106035)")
        exporter = start()
        wait_until(exporter.speaks, 15, "the figures of the whole queue")


def test_exporter_is_started_again_and_dies_with_its_master(start):
    exporter = start()
    before = exporter.pid()
    os.kill(before, signal.SIGKILL)
    line, = exporter.daemon.wait_log("the exporter gives no metrics: it was killed by signal 9")
    wait_until(lambda: exporter.status("/healthz")[0] == 200 and exporter.pid() not in (None, before), 15, "another exporter")
    pid = exporter.pid()
    exporter.daemon.stop(signal.SIGKILL)
    wait_until(lambda: not running(pid), 10, "the exporter to end")
    exporter.daemon.start()  # it removes the cgroups of the dead one


def test_an_address_in_use_is_said_once_and_taken_when_free(ferryd, spool):
    """ferryd carries tasks meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        daemon = ferryd({"spool": spool.store()}, metrics={"listen": address})
        daemon.wait_log(f"the exporter gives no metrics: it cannot listen on {address}: Address already in use")
        wait_until(lambda: daemon.log_text().count("exporter") == 1, 5, "one line")
    daemon.wait_log(f"listens on {address}", 30)


def test_token(start, tmp_base):
    path = f"{tmp_base}/metrics.token"
    with open(path, "w") as f:
        f.write("much-secret\n")
    os.chmod(path, 0o640)
    exporter = start(metrics={"token_file": path})
    address = exporter.address
    assert get(address, "/metrics")[0] == 401
    for wrong in ("Bearer", "Bearer ", "Bearer much-secre", "Bearer much-secret2", "Bearer much-secreT", "Basic much-secret"):
        assert get(address, "/metrics", Authorization=wrong)[0] == 401, wrong
    assert get(address, "/metrics", Authorization="Bearer much-secret")[0] == 200
    assert get(address, "/healthz")[0] == 200
    assert "much-secret" not in exporter.daemon.log_text() and "much-secret" not in exporter.daemon.run("-T")[1]


def test_other_requests_are_refused(start):
    exporter = start()
    assert get(exporter.address, "/etc/passwd")[0] == 404
    request = urllib.request.Request(f"http://{exporter.address}/metrics", data=b"x" * 100000, method="POST")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    assert refused.value.code == 405
    host, port = exporter.address.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as conn:
        conn.sendall(b"GET /" + b"a" * 100000)
        conn.settimeout(10)
        assert not conn.recv(100).startswith(b"HTTP/1.1 200")
    assert get(exporter.address, "/healthz")[0] == 200


def test_reload_moves_and_ends_it(start):
    exporter = start()
    daemon = exporter.daemon
    old = exporter.address
    daemon.metrics = {"listen": f"127.0.0.1:{free_port()}"}
    daemon.write()
    daemon.send(signal.SIGHUP)
    exporter.address = daemon.metrics["listen"]
    wait_until(lambda: exporter.status("/healthz")[0] == 200, 15, "the new address")
    exporter.address = old
    assert exporter.status("/healthz")[0] is None
    daemon.metrics = None
    daemon.write()
    daemon.send(signal.SIGHUP)
    wait_until(lambda: exporter.pid() is None, 10, "no exporter")
    assert not daemon.log("the exporter gives no metrics")


def test_without_a_listen_there_is_no_exporter(ferryd, spool):
    daemon = ferryd({"spool": spool.store()})
    assert Exporter.pid(type("E", (), {"daemon": daemon})) is None


def test_it_has_no_rights_and_no_secrets_of_stores(start):
    """It runs as ferryd's account, gets no new privileges, and has no descriptor of ferryd's but the channel."""
    pid = start().pid()
    status = open(f"/proc/{pid}/status").read()
    assert "NoNewPrivs:\t1" in status
    assert re.search(r"CapEff:\t0+\n", status) and not re.search(r"^Uid:\t0", status, re.M)


@pytest.fixture
def intruded(ferryd, spool, tmp_base):
    """Makes a ferryd whose exporter is an intruder's: an answer of 404 makes it do what attempts name."""
    def make(**attempts):
        directory = f"{tmp_base}/programs"
        os.mkdir(directory)
        for name in ("ferryd", "ferry-worker"):
            shutil.copy(f"{BUILD}/{name}", directory)
        shutil.copy(f"{BUILD}/tests/preload_exec", f"{directory}/ferry-exporter")
        with open(f"{directory}/ferry-exporter.env", "w") as env:
            env.write(f"WORKER={BUILD}/ferry-exporter\nLD_PRELOAD={BUILD}/tests/intruder.so\nINTRUDER_MARK=404 Not Found\n"
                      f"INTRUDER_PATHS={directory}/paths\n")
            env.write("".join(f"{name}={value}\n" for name, value in attempts.items()))
        with open(f"{directory}/paths", "w") as paths:
            paths.write(f"{spool.root}/open\n{spool.root}/new\n")
        daemon = ferryd({"spool": spool.store()}, program=f"{directory}/ferryd", metrics={"listen": f"127.0.0.1:{free_port()}"})
        exporter = Exporter(daemon)
        wait_until(lambda: exporter.status("/page/fleet")[0] == 200, 15, lambda: f"the exporter; log:\n{daemon.log_text()}")
        return exporter
    return make


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers of the system calls are those of x86_64")
@pytest.mark.parametrize("call", ["execve", "fork", "kill", "setuid", "process_vm_readv"])
def test_call_of_an_intruder_ends_the_exporter(intruded, call):
    exporter = intruded(INTRUDER_CALL=CALLS[call])
    pid = exporter.pid()
    exporter.status("/nothing")
    exporter.daemon.wait_log(r"the exporter gives no metrics: it was killed by signal 31 \(Bad system call\)")
    wait_until(lambda: exporter.status("/healthz")[0] == 200 and exporter.pid() != pid, 20, "another exporter")


def test_an_intruder_in_the_exporter_writes_nothing(intruded, spool):
    if not has_landlock():
        pytest.skip("this kernel has no Landlock")
    with open(f"{spool.root}/open", "w") as f:
        f.write("as it was")
    os.chmod(f"{spool.root}/open", 0o666)
    exporter = intruded(INTRUDER_WRITE="intruder")
    assert exporter.status("/nothing")[0] == 404 and exporter.status("/nothing")[0] == 404
    assert open(f"{spool.root}/open").read() == "as it was" and not os.path.exists(f"{spool.root}/new")


def test_the_exporter_finds_a_database_by_its_name(ferryd, db, spool):
    """A thread looks the name up, which the confinement allows."""
    database = f"host=localhost port={db.pg.port} dbname={db.name} user=ferry_test_daemon"
    daemon = ferryd({"spool": spool.store()}, start=False, metrics={"listen": f"127.0.0.1:{free_port()}"})
    daemon.conf["database"] = database
    daemon.write()
    daemon.start()
    exporter = Exporter(daemon)
    wait_until(exporter.speaks, 20, "the figures of the whole queue")
    assert not daemon.log("the exporter gives no metrics")
