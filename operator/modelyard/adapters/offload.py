"""Blocking calls, off the event loop: a bounded pool per dependency, and a deadline that the caller can rely on.

What is called does not belong here. A thread cannot be killed, so a call that outlives its deadline keeps its slot until its thread
returns: a dependency that hangs costs at most the pool, never the event loop, and the next caller is told at once that it is late.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from modelyard.errors import Ambiguous, Dependency, Unavailable

__all__ = ["Abandoned", "Lifeline", "Pool", "Share"]

T = TypeVar("T")


class Abandoned(Exception):
    """Raised in a thread whose caller has left, by `Lifeline.check`."""


class Lifeline:
    """What a thread asks, between two steps, to learn whether anybody still waits for it."""

    def __init__(self) -> None:
        """Make one that holds."""
        self._cut = threading.Event()

    def cut(self) -> None:
        """Say that nobody waits any more."""
        self._cut.set()

    def check(self) -> None:
        """Go on, or raise `Abandoned`."""
        if self._cut.is_set():
            raise Abandoned


class Pool:
    """At most `size` threads at a time for one dependency, over all tenants."""

    def __init__(self, dependency: Dependency, size: int) -> None:
        """Make a pool; threads begin when they are needed."""
        self.dependency: Dependency = dependency
        self._slots = asyncio.Semaphore(size)

    def share(self, size: int) -> "Share":
        """Return one tenant's part, so that a tenant whose store hangs leaves slots to the others."""
        return Share(self, self._slots, size)


class Share:
    """At most `size` of a pool's threads at a time."""

    def __init__(self, pool: Pool, slots: asyncio.Semaphore, size: int) -> None:
        """Make a share; `Pool.share` does."""
        self._dependency: Dependency = pool.dependency
        self._gates = (asyncio.Semaphore(size), slots)
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def idle(self) -> None:
        """Wait until every thread of this share has returned, those that nobody waits for among them."""
        await self._idle.wait()

    async def run(self, operation: str, subject: str, function: Callable[[Lifeline], T], *, deadline: float, write: bool = False) -> T:
        """Run a blocking function in a thread.

        Args:
            operation: What is asked, for the error's message.
            subject: What it is asked about.
            function: Runs in the thread; a long one calls `Lifeline.check` between its steps.
            deadline: Seconds to wait, for a slot and for the result together.
            write: The function changes something outside.

        Raises:
            Unavailable: No slot came free in time, or nothing came back in time.
            Ambiguous: It is a write, it began, and nothing came back in time.
            Exception: Whatever the function raises.

        """
        loop = asyncio.get_running_loop()
        end = loop.time() + deadline
        await self._enter(operation, subject, end)
        result: asyncio.Future[T] = loop.create_future()
        lifeline = Lifeline()
        self._begin()
        try:
            self._start(loop, result, function, lifeline)
        except RuntimeError:
            self._end()
            raise Unavailable(self._dependency, operation, subject, "this process can start no more threads") from None
        try:
            # wait, not wait_for: a future that the thread will still settle must not be cancelled under it.
            await asyncio.wait({result}, timeout=max(0.0, end - loop.time()))
        finally:
            if not result.done():
                lifeline.cut()
                result.add_done_callback(_forget)
        if result.done():
            return result.result()
        kind = Ambiguous if write else Unavailable
        raise kind(self._dependency, operation, subject, f"no answer within {deadline:g} s")

    async def _enter(self, operation: str, subject: str, end: float) -> None:
        entered: list[asyncio.Semaphore] = []
        try:
            async with asyncio.timeout_at(end):
                for gate in self._gates:
                    await gate.acquire()
                    entered.append(gate)
        except TimeoutError:
            _release(entered)
            raise Unavailable(self._dependency, operation, subject, "too many calls wait for an answer already") from None
        except BaseException:
            _release(entered)
            raise

    def _start(
        self, loop: asyncio.AbstractEventLoop, result: "asyncio.Future[Any]", function: Callable[[Lifeline], Any], line: Lifeline
    ) -> None:
        def settle(value: Any, error: BaseException | None) -> None:
            self._end()
            if result.cancelled():
                return
            if error is None:
                result.set_result(value)
            else:
                result.set_exception(error)

        def work() -> None:
            value: Any = None
            error: BaseException | None = None
            try:
                value = function(line)
            except StopIteration as raised:  # a future refuses to carry it
                error = RuntimeError(f"StopIteration from a blocking call: {raised}")
            except BaseException as raised:  # noqa: BLE001 - it is handed to whoever waits
                error = raised
            try:
                loop.call_soon_threadsafe(settle, value, error)
            except RuntimeError:
                return  # the loop is closed: the process ends, nobody waits

        # Daemon threads, one a call: a hanging store must not keep the process from ending. Starting one costs 60 us, a call milliseconds.
        threading.Thread(target=work, name=f"modelyard-{self._dependency}", daemon=True).start()

    def _begin(self) -> None:
        self._running += 1
        self._idle.clear()

    def _end(self) -> None:
        _release(self._gates)
        self._running -= 1
        if self._running == 0:
            self._idle.set()


def _release(gates: "list[asyncio.Semaphore] | tuple[asyncio.Semaphore, ...]") -> None:
    for gate in gates:
        gate.release()


def _forget(result: "asyncio.Future[Any]") -> None:
    """Look at what nobody waits for, or asyncio would complain that nobody did."""
    if not result.cancelled():
        result.exception()
