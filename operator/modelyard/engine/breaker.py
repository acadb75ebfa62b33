"""Circuit breaker for Kubernetes: while it does not answer, one reconcile at a time tries. Pure.

Without it every object would be tried separately: thousands of requests to a server that is down,
and long back-offs when it is back.
"""

__all__ = ["CircuitBreaker"]

_FAILURES = 3
_FIRST = 0.25
_LONGEST = 1.0


class CircuitBreaker:
    """Closed while Kubernetes answers; opens after three failures without a success between."""

    def __init__(self) -> None:
        """Create a closed one."""
        self._failures = 0
        self._until = 0.0

    @property
    def is_open(self) -> bool:
        """Whether only one reconcile at a time may try."""
        return self._failures >= _FAILURES

    @property
    def until(self) -> float:
        """When the next reconcile may try, if the breaker is open."""
        return self._until

    def blocks(self, now: float, held: int) -> bool:
        """Return whether no reconcile may start now, while `held` are under way."""
        return self.is_open and (now < self._until or held > 0)

    def failed(self, now: float, retry_after: float) -> None:
        """Record that Kubernetes did not answer, or asked to wait `retry_after` seconds."""
        self._failures += 1
        pause = 0.0
        if self.is_open:
            pause = min(_LONGEST, _FIRST * 2.0 ** min(self._failures - _FAILURES, 8))
        self._until = max(self._until, now + max(pause, retry_after))

    def succeeded(self) -> None:
        """Record that Kubernetes answered."""
        self._failures = 0
        self._until = 0.0
