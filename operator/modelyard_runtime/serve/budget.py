"""How much memory all requests of a process use together, in bytes. Used only in the event loop."""

import asyncio
from collections import deque

from modelyard_runtime.serve.limits import Limits
from modelyard_runtime.serve.values import Refused

__all__ = ["Budget", "Held"]


class Budget:
    """Two budgets: a body or answer beyond the first is refused; work waits for the second."""

    def __init__(self, limits: Limits) -> None:
        """Start with nothing taken."""
        self._limits = limits
        self._held = self._working = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    def take(self, size: int) -> None:
        """Hold `size` bytes of a body or an answer, until `give`.

        Raises:
            Refused: The budget is exhausted at the moment.

        """
        if self._held + size > self._limits.held:
            message = (
                f"the server holds {self._held} bytes of other requests and answers, of"
                f" {self._limits.held} that its memory allows;"
            )
            raise Refused(f"{message} try again soon", 503)
        self._held += size

    def give(self, size: int) -> None:
        """Release `size` bytes."""
        self._held -= size

    async def begin(self, weight: int) -> None:
        """Wait until work of this weight fits, first come, first served; `end` releases it."""
        if not self._waiting and self._working + weight <= self._limits.work:
            self._working += weight
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((weight, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._working -= weight  # its turn came at the moment of the cancellation
            self._next()
            raise

    def end(self, weight: int) -> None:
        """Release the weight, and let the next work begin."""
        self._working -= weight
        self._next()

    def _next(self) -> None:
        while self._waiting:
            weight, turn = self._waiting[0]
            if not turn.done():
                if self._working + weight > self._limits.work:
                    return
                self._working += weight
                turn.set_result(None)
            self._waiting.popleft()


class Held:
    """The bytes that one request holds of a budget: first its body, then its answer."""

    def __init__(self, budget: Budget) -> None:
        """Start with nothing."""
        self._budget = budget
        self.size = 0

    def take(self, size: int) -> None:
        """Hold `size` more bytes.

        Raises:
            Refused: They do not fit.

        """
        self._budget.take(size)
        self.size += size

    def exchange(self, size: int) -> None:
        """Hold `size` bytes instead of the present ones.

        Raises:
            Refused: They do not fit.

        """
        self.give()
        self.take(size)

    def give(self) -> None:
        """Release all."""
        self._budget.give(self.size)
        self.size = 0
