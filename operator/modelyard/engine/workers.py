"""The workers: so many tasks that take one step after another, and rest when there is none. What a
step is does not belong here.

All of them are made before Kopf begins, for it ends what begins later. Nobody polls: a worker rests
on a future, and an alarm is set for the next key that becomes ready by itself.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from modelyard.engine.clock import Clock

__all__ = ["Workers"]

logger = logging.getLogger("modelyard.engine")


class Workers:
    """So many workers, asleep until `start`."""

    def __init__(
        self,
        step: Callable[[], Awaitable[object]],
        next_time: Callable[[], float | None],
        held: Callable[[], int],
        clock: Clock,
    ) -> None:
        """Make them; no task begins.

        Args:
            step: Does one thing; returns None when there was nothing to do.
            next_time: When there will be something by itself; None when nobody knows.
            held: How many steps are under way.
            clock: What time it is.

        """
        self._step = step
        self._next_time = next_time
        self._held = held
        self._clock = clock
        self._stopping = False
        self._resting: deque[asyncio.Future[None]] = deque()
        self._alarm: asyncio.TimerHandle | None = None

    def start(self, count: int) -> list["asyncio.Task[None]"]:
        """Begin."""
        return [
            asyncio.create_task(self._work(), name=f"worker {number}") for number in range(count)
        ]

    def wake(self, count: int = 1) -> None:
        """Say that there may be something to do."""
        while count and self._resting:
            waiter = self._resting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                count -= 1

    async def drain(self, patience: float) -> None:
        """Begin nothing new, and wait, for so many seconds, until what is under way has ended."""
        self._stopping = True
        self.wake(len(self._resting))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while self._held():
                    await self._rest()

    async def _work(self) -> None:
        while not self._stopping:
            try:
                idle = await self._step() is None
            except Exception:
                logger.exception("This is a bug of the engine; the worker goes on")
                idle = False
            if idle and not self._stopping:
                await self._rest()
            else:
                self.wake()  # there may be more than one

    async def _rest(self) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._resting.append(waiter)
        if self._alarm is not None:
            self._alarm.cancel()
        when = self._next_time()
        if when is not None:
            self._alarm = asyncio.get_running_loop().call_later(
                max(0.0, when - self._clock.time()), self.wake
            )
        await waiter
