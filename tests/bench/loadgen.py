"""Load on one local HTTP server: a few connections, each of which sends the next request right
after an answer, for a number of seconds.

Plain sockets on uvloop: the client must cost less than the server. Loopback only.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import cast

import uvloop

__all__ = ["Outcome", "drive", "request"]

CONNECTIONS = 8


def request(port: int, path: str, body: bytes) -> bytes:
    """One request as it goes over the wire."""
    head = (
        f"POST {path} HTTP/1.1\r\n"
        f"Host: 127.0.0.1:{port}\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n"
        "\r\n"
    )
    return head.encode() + body


@dataclass
class Outcome:
    """The results of a load.

    Attributes:
        answered: Answers with 200.
        failed: Other answers, and connections that broke.
        seconds: Its duration.
        times: Of each answer, in seconds.
        last: The last answer, with its head.

    """

    answered: int = 0
    failed: int = 0
    seconds: float = 0.0
    times: list[float] = field(default_factory=list)
    last: bytes = b""


class _Connection(asyncio.Protocol):
    """Sends a request, waits for the whole answer, and repeats until stopped."""

    def __init__(self, wire: bytes, outcome: Outcome) -> None:
        self._wire, self._outcome = wire, outcome
        self._transport: asyncio.Transport | None = None
        self._got = bytearray()
        self._whole = 0
        self._begun = 0.0
        self.done = asyncio.get_running_loop().create_future()
        self.stop = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        self._ask()

    def _ask(self) -> None:
        assert self._transport is not None
        self._got.clear()
        self._whole = 0
        self._begun = time.perf_counter()
        self._transport.write(self._wire)

    def data_received(self, data: bytes) -> None:
        self._got += data
        if not self._whole:
            end = self._got.find(b"\r\n\r\n")
            if end < 0:
                return
            self._whole = end + 4 + _length(bytes(self._got[:end]))
        if len(self._got) < self._whole:
            return
        outcome = self._outcome
        outcome.times.append(time.perf_counter() - self._begun)
        if self._got.startswith(b"HTTP/1.1 200"):
            outcome.answered += 1
        else:
            outcome.failed += 1
        outcome.last = bytes(self._got)
        if self.stop:
            self._end()
        else:
            self._ask()

    def connection_lost(self, _: Exception | None) -> None:
        if not self.done.done():
            self._outcome.failed += 1
            self._end()

    def _end(self) -> None:
        if not self.done.done():
            self.done.set_result(None)
        if self._transport is not None:
            self._transport.close()


def _length(head: bytes) -> int:
    """The length of the body; every server here says it."""
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise ValueError(f"an answer without a length: {head[:200]!r}")


async def _drive(port: int, wire: bytes, seconds: float, connections: int) -> Outcome:
    outcome, loop = Outcome(), asyncio.get_running_loop()
    begun = time.perf_counter()
    made = []
    for _ in range(connections):
        _, protocol = await loop.create_connection(
            lambda: _Connection(wire, outcome), "127.0.0.1", port
        )
        made.append(protocol)
    await asyncio.wait([each.done for each in made], timeout=seconds)
    outcome.seconds = time.perf_counter() - begun
    counted = outcome.answered
    for each in made:
        each.stop = True
    # Open requests are awaited, so that no server has broken connections; they do not count.
    await asyncio.wait([each.done for each in made], timeout=30)
    outcome.answered = counted
    return outcome


def drive(port: int, wire: bytes, seconds: float, connections: int = CONNECTIONS) -> Outcome:
    """Send the same request to a local server for this many seconds, in a separate event loop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_drive(port, wire, seconds, connections))
