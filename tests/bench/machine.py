"""The machine and its processes, read from /proc: their usage, and the machine's load. Linux
only.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

__all__ = ["Usage", "described", "load_average", "nanoseconds", "now", "usage"]

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """The usage of a process and all its descendants.

    Attributes:
        cpu: Seconds, those of ended children included.
        resident: Bytes in memory now. Pages that processes share count for each of them.

    """

    cpu: float
    resident: int


def usage(pid: int) -> Usage:
    """Read the usage of a process tree; processes that ended meanwhile do not count."""
    cpu, resident = 0.0, 0
    for each in tree(pid):
        try:
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            status = Path(f"/proc/{each}/status").read_text()
        except OSError:
            continue
        cpu += (
            sum(int(field) for field in fields[11:15]) / TICKS
        )  # own and waited-for children's, in user and in kernel mode
        resident += next(
            (
                int(line.split()[1]) * 1024
                for line in status.splitlines()
                if line.startswith("VmRSS:")
            ),
            0,
        )
    return Usage(cpu, resident)


def nanoseconds(pid: int) -> int:
    """Read how long the threads of a process tree that live have run: `usage` knows it in
    hundredths of a second only.
    """
    found = 0
    for each in tree(pid):
        for task in Path(f"/proc/{each}/task").glob("*/schedstat"):
            try:
                found += int(task.read_text().split()[0])
            except OSError:
                continue
    return found


def tree(pid: int) -> list[int]:
    """Return the process and all its descendants."""
    found, todo = [], [pid]
    while todo:
        each = todo.pop()
        found.append(each)
        for task in Path(f"/proc/{each}/task").glob("*/children"):
            try:
                todo += map(int, task.read_text().split())
            except OSError:
                continue
    return found


def load_average() -> float:
    """How many processes wanted a core, on average over the last minute."""
    return os.getloadavg()[0]


def described() -> str:
    """The machine in a line."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in lines("/proc/cpuinfo")
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory = next(
        (
            int(line.split()[1]) / 2**20
            for line in lines("/proc/meminfo")
            if line.startswith("MemTotal:")
        ),
        0.0,
    )
    cores = len(os.sched_getaffinity(0))
    return (
        f"{cores} cores of {model}, {memory:.0f} GiB, Linux {platform.release().partition('-')[0]},"
        f" Python {platform.python_version()}"
    )


def lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


def now() -> str:
    """The time of day, to the minute."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
