"""The state of an analysis between intervals: evidence, sums and totals of each metric. Pure.

The state spans the whole rollout with all steps and pauses. It is stored as JSON of at most `SIZE`
characters in a ConfigMap. It has the number of the last interval, so that no interval counts twice.
If it is lost or damaged, a new test begins, with the same bound on false alarms.
"""

import hashlib
from math import log
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from modelyard.api.analysis import METRICS, Analysis, Metric
from modelyard.api.wire import LATENCY_EDGES
from modelyard.registered_model import counted
from modelyard.registered_model.sequential import (
    BETTER,
    NO_SUMS,
    WORSE,
    Counts,
    Evidence,
    Limit,
    Sums,
    added,
    advance,
    log_alone,
)
from modelyard.traffic import Interval

__all__ = [
    "SIZE",
    "SPLIT_ALPHA",
    "Judged",
    "Progress",
    "SplitShare",
    "advanced",
    "begun",
    "fails",
    "key",
]

SIZE = 32_768
"""Longest text that is read, in characters."""
SPLIT_ALPHA = 0.001
"""Upper bound of the probability that a working split is ever called broken."""
_SPLIT_LIMIT = 3
"""The `failureLimit` of this test.

When a candidate starts to hang, one interval misses some of its requests.
"""
_TOTAL = 10**15
_FORMAT = 1
"""Version of the format; raise it when the meaning of stored texts changes."""

_Count = Annotated[int, Field(ge=0, le=_TOTAL)]
_Weight = Annotated[float, Field(ge=0, le=1e15)]
_Sum = Annotated[float, Field(ge=-1e18, le=1e18)]
_Bets = Annotated[tuple[_Weight, ...], Field(min_length=len(WORSE), max_length=len(WORSE))]


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class _Tested(_Kept):
    """The state of one test."""

    intervals: _Count = 0
    bets: _Bets = Evidence().bets

    @property
    def evidence(self) -> Evidence:
        """The evidence against the limit."""
        return Evidence(self.intervals, self.bets)


class Judged(_Tested):
    """One metric: its evidence, the sums for its bound, and the totals of the judged intervals."""

    sums: Annotated[
        tuple[tuple[_Sum, _Sum], ...], Field(min_length=len(BETTER), max_length=len(BETTER))
    ] = NO_SUMS
    failed: _Count = 0
    requests: _Count = 0
    stable_failed: _Count = 0
    stable_requests: _Count = 0


class SplitShare(_Kept):
    """A test that the candidate is drawn as often as the weight says.

    Attributes:
        more: Evidence that it is drawn too often.
        less: Evidence that it is drawn too rarely.
        drawn: Requests drawn for the candidate.
        requests: All requests.
        expected: Requests for the candidate by the weights.

    """

    more: _Tested = _Tested()
    less: _Tested = _Tested()
    drawn: _Count = 0
    requests: _Count = 0
    expected: _Weight = 0.0

    @property
    def is_broken(self) -> bool:
        """Whether pods draw another share than the weight: then no interval can be judged."""
        return max(self.more.evidence.value, self.less.evidence.value) >= 2 / SPLIT_ALPHA


class Progress(_Kept):
    """The analysis of one rollout so far.

    Attributes:
        key: Identifies the rollout and the test (`key`).
        intervals: Number of the last judged interval; 0: none.
        metrics: By the metric's name.
        stable_latency: The stable version's latencies; older ones weigh less (`counted.decayed`).
        split: The test of the candidate's share.
        is_alarmed: Whether the last interval alone, without the cap, refutes a metric's limit.

    """

    key: Annotated[str, Field(max_length=64)]
    intervals: _Count = 0
    metrics: Annotated[
        dict[Annotated[str, Field(max_length=30)], Judged], Field(max_length=METRICS + 2)
    ] = {}
    stable_latency: Annotated[
        dict[Annotated[int, Field(ge=0, le=len(LATENCY_EDGES))], _Weight],
        Field(max_length=len(LATENCY_EDGES) + 1),
    ] = {}
    split: SplitShare = SplitShare()
    is_alarmed: bool = False

    @classmethod
    def load(cls, text: str) -> Self | None:
        """Read the text of `dump`; None if it is any other text, or too long."""
        if len(text) > SIZE:
            return None
        try:
            return cls.model_validate_json(text)
        except ValueError:
            return None

    def dump(self) -> str:
        """Return it as JSON, below `SIZE` characters."""
        return self.model_dump_json(exclude_defaults=True)


