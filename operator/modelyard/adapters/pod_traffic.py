"""What serving pods answered, added up over pods and processes: the port `Traffic`.

The sums of a watched version are kept in memory, where no write that fails can count a request
twice; the status has a copy, from which an operator that comes back counts on. How a pod is asked
does not belong here (`pod_counters`), nor what pods count that split their requests (`pod_split`).
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

_AGAIN = timedelta(seconds=10)
"""A reconcile that comes sooner gets what was read last."""
_FORGOTTEN = timedelta(hours=1)
"""Sums that nothing asked for in this time are dropped: of a watch that has ended, or a model
that is gone.
"""
_MOST = 999_999_999_999
"""Counts beyond it are cut: the status has room for so many digits."""


class _Asks(Protocol):
    async def read(self, pods: Iterable[Manifest]) -> Mapping[str, Counters]: ...


@dataclass
class _Sum:
    """One version's sum.

    Attributes:
        watched: What is counted.
        first: When pods were asked first; what the pods of that time had answered by then does not
            count.
        asked: When they were asked last.
        total: What was answered.
        counters: By pod, what it said last.

    """

    watched: Watched
    first: datetime
    asked: datetime
    total: Answered
    counters: dict[str, Counters] = field(default_factory=dict)


class PodTraffic:
    """Adds up."""

    def __init__(self, pods: _Asks) -> None:
        """Begin with nothing counted.

        Args:
            pods: Who asks the pods.

        """
        self._pods = pods
        self._sums: dict[tuple[str, str], _Sum] = {}
        self._splits = Splits()

    async def answered(self, watched: Watched, pods: Iterable[Manifest], now: datetime) -> Answered:
        """Return what a version's pods answered; they are asked every 10 s at most."""
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
        elif now - found.asked < _AGAIN:
            return found.total
        found.asked = now
        there = tuple(pods)
        born = {str(pod["metadata"]["uid"]): _created(pod) for pod in there}
        said = await self._pods.read(there)
        for uid, counters in said.items():
            found.total = _plus(found.total, counters, _before(found, uid, born[uid], counters))
        # A pod that did not answer keeps what it said last: what it has answered since counts the
        # next time.
        kept = {uid: each for uid, each in found.counters.items() if uid in born}
        found.counters = kept | {
            uid: Counters(each.started, each.requests, each.failures) for uid, each in said.items()
        }
        return found.total

    async def split(
        self, asked: Split, pods: Iterable[Manifest], now: datetime
    ) -> SplitObservation:
        """Return what pods say that split their requests; they are asked each time."""
        there = tuple(pods)
        said = await self._pods.read(there)
        return self._splits.seen(
            asked, said, frozenset(str(pod["metadata"]["uid"]) for pod in there), now
        )


def _before(sums: _Sum, uid: str, born: datetime | None, now: Counters) -> Counters | None:
    """Return the counters of a pod from which the new ones count; None: from zero."""
    last = sums.counters.get(uid)
    if last is None:
        # One that is new since the first time began at zero; another one may have been counted by
        # the operator before.
        return None if born is not None and born > sums.first else now
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
