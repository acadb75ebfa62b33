"""What a model server takes on at once: figures in proportion to the memory that its container may
use.

Judging a request by them belongs to `weight` and the protocols, holding requests to them to
`budget` and `deadlines`.
"""

import os
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["FORWARDS", "Limits", "limits", "memory"]

FORWARDS = 128
"""Requests that wait for a candidate at once, each on a connection of its own."""
_MIB = 1 << 20
_LARGEST = 64 * _MIB
"""Bytes of a body, where nothing is configured and the memory allows it."""
_CONNECTION = 256 << 10
"""Bytes that a connection may cost: buffers, headers, a task."""
_FILES = 64
"""File descriptors that the process needs for other things than connections, and those to a
candidate: of its pool, and of the last.
"""
_CGROUP = Path("/sys/fs/cgroup")
_CGROUP_FILES = ("memory.max", "memory/memory.limit_in_bytes")
"""Version 2 and version 1, as a container sees its own."""


@dataclass(frozen=True)
class Limits:
    """What one process of the server takes on. Sizes are bytes, times are seconds."""

    body: int
    """A request's body, uncompressed."""
    one: int
    """What one request may become: parsed values, arrays, predictions."""
    work: int
    """What all requests that are being predicted may become together; the others wait."""
    held: int
    """All bodies and answers that are being received, worked on and sent."""
    connections: int
    """Open connections. Of more the one is closed that has been idle, or not whole, for longest."""
    headers: float = 10.0
    """From a request's first byte, or the connection's opening, until its headers are whole."""
    timeout: float = 60.0
    """From a request's headers until its body is whole, and from then until it is predicted."""
    header_bytes: int = 32 << 10


def limits(room: int, workers: int, *, body: int | None, headers: float, timeout: float) -> Limits:
    """Return the limits of each of so many processes that share a container.

    Args:
        room: The container's memory, in bytes, see `memory`.
        workers: Processes.
        body: Bytes of a body as configured, of which at most a quarter of the memory is taken;
            None: a sixteenth of it, at most 64 MiB.
        headers: Seconds.
        timeout: Seconds.

    """
    share = room // workers
    largest = min(_LARGEST, share // 16) if body is None else min(body, share // 4)
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return Limits(
        body=largest,
        one=share // 4,
        work=share // 4,
        held=max(share // 8, 2 * largest),  # a body and its answer
        connections=max(
            16, min(share // _CONNECTION, files - _FILES - min(2 * FORWARDS, files // 4))
        ),
        headers=headers,
        timeout=timeout,
    )


def memory(root: Path = _CGROUP) -> int:
    """Return how many bytes this process may use: the least of the container's, its own and the
    machine's limit.
    """
    return min(_known(root))


def _known(root: Path) -> Iterator[int]:
    for name in _CGROUP_FILES:
        try:
            text = (root / name).read_text(encoding="ascii").strip()
        except OSError:
            continue
        if text.isdecimal():  # "max": none
            yield int(text)
    for which in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
        soft = resource.getrlimit(which)[0]
        if soft != resource.RLIM_INFINITY:
            yield soft
    yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
