"""
The image as an orchestrator runs it: ferryd is process 1 of its own namespaces, its root is read-only, its user is a number
that no passwd knows, without any capability.  FERRY_IMAGE is the image's root; 'make check-container' builds one.
"""

import json
import os
import re
import signal
import subprocess

import pytest
import yaml

from daemon import Ferryd
from rig import ROOT, children, title, wait_until
from stores import BUCKET

IMAGE = os.environ.get("FERRY_IMAGE")
USER = 12345

pytestmark = pytest.mark.skipif(not IMAGE, reason="FERRY_IMAGE names no image; make check-container does")

# What the runtime of an orchestrator does: $1 is the image's root, $2 a directory to bring in, $3 the directory of the configuration.
RUN = """
set -eu
root=$1 share=$2 conf=$3 user=$4
shift 4
mount --bind "$root" "$root"
mount -t tmpfs tmpfs "$root/tmp"
mkdir -p "$root$share"
mount --bind "$share" "$root$share"
mount --bind "$conf" "$root/etc/ferryd"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/dev"
for device in null zero urandom; do
	touch "$root/dev/$device"
	mount --bind "/dev/$device" "$root/dev/$device"
done
mount -o remount,bind,ro "$root/tmp"
mount -o remount,bind,ro "$root"
cd "$root"
exec chroot . /usr/bin/setpriv --reuid "$user" --regid "$user" --clear-groups --bounding-set -all --inh-caps -all --no-new-privs "$@"
"""


class Container:
    def __init__(self, base, directory, conf):
        with open(f"{ROOT}/etc/Containerfile") as f:
            entrypoint = json.loads(re.search(r"^ENTRYPOINT (.*)$", f.read(), re.M).group(1))
        self.out = f"{directory}/container.out"
        with open(self.out, "wb") as out:
            self.runtime = subprocess.Popen(["unshare", "--pid", "--mount", "--fork", "--kill-child", "sh", "-c", RUN, "sh", IMAGE, base,
                                             conf, str(USER), *entrypoint], stdout=out, stderr=out, stdin=subprocess.DEVNULL,
                                            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
        wait_until(lambda: self.runtime.poll() is not None or "ferryd" in self.titles(), 30, self.log)
        assert self.runtime.poll() is None, self.log()
        self.pid = children(self.runtime.pid)[0]

    def titles(self):
        return [title(pid).split(":")[0].split(" ")[0].rpartition("/")[2] for pid in children(self.runtime.pid)]

    def log(self):
        with open(self.out) as f:
            return f.read()

    def inside(self, *command):
        return ["nsenter", "-t", str(self.pid), "-m", "-p", "-r", "-w/", "--", "setpriv", "--reuid", str(USER), "--regid", str(USER),
                "--clear-groups", *command]

    def status(self, field):
        with open(f"/proc/{self.pid}/status") as f:
            return re.search(rf"^{field}:\s*(.*)$", f.read(), re.M).group(1).split()

    def stop(self):
        if self.runtime.poll() is None:
            os.kill(self.pid, signal.SIGTERM)
        return self.runtime.wait(60)


@pytest.fixture
def container(base, tmp_base, db, cos, spool):
    written = Ferryd(tmp_base, db, {"cos": cos.store(), "spool": spool.store()}, workers=2)
    for key in ("user", "pidfile", "log", "grace", "cgroup"):
        del written.conf[key]
    written.write()
    os.chown(f"{written.directory}/cos.secret", USER, USER)
    started = Container(base, tmp_base, written.directory)
    yield started
    started.stop()


def test_process_1_carries_and_stops_in_the_time_that_an_orchestrator_gives(container, db, spool):
    assert db.done(db.put(spool.put("object", 12_000_000), f"cos://{BUCKET}/object"))["verified_by"] == "crc64"
    assert container.status("NSpid")[-1] == "1" and container.status("Uid") == [str(USER)] * 4
    assert int(container.status("CapBnd")[0], 16) == 0
    log = container.log()
    assert "rlimit" in log.lower(), f"the log says what keeps the caps:\n{log}"
    assert " error " not in log, log
    with open(f"{ROOT}/etc/kubernetes/ferryd.yaml") as f:
        pod = list(yaml.safe_load_all(f))[1]["spec"]["template"]["spec"]
    for probe in ("startupProbe", "readinessProbe"):
        subprocess.run(container.inside(*pod["containers"][0][probe]["exec"]["command"]), check=True, stdout=subprocess.DEVNULL)
    assert container.stop() == 0, container.log()


def test_process_1_reaps_orphans(container):
    subprocess.run(container.inside("sh", "-c", "sleep 600 >/dev/null &"), check=True)
    orphans = [pid for pid in children(container.pid) if title(pid).startswith("sleep")]
    assert len(orphans) == 1, container.log()
    os.kill(orphans[0], signal.SIGKILL)
    wait_until(lambda: not os.path.exists(f"/proc/{orphans[0]}"), 30, "the orphan to be reaped")
    assert container.runtime.poll() is None
