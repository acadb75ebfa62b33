"""The time of each object's next reconcile, from how the last one ended."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from modelyard.cache import Key
from modelyard.engine.backoff import RateLimiter, backoff
from modelyard.engine.outage import Outages, Probe
from modelyard.engine.queue import Priority, Queue
from modelyard.engine.result import Outcome, ReconcileResult

__all__ = ["Schedule"]

_SHORTEST = 1.0
"""Minimum seconds until a reconcile that a plan asks for."""
_RETRIES = 20
"""Maximum retries of failed objects of one namespace per second.

Without it, thousands of failing objects would keep a core busy, and other changes would wait.
"""
_RELEASES = 50
"""Maximum reconciles per second of one namespace's parked objects after an outage has ended."""
_CALENDAR = 60.0
_INCONCLUSIVE = {Outcome.BUSY, Outcome.CONFLICT, Outcome.UNAVAILABLE}
"""Outcomes after which a parked object stays parked: MLflow and S3 may not have been called."""


@dataclass(slots=True)
class _Entry:
    """What the last reconcile observed, when the next is due, failures in a row."""

    fingerprint: int | None
    due: float
    failures: int = 0


class Schedule:
    """Sets the queue's times."""

    def __init__(
        self,
        queue: Queue,
        limiter: RateLimiter,
        jitter: Callable[[], float],
        quiet: Callable[[str], float | None] = lambda _: None,
    ) -> None:
        """Create an empty schedule.

        Args:
            queue: Receives the times.
            limiter: When resyncs are due.
            jitter: Returns a random number from 0 to 1.
            quiet: Returns the seconds between two resyncs of an unchanged object, by plural; None
                for the limiter's interval.

        """
        self._quiet = quiet
        self._queue = queue
        self._limiter = limiter
        self._jitter = jitter
        self._entries: dict[Key, _Entry] = {}
        self._outages = Outages(jitter)
        self._retries: dict[str, RateLimiter] = {}
        self._releases: dict[str, RateLimiter] = {}

    def knows(self, key: Key) -> bool:
        """Return whether this process has reconciled an object, or was asked to."""
        return key in self._entries

    def may_skip(self, key: Key, fingerprint: int, now: float) -> bool:
        """Return whether nothing has changed since the last reconcile, and the next is not due."""
        entry = self._entries.get(key)
        return entry is not None and entry.fingerprint == fingerprint and now < entry.due

    def adopt(self, key: Key, fingerprint: int, now: float) -> None:
        """Add an object that an earlier process left in sync, without reconciling it now.

        All such objects arrive at once, at the start; their first resyncs are spread.
        """
        due = self._limiter.first(now, self._quiet(key.plural))
        self._entries[key] = _Entry(fingerprint, due)
        self._queue.add_at(key, Priority.LOW, due)

    def force(self, key: Key, now: float) -> None:
        """Do not skip the next reconcile."""
        self._entries.setdefault(key, _Entry(None, now)).fingerprint = None

    def forget(self, key: Key, now: float) -> None:
        """Drop an object that is gone."""
        self._entries.pop(key, None)
        self._queue.forget(key)
        self._set_probes(self._outages.unpark(key, now), now)

    def parked(self) -> Mapping[tuple[str, str], int]:
        """Return the number of objects that wait for a dependency, by namespace and dependency."""
        return self._outages.parked()

    def after(self, key: Key, result: ReconcileResult, now: float) -> None:
        """Set the time of the next reconcile by how the last one ended."""
        if result.outcome is Outcome.GONE:
            self.forget(key, now)
            return
        entry = self._entries.setdefault(key, _Entry(None, now))
        if result.outcome in {Outcome.SETTLED, Outcome.INVALID}:
            entry.failures = 0
        elif result.outcome is not Outcome.BUSY:
            entry.failures += 1
        entry.fingerprint = result.fingerprint
        if result.down is not None:
            # A parked object waits for its probe or for its release, not for a time.
            entry.due = math.inf
            self._queue.forget(key)
            self._set_probes(self._outages.park(key, result.down, now), now + result.retry_after)
            return
        if result.outcome is Outcome.SETTLED:
            for other in self._outages.release(key):
                releases = self._calendar(self._releases, key.namespace, _RELEASES)
                self._set(other, Priority.LOW, releases.at(now, now))
        elif result.outcome not in _INCONCLUSIVE:
            self._set_probes(self._outages.unpark(key, now), now)
        due, priority = self._next(key, result, entry.failures, now)
        self._set(key, priority, due)

    def _set_probes(self, probes: Iterable[Probe], earliest: float) -> None:
        for key, when in probes:
            self._set(key, Priority.LOW, max(when, earliest))

    def _set(self, key: Key, priority: Priority, due: float) -> None:
        self._entries[key].due = due
        self._queue.add_at(key, priority, due)

    def _next(
        self, key: Key, result: ReconcileResult, failures: int, now: float
    ) -> tuple[float, Priority]:
        match result.outcome:
            case Outcome.SETTLED | Outcome.INVALID:
                # MLflow or S3 may still change for an object that has just changed, so only a
                # quiet object gets the longer interval.
                resync = self._limiter.next(now, self._quiet(key.plural) if result.quiet else None)
                if result.requeue_after is None:
                    return resync, Priority.LOW
                wanted = result.requeue_after.total_seconds()
                if now + wanted >= resync:
                    return resync, Priority.LOW
                return now + max(wanted, _SHORTEST), Priority.HIGH
            case Outcome.BUSY:
                return now, Priority.HIGH
            case Outcome.CONFLICT:
                return now + backoff(
                    failures, self._jitter, first=0.25, longest=10.0
                ), Priority.HIGH
            case Outcome.UNAVAILABLE:  # the circuit breaker lets one at a time through
                pause = backoff(failures, self._jitter, first=0.25, longest=2.0)
                return now + max(pause, result.retry_after), Priority.HIGH
            case _:
                wanted = now + max(backoff(failures, self._jitter), result.retry_after)
                retries = self._calendar(self._retries, key.namespace, _RETRIES)
                return retries.at(now, wanted), Priority.LOW

    def _calendar(
        self, calendars: dict[str, RateLimiter], namespace: str, rate: int
    ) -> RateLimiter:
        """Return a namespace's own limiter, so that one tenant's objects do not delay another's."""
        return calendars.setdefault(namespace, RateLimiter(_CALENDAR, rate, self._jitter))
