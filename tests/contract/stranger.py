"""An address where a foreign server answers first; new connections reach the right server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

__all__ = ["Door", "stranger"]

NOT_FOUND = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"


class Door:
    """The address and its connections.

    Attributes:
        url: Where it is.
        leads_to: The server that new connections reach; empty: a foreign server that has no
            objects.

    """

    def __init__(self) -> None:
        self.url, self.leads_to = "", ""
        self._visits: set[asyncio.Task[None]] = set()

    async def open(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Handle one connection, for as long as the client keeps it."""
        visit = asyncio.current_task()
        assert visit is not None
        self._visits.add(visit)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await (
                    _through(reader, writer, self.leads_to)
                    if self.leads_to
                    else _nothing(reader, writer)
                )
        finally:
            writer.close()
            self._visits.discard(visit)

    async def shut(self) -> None:
        """Close the open connections."""
        for visit in (*self._visits,):
            visit.cancel()
        await asyncio.gather(*self._visits, return_exceptions=True)


async def _nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(NOT_FOUND)
        await writer.drain()


async def _through(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, url: str) -> None:
    there = urlsplit(url)
    back, forth = await asyncio.open_connection(there.hostname, there.port)

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
        target.close()

    try:
        await asyncio.gather(copy(reader, forth), copy(back, writer))
    finally:
        forth.close()


@asynccontextmanager
async def stranger() -> AsyncIterator[Door]:
    """Serve the address for the length of a block."""
    door = Door()
    server = await asyncio.start_server(door.open, "127.0.0.1", 0)
    door.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield door
    finally:
        server.close()
        await door.shut()
