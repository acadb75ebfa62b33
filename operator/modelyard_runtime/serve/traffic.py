"""A pod's counters for the operator (GET /modelyard/traffic): all answers, and a canary's draws.

Each worker counts in its own memory-mapped file, in a folder that the workers share; each of them
can add the files up. A request costs four additions. A running worker holds a lock on its file, so
that the others see whether it is alive.
"""

import fcntl
import mmap
import os
import struct
import time
from bisect import bisect_left
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import orjson

from modelyard.api.wire import LATENCY_EDGES as EDGES
from modelyard_runtime.serve import arms
from modelyard_runtime.serve.arms import Arms
from modelyard_runtime.serve.callers import Callers

__all__ = ["Traffic"]

_STARTED, _REQUESTS, _FAILURES, _REFUSALS, _BUCKETS = range(5)
_SIZE = _BUCKETS + len(EDGES) + 1
_ALL = struct.Struct(f"={_SIZE + arms.WORDS}Q")
_WORD = 8
_REVISION = (_SIZE + arms.REVISION) * _WORD
_FILES = "traffic-*"
_TRIES = 100
_GONE, _REFUSED, _FAILED = 499, 400, 500


class _Worker(NamedTuple):
    """The counters of one worker."""

    alive: bool
    words: tuple[int, ...]


class Traffic:
    """The counters of one pod.

    A failure is an answer with status 500 or above, which includes timeouts; a refusal has a status
    from 400 to 499. The latency is that of the other answers, from a request's headers to its
    answer. A client that disconnects before its request has arrived is not counted, nor is a
    request that another version answered, which that version counts.
    """

    def __init__(self, version: str, runtime: str) -> None:
        """Start at zero.

        Args:
            version: The version of this server.
            runtime: Identity of its serving runtime.

        """
        self._about = {"version": version, "runtime": runtime}
        shared = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
        self._folder = Path(shared) if shared else None
        self._memory, self._file = _memory(self._folder)
        self._counts = memoryview(self._memory).cast("B").cast("Q")
        self._counts[_STARTED] = time.time_ns() // 1000
        self.arms = Arms(self._counts[_SIZE:])
        """The counters of a canary's draws."""
        self.callers = Callers(self._folder)
        """Callers that are no longer counted, under `sticky`."""

    def answered(self, status: int, seconds: float) -> None:
        """Count one answer."""
        counts = self._counts
        if status < _REFUSED:
            counts[_BUCKETS + bisect_left(EDGES, seconds)] += 1
        elif status == _GONE:
            return
        counts[_REQUESTS] += 1
        if status >= _REFUSED:
            counts[_FAILURES if status >= _FAILED else _REFUSALS] += 1

    def page(self) -> bytes:
        """Return the counters of all workers as JSON.

        `started` is when the first worker began to count. `latency` has the counts of the buckets
        that are not empty, by the index of their edge. `revision` is the lowest that a worker has
        applied; 0 without a rule.
        """
        everyone = list(self._everyone())
        sums = [
            sum(column) for column in zip(*(each.words[:_SIZE] for each in everyone), strict=True)
        ]
        started = datetime.fromtimestamp(
            min(each.words[_STARTED] for each in everyone) / 1_000_000, UTC
        )
        counted = {
            "started": started.isoformat(timespec="microseconds"),
            "requests": sums[_REQUESTS],
            "failures": sums[_FAILURES],
            "refusals": sums[_REFUSALS],
            "latency": {str(i): count for i, count in enumerate(sums[_BUCKETS:]) if count},
        }
        return orjson.dumps(self._about | counted | arms.pages(*_drawn(everyone)))

    def totals(self) -> tuple[int, dict[tuple[str, str], int]] | None:
        """Return `arms.totals` over all workers."""
        return arms.totals(*_drawn(list(self._everyone())))

    def _everyone(self) -> Iterator[_Worker]:
        if self._folder is None:
            yield _Worker(alive=True, words=tuple(self._counts))
            return
        for file in self._folder.glob(_FILES):
            # A file that is being created is still empty, or its worker has not begun to count.
            if (found := _read(file)) and found.words[_STARTED]:
                yield found


def _drawn(everyone: list[_Worker]) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """Return the words of `arms`: those of the running workers, and those of all."""
    alive = [each.words[_SIZE:] for each in everyone if each.alive]
    return alive, [each.words[_SIZE:] for each in everyone]


def _memory(folder: Path | None) -> tuple[bytearray | mmap.mmap, int]:
    """Return memory for the counters, and its file, which stays open; -1: there is one worker."""
    if folder is None:
        return bytearray(_ALL.size), -1
    file = os.open(
        folder / f"traffic-{os.getpid()}", os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600
    )
    fcntl.flock(file, fcntl.LOCK_EX)
    os.truncate(file, _ALL.size)
    return mmap.mmap(file, _ALL.size), file


def _read(path: Path) -> _Worker | None:
    """Read a worker's counters, all of one revision; None: there are none yet."""
    with path.open("rb") as file:
        number = file.fileno()
        try:
            fcntl.flock(number, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            alive = True
        else:
            alive = False  # the kernel released the lock when the worker ended
        for _ in range(_TRIES):
            found = os.pread(number, _ALL.size, 0)
            if len(found) < _ALL.size:
                return None
            words = _ALL.unpack(found)
            changing = words[_SIZE + arms.REVISION] == arms.CHANGING
            revision = found[_REVISION : _REVISION + _WORD]
            if not changing and revision == os.pread(number, _WORD, _REVISION):
                return _Worker(alive, words)
        return _Worker(alive, words)  # stuck in a change of the revision: it counts for none
