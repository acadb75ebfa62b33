"""A receiver of CloudEvents: an HTTP server on this machine that parses them with the format's own
library.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.test_utils import TestServer
from cloudevents.http import CloudEvent, from_http

__all__ = ["Receiver", "receiver"]

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def taken(_: web.Request) -> web.StreamResponse:
    """Accept an event."""
    return web.Response(status=202)


@dataclass
class Receiver:
    """A running receiver and the events that it got.

    Attributes:
        url: Its address.
        answer: How it answers.
        events: All events sent to it, in order, whatever it answered.
        tokens: The header Authorization of each.

    """

    url: str = ""
    answer: Answer = taken
    events: list[CloudEvent] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._came = asyncio.Event()

    @property
    def ids(self) -> list[str]:
        """Return the ids of the events sent to it."""
        return [event["id"] for event in self.events]

    def answers(self, *statuses: int, **headers: str) -> None:
        """Give the next events these answers, one each; later ones are accepted."""
        waiting = iter(statuses)

        async def answer(_: web.Request) -> web.StreamResponse:
            status = next(waiting, 202)
            return web.Response(
                status=status,
                headers=headers if status != 202 else {},
                text="the body says hunter2",
            )

        self.answer = answer

    async def until(self, count: int) -> None:
        """Wait until this many events were sent to it."""
        async with asyncio.timeout(60):
            while len(self.events) < count:
                self._came.clear()
                await self._came.wait()

    async def take(self, request: web.Request) -> web.StreamResponse:
        """Parse an event with the library, and answer."""
        self.events.append(from_http(dict(request.headers), await request.read()))
        self.tokens.append(request.headers.get("Authorization"))
        self._came.set()
        return await self.answer(request)


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    """Run a receiver for the duration of a block."""
    made, app = Receiver(), web.Application()
    app.router.add_post("/{tail:.*}", made.take)
    async with TestServer(app, shutdown_timeout=0.1) as server:
        made.url = f"http://127.0.0.1:{server.port}/events"
        yield made
