"""What pods that split their requests have counted, in intervals: deltas of answers, kept in
memory. Asking pods is `pod_counters`.

Every answer adds what its process has counted since its last answer under the same revision to the
interval that runs. So a pod that is silent when an interval closes has in it what it said before,
and in a later one what it counted meanwhile; a pod that was new, began again or has just taken the
revision counts from its first answer on. Nothing counts twice. Lost is what no answer told: what a
process counted after its last one, or before its first.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from modelyard.adapters.pod_counters import Counters
from modelyard.traffic import Arm, Interval, Split, SplitObservation

__all__ = ["Splits"]

_FORGOTTEN = timedelta(hours=1)
"""Counts that nothing asked for in this time are dropped: of a rollout that has ended, or a
model that is gone.
"""


@dataclass
class _Running:
    """What was counted of one split since its pods were told the same.

    Attributes:
        split: What was asked last.
        asked: When that was.
        opened: When the interval that runs began; None until a pod applies the revision.
        last: By pod, what it said last under this revision.
        stable: What the interval has so far.
        candidate: The same for the candidate.
        closed: The interval before, until it is judged.

    """

    split: Split
    asked: datetime
    opened: datetime | None = None
    last: dict[str, Counters] = field(default_factory=dict)
    stable: Arm = field(default_factory=Arm)
    candidate: Arm = field(default_factory=Arm)
    closed: Interval | None = None

    def take(self, said: Mapping[str, Counters], there: frozenset[str], now: datetime) -> None:
        """Add answers to the interval.

        Args:
            said: By pod, the answers that apply the revision.
            there: The pods that may say something of it later: those that are there and apply no
                other revision.
            now: When they came.

        """
        for uid, counters in said.items():
            before = self.last.get(uid)
            if before is not None and _continues(before, counters):
                self.stable = _plus(self.stable, counters.stable, before.stable)
                self.candidate = _plus(self.candidate, counters.candidate, before.candidate)
        self.last = {uid: each for uid, each in self.last.items() if uid in there} | dict(said)
        if self.opened is None and said:
            self.opened = now

    def close(self, now: datetime) -> Interval | None:
        """Return the interval that is to be judged now, if there is one: the one before, or the
        one that ran long enough.
        """
        if self.closed is not None and self.closed.number != self.split.judged + 1:
            self.closed = None
        if (
            self.closed is None
            and self.opened is not None
            and now - self.opened >= self.split.interval
        ):
            self.closed = Interval(
                self.split.judged + 1, _possible(self.stable), _possible(self.candidate)
            )
            self.opened, self.stable, self.candidate = now, Arm(), Arm()
        return self.closed


class Splits:
    """Keeps the intervals of every stage whose pods split."""

    def __init__(self) -> None:
        """Begin with nothing counted."""
        self._running: dict[tuple[str, str], _Running] = {}

    def seen(
        self, asked: Split, said: Mapping[str, Counters], there: frozenset[str], now: datetime
    ) -> SplitObservation:
        """Take in what pods say now.

        Args:
            asked: What is asked of them.
            said: What those said that answered, by uid.
            there: The uids of all of them.
            now: The time.

        Returns:
            What they apply, what they counted under the revision, and an interval that is over and
                not judged.

        """
        applied = {uid: each.revision for uid, each in said.items() if each.revision is not None}
        now_counted = {uid: each for uid, each in said.items() if each.revision == asked.revision}
        running = self._of(asked, now)
        running.take(now_counted, there - (said.keys() - now_counted.keys()), now)
        stable = candidate = Arm()
        for each in now_counted.values():
            stable, candidate = _plus(stable, each.stable), _plus(candidate, each.candidate)
        return SplitObservation(applied, stable, candidate, running.close(now))

    def _of(self, asked: Split, now: datetime) -> _Running:
        """Return what runs, or begin: with a first question, other pods, or another revision."""
        key = asked.uid, asked.stage
        found = self._running.get(key)
        if found is None or (found.split.identity, found.split.revision) != (
            asked.identity,
            asked.revision,
        ):
            self._running = {
                each: kept for each, kept in self._running.items() if now - kept.asked < _FORGOTTEN
            }
            found = self._running[key] = _Running(asked, now)
        found.split, found.asked = asked, now
        return found


def _continues(before: Counters, now: Counters) -> bool:
    """Tell whether an answer is of the process of the one before: counters never fall."""
    pairs = ((before.stable, now.stable), (before.candidate, now.candidate))
    return before.started == now.started and all(_not_less(old, new) for old, new in pairs)


def _not_less(old: Arm, new: Arm) -> bool:
    counts = (
        (old.requests, new.requests),
        (old.failures, new.failures),
        (old.refusals, new.refusals),
    )
    buckets = ((count, new.latency.get(number, 0)) for number, count in old.latency.items())
    return all(before <= after for before, after in (*counts, *buckets))


def _plus(total: Arm, now: Arm, before: Arm | None = None) -> Arm:
    """Return a total with what was counted between two answers."""
    old = before or Arm()
    more = {number: count - old.latency.get(number, 0) for number, count in now.latency.items()}
    numbers = sorted(total.latency.keys() | {number for number, count in more.items() if count})
    return Arm(
        total.requests + now.requests - old.requests,
        total.failures + now.failures - old.failures,
        total.refusals + now.refusals - old.refusals,
        {number: total.latency.get(number, 0) + more.get(number, 0) for number in numbers},
    )


def _possible(arm: Arm) -> Arm:
    """Return counts that can be: a pod is read while it counts, so that a failure may come
    before its request.
    """
    failures = min(arm.failures, arm.requests)
    return replace(arm, failures=failures, refusals=min(arm.refusals, arm.requests - failures))
