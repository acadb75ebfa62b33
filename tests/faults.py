"""A proxy in front of a real server that breaks answers: it forwards the request, so that the
server carries it out, and spoils the answer.

One request per connection, HTTP/1.1 only. It listens on the loopback only.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

__all__ = ["Fault", "FaultProxy", "Seen", "fault_proxy"]

Kind = Literal["answer", "reset", "truncate", "hang", "close"]


@dataclass(frozen=True)
class Fault:
    """What happens to one request.

    Attributes:
        kind: `answer`: another answer in place of the server's; `reset`: the connection is reset;
            `close`: it is closed without a word; `truncate`: the first half of the server's body,
            then the end; `hang`: nothing, until the client gives up.
        forward: The server gets the request first and carries it out.
        status: Of `answer`.
        headers: Of `answer`.
        body: Of `answer`.

    """

    kind: Kind
    forward: bool = True
    status: int = 503
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"<html>upstream connect error</html>"


@dataclass(frozen=True)
class Seen:
    """One request through the proxy; names of headers in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class FaultProxy:
    """The proxy.

    Attributes:
        url: Its address.
        seen: Every request, in order.
        choose: Returns the fault of each request; None: no fault.

    """

    def __init__(self, upstream: str) -> None:
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname or "", parts.port or 80)
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._port = 0
        self.seen: list[Seen] = []
        self.choose: Callable[[Seen], Fault | None] = lambda _: None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def next(self, *faults: Fault | None) -> None:
        """Give the next requests these faults, one each; later ones none."""
        waiting = iter(faults)
        self.choose = lambda _: next(waiting, None)

    async def listen(self) -> None:
        """Listen, on the same port as before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Stop listening: connections are refused."""
        if self._server is not None:
            self._server.close()
            for writer in self._open.values():
                writer.transport.abort()
            await asyncio.gather(*self._open)
            await self._server.wait_closed()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = writer
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._exchange(reader, writer)
        finally:
            await _close(writer)
            del self._open[task]

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
        method, target, _ = first.split(" ")
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        if "100-continue" in headers.get("expect", "").lower():
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        request = Seen(method, target, headers, body)
        self.seen.append(request)
        fault = self.choose(request)
        answer = await self._forward(request) if fault is None or fault.forward else b""
        if fault is None:
            writer.write(answer)
            await writer.drain()
        else:
            await self._spoil(fault, answer, reader, writer)

    async def _forward(self, request: Seen) -> bytes:
        """Ask the server and return its whole answer."""
        reader, writer = await asyncio.open_connection(*self._upstream)
        kept = {
            name: value
            for name, value in request.headers.items()
            if name not in {"connection", "expect"}
        }
        lines = [
            f"{request.method} {request.target} HTTP/1.1",
            *(f"{name}: {value}" for name, value in kept.items()),
            "connection: close",
        ]
        try:
            writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + request.body)
            return await reader.read()
        finally:
            await _close(writer)

    @staticmethod
    async def _spoil(
        fault: Fault, answer: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        match fault.kind:
            case "answer":
                headers = {
                    "content-type": "text/html",
                    "content-length": str(len(fault.body)),
                    "connection": "close",
                    **fault.headers,
                }
                head = "\r\n".join(
                    [
                        f"HTTP/1.1 {fault.status} Broken",
                        *(f"{name}: {value}" for name, value in headers.items()),
                    ]
                )
                writer.write(head.encode() + b"\r\n\r\n" + fault.body)
                await writer.drain()
            case "truncate":
                head, _, body = answer.partition(b"\r\n\r\n")
                writer.write(head + b"\r\n\r\n" + body[: len(body) // 2])
                await writer.drain()
            case "hang":
                await reader.read()
            case "reset":
                # A linger of zero seconds turns the close into a reset.
                raw: socket.socket = writer.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
            case "close":
                return


async def _close(writer: asyncio.StreamWriter) -> None:
    """Close, and wait until it is closed, so that nothing is left at the end of the event loop."""
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


@asynccontextmanager
async def fault_proxy(upstream: str) -> AsyncIterator[FaultProxy]:
    """Run a proxy in front of a server, given by its address `http://<host>:<port>`."""
    proxy = FaultProxy(upstream)
    await proxy.listen()
    try:
        yield proxy
    finally:
        await proxy.refuse()
