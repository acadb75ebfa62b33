"""What the operator reads after a switch: how many requests this pod answered, and how. Counters alone (GET /modelyard/traffic).

Each worker counts in memory of its own, which is a file of the folder that the workers share; any of them adds the files up. A request
costs four additions.
"""

import mmap
import os
import struct
import time
from bisect import bisect_left
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import orjson

from modelyard.api.wire import LATENCY_EDGES as EDGES

__all__ = ["Traffic"]

_STARTED, _REQUESTS, _FAILURES, _REFUSALS, _BUCKETS = range(5)
_SIZE = _BUCKETS + len(EDGES) + 1
_ALL = struct.Struct(f"={_SIZE}Q")
_FILES = "traffic-*"
_GONE, _REFUSED, _FAILED = 499, 400, 500


class Traffic:
    """The counters of one pod.

    A failure is an answer of 500 and above, time-outs among them; a refusal one of 400 to 499. The latency is that of the other
    answers, from a request's headers to its answer. A client that goes away before its request has arrived is not counted.
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
        self._counts = memoryview(_memory(self._folder)).cast("B").cast("Q")
        self._counts[_STARTED] = time.time_ns() // 1000

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

        `started` is when the first of them began to count; `latency` has the counts of those buckets that are not empty, by the number
        of their edge.
        """
        everyone = list(self._everyone())
        sums = [sum(column) for column in zip(*everyone, strict=True)]
        started = datetime.fromtimestamp(min(each[_STARTED] for each in everyone) / 1_000_000, UTC)
        counted = {
            "started": started.isoformat(timespec="microseconds"),
            "requests": sums[_REQUESTS],
            "failures": sums[_FAILURES],
            "refusals": sums[_REFUSALS],
            "latency": {str(i): count for i, count in enumerate(sums[_BUCKETS:]) if count},
        }
        return orjson.dumps(self._about | counted)

    def _everyone(self) -> Iterator[tuple[int, ...]]:
        if self._folder is None:
            yield tuple(self._counts)
            return
        for file in self._folder.glob(_FILES):
            # One that is being made has no length yet, or has not begun to count.
            if len(found := file.read_bytes()) == _ALL.size and (counts := _ALL.unpack(found))[_STARTED]:
                yield counts


def _memory(folder: Path | None) -> bytearray | mmap.mmap:
    """Return room for the counters: shared with the other workers, if there are any."""
    if folder is None:
        return bytearray(_ALL.size)
    with (folder / f"traffic-{os.getpid()}").open("w+b") as file:
        file.truncate(_ALL.size)
        return mmap.mmap(file.fileno(), _ALL.size)
