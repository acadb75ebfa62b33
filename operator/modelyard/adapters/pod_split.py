"""Counts of pods that split their requests, per interval: differences of answers, kept in memory.

Each answer adds to the current interval what its process has counted since its last answer under
the same revision. If a pod does not answer when an interval closes, its counts since its last
answer go into a later interval. A pod that is new, has restarted or has just applied the revision
counts from its first answer on. Nothing counts twice. What a process counted before its first
answer or after its last one is lost.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from modelyard.adapters.pod_counters import Counters
from modelyard.traffic import Arm, Interval, Split, SplitObservation

__all__ = ["Splits"]

_FORGOTTEN = timedelta(hours=1)
"""Counts not read for this time are dropped: the rollout has ended, or the model is gone."""


@dataclass
class _Running:
    """The counts of one split under one revision.

    Attributes:
        split: The last request for counts.
        asked: The time of that request.
        opened: When the current interval started; None until a pod applies the revision.
        last: Each pod's last answer under this revision.
        stable: The counts of the current interval.
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

    def take(self, answers: Mapping[str, Counters], pods: frozenset[str], now: datetime) -> None:
        """Add answers to the interval.

        Args:
            answers: By pod, the answers of those that apply the revision.
            pods: The pods whose last answer is kept: those that exist and apply no other revision.
            now: When the answers came.

        """
        for uid, counters in answers.items():
            before = self.last.get(uid)
            if before is not None and _continues(before, counters):
                self.stable = _plus(self.stable, counters.stable, before.stable)
                self.candidate = _plus(self.candidate, counters.candidate, before.candidate)
        self.last = {uid: each for uid, each in self.last.items() if uid in pods} | dict(answers)
        if self.opened is None and answers:
            self.opened = now

    def close(self, now: datetime) -> Interval | None:
        """Return the interval to judge now, if any: the one before, or the current one if it is
        long enough.
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
    """Keeps the intervals of every stage whose pods split requests."""

    def __init__(self) -> None:
        """Create it without counts."""
        self._running: dict[tuple[str, str], _Running] = {}

    def observed(
        self, asked: Split, answers: Mapping[str, Counters], pods: frozenset[str], now: datetime
    ) -> SplitObservation:
        """Add the answers of one reading.

        Args:
            asked: The split that is read.
            answers: The answers by the pods' uid.
            pods: The uids of all pods.
            now: The time.

        Returns:
            The applied revisions, the counts under the asked revision, and an interval that is over
                and not judged.

        """
        applied = {uid: each.revision for uid, each in answers.items() if each.revision is not None}
        current = {uid: each for uid, each in answers.items() if each.revision == asked.revision}
        running = self._of(asked, now)
        running.take(current, pods - (answers.keys() - current.keys()), now)
        stable = candidate = Arm()
        for each in current.values():
            stable, candidate = _plus(stable, each.stable), _plus(candidate, each.candidate)
        return SplitObservation(applied, stable, candidate, running.close(now))

    def _of(self, asked: Split, now: datetime) -> _Running:
        """Return the running counts; start over for other pods or another revision."""
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
    """Return whether two answers are of the same process: its counters never decrease."""
    pairs = ((before.stable, now.stable), (before.candidate, now.candidate))
    return before.started == now.started and all(_not_less(old, new) for old, new in pairs)


def _not_less(old: Arm, new: Arm) -> bool:
    counts = (
        (old.requests, new.requests),
        (old.failures, new.failures),
        (old.refusals, new.refusals),
        (old.drawn, new.drawn),
    )
    buckets = ((count, new.latency.get(number, 0)) for number, count in old.latency.items())
    return all(before <= after for before, after in (*counts, *buckets))


def _plus(total: Arm, now: Arm, before: Arm | None = None) -> Arm:
    """Return a total plus the counts between two answers."""
    old = before or Arm()
    more = {number: count - old.latency.get(number, 0) for number, count in now.latency.items()}
    numbers = sorted(total.latency.keys() | {number for number, count in more.items() if count})
    return Arm(
        total.requests + now.requests - old.requests,
        total.failures + now.failures - old.failures,
        total.refusals + now.refusals - old.refusals,
        {number: total.latency.get(number, 0) + more.get(number, 0) for number in numbers},
        total.drawn + now.drawn - old.drawn,
    )


def _possible(arm: Arm) -> Arm:
    """Return consistent counts: a pod that is counting may show a failure before its request."""
    failures = min(arm.failures, arm.requests)
    return replace(arm, failures=failures, refusals=min(arm.refusals, arm.requests - failures))
