"""Circuit breaker per namespace and dependency (MLflow, S3): one object probes, the others are
parked, and all are released when a probe succeeds.

A plain data structure without a clock: the time is an argument, and `engine.schedule` sets the
times. An object whose probe fails goes to the end of the queue, so that an object whose calls
always fail does not keep the others parked.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from modelyard.cache import Key
from modelyard.engine.backoff import backoff

__all__ = ["Outages", "Probe"]

_LONGEST = 30.0
"""Maximum seconds between two probes, so also from the end of an outage until the first recovery.
"""
_ROUND = 300.0
"""Seconds in which each parked object should probe once: some succeed while others still fail."""
_SHORTEST = 0.5
"""Minimum seconds between two probes, however many objects are parked."""

Probe = tuple[Key, float]
"""The object that probes next, and when."""


@dataclass(slots=True)
class _Outage:
    """The parked objects in the order in which they probe; the first probes at `until`."""

    parked: OrderedDict[Key, None] = field(default_factory=OrderedDict)
    failures: int = 0
    until: float = 0.0


class Outages:
    """The dependencies that are down, by namespace, and the objects that wait for each."""

    def __init__(self, jitter: Callable[[], float]) -> None:
        """Create one in which no dependency is down."""
        self._jitter = jitter
        self._outages: dict[tuple[str, str], _Outage] = {}
        self._waits: dict[Key, tuple[str, str]] = {}

    def park(self, key: Key, dependency: str, now: float) -> list[Probe]:
        """Park an object whose calls to a dependency failed.

        Args:
            key: The object.
            dependency: What is down: `MLflow`.
            now: The time.

        Returns:
            The next probes to schedule: none if another object is the one that probes; two if this
                object was parked for another dependency before.

        """
        place = (key.namespace, dependency)
        probes = self.unpark(key, now) if self._waits.get(key, place) != place else []
        self._waits[key] = place
        outage = self._outages.setdefault(place, _Outage())
        is_probe = not outage.parked or next(iter(outage.parked)) == key
        outage.parked[key] = None
        outage.parked.move_to_end(key)
        if not is_probe:
            return probes
        outage.failures += 1
        longest = min(_LONGEST, max(_SHORTEST, _ROUND / len(outage.parked)))
        outage.until = now + backoff(outage.failures, self._jitter, longest=longest)
        return [*probes, (next(iter(outage.parked)), outage.until)]

    def release(self, key: Key) -> list[Key]:
        """End the outage for which an object was parked, because its calls have succeeded.

        Returns:
            The other objects that were parked for the same dependency.

        """
        place = self._waits.get(key)
        if place is None:
            return []
        parked = self._outages.pop(place).parked
        for each in parked:
            del self._waits[each]
        return [each for each in parked if each != key]

    def unpark(self, key: Key, now: float) -> list[Probe]:
        """Remove one object, whatever it is parked for; the other objects stay parked.

        Returns:
            The next probe, if this object was the one that probes.

        """
        place = self._waits.pop(key, None)
        if place is None:
            return []
        outage = self._outages[place]
        is_probe = next(iter(outage.parked)) == key
        del outage.parked[key]
        if not outage.parked:
            del self._outages[place]
            return []
        return [(next(iter(outage.parked)), max(outage.until, now))] if is_probe else []

    def parked(self) -> Mapping[tuple[str, str], int]:
        """Return the number of parked objects by namespace and dependency."""
        return {place: len(outage.parked) for place, outage in self._outages.items()}
