"""A server that answers as no real MLflow or S3 does: too much, too deep, without an end, or one
byte at a time.

The first segment of a request's path says how it answers, so one server is many tenants' MLflow or
S3. Plain sockets; it listens on the loopback only.
"""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import parse_qs, urlsplit

__all__ = ["Hostile", "hostile"]

MIB = 1024 * 1024
RUN = {
    "info": {"run_id": "r", "experiment_id": "1", "status": "RUNNING", "lifecycle_stage": "active"},
    "data": {},
}
LISTING = '<?xml version="1.0"?><ListBucketResult>{}</ListBucketResult>'
OBJECT = "<Contents><Key>{key}</Key><Size>{size}</Size><ETag>&quot;e&quot;</ETag></Contents>"
MORE = "<IsTruncated>true</IsTruncated><NextContinuationToken>{}</NextContinuationToken>"

Target = tuple[str, dict[str, list[str]]]
"""The path behind the first segment, and the query."""


def _object(**more: str) -> bytes:
    return LISTING.format(OBJECT.format(**{"key": "risk/m/a", "size": "3"} | more)).encode()


def _run(**info: object) -> bytes:
    return json.dumps({"run": {"info": RUN["info"] | info, "data": {}}}).encode()


def _metric(value: str) -> bytes:
    return _run().replace(
        b'"data": {}', b'"data": {"metrics": [{"key": "m", "value": %s}]}' % value.encode()
    )