def key(analysis: Analysis, candidate: str, attempt: int) -> str:
    """Return the key of a progress: a hash of everything that changes the test.

    Fields that decide only how long to wait and what follows (minRequests, noData, inconclusive,
    interval) are left out: changing them must not discard evidence against the candidate.

    Args:
        analysis: The stage's analysis.
        candidate: The candidate's identity, of its version, digest and runtime.
        attempt: The stage's attempt.

    """
    metrics = [metric.model_dump_json(exclude_none=True) for metric in analysis.judged]
    parts = [
        str(_FORMAT),
        candidate,
        str(attempt),
        str(analysis.failure_limit),
        str(float(analysis.false_alarms)),
        *metrics,
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def begun(key: str, text: str | None) -> Progress:
    """Return the progress in a text; an empty one if it is None or of another rollout."""
    found = Progress.load(text) if text is not None else None
    return found if found is not None and found.key == key else Progress(key=key)


def fails(judged: Judged, analysis: Analysis) -> bool:
    """Tell whether a metric is shown to exceed its limit; no interval is judged after that."""
    return judged.evidence.value >= 1 / analysis.alpha


def advanced(
    progress: Progress,
    interval: Interval,
    analysis: Analysis,
    *,
    weight: int,
    sticky: bool,
    pods: int = 1,
) -> Progress:
    """Return the progress after one more interval.

    Args:
        progress: The progress before. After a Fail it is returned unchanged.
        interval: The interval. One that was judged before changes nothing; numbers may have gaps.
        analysis: The stage's analysis, of which `progress` has the key.
        weight: The candidate's share by the pods' rule in this interval, in percent.
        sticky: Callers are drawn, not requests, and a pod counts a caller until its first failure
            or refusal: then the share is not tested against the weight.
        pods: Number of pods that count, each of which may count the same caller (`_shared`).

    """
    callers_on = pods if sticky else None
    if interval.number <= progress.intervals or any(
        fails(each, analysis) for each in progress.metrics.values()
    ):
        return progress
    update: dict[str, object] = {"intervals": interval.number}
    split = progress.split
    if not (sticky or split.is_broken):
        split = _split(split, interval, weight)
    if not split.is_broken:
        judged = {
            metric.name: _judged(metric, progress, interval, analysis, callers_on)
            for metric in analysis.judged
        }
        update |= {
            "metrics": judged,
            "stable_latency": counted.decayed(progress.stable_latency, interval.stable),
            "is_alarmed": any(
                _alarms(metric, progress, interval, analysis, callers_on)
                for metric in analysis.judged
            ),
        }
    return progress.model_copy(update=update | {"split": split})


def _alarms(
    metric: Metric,
    progress: Progress,
    interval: Interval,
    analysis: Analysis,
    callers_on: int | None,
) -> bool:
    limit, counts = counted.limit(metric), counted.counts(metric, interval, progress.stable_latency)
    return (
        counts is not None
        and limit.serves(counts)
        and log_alone(_shared(counts, callers_on), limit) >= log(1 / analysis.alpha)
    )


def _shared(counts: Counts, callers_on: int | None) -> Counts:
    """Return counts in which a caller weighs at most one, though each of several pods counts it.

    With the n-th root of each factor its expectation stays at most 1 (Jensen), even where the
    n pods count the same caller.
    """
    if callers_on is None or callers_on <= 1:
        return counts
    return Counts(*(each / callers_on for each in counts))


def _judged(
    metric: Metric,
    progress: Progress,
    interval: Interval,
    analysis: Analysis,
    callers_on: int | None,
) -> Judged:
    old = progress.metrics.get(metric.name, Judged())
    limit, counts = counted.limit(metric), counted.counts(metric, interval, progress.stable_latency)
    if counts is None or not limit.serves(counts):
        return old
    evidence = advance(
        old.evidence,
        _shared(counts, callers_on),
        limit,
        alpha=analysis.alpha,
        # Each caller counts once, so a lasting failure is in one interval only, as a short one is.
        failure_limit=analysis.failure_limit if callers_on is None else None,
    )
    sums: Sums = added(old.sums, _shared(counts, callers_on), limit)
    return Judged(
        intervals=evidence.intervals,
        bets=evidence.bets,
        sums=sums,
        failed=_total(old.failed, counts.failed),
        requests=_total(old.requests, counts.requests),
        stable_failed=_total(old.stable_failed, counts.stable_failed),
        stable_requests=_total(old.stable_requests, counts.stable_requests),
    )


def _split(old: SplitShare, interval: Interval, weight: int) -> SplitShare:
    """Return the split after one more interval; at weights 0 and 100 no draw takes place."""
    if not 0 < weight < 100:
        return old
    drawn, others = (min(max(each, 0), _TOTAL) for each in _draws(interval))
    share, both = weight / 100, min(drawn + others, _TOTAL)
    more = _tested(old.more, Counts(drawn, both), Limit(0, share))
    less = _tested(old.less, Counts(others, both), Limit(0, 1 - share))
    return SplitShare(
        more=more,
        less=less,
        drawn=_total(old.drawn, drawn),
        requests=_total(old.requests, both),
        expected=min(old.expected + share * both, float(_TOTAL)),
    )


def _draws(interval: Interval) -> tuple[int, int]:
    """Return how often the candidate and the stable version were drawn.

    Draws are used because a candidate that hangs is drawn long before its requests are counted.
    Pods of older runtimes report only answers; these are used then.
    """
    candidate, stable = interval.candidate, interval.stable
    if candidate.drawn or stable.drawn:
        return candidate.drawn, stable.drawn
    return candidate.requests, stable.requests


def _tested(old: _Tested, counts: Counts, limit: Limit) -> _Tested:
    # Both directions share the probability of a false alarm.
    evidence = advance(
        old.evidence, counts, limit, alpha=SPLIT_ALPHA / 2, failure_limit=_SPLIT_LIMIT
    )
    return _Tested(intervals=evidence.intervals, bets=evidence.bets)


def _total(before: int, more: float) -> int:
    return min(before + int(more), _TOTAL)
