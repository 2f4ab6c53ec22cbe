"""Runs etc/ferryd.init and checks its effects and its LSB exit codes."""

import os
import signal
import subprocess

import pytest

from rig import BUILD, ROOT, running, wait_until


@pytest.fixture
def script(ferryd, db, tmp_base):
    """The script as it is installed, for a ferryd that does not run yet."""
    daemon = ferryd({}, workers=1, start=False, daemonize=True)
    path = f"{tmp_base}/ferryd.init"
    text = open(f"{ROOT}/etc/ferryd.init").read().replace("@sbindir@", BUILD).replace("@sysconfdir@/ferryd", daemon.directory)
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, 0o755)
    assert "@" not in text.replace("$@", ""), "a placeholder is left"

    def run(verb, want=0, **env):
        done = subprocess.run([path, verb], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
                              env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "FERRYD_DEFAULTS": "/nonexistent", **env})
        assert done.returncode == want, f"{verb}: {done.returncode}, not {want}: {done.stdout}\n{daemon.log_text()}"
        if os.path.exists(daemon.pid_file) and open(daemon.pid_file).read().strip():
            daemon.pid = int(open(daemon.pid_file).read())
        return done.stdout
    run.daemon, run.path = daemon, path
    return run


def test_a_whole_life(script, db):
    daemon = script.daemon
    script("status", 3)
    assert "started" in script("start")
    daemon.ready()
    first = daemon.pid
    script("start")
    assert str(first) in script("status")
    assert daemon.pid == first
    script("reload")
    script("force-reload")
    script("configtest")
    script("restart")
    daemon.ready()
    assert daemon.pid != first and not running(first)
    second = daemon.pid
    script("try-restart")
    daemon.ready()
    assert daemon.pid != second
    script("stop")
    assert not running(daemon.pid)
    script("stop")
    script("status", 3)
    script("reload", 7)
    script("try-restart")
    script("status", 3)


def test_wrong_usage_and_what_is_missing(script, tmp_base):
    script("fly", 2)
    os.rename(script.daemon.file, script.daemon.file + ".away")
    script("start", 6)
    script("configtest", 6)
    os.rename(script.daemon.file + ".away", script.daemon.file)
    defaults = f"{tmp_base}/defaults"
    with open(defaults, "w") as f:
        f.write("DAEMON=/nonexistent/ferryd\n")
    script("start", 5, FERRYD_DEFAULTS=defaults)


def test_broken_configuration_never_stops_a_running_daemon(script):
    script("start")
    script.daemon.ready()
    pid = script.daemon.pid
    good = open(script.daemon.file).read()
    with open(script.daemon.file, "a") as f:
        f.write("nonsense = 1\n")
    assert "nonsense" in script("configtest", 6)
    script("reload", 6)
    script("restart", 6)
    assert running(pid)
    with open(script.daemon.file, "w") as f:
        f.write(good)
    script("stop")


def test_stale_pid_file(script):
    script("start")
    script.daemon.ready()
    pid = script.daemon.pid
    script.daemon.workers()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not running(pid), 5, "the master to exit")
    script("status", 1)
    script("start")
    script.daemon.ready()
    assert script.daemon.pid != pid
    script("stop")


def test_pid_file_with_the_pid_of_another_program(script):
    with open(script.daemon.pid_file, "w") as f:
        f.write(f"{os.getpid()}\n")
    done = subprocess.run([script.path, "status"], env={"PATH": "/usr/bin:/bin", "FERRYD_DEFAULTS": "/nonexistent"},
                          stdout=subprocess.DEVNULL)
    assert done.returncode == 1
    subprocess.run([script.path, "stop"], env={"PATH": "/usr/bin:/bin", "FERRYD_DEFAULTS": "/nonexistent"}, check=True,
                   stdout=subprocess.DEVNULL)
    os.unlink(script.daemon.pid_file)


def test_it_is_a_clean_shell_script_with_an_lsb_header():
    text = open(f"{ROOT}/etc/ferryd.init").read()
    assert "### BEGIN INIT INFO" in text and "### END INIT INFO" in text
    assert subprocess.run(["sh", "-n", f"{ROOT}/etc/ferryd.init"]).returncode == 0
