"""What the operator reads of a pod: how many requests it answered, and how, and what came of those
that it drew (GET /modelyard/traffic).

Each worker counts in memory of its own, which is a file of the folder that the workers share; any
of them adds the files up. A request costs four additions. A worker holds a lock on its file, by
which the others see whether it lives.
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
    """What one worker has counted."""

    alive: bool
    words: tuple[int, ...]


class Traffic:
    """The counters of one pod.

    A failure is an answer of 500 and above, time-outs among them; a refusal one of 400 to 499. The
    latency is that of the other answers, from a request's headers to its answer. A client that goes
    away before its request has arrived is not counted, nor is what another version has answered:
    that version counts it.
    """

    def __init__(self, version: str, runtime: str) -> None:
        """Begin at zero.

        Args:
            version: The version that answers.
            runtime: Identity of what serves it.

        """
        self._about = {"version": version, "runtime": runtime}
        shared = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
        self._folder = Path(shared) if shared else None
        self._memory, self._file = _memory(self._folder)
        self._counts = memoryview(self._memory).cast("B").cast("Q")
        self._counts[_STARTED] = time.time_ns() // 1000
        self.arms = Arms(self._counts[_SIZE:])
        """What came of the requests that this worker drew."""

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

        `started` is when the first of them began to count; `latency` has the counts of those
        buckets that are not empty, by the number of their edge. `revision` is the least that a
        worker has applied, 0 without a rule.
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
        """Return what was drawn as `arms.totals` does, of all workers."""
        return arms.totals(*_drawn(list(self._everyone())))

    def _everyone(self) -> Iterator[_Worker]:
        if self._folder is None:
            yield _Worker(alive=True, words=tuple(self._counts))
            return
        for file in self._folder.glob(_FILES):
            # One that is being made has no length yet, or has not begun to count.
            if (found := _read(file)) and found.words[_STARTED]:
                yield found


def _drawn(everyone: list[_Worker]) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """Return what was drawn by the workers that live, and by all."""
    return [each.words[_SIZE:] for each in everyone if each.alive], [
        each.words[_SIZE:] for each in everyone
    ]


def _memory(folder: Path | None) -> tuple[bytearray | mmap.mmap, int]:
    """Return room for the counters, shared with the other workers if there are any, and its
    file, which stays open.
    """
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
            alive = False  # the kernel has let go of its lock
        for _ in range(_TRIES):
            found = os.pread(number, _ALL.size, 0)
            if len(found) < _ALL.size:
                return None
            words = _ALL.unpack(found)
            if words[_SIZE + arms.REVISION] != arms.CHANGING and found[_REVISION:][
                :_WORD
            ] == os.pread(number, _WORD, _REVISION):
                return _Worker(alive, words)
        return _Worker(
            alive, words
        )  # in the middle of a change for long: it is not of any revision
