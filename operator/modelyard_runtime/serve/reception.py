"""Receive bodies, predict in threads and send answers, within the limits of memory and time."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from modelyard_runtime.serve import encoding, intake
from modelyard_runtime.serve.budget import Budget, Held
from modelyard_runtime.serve.deadlines import ABORT, LATE
from modelyard_runtime.serve.limits import Limits
from modelyard_runtime.serve.predictor import Answer, AnswerGenerator, Predictor, Request, answered
from modelyard_runtime.serve.values import Refused

__all__ = ["PIECE", "Message", "Receive", "Reception", "Send"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
T = TypeVar("T")

_THREADS = 4
PIECE = 65_536
"""Bytes of an answer that are sent at a time; the next piece waits until the client reads."""


class Reception:
    """What the requests of a process share: limits, memory budget and threads."""

    def __init__(self, limits: Limits) -> None:
        """Start without requests."""
        self._limits = limits
        self._budget = Budget(limits)
        self._pool = ThreadPoolExecutor(_THREADS, "predict")

    def held(self) -> Held:
        """Return the budget of a new request."""
        return Held(self._budget)

    async def body(self, scope: Message, receive: Receive, held: Held) -> bytes:
        """Read a request's body, and count it in `held`.

        Raises:
            Refused: It is too large, or did not arrive in time.

        """
        sent = (value for name, value in scope["headers"] if name == b"content-length")
        self._fits(next((int(value) for value in sent if value.isdigit()), 0))
        pieces, more = [], True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Refused("the client closed the connection", 499)
            pieces.append(message.get("body", b""))
            held.take(len(pieces[-1]))
            self._fits(held.size)
            more = message.get("more_body", False)
        if LATE in scope:
            raise Refused(f"the body did not arrive within {self._limits.timeout:g} s", 408)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _fits(self, size: int) -> None:
        if (most := self._limits.body) < size:
            raise Refused(
                f"the body has {size} bytes, but {most} are allowed; send fewer rows at a time", 413
            )

    async def slowly(
        self,
        work: Callable[[Predictor, Request], AnswerGenerator],
        model: Predictor,
        request: Request,
        compressed: str,
    ) -> Answer:
        """Estimate a request's memory and predict it in threads, outside the event loop.

        Args:
            work: What the request's path does.
            model: The model.
            request: The request.
            compressed: The body's content encoding.

        Raises:
            Refused: It takes too much memory, or is not predicted in time.

        """
        limits = self._limits
        late = asyncio.timeout(limits.timeout)
        try:
            async with late:
                if compressed:
                    size = encoding.most(len(request.body), limits.body)
                    request = await self._apart(size, intake.unpacked, request, compressed, limits)
                size = await self._apart(0, intake.weighed, model, request, limits)
                size = await self._apart(size, intake.looked_into, model, request, size, limits)
                return await self._apart(size, lambda: answered(work(model, request), model))
        except TimeoutError:
            if not late.expired():  # the model's own
                raise
            raise Refused(
                f"there was no prediction within {limits.timeout:g} s; try again", 503
            ) from None

    async def _apart(self, size: int, work: Callable[..., T], *arguments: Any) -> T:
        """Do work that takes `size` bytes in a thread, as soon as the budget allows it."""
        size = min(size, self._limits.work)
        await self._budget.begin(size)
        loop = asyncio.get_running_loop()

        def ended(_: Future[T]) -> None:
            """Release the thread's bytes, which it keeps even if the request was cancelled."""
            with suppress(RuntimeError):  # the loop is closed: the process is exiting
                loop.call_soon_threadsafe(self._budget.end, size)

        done = self._pool.submit(work, *arguments)
        done.add_done_callback(ended)
        return await asyncio.wrap_future(done)

    async def send(
        self, head: Message, body: bytes, scope: Message, send: Send, held: Held
    ) -> None:
        """Send an answer no faster than the client reads; drop a client that does not read it."""
        try:
            async with asyncio.timeout(self._limits.timeout):
                await send(head)
                for start in range(0, len(body) or 1, PIECE):
                    more = start + PIECE < len(body)
                    piece = body[start : start + PIECE]
                    await send({"type": "http.response.body", "body": piece, "more_body": more})
        except TimeoutError:
            scope[ABORT]()
        finally:
            held.give()
