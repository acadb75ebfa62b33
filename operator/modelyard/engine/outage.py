"""Which objects wait for MLflow or S3, of one namespace each: one of them asks, and the others are
told when somebody answers.

A plain data structure without a clock: the time is an argument, and who sets the times is
`engine.schedule`. Whoever asked in vain goes to the end of the line, so that one object which
nobody ever answers holds no other up.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from modelyard.cache import Key
from modelyard.engine.backoff import backoff

__all__ = ["Outages", "Turn"]

_LONGEST = 30.0
"""Seconds from one question to the next at most: the first object heals so soon after an outage,
and all others follow it.
"""
_ROUND = 300.0
"""Seconds in which everybody in a line shall have asked: some may be answered though others are
not.
"""
_SHORTEST = 0.5
"""Seconds from one question to the next at least, however long the line is."""

Turn = tuple[Key, float]
"""Who asks next, and when."""


@dataclass(slots=True)
class _Outage:
    """The line, in the order in which they ask; the first is to ask at `until`."""

    line: OrderedDict[Key, None] = field(default_factory=OrderedDict)
    failures: int = 0
    until: float = 0.0


class Outages:
    """What is away, for whom."""

    def __init__(self, dice: Callable[[], float]) -> None:
        """Make one in which nothing is away."""
        self._dice = dice
        self._outages: dict[tuple[str, str], _Outage] = {}
        self._waits: dict[Key, tuple[str, str]] = {}

    def failed(self, key: Key, what: str, now: float) -> list[Turn]:
        """Note that an object asked in vain.

        Args:
            key: The object.
            what: What is away: `MLflow`.
            now: The time.

        Returns:
            Who asks next, and when: nobody new if it was not this one's turn, and two if it waited
                for something else before.

        """
        place = (key.namespace, what)
        turns = self.left(key, now) if self._waits.get(key, place) != place else []
        self._waits[key] = place
        outage = self._outages.setdefault(place, _Outage())
        its_turn = not outage.line or next(iter(outage.line)) == key
        outage.line[key] = None
        outage.line.move_to_end(key)
        if not its_turn:
            return turns
        outage.failures += 1
        longest = min(_LONGEST, max(_SHORTEST, _ROUND / len(outage.line)))
        outage.until = now + backoff(outage.failures, self._dice, longest=longest)
        return [*turns, (next(iter(outage.line)), outage.until)]

    def answered(self, key: Key) -> list[Key]:
        """Note that an object got on; return the others that waited for the same."""
        place = self._waits.get(key)
        if place is None:
            return []
        line = self._outages.pop(place).line
        for each in line:
            del self._waits[each]
        return [each for each in line if each != key]

    def left(self, key: Key, now: float) -> list[Turn]:
        """Note that an object waits no more, whatever is away; return who asks in its place, and
        when, if it was its turn.
        """
        place = self._waits.pop(key, None)
        if place is None:
            return []
        outage = self._outages[place]
        its_turn = next(iter(outage.line)) == key
        del outage.line[key]
        if not outage.line:
            del self._outages[place]
            return []
        return [(next(iter(outage.line)), max(outage.until, now))] if its_turn else []

    def waiting(self) -> Mapping[tuple[str, str], int]:
        """Return how many objects wait, by namespace and what is away."""
        return {place: len(outage.line) for place, outage in self._outages.items()}
