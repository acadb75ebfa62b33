"""The port `Traffic`: requests that serving pods answered, added up over pods and processes.

The sums of a watched version are kept in memory, so that a failed write of a status cannot count a
request twice. The status has a copy, from which a restarted operator continues.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from modelyard.adapters.pod_counters import Counters
from modelyard.adapters.pod_split import Splits
from modelyard.plan import Manifest
from modelyard.traffic import Answered, Split, SplitObservation, Watched

__all__ = ["PodTraffic"]

_INTERVAL = timedelta(seconds=10)
"""Seconds between two reads of the pods; a reconcile before that gets the last sum."""
_FORGOTTEN = timedelta(hours=1)
"""Sums that are not read for this time are dropped: the watch has ended, or the model is gone."""
_MOST = 999_999_999_999
"""Maximum count: the status has room for this many digits."""


class _Reads(Protocol):
    async def read(self, pods: Iterable[Manifest]) -> Mapping[str, Counters]: ...


@dataclass
class _Sum:
    """One version's sum.

    Attributes:
        watched: What is counted.
        first: When pods were first read; what they had answered before does not count.
        asked: When they were last read.
        total: The sum.
        counters: Each pod's last answer.

    """

    watched: Watched
    first: datetime
    asked: datetime
    total: Answered
    counters: dict[str, Counters] = field(default_factory=dict)


class PodTraffic:
    """Adds up the counters of pods."""

    def __init__(self, pods: _Reads) -> None:
        """Create it without counts.

        Args:
            pods: Reads the pods' counters.

        """
        self._pods = pods
        self._sums: dict[tuple[str, str], _Sum] = {}
        self._splits = Splits()

    async def answered(self, watched: Watched, pods: Iterable[Manifest], now: datetime) -> Answered:
        """Return what a version's pods answered; they are read at most every 10 s."""
        key = watched.uid, watched.stage
        found = self._sums.get(key)
        if found is None or (found.watched.since, found.watched.identity) != (
            watched.since,
            watched.identity,
        ):
            self._sums = {
                each: kept for each, kept in self._sums.items() if now - kept.asked < _FORGOTTEN
            }
            found = self._sums[key] = _Sum(watched, now, now, watched.recorded)
        elif now - found.asked < _INTERVAL:
            return found.total
        found.asked = now
        current = tuple(pods)
        created = {str(pod["metadata"]["uid"]): _created(pod) for pod in current}
        answers = await self._pods.read(current)
        for uid, counters in answers.items():
            before = _before(found, uid, created[uid], counters)
            found.total = _plus(found.total, counters, before)
        # A pod that did not answer keeps its last answer: what it has counted since then is added
        # the next time.
        kept = {uid: each for uid, each in found.counters.items() if uid in created}
        found.counters = kept | {
            uid: Counters(each.started, each.requests, each.failures)
            for uid, each in answers.items()
        }
        return found.total

    async def split(
        self, asked: Split, pods: Iterable[Manifest], now: datetime
    ) -> SplitObservation:
        """Return the counts of pods that split their requests; they are read each time."""
        current = tuple(pods)
        answers = await self._pods.read(current)
        uids = frozenset(str(pod["metadata"]["uid"]) for pod in current)
        return self._splits.observed(asked, answers, uids, now)


def _before(sums: _Sum, uid: str, created: datetime | None, now: Counters) -> Counters | None:
    """Return the counters of a pod that are already counted; None for zero."""
    last = sums.counters.get(uid)
    if last is None:
        # A pod created after the first reading started at zero; an older one may have been counted
        # before this process started.
        return None if created is not None and created > sums.first else now
    is_same = (
        last.started == now.started
        and last.requests <= now.requests
        and last.failures <= now.failures
    )
    return last if is_same else None


def _plus(total: Answered, now: Counters, before: Counters | None) -> Answered:
    requests = now.requests - (before.requests if before is not None else 0)
    failures = now.failures - (before.failures if before is not None else 0)
    return Answered(
        min(total.requests + requests, _MOST), min(total.failures + min(failures, requests), _MOST)
    )


def _created(pod: Manifest) -> datetime | None:
    text = pod["metadata"].get("creationTimestamp")
    return datetime.fromisoformat(text) if text else None
