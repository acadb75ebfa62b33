"""Post Kubernetes events in the background, each at most once in ten minutes."""

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
_RETRY = 1.0


class Recorder:
    """Accepts events at any rate, and posts ten per second after a burst of a hundred.

    Events wait while Kubernetes does not accept them; beyond a thousand they are dropped and
    counted.
    """

    def __init__(self, objects: Objects, clock: Clock) -> None:
        """Create a recorder without events."""
        self._objects = objects
        self._clock = clock
        self._recorded: OrderedDict[int, float] = OrderedDict()
        self._backlog: deque[tuple[Manifest, Event]] = deque()
        self._more = asyncio.Event()
        self.dropped = 0

    def record(self, body: Manifest, event: Event) -> None:
        """Queue an event about an object, unless the same was queued in the last ten minutes."""
        now = self._clock.time()
        what = hash((body["metadata"]["uid"], event.reason, event.message))
        if now - self._recorded.get(what, -_REPEAT) < _REPEAT:
            return
        if len(self._backlog) >= _BACKLOG:
            self.dropped += 1
            return
        self._recorded[what] = now
        self._recorded.move_to_end(what)
        if len(self._recorded) > _REMEMBERED:
            self._recorded.popitem(last=False)
        self._backlog.append((body, event))
        self._more.set()

    async def flush(self) -> None:
        """Post all waiting events without a rate limit, while Kubernetes accepts them."""
        while self._backlog and await self._post():
            pass

    async def run(self) -> None:
        """Post events until cancelled."""
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
                    await asyncio.sleep(_RETRY)

    async def _post(self) -> bool:
        """Post one event; return False if Kubernetes is unavailable, and the event still waits."""
        body, event = self._backlog.popleft()
        try:
            await self._objects.event(body, event.reason, event.message, warning=event.warning)
        except Unavailable:
            self._backlog.appendleft((body, event))
            return False
        except Exception:  # an event that cannot be posted is logged and dropped
            meta = body["metadata"]
            key = f"{body['kind']} {meta['namespace']}/{meta['name']}"
            logger.exception("An event was lost", extra={"key": key})
        return True
