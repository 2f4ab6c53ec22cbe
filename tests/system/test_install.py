"""make install: the programs find each other, logrotate loses no line, and systemd accepts the unit."""

import grp
import os
import pwd
import re
import shutil
import subprocess

from rig import ACCOUNT, BUILD, ROOT, wait_until
from stores import BUCKET


def install(tmp_base, prefix="/usr/local"):
    dest = f"{tmp_base}/root"
    subprocess.run(["make", "-s", f"BUILD={BUILD}", f"DESTDIR={dest}", f"prefix={prefix}", "install"], cwd=ROOT, check=True)
    return dest


def test_everything_is_in_its_place_and_a_second_install_keeps_the_configuration(tmp_base):
    dest = install(tmp_base)
    for path, mode in (("usr/local/sbin/ferryd", 0o755), ("usr/local/sbin/ferryctl", 0o755),
                       ("usr/local/libexec/ferryd/ferry-worker", 0o711), ("usr/local/libexec/ferryd/ferry-exporter", 0o755),
                       ("usr/local/share/ferryd/schema.sql", 0o644),
                       ("usr/local/share/doc/ferryd/examples/ship.sql", 0o644),
                       ("usr/local/share/doc/ferryd/examples/django/uploads/migrations/0001_initial.py", 0o644),
                       ("usr/local/share/ferryd/upgrade-008.sql", 0o644), ("usr/local/share/man/man7/ferry.7", 0o644),
                       ("usr/local/share/man/man8/ferryd.8", 0o644), ("usr/local/share/man/man8/ferryctl.8", 0o644),
                       ("usr/local/share/man/man5/ferryd.conf.5", 0o644), ("etc/init.d/ferryd", 0o755),
                       ("usr/local/lib/systemd/system/ferryd.service", 0o644), ("etc/logrotate.d/ferryd", 0o644),
                       ("etc/ferryd/ferryd.conf", 0o640)):
        assert os.stat(f"{dest}/{path}").st_mode & 0o777 == mode, path
    with open(f"{dest}/etc/ferryd/ferryd.conf", "a") as f:
        f.write("# mine\n")
    install(tmp_base)
    assert open(f"{dest}/etc/ferryd/ferryd.conf").read().endswith("# mine\n")
    for path in ("etc/init.d/ferryd", "usr/local/lib/systemd/system/ferryd.service"):
        text = open(f"{dest}/{path}").read()
        assert "/usr/local/sbin/ferryd" in text and not re.search(r"@\w+@", text), path


def test_installed_programs_work_without_the_checkout(tmp_base, ferryd, db, spool):
    prefix = f"{tmp_base}/prefix"
    subprocess.run(["make", "-s", f"BUILD={tmp_base}/build", f"prefix={prefix}", f"DESTDIR={tmp_base}/etc-only", "install"],
                   cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    shutil.copytree(f"{tmp_base}/etc-only{prefix}", prefix)
    daemon = ferryd({"spool": spool.store()}, workers=1, program=f"{prefix}/sbin/ferryd")
    assert os.readlink(f"/proc/{daemon.workers()[0]}/exe") == f"{prefix}/libexec/ferryd/ferry-worker"
    assert db.done(db.put(spool.put("object", 1000), "spool://copy"))["verified_by"] == "crc64"
    name = f"{db.name}_fresh"
    db.pg.admin(f"CREATE DATABASE {name}")
    try:
        out = subprocess.run([f"{prefix}/sbin/ferryctl", "migrate"], env={"FERRYCTL_DATABASE": db.pg.conninfo(name)}, check=True,
                             stdout=subprocess.PIPE, text=True).stdout
    finally:
        db.pg.admin(f"DROP DATABASE {name}")
    assert "version 0" in out


def test_logrotate_loses_no_line(tmp_base, ferryd, db, cos, spool):
    daemon = ferryd({"cos": cos.store(), "spool": spool.store()}, workers=2, daemonize=True)
    with open(f"{ROOT}/etc/ferryd.logrotate") as f:
        text = f.read().replace("/var/log/ferryd/*.log", daemon.log_file).replace("/run/ferryd/ferryd.pid", daemon.pid_file)
    with open(f"{tmp_base}/rotate.conf", "w") as f:
        f.write(text.replace("ferry ferry", f"{ACCOUNT} {grp.getgrgid(pwd.getpwnam(ACCOUNT).pw_gid).gr_name}"))
    tasks = [db.put(spool.put(f"a-{i}", 1000), f"cos://{BUCKET}/a-{i}") for i in range(10)]
    db.done(*tasks)
    subprocess.run(["logrotate", "-f", "-s", f"{tmp_base}/rotate.state", f"{tmp_base}/rotate.conf"], check=True)
    wait_until(lambda: os.path.exists(daemon.log_file), 5, "a new log")
    tasks += [db.put(spool.put(f"b-{i}", 1000), f"cos://{BUCKET}/b-{i}") for i in range(10)]
    db.done(*tasks)
    old = open(daemon.log_file + ".1").read()

    def all_there():
        return all(f'msg="task {task} done"' in old + daemon.log_text() for task in tasks)
    wait_until(all_there, 5, "a line for each task in the old log or the new one")
    assert f'msg="task {tasks[-1]} done"' in daemon.log_text()


def test_another_prefix_builds_what_contains_paths_again(tmp_base):
    for prefix in "/one", "/two", "/one":
        done = subprocess.run(["make", "-s", f"BUILD={tmp_base}/again", f"prefix={prefix}", f"{tmp_base}/again/master/pool/spawn.o"],
                              cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
        assert "spawn.o" in done.stdout, prefix
        assert f"{prefix}/libexec/ferryd".encode() in open(f"{tmp_base}/again/master/pool/spawn.o", "rb").read()
    done = subprocess.run(["make", "-s", f"BUILD={tmp_base}/again", f"prefix={prefix}", f"{tmp_base}/again/master/pool/spawn.o"],
                          cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    assert "spawn.o" not in done.stdout, "the same prefix builds nothing again"


def test_systemd_accepts_the_unit(tmp_base):
    if shutil.which("systemd-analyze") is None:
        subprocess.run(["grep", "-q", "^Type=notify", f"{ROOT}/etc/ferryd.service"], check=True)
        return
    with open(f"{ROOT}/etc/ferryd.service") as f:
        text = f.read().replace("@sbindir@", BUILD).replace("@sysconfdir@", "/etc")
    with open(f"{tmp_base}/ferryd.service", "w") as f:
        f.write(re.sub(r"^Documentation=.*\n", "", text, flags=re.M))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", f"{tmp_base}/ferryd.service"], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    complaints = [line for line in done.stdout.splitlines() if "ferryd.service" in line]
    assert not complaints, done.stdout
