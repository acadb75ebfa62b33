"""A thread with an event loop, which runs an asynchronous library for a synchronous client.

kr8s has a synchronous API too, but that returns no raw responses, cannot be interrupted, and starts
a thread that spins until its loop runs.
"""

import asyncio
import atexit
import os
import threading
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import AbstractAsyncContextManager, aclosing, contextmanager, suppress
from typing import Any, TypeVar

__all__ = ["Background", "background"]

T = TypeVar("T")
_CLOSING = 2.0
"""Seconds that open requests have to close when the process ends."""
_AHEAD = 128
"""Items of a stream that are read ahead of the consumer."""


class Background:
    """An event loop on its own thread, until the process ends. Any other thread may use it.

    Attributes:
        ended: Whether the process is ending, so that no work is accepted.

    """

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self.loop.run_forever, name="modelyard-client", daemon=True
        )
        self._thread.start()
        self.ended = False
        self._process = os.getpid()
        # This runs before the interpreter stops daemon threads. A caller that waited for the loop
        # after that would never return.
        atexit.register(self._end)

    def _end(self) -> None:
        if self._process != os.getpid():
            return
        self.ended = True
        with suppress(Exception):
            asyncio.run_coroutine_threadsafe(_all_cancelled(), self.loop).result(_CLOSING)

    def run(self, work: Coroutine[Any, Any, T], seconds: float | None = None) -> T:
        """Run a coroutine in the loop, and return its result.

        An interrupt (Ctrl-C, a stopped cell) cancels the coroutine.

        Raises:
            TimeoutError: It was not done after `seconds`, and was cancelled.
            SystemExit: The process is ending. This ends the calling thread without a traceback.

        """
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        # `_end` has cancelled all tasks, and would not cancel this one. The main thread may still
        # work, in its atexit handlers.
        if self.ended and threading.current_thread() is not threading.main_thread():
            future.cancel()
            raise SystemExit
        try:
            return future.result(seconds)
        except CancelledError:
            if self.ended:
                raise SystemExit from None
            raise
        except BaseException:
            future.cancel()
            raise

    def stream(
        self, make: Callable[[], AsyncGenerator[T, None]], seconds: float | None = None
    ) -> Generator[T, None, None]:
        """Yield the items of an asynchronous generator, which is closed if the caller stops early.

        Args:
            make: Creates the generator; called once, in the loop.
            seconds: When to stop, without an error; absent: never.

        """
        end = None if seconds is None else time.monotonic() + seconds
        items: asyncio.Queue[tuple[bool, Any]] = asyncio.Queue(_AHEAD)
        pump = asyncio.run_coroutine_threadsafe(_pumped(make, items), self.loop)
        try:
            while True:
                try:
                    more, item = self.run(
                        items.get(), None if end is None else max(0.0, end - time.monotonic())
                    )
                except TimeoutError:
                    return
                except SystemExit:
                    if self.ended:  # another thread, which reads until the end
                        return
                    raise
                if not more:
                    if isinstance(item, BaseException):
                        raise item
                    return
                yield item
        finally:
            if not self.ended:
                _ended(pump)

    @contextmanager
    def hold(self, make: Callable[[], AbstractAsyncContextManager[T]]) -> Iterator[T]:
        """Enter an asynchronous context for the length of a block.

        Args:
            make: Creates the context manager; called once, in the loop.

        """

        async def made() -> AbstractAsyncContextManager[T]:
            return make()

        there = self.run(made())
        value = self.run(there.__aenter__())
        try:
            yield value
        finally:
            if not self.ended:
                self.run(there.__aexit__(None, None, None))


async def _all_cancelled() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


async def _pumped(
    make: Callable[[], AsyncGenerator[Any, None]], items: "asyncio.Queue[tuple[bool, Any]]"
) -> None:
    """Put the generator's items into the queue; the last entry says how it ended.

    A single task does this, since a response has to be closed by the task that opened it.
    """
    try:
        async with aclosing(make()) as there:
            async for item in there:
                await items.put((True, item))
    except Exception as error:  # noqa: BLE001 - `stream` raises it again
        await items.put((False, error))
    else:
        await items.put((False, None))


def _ended(pump: "Future[None]") -> None:
    pump.cancel()
    with suppress(CancelledError):
        pump.result(timeout=5)


_running: dict[int, Background] = {}
_making = threading.Lock()


def background() -> Background:
    """Return the loop of this process. A forked process gets its own, as it has no threads yet."""
    with _making:
        if (pid := os.getpid()) not in _running:
            _running.clear()
            _running[pid] = Background()
        return _running[pid]
