"""What is remembered of each object between two passes, and when the next is due. Doing passes does not belong here."""

from collections.abc import Callable
from dataclasses import dataclass

from modelyard.cache import Key
from modelyard.engine.backoff import Pacer, backoff
from modelyard.engine.queue import Lane, Queue
from modelyard.engine.reconcile import Outcome, Verdict

__all__ = ["Schedule"]

_NOT_AT_ONCE = 1.0
_RETRIES = 20
"""Failed objects of one namespace that are tried again in one second. Thousands of them, each after a minute at the latest, would take a
core for tries that fail, and everybody else's changes would wait for it."""
_CALENDAR = 60.0


@dataclass(slots=True)
class _Look:
    """What the last look saw, when the next is due, failures in a row."""

    mark: int | None
    due: float
    failures: int = 0


class Schedule:
    """Sets the queue's times."""

    def __init__(self, queue: Queue, pacer: Pacer, dice: Callable[[], float]) -> None:
        """Make one that remembers nothing."""
        self._queue = queue
        self._pacer = pacer
        self._dice = dice
        self._looks: dict[Key, _Look] = {}
        self._retries: dict[str, Pacer] = {}

    def knows(self, key: Key) -> bool:
        """Tell whether this process has looked at an object, or was told to."""
        return key in self._looks

    def spares(self, key: Key, mark: int, now: float) -> bool:
        """Tell whether nothing has changed since the last look, and the next is not due."""
        look = self._looks.get(key)
        return look is not None and look.mark == mark and now < look.due

    def adopt(self, key: Key, mark: int, now: float) -> None:
        """Take an object over that the process before left settled: its next look may wait, for all of these come at once."""
        due = self._pacer.first(now)
        self._looks[key] = _Look(mark, due)
        self._queue.add_at(key, Lane.ROUTINE, due)

    def force(self, key: Key, now: float) -> None:
        """Let the next look not be spared."""
        self._looks.setdefault(key, _Look(None, now)).mark = None

    def forget(self, key: Key) -> None:
        """Drop all that is known of an object that is gone."""
        self._looks.pop(key, None)
        self._queue.forget(key)

    def after(self, key: Key, verdict: Verdict, now: float) -> None:
        """Set the time of the next look by how the last one ended."""
        if verdict.outcome is Outcome.GONE:
            self.forget(key)
            return
        look = self._looks.setdefault(key, _Look(None, now))
        if verdict.outcome in {Outcome.SETTLED, Outcome.INVALID}:
            look.failures = 0
        elif verdict.outcome is not Outcome.BUSY:
            look.failures += 1
        look.mark = verdict.mark
        look.due, lane = self._next(key, verdict, look.failures, now)
        self._queue.add_at(key, lane, look.due)

    def _next(self, key: Key, verdict: Verdict, failures: int, now: float) -> tuple[float, Lane]:
        match verdict.outcome:
            case Outcome.SETTLED | Outcome.INVALID:
                resync = self._pacer.next(now)
                if verdict.again is None or now + verdict.again.total_seconds() >= resync:
                    return resync, Lane.ROUTINE
                return now + max(verdict.again.total_seconds(), _NOT_AT_ONCE), Lane.CHANGE
            case Outcome.BUSY:
                return now, Lane.CHANGE
            case Outcome.CONFLICT:
                return now + backoff(failures, self._dice, first=0.25, longest=10.0), Lane.CHANGE
            case Outcome.UNAVAILABLE:  # the gate sees to it that not all come at once
                return now + max(backoff(failures, self._dice, first=0.25, longest=2.0), verdict.retry_after), Lane.CHANGE
            case _:
                wanted = now + max(backoff(failures, self._dice), verdict.retry_after)
                return self._retries_of(key.namespace).at(now, wanted), Lane.ROUTINE

    def _retries_of(self, namespace: str) -> Pacer:
        """Return a namespace's own calendar: a tenant with one failed object does not wait behind another's thousands."""
        return self._retries.setdefault(namespace, Pacer(_CALENDAR, _RETRIES, self._dice))
