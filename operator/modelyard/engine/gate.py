"""When Kubernetes does not answer: nobody asks but one at a time, until it does. Pure; the waiting
is the engine's.

Without it every object would be tried on its own: thousands of requests at a server that is down,
and long back-offs when it is back.
"""

__all__ = ["Gate"]

_STRIKES = 3
_FIRST = 0.25
_LONGEST = 1.0


class Gate:
    """Open as long as Kubernetes answers; three failures with no success between them shut it."""

    def __init__(self) -> None:
        """Make an open one."""
        self._failures = 0
        self._until = 0.0

    @property
    def shut(self) -> bool:
        """Whether only one at a time may try."""
        return self._failures >= _STRIKES

    @property
    def until(self) -> float:
        """When the next one may try, if it is shut."""
        return self._until

    def blocks(self, now: float, held: int) -> bool:
        """Tell whether nobody may begin now, while `held` are under way."""
        return self.shut and (now < self._until or held > 0)

    def failed(self, now: float, retry_after: float) -> None:
        """Note that Kubernetes did not answer, or asked to be left alone for so many seconds."""
        self._failures += 1
        pause = (
            min(_LONGEST, _FIRST * 2.0 ** min(self._failures - _STRIKES, 8)) if self.shut else 0.0
        )
        self._until = max(self._until, now + max(pause, retry_after))

    def passed(self) -> None:
        """Note that it answered."""
        self._failures = 0
        self._until = 0.0
