"""Worker tasks that run one step after another, and sleep while there is nothing to do.

All are created before Kopf starts, because Kopf cancels tasks that start later. No worker polls:
it sleeps on a future, and a timer wakes one when the next waiting key becomes ready.
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
    """A number of workers, started by `start`."""

    def __init__(
        self,
        step: Callable[[], Awaitable[object]],
        next_time: Callable[[], float | None],
        held: Callable[[], int],
        clock: Clock,
    ) -> None:
        """Create the workers without starting a task.

        Args:
            step: Does one thing; returns None if there was nothing to do.
            next_time: Returns when the next waiting step becomes ready; None if none waits.
            held: Returns the number of steps that are running.
            clock: The time.

        """
        self._step = step
        self._next_time = next_time
        self._held = held
        self._clock = clock
        self._stopping = False
        self._sleeping: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def start(self, count: int) -> list["asyncio.Task[None]"]:
        """Start `count` workers."""
        return [
            asyncio.create_task(self._work(), name=f"worker {number}") for number in range(count)
        ]

    def wake(self, count: int = 1) -> None:
        """Wake up to `count` workers: there may be something to do."""
        while count and self._sleeping:
            waiter = self._sleeping.popleft()
            if not waiter.done():
                waiter.set_result(None)
                count -= 1

    async def drain(self, patience: float) -> None:
        """Start no new step, and wait up to `patience` seconds for the steps under way."""
        self._stopping = True
        self.wake(len(self._sleeping))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while self._held():
                    await self._sleep()

    async def _work(self) -> None:
        while not self._stopping:
            try:
                idle = await self._step() is None
            except Exception:
                logger.exception("This is a bug in the engine; the worker continues")
                idle = False
            if idle and not self._stopping:
                await self._sleep()
            else:
                self.wake()  # there may be more than one

    async def _sleep(self) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleeping.append(waiter)
        if self._timer is not None:
            self._timer.cancel()
        when = self._next_time()
        if when is not None:
            self._timer = asyncio.get_running_loop().call_later(
                max(0.0, when - self._clock.time()), self.wake
            )
        await waiter
