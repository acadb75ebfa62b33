"""One thread with an event loop, for a library that is asynchronous behind a client that is not.

kr8s can do so by itself; its synchronous half knows neither raw answers nor an end in the middle,
and starts a thread that spins until the loop is there. What is asked of Kubernetes does not belong
here.
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
_FAREWELL = 2.0
"""Seconds that what is open is given to close when the process ends."""
_AHEAD = 128
"""Items of a stream that are read before somebody asks for them."""


class Background:
    """A loop on a thread of its own, which ends with the process. Any thread may use it, but for
    its own.

    Attributes:
        ended: The process is ending, and nothing more is to be had: what is still open goes with
            it.

    """

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self.loop.run_forever, name="modelyard-client", daemon=True
        )
        self._thread.start()
        self.ended = False
        self._process = os.getpid()
        # Before the interpreter freezes the thread: whoever waited for it after that would wait for
        # ever.
        atexit.register(self._end)

    def _end(self) -> None:
        if self._process != os.getpid():
            return
        self.ended = True
        with suppress(Exception):
            asyncio.run_coroutine_threadsafe(_all_cancelled(), self.loop).result(_FAREWELL)

    def run(self, work: Coroutine[Any, Any, T], seconds: float | None = None) -> T:
        """Do it, and wait for it. An interrupt (Ctrl-C, a stopped cell) ends the work as well.

        Raises:
            TimeoutError: It was not done in so many seconds, and has been ended.
            SystemExit: The process ended meanwhile. The thread that works along while it does so
                ends with it, without a word.

        """
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        # What came too late for the others' end would never have one. The main thread's last words
        # (atexit) are still said.
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
        """Go through an asynchronous generator; whoever stops early, or is interrupted, ends it.

        Args:
            make: Called once, in the loop.
            seconds: When it ends at the latest, silently; never if absent.

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
                    if self.ended:  # a thread that reads along
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
            make: Called once, in the loop.

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
    """Fill the queue; the last entry says how it ended. One task does it all: a response is
    closed by whom it was opened.
    """
    try:
        async with aclosing(make()) as there:
            async for item in there:
                await items.put((True, item))
    except Exception as error:  # noqa: BLE001 - it is raised again, where it was asked for
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
    """Return the loop of this process; a fork has none of its parent's threads, and gets its
    own.
    """
    with _making:
        if (pid := os.getpid()) not in _running:
            _running.clear()
            _running[pid] = Background()
        return _running[pid]
