"""A proxy in front of the API server, in the test's own event loop: it sees every request and
injects faults.

It speaks plain HTTP to the operator, which needs no credentials for it, and streams watches
through.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import aiohttp
from aiohttp import web

from tests.cluster.apiserver import ApiServer

__all__ = ["Fault", "Proxy", "Request", "proxy"]


@dataclass(frozen=True)
class Fault:
    """What happens to one request.

    Attributes:
        status: Answer with this code in place of the server's; None to let its answer through.
        forward: Let the server handle the request first, so that only the answer is lost.
        headers: Headers of that answer.
        reset: Break the connection instead of answering.
        stream: How a watch ends: `cut` in the middle of a line, `stall` without a word, `expired`
            by an event with code 410.
        events: The number of lines after which the watch ends.

    """

    status: int | None = None
    forward: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    reset: bool = False
    stream: Literal["cut", "stall", "expired"] | None = None
    events: int = 0


@dataclass(frozen=True)
class Request:
    """One request through the proxy."""

    method: str
    path: str
    query: dict[str, str]
    accept: str = ""
    time: float = field(default_factory=time.monotonic, compare=False)

    @property
    def watches(self) -> bool:
        return self.query.get("watch") == "true"

    @property
    def writes(self) -> bool:
        return self.method != "GET" and "/leases" not in self.path and "/events" not in self.path


@dataclass
class Proxy:
    """A proxy that records requests and injects faults.

    Attributes:
        url: Its address.
        trace: Every request, in order.
        choose: Returns the fault of each request.

    """

    server: ApiServer
    url: str = ""
    trace: list[Request] = field(default_factory=list)
    choose: Callable[[Request], Fault | None] = lambda _request: None
    since: float = field(default_factory=time.monotonic)

    @property
    def writes(self) -> list[Request]:
        """Return the writes, without leases and events."""
        return [request for request in self.trace if request.writes]

    def quiet(self, seconds: float) -> bool:
        """Return whether there was no write for this long."""
        writes = self.writes
        return time.monotonic() - (writes[-1].time if writes else self.since) > seconds

    def kubeconfig(self, folder: Path) -> Path:
        """Write a kubeconfig for it."""
        path = folder / f"kubeconfig-{self.url.rsplit(':', 1)[1]}"
        path.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": "x", "cluster": {"server": self.url}}],
                    "users": [{"name": "x", "user": {}}],
                    "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
                    "current-context": "x",
                }
            )
        )
        return path

    def once(self, matches: Callable[[Request], bool], fault: Fault, times: int = 1) -> None:
        """Inject a fault into the next matching requests."""
        before, left = self.choose, times

        def choose(request: Request) -> Fault | None:
            nonlocal left
            if left and matches(request):
                left -= 1
                return fault
            return before(request)

        self.choose = choose

    async def handle(self, incoming: web.Request) -> web.StreamResponse:
        accept = incoming.headers.get("Accept", "")
        request = Request(incoming.method, incoming.path, dict(incoming.query), accept)
        self.trace.append(request)
        fault = self.choose(request) or Fault()
        if fault.reset and not fault.forward:
            return _break(incoming)
        if fault.status is not None and not fault.forward:
            return _refusal(fault)
        body = await incoming.read()
        headers = {"Authorization": f"Bearer {self.server.token}", "Accept": accept}
        if "Content-Type" in incoming.headers:
            headers["Content-Type"] = incoming.headers["Content-Type"]
        try:
            async with self._session.request(
                incoming.method,
                self.server.url + incoming.path_qs,
                data=body or None,
                headers=headers,
                timeout=aiohttp.ClientTimeout(),
            ) as answer:
                if request.watches and answer.status == 200:
                    return await _streamed(incoming, answer, fault)
                raw = await answer.read()
        except aiohttp.ClientError:
            return _break(incoming)
        if fault.reset:
            return _break(incoming)
        if fault.status is not None:
            return _refusal(fault)
        return web.Response(body=raw, status=answer.status, content_type="application/json")

    async def _open(self) -> None:
        tls = ssl.create_default_context(cafile=str(self.server.ca))
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls, limit=0))


def _refusal(fault: Fault) -> web.Response:
    status = {"kind": "Status", "code": fault.status, "message": f"the proxy says {fault.status}"}
    return web.json_response(status, status=fault.status or 500, headers=fault.headers)


def _break(incoming: web.Request) -> web.Response:
    assert incoming.transport is not None
    incoming.transport.abort()
    return web.Response()


async def _streamed(
    incoming: web.Request, answer: aiohttp.ClientResponse, fault: Fault
) -> web.StreamResponse:
    outgoing = web.StreamResponse()
    await outgoing.prepare(incoming)
    passed = 0
    try:
        async for line in answer.content:
            if fault.stream is not None and passed >= fault.events:
                return await _spoiled(incoming, outgoing, fault, line)
            await outgoing.write(line)
            passed += 1
    except (aiohttp.ClientError, ConnectionError):
        return _break(incoming)
    return outgoing


async def _spoiled(
    incoming: web.Request, outgoing: web.StreamResponse, fault: Fault, line: bytes
) -> web.StreamResponse:
    match fault.stream:
        case "cut":
            await outgoing.write(line[: len(line) // 2])
            return _break(incoming)
        case "expired":
            gone: dict[str, Any] = {
                "type": "ERROR",
                "object": {"kind": "Status", "code": 410, "metadata": {}, "message": "too old"},
            }
            await outgoing.write(json.dumps(gone).encode() + b"\n")
        case _:
            await asyncio.Event().wait()  # until the operator gives up
    return outgoing


@asynccontextmanager
async def proxy(server: ApiServer) -> AsyncIterator[Proxy]:
    """Run a proxy for the duration of a block."""
    made = Proxy(server)
    await made._open()
    app = web.Application(client_max_size=2**26)
    app.router.add_route("*", "/{path:.*}", made.handle)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.5)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield made
    finally:
        await runner.cleanup()
        await made._session.close()
