"""What a client costs: user and system seconds of its processes, time, and peak memory."""

import os
import subprocess
import tempfile
import time

MIB = 1 << 20
TICK = os.sysconf("SC_CLK_TCK")


class Cost:
    """What one run cost its client.  fault: why it does not count."""

    def __init__(self, cpu, wall, peak, fault=None):
        self.cpu, self.wall, self.peak, self.fault = cpu, wall, peak, fault
        self.requests = self.database = None


def measure(command, env=None):
    """
    Runs a command (a list, or several to be piped) and returns its Cost; with a fault if one of them failed.

    Each is started by time(1): what a process inherits of its parent's peak over exec is then a megabyte and not this
    interpreter.  CPU is what the kernel sums up over all that were waited for, to the microsecond.
    """
    commands = command if isinstance(command[0], list) else [command]
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", **(env or {})}
    processes, feed = [], None
    with tempfile.TemporaryDirectory(prefix="ferryd-cost.") as directory, open(f"{directory}/stderr", "w+b") as errors:
        begin = time.monotonic()
        for i, words in enumerate(commands):
            process = subprocess.Popen(["/usr/bin/time", "-q", "-f", "%M", "-o", f"{directory}/{i}", *words], env=environment,
                                       stdin=feed or subprocess.DEVNULL, stderr=errors,
                                       stdout=subprocess.PIPE if i < len(commands) - 1 else subprocess.DEVNULL)
            if feed is not None:
                feed.close()
            feed = process.stdout
            processes.append(process)
        cpu, peak, fault = 0, 0, None
        for i, process in enumerate(processes):
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            cpu += usage.ru_utime + usage.ru_stime
            with open(f"{directory}/{i}") as f:
                peak += int(f.read() or 0) * 1024
            if process.returncode != 0:
                errors.seek(0)
                said = errors.read().decode(errors="replace").strip().splitlines() or [""]
                fault = fault or f"{commands[i][0]}: exit code {process.returncode}: {said[-1][:120]}"
        return Cost(cpu, time.monotonic() - begin, peak, fault)


def own_cpu(pid):
    """CPU seconds of a living process, all its threads, the ended ones too; to the nanosecond (CPUCLOCK_SCHED of the process)."""
    return time.clock_gettime((~pid << 3) | 2)


def reaped_cpu(pid):
    """CPU seconds of the children that a process has waited for, and of theirs; in ticks of 10 ms."""
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / TICK


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return [int(child) for child in f.read().split()]


def tree_cpu(pid):
    """
    CPU seconds of a process and of all its descendants, those that have ended and been waited for included: a difference of
    two misses nothing that came and went in between.
    """
    total = own_cpu(pid) + reaped_cpu(pid)
    for child in children(pid):
        try:
            total += tree_cpu(child)
        except (OSError, ProcessLookupError):
            pass  # it has ended since: with the next reading it is among those waited for
    return total