# --- whole answers --------------------------------------------------------------------------------
NUMBERS = itertools.count()
BODIES: dict[str, Callable[[Target], bytes]] = {
    "braces": lambda _: b'{"runs": [' + b"{}," * (10 * MIB) + b"{}]}",
    "lists": lambda _: b'{"runs": [' + b"[]," * (4 * MIB) + b"{}]}",
    "most": lambda _: b'{"runs": [' + b"{}," * 350_000 + b"{}]}",
    "nested": lambda _: b'{"run": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "nested-objects": lambda _: b'{"run":' * 100_000 + b"1" + b"}" * 100_000,
    "start-1e30": lambda _: _run(start_time=0).replace(b'"start_time": 0', b'"start_time": 1e30'),
    "start-10-to-30": lambda _: _run(start_time=10**30),
    "start-text": lambda _: _run(start_time="1e30"),
    "start-nan": lambda _: _run(start_time=float("nan")),
    "start-list": lambda _: _run(start_time=[]),
    "metric-1e400": lambda _: _metric("1e400"),
    "metric-10-to-400": lambda _: _metric("1" + "0" * 400),
    "metric-10-to-5000": lambda _: _metric("1" + "0" * 5000),
    "metric-object": lambda _: _metric("{}"),
    "id-object": lambda _: _run(run_id={}),
    "id-long": lambda _: _run(run_id="r" * 100_000),
    "surrogate": lambda _: _run(run_name="@").replace(b"@", b"\\ud800"),
    "version-abc": lambda _: b'{"model_versions": [{"name": "m", "version": "abc"}]}',
    "endless-versions": lambda _: json.dumps(
        {
            "model_versions": [{"name": "m", "version": str(next(NUMBERS))}],
            "next_page_token": str(next(NUMBERS)),
        }
    ).encode(),
    "endless-runs": lambda _: json.dumps({"runs": [RUN] * 5, "next_page_token": "again"}).encode(),
    "same-listing": lambda _: LISTING.format(
        OBJECT.format(key="risk/m/a", size=1) + MORE.format("same")
    ).encode(),
    "endless-listing": lambda _: LISTING.format(
        OBJECT.format(key=f"risk/m/{next(NUMBERS)}", size=1) + MORE.format(next(NUMBERS))
    ).encode(),
    "attributes": lambda _: (
        b"<ListBucketResult" + b"".join(b' a%x=""' % number for number in range(100_000)) + b"/>"
    ),
    "tags-listing": lambda _: LISTING.format("<a/>" * (1024 * 1024)).encode(),
    "entities": lambda _: (
        b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa">]>' + _object(key="&a;")
    ),
    "size-abc": lambda _: _object(size="abc"),
    "size-negative": lambda _: _object(size="-1"),
    "size-huge": lambda _: _object(size="1" + "0" * 400),
    "no-etag": lambda _: LISTING.format(
        "<Contents><Key>risk/m/a</Key><Size>1</Size></Contents>"
    ).encode(),
    "no-xml": lambda _: b"<html>Please log in</html>",
    "broken-xml": lambda _: b"<ListBucketResult><Contents>",
    "deep-xml": lambda _: (
        b"<ListBucketResult>" + b"<a>" * 19_000 + b"</a>" * 19_000 + b"</ListBucketResult>"
    ),
}


def _in_chunks(first: bytes, chunk: bytes, size: int) -> Iterator[bytes]:
    yield first
    for _ in range(size // len(chunk)):
        yield chunk


STREAMS: dict[str, Callable[[], Iterator[bytes]]] = {
    "endless": lambda: itertools.repeat(b" " * 65536),
    "big-listing": lambda: _in_chunks(
        b"<ListBucketResult>", OBJECT.format(key="k" * 900, size=1).encode() * 60, 300 * MIB
    ),
    "tiny-chunks": lambda: itertools.repeat(b"1\r\n \r\n" * 10_000),
    "endless-object": lambda: itertools.repeat(b"x" * 65536),
}


class Hostile:
    """The server.

    Attributes:
        url: Its address; a tenant's is `<url>/<how it answers>`.
        open: Connections that it has not seen closed, by how they are answered.
        redirected: Requests that were answered with a redirect.

    """

    def __init__(self) -> None:
        self.url = ""
        self.open: dict[str, int] = {}
        self.redirected = 0
        self.dripping = asyncio.Event()
        self.over = asyncio.Event()
        self._visits: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: one request."""
        visit = asyncio.current_task()
        assert visit is not None
        self._visits.add(visit)
        how = ""
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                head = await reader.readuntil(b"\r\n\r\n")
                parts = urlsplit(head.split(b" ", 2)[1].decode())
                how, _, path = parts.path.lstrip("/").partition("/")
                self.open[how] = self.open.get(how, 0) + 1
                await self._answer(how, (path, parse_qs(parts.query)), reader, writer)
        finally:
            if how:
                self.open[how] -= 1
            writer.transport.abort()
            self._visits.discard(visit)

    async def _answer(
        self, how: str, target: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        listing = "list-type" in target[1]
        if how == "headers":
            writer.write(b"HTTP/1.1 200 OK\r\n")
            for number in itertools.count():
                await self._send(writer, b"x-%d: %s\r\n" % (number, b"y" * 4000))
        if how in {"drip-headers", "drip"}:
            writer.write(b"HTTP/1.1 200 OK\r\n" + (b"\r\n" if how == "drip" else b""))
            return await self._drip(reader, writer)
        if how == "elsewhere":
            writer.write(
                b"HTTP/1.1 307 Temporary Redirect\r\n"
                b"location: /endless\r\n"
                b"content-length: 0\r\n"
                b"connection: close\r\n"
                b"\r\n"
            )
            self.redirected += 1
            return await writer.drain()
        if how == "silent":
            await reader.read()
            return None
        if how == "bomb":
            body = gzip.compress(b" " * 100 * MIB, compresslevel=1)
            writer.write(
                b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n"
                % len(body)
                + body
            )
            return await writer.drain()
        if how in STREAMS and not (how == "endless-object" and listing):
            chunked = b"transfer-encoding: chunked\r\n" if how == "tiny-chunks" else b""
            writer.write(b"HTTP/1.1 200 OK\r\n" + chunked + b"\r\n")
            for chunk in STREAMS[how]():
                await self._send(writer, chunk)
            return None
        if how in {"dripping-object", "endless-object", "no-length"} and listing:
            body = _object(size="3000000" if how == "dripping-object" else "3")
        elif how == "dripping-object":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 3000000\r\n\r\n")
            return await self._drip(reader, writer)
        elif how == "no-length":
            writer.write(b"HTTP/1.1 200 OK\r\n\r\nabc")
            return await writer.drain()
        else:
            body = BODIES[how](target)
        writer.write(
            b"HTTP/1.1 200 OK\r\n"
            b"content-type: text/plain\r\n"
            b"connection: close\r\n"
            b"content-length: %d\r\n"
            b"\r\n" % len(body) + body
        )
        await writer.drain()
        await reader.read()  # until the client closes: an earlier close would be a reset
        return None

    async def _send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(data)
        await writer.drain()

    async def _drip(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Send a byte per second, until the client closes or the test is over."""
        self.dripping.set()
        gone = asyncio.ensure_future(reader.read())
        over = asyncio.ensure_future(self.over.wait())
        try:
            while not gone.done() and not over.done():
                await self._send(writer, b"x")
                await asyncio.wait({gone, over}, timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in (gone, over):
                each.cancel()

    async def shut(self) -> None:
        """Close the open connections."""
        self.over.set()
        for visit in (*self._visits,):
            visit.cancel()
        await asyncio.gather(*self._visits, return_exceptions=True)


@asynccontextmanager
async def hostile() -> AsyncIterator[Hostile]:
    """Run the server for the duration of a block."""
    there = Hostile()
    server = await asyncio.start_server(there.serve, "127.0.0.1", 0)
    there.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield there
    finally:
        server.close()
        await there.shut()
