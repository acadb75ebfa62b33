"""Requests on their way in and answers on their way out, within the limits: bodies, work in
threads, clients that do not read.

Which request means what belongs to `app`, what it becomes to `intake`, connections to `deadlines`.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from modelyard_runtime.serve import encoding, intake
from modelyard_runtime.serve.budget import Budget, Held
from modelyard_runtime.serve.deadlines import ABORT, LATE
from modelyard_runtime.serve.limits import Limits
from modelyard_runtime.serve.predictor import Answer, Asked, Predictor, Request, answered
from modelyard_runtime.serve.values import Refused

__all__ = ["PIECE", "Message", "Receive", "Reception", "Send"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
T = TypeVar("T")

_THREADS = 4
PIECE = 65_536
"""Bytes of an answer that are handed to a client before it has read the last ones."""


class Reception:
    """What the requests of a process share."""

    def __init__(self, limits: Limits) -> None:
        """Begin with no request."""
        self._limits = limits
        self._budget = Budget(limits)
        self._pool = ThreadPoolExecutor(_THREADS, "predict")

    def held(self) -> Held:
        """Return what a request holds: nothing yet."""
        return Held(self._budget)

    async def body(self, scope: Message, receive: Receive, held: Held) -> bytes:
        """Read a request's body, which `held` then has.

        Raises:
            Refused: It is too large, or did not come in time.

        """
        sent = (value for name, value in scope["headers"] if name == b"content-length")
        self._fits(next((int(value) for value in sent if value.isdigit()), 0))
        pieces, more = [], True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Refused("the client went away", 499)
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
                f"the body has {size} bytes, {most} are allowed; send fewer rows at a time", 413
            )

    async def slowly(
        self,
        work: Callable[[Predictor, Request], Asked],
        model: Predictor,
        request: Request,
        compressed: str,
    ) -> Answer:
        """Judge a request by what it becomes, and predict, beside the event loop.

        Args:
            work: What is asked.
            model: The model.
            request: The request.
            compressed: How its body is compressed.

        Raises:
            Refused: It becomes too much, or is not predicted in time.

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
        """Do work that takes so many bytes in a thread, when it is its turn."""
        size = min(size, self._limits.work)
        await self._budget.begin(size)
        loop = asyncio.get_running_loop()

        def ended(_: Future[T]) -> None:
            """Give back what the thread took; one that was given up has it until now."""
            with suppress(RuntimeError):  # the loop has ended, and the process will
                loop.call_soon_threadsafe(self._budget.end, size)

        done = self._pool.submit(work, *arguments)
        done.add_done_callback(ended)
        return await asyncio.wrap_future(done)

    async def send(
        self, head: Message, body: bytes, scope: Message, send: Send, held: Held
    ) -> None:
        """Send an answer, no faster than the client reads it, and drop a client that does not:
        it may not have read those before.
        """
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
