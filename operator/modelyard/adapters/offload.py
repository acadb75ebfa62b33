"""Run blocking calls in threads: a bounded pool per dependency, and a reliable deadline per call.

A thread cannot be killed, but its sockets can: at the deadline the sockets of the call are shut
down, so its thread returns. Each namespace has one thread besides the pool's, so no namespace waits
for another's calls.
"""

import asyncio
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from modelyard.errors import Ambiguous, Dependency, Unavailable

__all__ = ["Abandoned", "CancelToken", "Pool", "Share", "current_token"]

T = TypeVar("T")

_thread = threading.local()


class Abandoned(Exception):
    """Raised by `CancelToken.check` in a thread whose caller no longer waits."""


class CancelToken:
    """Connects a call in a thread to its caller, which observes progress and can cancel."""

    def __init__(self) -> None:
        """Create a token that is not cancelled."""
        self._cancelled = threading.Event()
        self._lock = threading.Lock()
        self._held: socket.socket | None = None
        self._inode = 0
        self.moved = time.monotonic()

    def cancel(self) -> None:
        """Cancel the call, and shut down the connection that the thread waits for."""
        self._cancelled.set()
        with self._lock:
            if self._held is not None:
                _shut(self._held)

    def check(self) -> None:
        """Record progress, or raise `Abandoned` if the call was cancelled."""
        if self._cancelled.is_set():
            raise Abandoned
        self.moved = time.monotonic()

    def hold(self, connection: socket.socket) -> None:
        """Shut a connection down when the call is cancelled, even if a library wraps its socket.

        A thread waits for one connection at a time: the last one counts.
        """
        with self._lock:
            inode = os.fstat(connection.fileno()).st_ino
            if self._held is None or inode != self._inode:
                self._drop()
                # Our own descriptor: libraries wrap, detach and close theirs while an answer is
                # still being read.
                self._held, self._inode = (
                    socket.fromfd(connection.fileno(), connection.family, connection.type),
                    inode,
                )
            if self._cancelled.is_set():
                _shut(self._held)

    def release(self) -> None:
        """Release the connection when the call has ended."""
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None


def current_token() -> CancelToken | None:
    """Return the token of the call that runs in this thread."""
    return getattr(_thread, "token", None)


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class Pool:
    """Threads for one dependency: `size` shared ones, and one more for each share in use."""

    def __init__(self, dependency: Dependency, size: int, *, own: bool = True) -> None:
        """Create a pool; threads start on demand.

        Args:
            dependency: The dependency that is called.
            size: Maximum concurrent threads.
            own: Whether each share has one more thread that no other share can use.

        """
        self.dependency: Dependency = dependency
        self._free = size
        self._own = 1 if own else 0
        self._waiting: deque[tuple[Share, asyncio.Future[None]]] = deque()

    def share(self, size: int) -> "Share":
        """Return one namespace's share: at most `size` threads."""
        return Share(self, size)

    async def enter(self, share: "Share", end: float) -> bool:
        """Wait for a thread until a time of the loop; return whether there is one."""
        if not any(other is share for other, _ in self._waiting) and self._take(share):
            return True
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((share, turn))
        try:
            async with asyncio.timeout_at(end):
                await turn
        except TimeoutError:
            return turn.done() and not turn.cancelled()
        except BaseException:
            if turn.done() and not turn.cancelled():
                self.leave(share)
            raise
        finally:
            with suppress(ValueError):
                self._waiting.remove((share, turn))
        return True

    def leave(self, share: "Share") -> None:
        """Give a thread back; the share that has waited longest gets it."""
        if share.running > self._own:
            self._free += 1
        share.running -= 1
        for other, turn in tuple(self._waiting):
            if not turn.done() and self._take(other):
                turn.set_result(None)

    def _take(self, share: "Share") -> bool:
        borrowed = share.running >= self._own
        if share.running >= share.size or (borrowed and self._free == 0):
            return False
        share.running += 1
        self._free -= borrowed
        return True


class Share:
    """At most `size` threads at a time."""

    def __init__(self, pool: Pool, size: int) -> None:
        """Create a share; call `Pool.share` instead."""
        self.size = size
        self.running = 0
        self._pool = pool
        self._dependency: Dependency = pool.dependency
        self._idle = asyncio.Event()
        self._idle.set()

    async def idle(self) -> None:
        """Wait until every thread of this share has returned, including cancelled calls'."""
        await self._idle.wait()

    async def run(
        self,
        operation: str,
        subject: str,
        function: Callable[[CancelToken], T],
        *,
        deadline: float,
        write: bool = False,
        stall: float = float("inf"),
    ) -> T:
        """Run a blocking function in a thread.

        Args:
            operation: The operation, for the error's message.
            subject: Its object, for the error's message.
            function: Runs in the thread; a long one calls `CancelToken.check` between its steps.
            deadline: Seconds to wait for a thread and for the result together.
            write: Whether the function writes to the dependency.
            stall: Seconds without a step after which the call is cancelled.

        Raises:
            Unavailable: No thread became free in time, or there was no result in time.
            Ambiguous: It is a write, it started, and there was no result in time.
            Exception: What the function raises.

        """
        loop = asyncio.get_running_loop()
        end = loop.time() + deadline
        if not await self._pool.enter(self, end):
            raise Unavailable(
                self._dependency, operation, subject, "too many calls are waiting already"
            )
        result: asyncio.Future[T] = loop.create_future()
        token = CancelToken()
        self._idle.clear()
        try:
            self._start(loop, result, function, token)
        except RuntimeError:
            self._end()
            raise Unavailable(
                self._dependency, operation, subject, "this process cannot start another thread"
            ) from None
        try:
            await _settled(result, token, end, stall)
        finally:
            if not result.done():
                token.cancel()
                result.add_done_callback(_forget)
        if result.done():
            return result.result()
        kind = Ambiguous if write else Unavailable
        late = (
            f"no answer within {deadline:.3g} s"
            if loop.time() >= end
            else f"it sent almost nothing for {stall:g} s"
        )
        raise kind(self._dependency, operation, subject, late)

    def _start(
        self,
        loop: asyncio.AbstractEventLoop,
        result: "asyncio.Future[Any]",
        function: Callable[[CancelToken], Any],
        token: CancelToken,
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
            _thread.token = token
            try:
                value = function(token)
            except StopIteration as raised:  # a future does not accept it
                error = RuntimeError(f"StopIteration from a blocking call: {raised}")
            except BaseException as raised:  # noqa: BLE001 - it is passed to the caller
                error = raised
            token.release()
            try:
                loop.call_soon_threadsafe(settle, value, error)
            except RuntimeError:
                return  # the loop is closed: the process ends

        # Daemon threads, one per call: a hanging store must not keep the process from exiting.
        # Starting one costs 60 us, a call takes milliseconds.
        threading.Thread(target=work, name=f"modelyard-{self._dependency}", daemon=True).start()

    def _end(self) -> None:
        self._pool.leave(self)
        if self.running == 0:
            self._idle.set()


async def _settled(
    result: "asyncio.Future[Any]", token: CancelToken, end: float, stall: float
) -> None:
    """Wait for a result, until `end` or until the thread takes no step for `stall` seconds."""
    while not result.done():
        left = min(end, token.moved + stall) - time.monotonic()
        if left <= 0:
            return
        # wait, not wait_for, which would cancel a future that the thread still sets.
        await asyncio.wait({result}, timeout=left)


def _forget(result: "asyncio.Future[Any]") -> None:
    """Retrieve an unused exception, or asyncio would log that it was never retrieved."""
    if not result.cancelled():
        result.exception()
