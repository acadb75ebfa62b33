"""What is remembered of each object between two passes, and when the next is due. Doing passes
does not belong here.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from modelyard.cache import Key
from modelyard.engine.backoff import Pacer, backoff
from modelyard.engine.outage import Outages, Turn
from modelyard.engine.queue import Priority, Queue
from modelyard.engine.result import Outcome, ReconcileResult

__all__ = ["Schedule"]

_NOT_AT_ONCE = 1.0
_RETRIES = 20
"""Failed objects of one namespace that are tried again in one second. Thousands of them, each after
a minute at the latest, would take a core for tries that fail, and everybody else's changes would
wait for it."""
_HEALINGS = 50
"""Objects of one namespace that are looked at in one second when what they waited for answers
again.
"""
_CALENDAR = 60.0
_SAYS_NOTHING = {Outcome.BUSY, Outcome.CONFLICT, Outcome.UNAVAILABLE}
"""Ends of a pass after which an object that waited for MLflow or S3 still does."""


@dataclass(slots=True)
class _Look:
    """What the last look saw, when the next is due, failures in a row."""

    mark: int | None
    due: float
    failures: int = 0


class Schedule:
    """Sets the queue's times."""

    def __init__(
        self,
        queue: Queue,
        pacer: Pacer,
        dice: Callable[[], float],
        quiet: Callable[[str], float | None] = lambda _: None,
    ) -> None:
        """Make one that remembers nothing.

        Args:
            queue: What is due.
            pacer: When resyncs are due.
            dice: Where chance comes from.
            quiet: Seconds between two resyncs of an object of a kind, by plural, that stays as it
                is; None is the pacer's own.

        """
        self._quiet = quiet
        self._queue = queue
        self._pacer = pacer
        self._dice = dice
        self._looks: dict[Key, _Look] = {}
        self._outages = Outages(dice)
        self._retries: dict[str, Pacer] = {}
        self._healings: dict[str, Pacer] = {}

    def knows(self, key: Key) -> bool:
        """Tell whether this process has looked at an object, or was told to."""
        return key in self._looks

    def spares(self, key: Key, mark: int, now: float) -> bool:
        """Tell whether nothing has changed since the last look, and the next is not due."""
        look = self._looks.get(key)
        return look is not None and look.mark == mark and now < look.due

    def adopt(self, key: Key, mark: int, now: float) -> None:
        """Take an object over that the process before left settled: its next look may wait, for
        all of these come at once.
        """
        due = self._pacer.first(now, self._quiet(key.plural))
        self._looks[key] = _Look(mark, due)
        self._queue.add_at(key, Priority.LOW, due)

    def force(self, key: Key, now: float) -> None:
        """Let the next look not be spared."""
        self._looks.setdefault(key, _Look(None, now)).mark = None

    def forget(self, key: Key, now: float) -> None:
        """Drop all that is known of an object that is gone."""
        self._looks.pop(key, None)
        self._queue.forget(key)
        self._let_ask(self._outages.left(key, now), now)

    def away(self) -> Mapping[tuple[str, str], int]:
        """Return how many objects wait for something that is away, by namespace and what it is."""
        return self._outages.waiting()

    def after(self, key: Key, result: ReconcileResult, now: float) -> None:
        """Set the time of the next look by how the last one ended."""
        if result.outcome is Outcome.GONE:
            self.forget(key, now)
            return
        look = self._looks.setdefault(key, _Look(None, now))
        if result.outcome in {Outcome.SETTLED, Outcome.INVALID}:
            look.failures = 0
        elif result.outcome is not Outcome.BUSY:
            look.failures += 1
        look.mark = result.fingerprint
        if result.down is not None:
            # It waits in line, without a time of its own.
            look.due = math.inf
            self._queue.forget(key)
            self._let_ask(self._outages.failed(key, result.down, now), now + result.retry_after)
            return
        if result.outcome is Outcome.SETTLED:
            for other in self._outages.answered(key):
                self._set(
                    other,
                    Priority.LOW,
                    self._calendar(self._healings, key.namespace, _HEALINGS).at(now, now),
                )
        elif result.outcome not in _SAYS_NOTHING:
            self._let_ask(self._outages.left(key, now), now)
        due, priority = self._next(key, result, look.failures, now)
        self._set(key, priority, due)

    def _let_ask(self, turns: Iterable[Turn], earliest: float) -> None:
        for key, when in turns:
            self._set(key, Priority.LOW, max(when, earliest))

    def _set(self, key: Key, priority: Priority, due: float) -> None:
        self._looks[key].due = due
        self._queue.add_at(key, priority, due)

    def _next(
        self, key: Key, result: ReconcileResult, failures: int, now: float
    ) -> tuple[float, Priority]:
        match result.outcome:
            case Outcome.SETTLED | Outcome.INVALID:
                # One that has just changed may be changing still, in MLflow or S3.
                resync = self._pacer.next(now, self._quiet(key.plural) if result.quiet else None)
                if (
                    result.requeue_after is None
                    or now + result.requeue_after.total_seconds() >= resync
                ):
                    return resync, Priority.LOW
                return now + max(result.requeue_after.total_seconds(), _NOT_AT_ONCE), Priority.HIGH
            case Outcome.BUSY:
                return now, Priority.HIGH
            case Outcome.CONFLICT:
                return now + backoff(failures, self._dice, first=0.25, longest=10.0), Priority.HIGH
            case Outcome.UNAVAILABLE:  # the gate sees to it that not all come at once
                return now + max(
                    backoff(failures, self._dice, first=0.25, longest=2.0), result.retry_after
                ), Priority.HIGH
            case _:
                wanted = now + max(backoff(failures, self._dice), result.retry_after)
                return self._calendar(self._retries, key.namespace, _RETRIES).at(
                    now, wanted
                ), Priority.LOW

    def _calendar(self, calendars: dict[str, Pacer], namespace: str, rate: int) -> Pacer:
        """Return a namespace's own calendar: a tenant with one object does not wait behind
        another's thousands.
        """
        return calendars.setdefault(namespace, Pacer(_CALENDAR, rate, self._dice))
