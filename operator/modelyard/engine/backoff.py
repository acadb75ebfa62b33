"""When to look again: after a failure, and at the next resync. Pure, with the dice as an
argument; the waiting is the queue's.
"""

import math
from collections.abc import Callable

__all__ = ["Pacer", "backoff"]

Dice = Callable[[], float]
"""Returns a number from 0 to 1, as `random.random`."""

_BEAT = 8.0
"""Seconds, at most a tenth of the interval. The resyncs of one beat are done together: a look that
finds nothing takes 0.08 ms beside others, and ten times as much where the process wakes for it
alone and finds its caches cold."""


def backoff(failures: int, dice: Dice, *, first: float = 1.0, longest: float = 60.0) -> float:
    """Return the seconds to wait after so many failures in a row.

    Full jitter: anything up to the bound, which doubles from `first` to `longest`. A tenth of the
    bound is always waited, so that a lucky roll does not hammer.
    """
    bound = min(longest, first * 2.0 ** min(failures - 1, 30))
    return bound * (0.1 + 0.9 * dice())


class Pacer:
    """Spreads looks over time, so that no second gets more than `rate` of them: resyncs, each at a
    random moment of the interval, or what is tried again."""

    def __init__(self, interval: float, rate: int, dice: Dice) -> None:
        """Make an empty calendar.

        Args:
            interval: Seconds between two resyncs of an object, unless another is asked for; until
                then the calendar keeps what is past.
            rate: Looks a second at most.
            dice: Where chance comes from.

        """
        self._interval = interval
        self._rate = rate
        self._dice = dice
        self._booked: dict[int, int] = {}
        self._first = 0

    def next(self, now: float, interval: float | None = None) -> float:
        """Book the resync after one that happened now: an interval later, a tenth of it earlier
        or later.
        """
        interval = interval or self._interval
        return self.at(now, _on_a_beat(now + interval * (0.9 + 0.2 * self._dice()), interval))

    def first(self, now: float, interval: float | None = None) -> float:
        """Book the first resync of an object that a start found settled: anywhere in the coming
        interval.
        """
        interval = interval or self._interval
        return self.at(now, _on_a_beat(now + interval * self._dice(), interval))

    def at(self, now: float, wanted: float) -> float:
        """Book a look at a moment, or in the first second after it that has room."""
        self._forget(int(now))
        second = int(wanted)
        while self._booked.get(second, 0) >= self._rate:
            second += 1
        self._booked[second] = self._booked.get(second, 0) + 1
        return max(wanted, float(second))

    def _forget(self, now: int) -> None:
        """Drop the seconds that are past: the calendar is never longer than an interval and what
        overflowed it.
        """
        if now - self._first > self._interval:
            self._booked = {
                second: count for second, count in self._booked.items() if second >= now
            }
            self._first = now


def _on_a_beat(when: float, interval: float) -> float:
    beat = min(_BEAT, interval / 10)
    return math.floor(when / beat) * beat
