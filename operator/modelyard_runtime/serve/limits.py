"""A model server's limits, in proportion to the memory that its container may use.

`weight` and the protocols check a single request, `budget` and `deadlines` all requests together.
"""

import os
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["FORWARDS", "Limits", "limits", "memory"]

FORWARDS = 128
"""Requests that wait for a candidate at once, each on its own connection."""
_MIB = 1 << 20
_LARGEST = 64 * _MIB
"""Bytes of a body, if nothing is configured and the memory allows it."""
_CONNECTION = 256 << 10
"""Bytes that a connection may cost: buffers, headers, a task."""
_FILES = 64
"""File descriptors for other things than connections of clients and to a candidate.

The latter are at most twice FORWARDS: those of the current pool and of the one before.
"""
_CGROUP = Path("/sys/fs/cgroup")
_CGROUP_FILES = ("memory.max", "memory/memory.limit_in_bytes")
"""The container's own limit, in cgroup version 2 and version 1."""


@dataclass(frozen=True)
class Limits:
    """The limits of one process. Sizes are bytes, times are seconds."""

    body: int
    """A request's body, uncompressed."""
    one: int
    """One request in memory: parsed values, arrays, predictions."""
    work: int
    """All requests in memory that are being predicted; the others wait."""
    held: int
    """All bodies and answers that are being received, processed and sent."""
    connections: int
    """Open connections; beyond it, the one is closed that has been idle or incomplete longest."""
    headers: float = 10.0
    """From a request's first byte, or the connection's opening, to the end of its headers."""
    timeout: float = 60.0
    """From a request's headers to the end of its body, and from there to its prediction."""
    header_bytes: int = 32 << 10


def limits(room: int, workers: int, *, body: int | None, headers: float, timeout: float) -> Limits:
    """Return the limits of each of several processes that share a container.

    Args:
        room: The container's memory, in bytes, see `memory`.
        workers: The number of processes.
        body: The configured bytes of a body, reduced to a quarter of a process's memory; None: a
            sixteenth of that memory, at most 64 MiB.
        headers: Seconds.
        timeout: Seconds.

    """
    share = room // workers
    largest = min(_LARGEST, share // 16) if body is None else min(body, share // 4)
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    for_clients = files - _FILES - min(2 * FORWARDS, files // 4)
    return Limits(
        body=largest,
        one=share // 4,
        work=share // 4,
        held=max(share // 8, 2 * largest),  # a body and its answer
        connections=max(16, min(share // _CONNECTION, for_clients)),
        headers=headers,
        timeout=timeout,
    )


def memory(root: Path = _CGROUP) -> int:
    """Return the bytes that this process may use: the lowest limit of process and container."""
    return min(_known(root))


def _known(root: Path) -> Iterator[int]:
    for name in _CGROUP_FILES:
        try:
            text = (root / name).read_text(encoding="ascii").strip()
        except OSError:
            continue
        if text.isdecimal():  # not "max"
            yield int(text)
    for which in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
        soft = resource.getrlimit(which)[0]
        if soft != resource.RLIM_INFINITY:
            yield soft
    yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
