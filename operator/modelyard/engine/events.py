"""Telling users: Kubernetes events, each said once in ten minutes, in the background, and never at
the cost of the work.

What is worth an event does not belong here (`engine.report`, and the plans).
"""

import asyncio
import logging
from collections import OrderedDict, deque

from modelyard.engine.clock import Clock
from modelyard.errors import Unavailable
from modelyard.plan import Event, Manifest
from modelyard.ports import Objects

__all__ = ["Recorder"]

logger = logging.getLogger("modelyard.events")

_REPEAT = 600.0
_REMEMBERED = 20_000
_BACKLOG = 1_000
_BURST = 100.0
_PER_SECOND = 10.0
_AGAIN = 1.0


class Recorder:
    """Takes events in at any rate, and posts ten a second after a burst of a hundred.

    What Kubernetes cannot take now waits; what does not fit is dropped, and counted.
    """

    def __init__(self, objects: Objects, clock: Clock) -> None:
        """Make one that has said nothing yet."""
        self._objects = objects
        self._clock = clock
        self._said: OrderedDict[int, float] = OrderedDict()
        self._backlog: deque[tuple[Manifest, Event]] = deque()
        self._more = asyncio.Event()
        self.dropped = 0

    def record(self, body: Manifest, event: Event) -> None:
        """Say something about an object, unless it was said within the last ten minutes."""
        now = self._clock.time()
        what = hash((body["metadata"]["uid"], event.reason, event.message))
        if now - self._said.get(what, -_REPEAT) < _REPEAT:
            return
        if len(self._backlog) >= _BACKLOG:
            self.dropped += 1
            return
        self._said[what] = now
        self._said.move_to_end(what)
        if len(self._said) > _REMEMBERED:
            self._said.popitem(last=False)
        self._backlog.append((body, event))
        self._more.set()

    async def flush(self) -> None:
        """Post all that is waiting, at any rate, as long as Kubernetes takes it."""
        while self._backlog and await self._post():
            pass

    async def run(self) -> None:
        """Post what comes, for ever."""
        tokens, last = _BURST, self._clock.time()
        while True:
            await self._more.wait()
            self._more.clear()
            while self._backlog:
                now = self._clock.time()
                tokens, last = min(_BURST, tokens + (now - last) * _PER_SECOND), now
                if tokens < 1.0:
                    await asyncio.sleep((1.0 - tokens) / _PER_SECOND)
                    continue
                tokens -= 1.0
                if not await self._post():
                    await asyncio.sleep(_AGAIN)

    async def _post(self) -> bool:
        """Post one; tell whether Kubernetes takes events. What it could not take now waits."""
        body, event = self._backlog.popleft()
        try:
            await self._objects.event(body, event.reason, event.message, warning=event.warning)
        except Unavailable:
            self._backlog.appendleft((body, event))
            return False
        except Exception:  # an event is never worth more than a line
            logger.exception(
                "An event is lost",
                extra={
                    "key": f"{body['kind']}"
                    f" {body['metadata']['namespace']}/{body['metadata']['name']}"
                },
            )
        return True
