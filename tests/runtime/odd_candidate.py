"""A broken candidate on one port, whose misbehaviour can be changed: it hangs, closes, or lies."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from tests.runtime.canary import CANDIDATE

__all__ = ["MANNERS", "Odd", "head", "odd"]

Manner = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
BODY = b'{"predictions":[7]}'


def head(
    status: str = "200 OK",
    length: int | None = len(BODY),
    version: str | None = CANDIDATE[0],
    runtime: str | None = CANDIDATE[1],
    more: str = "",
) -> bytes:
    """Return the head of an answer; without a length it is chunked."""
    lines = [f"HTTP/1.1 {status}", "content-type: application/json"]
    lines += [f"content-length: {length}"] if length is not None else ["transfer-encoding: chunked"]
    lines += [f"modelyard-version: {version}"] if version else []
    lines += [f"modelyard-runtime: {runtime}"] if runtime else []
    return "".join(f"{line}\r\n" for line in [*lines, *([more] if more else []), ""]).encode()


async def asked(reader: asyncio.StreamReader) -> bytes:
    """Read one request; return its head."""
    found = await reader.readuntil(b"\r\n\r\n")
    lengths = [line for line in found.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    await reader.readexactly(int(lengths[0].split(b":")[1]))
    return found


def says(*pieces: bytes, times: int = 1 << 30) -> Manner:
    """Answers this many requests of a connection with the same bytes, then closes it."""

    async def manner(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(times):
            await asked(reader)
            for piece in pieces:
                writer.write(piece)
                await writer.drain()

    return manner


async def hangs(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Reads, and never answers."""
    while await reader.read(65_536):
        pass


async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An answer without an end."""
    await asked(reader)
    writer.write(head(length=None))
    while True:
        writer.write(b"40000\r\n" + bytes(0x40000) + b"\r\n")
        await writer.drain()


async def closes(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Reads a request and closes."""
    await asked(reader)


async def closes_kept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers the first request of a connection, and closes it when the next one arrives."""
    await asked(reader)
    writer.write(head() + BODY)
    await asked(reader)


WELL = says(head() + BODY)
MANNERS: dict[str, Manner] = {
    "hangs": hangs,
    "closes": closes,
    "answers 500": says(head("500 Internal Server Error") + BODY),
    "answers 503": says(head("503 Service Unavailable") + BODY),
    "answers 408": says(head("408 Request Timeout") + BODY),
    "sends elsewhere": says(head("302 Found", more="location: /other") + BODY),
    "is another version": says(head(version="v5") + BODY),
    "is two versions": says(head(more="modelyard-version: v3") + BODY),
    "has no identity": says(head(runtime=None) + BODY),
    "is no HTTP": says(b"\x00\xff no HTTP\r\n\r\n"),
    "ends in the middle": says(head(length=1000) + BODY, times=1),
    "hangs in the middle": says(head(length=1000) + BODY),
    "breaks its chunks": says(head(length=None) + b"zz\r\n"),
    "compresses": says(head(more="content-encoding: gzip") + BODY),
    "lies about its JSON": says(head(more="inference-header-content-length: 999") + BODY),
    "has no type": says(head().replace(b"content-type: application/json\r\n", b"") + BODY),
    "has too long a header": says(head(more=f"x: {'y' * 70_000}") + BODY),
}
"""None of these answers anything that a caller may see."""


class Odd:
    """The server."""

    def __init__(self) -> None:
        self.manner: Manner = hangs
        self.connections = 0
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._thread.start()

    def be(self, manner: Manner) -> None:
        """Change its behaviour; existing connections are closed."""
        self.manner, self.connections = manner, 0
        self._run(self._dropped())

    def open(self) -> None:
        self._run(self._opened())

    def close(self) -> None:
        """Stop the server."""
        self._run(self._closed())

    def end(self) -> None:
        self.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _opened(self) -> None:
        self._server = await asyncio.start_server(
            self._served, "127.0.0.1", self.port, backlog=1024
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def _closed(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._dropped()

    async def _dropped(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _served(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                await self.manner(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.close()


@contextmanager
def odd() -> Iterator[Odd]:
    """A listening server."""
    server = Odd()
    server.open()
    try:
        yield server
    finally:
        server.end()
