"""Other clients that move the same object: each a function of (source URL, destination, scratch) that gives commands to run.

Every one is measured from outside, as a process tree: user and system seconds and the peak memory of its largest process.
"""

import os
import resource
import shutil
import subprocess
import time

MIB = 1 << 20


class Cost:
    """What one run cost its client."""

    def __init__(self, cpu, wall, peak):
        self.cpu, self.wall, self.peak = cpu, wall, peak


def measure(command, env=None, stdin=None):
    """Runs a command (a list, or several to be piped) and returns its Cost; fails if it does."""
    commands = command if isinstance(command[0], list) else [command]
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", **(env or {})}
    begin, processes, feed = time.monotonic(), [], stdin
    for i, words in enumerate(commands):
        last = i == len(commands) - 1
        process = subprocess.Popen(words, env=environment, stdin=feed or subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL if last else subprocess.PIPE)
        if feed not in (None, stdin):
            feed.close()
        feed = process.stdout
        processes.append(process)
    cpu = peak = 0
    for process in processes:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, f"{process.args}: exit code {process.returncode}"
        cpu += usage.ru_utime + usage.ru_stime
        peak += usage.ru_maxrss * 1024
    return Cost(cpu, time.monotonic() - begin, peak)


def available(program):
    return shutil.which(program, path="/usr/bin:/bin") is not None


def python_has(module):
    return subprocess.run(["/usr/bin/python3", "-c", f"import {module}"], stderr=subprocess.DEVNULL).returncode == 0


KEYS = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "benchsecret", "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true"}

CHUNKED = """
import boto3, requests, sys
source, endpoint, scratch = sys.argv[1:]
with requests.get(source, stream=True) as r, open(scratch, "wb") as f:
    for piece in r.iter_content(512 * 1024):
        f.write(piece)
boto3.client("s3", endpoint_url=endpoint).upload_file(scratch, "bench", "boto3-chunked")
"""

WHOLE = """
import boto3, io, requests, sys
source, endpoint, scratch = sys.argv[1:]
body = requests.get(source).content
boto3.client("s3", endpoint_url=endpoint).upload_fileobj(io.BytesIO(body), "bench", "boto3-whole")
"""


def peers(source, endpoint, size, scratch):
    """Yields (name, reason why not or None, function that runs it and returns its Cost)."""
    put = ["curl", "-sS", "-f", "-o", "/dev/null", "-H", "Expect:"]
    local = os.path.join(scratch, "object")
    rclone = {"RCLONE_CONFIG_SINK_TYPE": "s3", "RCLONE_CONFIG_SINK_PROVIDER": "Other", "RCLONE_CONFIG_SINK_ENDPOINT": endpoint,
              "RCLONE_CONFIG_SINK_ACCESS_KEY_ID": "bench", "RCLONE_CONFIG_SINK_SECRET_ACCESS_KEY": "benchsecret",
              "RCLONE_CONFIG": "/dev/null", "HOME": scratch}

    def missing(*programs):
        absent = [p for p in programs if not available(p)]
        return f"{', '.join(absent)} not installed" if absent else None

    yield "curl GET only", None, lambda: measure(["curl", "-sS", "-f", "-o", "/dev/null", source])
    yield "curl PUT only", None, lambda: measure([*put, "-T", local, f"{endpoint}/bench/curl-put"])
    yield "curl | curl", None, lambda: measure([["curl", "-sS", "-f", source],
        [*put, "-T", "-", "-H", f"Content-Length: {size}", "-H", "Transfer-Encoding:", f"{endpoint}/bench/curl-pipe"]])
    yield "rclone copyurl", missing("rclone"), lambda: measure(
        ["rclone", "copyurl", source, "sink:bench/rclone", "--s3-no-check-bucket", "--ignore-checksum"], rclone)
    yield "curl | aws s3 cp -", missing("aws"), lambda: measure([["curl", "-sS", "-f", source],
        ["aws", "--endpoint-url", endpoint, "s3", "cp", "--only-show-errors", "-", "s3://bench/aws", "--expected-size", str(size)]],
        {**KEYS, "HOME": scratch})
    yield "curl | s3cmd put -", missing("s3cmd"), lambda: measure([["curl", "-sS", "-f", source],
        ["s3cmd", "--no-ssl", f"--host={endpoint.split('//')[1]}", f"--host-bucket={endpoint.split('//')[1]}", "--quiet",
         "--access_key=bench", "--secret_key=benchsecret", "put", "-", "s3://bench/s3cmd"]], {"HOME": scratch})
    python = None if python_has("boto3") and python_has("requests") else "python3-boto3, python3-requests not installed"
    for name, code in (("requests 512 KiB chunks to a file, boto3", CHUNKED), ("requests in one piece, boto3", WHOLE)):
        yield name, python, lambda code=code: measure(["/usr/bin/python3", "-c", code, source, endpoint, f"{scratch}/boto"],
                                                      {**KEYS, "HOME": scratch})


def cpu_of(pid):
    """CPU seconds of a process with all its threads and of its children that have ended, to the nanosecond for the living."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat") as f:
            total += int(f.read().split()[0])
    return total / 1e9


def peak_of_self():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
