"""The cost of a client: user and system seconds of its processes, time, and peak memory."""

import os
import subprocess
import tempfile
import time

MIB = 1 << 20
TICK = os.sysconf("SC_CLK_TCK")


class Cost:
    """The cost of one run.  fault: the reason why the run does not count, or None."""

    def __init__(self, cpu, wall, peak, fault=None):
        self.cpu, self.wall, self.peak, self.fault = cpu, wall, peak, fault
        self.requests = self.database = None


def measure(command, env=None):
    """
    Runs a command (a list), or a pipeline (several lists), and returns its Cost; with a fault if a command failed.

    time(1) starts each command: over exec a process inherits its parent's peak, which is then a megabyte and not that of this
    interpreter.  CPU is the kernel's sum over all processes that were waited for, to the microsecond.
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
    """Returns the CPU seconds of a running process, with ended threads, to the nanosecond (CPUCLOCK_SCHED of the process)."""
    return time.clock_gettime((~pid << 3) | 2)


def reaped_cpu(pid):
    """Returns the CPU seconds of all descendants that were waited for, in ticks of 10 ms."""
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / TICK


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return [int(child) for child in f.read().split()]


def tree_cpu(pid):
    """
    Returns the CPU seconds of a process and of all its descendants, exited ones included.  The difference of two calls
    therefore also counts processes that started and exited in between.
    """
    total = own_cpu(pid) + reaped_cpu(pid)
    for child in children(pid):
        try:
            total += tree_cpu(child)
        except (OSError, ProcessLookupError):
            pass  # the child has exited since; the next call counts it as waited for
    return total
