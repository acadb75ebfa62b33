"""When to reconcile again: after a failure, and at the next resync. Pure; jitter is an argument."""

import math
from collections.abc import Callable

__all__ = ["RateLimiter", "backoff"]

Jitter = Callable[[], float]
"""Returns a number from 0 to 1, as `random.random`."""

_BEAT = 8.0
"""Resyncs are due at multiples of this many seconds (at most a tenth of their interval).

So they run in batches. A reconcile without changes takes 0.08 ms in a batch, but ten times as long
if the process wakes for it alone, with cold CPU caches.
"""


def backoff(failures: int, jitter: Jitter, *, first: float = 1.0, longest: float = 60.0) -> float:
    """Return the seconds to wait after a number of failures in a row.

    Full jitter: anything up to the bound, which doubles from `first` to `longest`. The minimum is
    a tenth of the bound, so that a low random number does not retry at once.
    """
    bound = min(longest, first * 2.0 ** min(failures - 1, 30))
    return bound * (0.1 + 0.9 * jitter())


class RateLimiter:
    """Spreads reconciles over time, at most `rate` per second: resyncs, each at a random moment of
    the interval, or retries."""

    def __init__(self, interval: float, rate: int, jitter: Jitter) -> None:
        """Create a limiter without bookings.

        Args:
            interval: Seconds between two resyncs of an object, unless a call gives another; also
                how often past seconds are dropped.
            rate: Maximum reconciles per second.
            jitter: Returns a random number from 0 to 1.

        """
        self._interval = interval
        self._rate = rate
        self._jitter = jitter
        self._booked: dict[int, int] = {}
        self._first = 0

    def next(self, now: float, interval: float | None = None) -> float:
        """Book the resync after one at `now`: an interval later, plus or minus a tenth of it."""
        interval = interval or self._interval
        return self.at(now, _on_a_beat(now + interval * (0.9 + 0.2 * self._jitter()), interval))

    def first(self, now: float, interval: float | None = None) -> float:
        """Book the first resync of an object found in sync at the start, within one interval."""
        interval = interval or self._interval
        return self.at(now, _on_a_beat(now + interval * self._jitter(), interval))

    def at(self, now: float, wanted: float) -> float:
        """Book a reconcile at a time, or in the first second after it that has room."""
        self._forget(int(now))
        second = int(wanted)
        while self._booked.get(second, 0) >= self._rate:
            second += 1
        self._booked[second] = self._booked.get(second, 0) + 1
        return max(wanted, float(second))

    def _forget(self, now: int) -> None:
        """Drop past seconds, once per interval, so that memory stays bounded."""
        if now - self._first > self._interval:
            self._booked = {
                second: count for second, count in self._booked.items() if second >= now
            }
            self._first = now


def _on_a_beat(when: float, interval: float) -> float:
    beat = min(_BEAT, interval / 10)
    return math.floor(when / beat) * beat
