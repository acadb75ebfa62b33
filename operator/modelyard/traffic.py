"""The seam to what serving pods answered: the port, and the small values that cross it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from modelyard.plan import Manifest

__all__ = ["Answered", "Arm", "Interval", "Split", "SplitObservation", "Traffic", "Watched"]


@dataclass(frozen=True)
class Answered:
    """What the pods of a version answered since the stage switched to it, as far as it was counted.

    Attributes:
        requests: Requests that were answered.
        failures: Those that failed: 500 and above, time-outs among them.

    """

    requests: int = 0
    failures: int = 0


@dataclass(frozen=True)
class Watched:
    """What is counted.

    Attributes:
        uid: Uid of the RegisteredModel.
        stage: The stage.
        identity: Identity of the version's pods, which they give with their counters.
        since: When the stage switched to it.
        recorded: What the status has of it: an operator that comes back counts on from there.

    """

    uid: str
    stage: str
    identity: str
    since: datetime
    recorded: Answered


@dataclass(frozen=True)
class Arm:
    """Requests that were drawn for one version, whoever answered them in the end.

    Attributes:
        requests: All of them.
        failures: Those that the version failed: 500 and above, no connection, no answer in time,
            skipped after such.
        refusals: Those that it refused: 400 to 499.
        latency: How many of the other answers took up to each edge, by its number
            (`wire.LATENCY_EDGES`).

    """

    requests: int = 0
    failures: int = 0
    refusals: int = 0
    latency: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Split:
    """What is asked of pods that split their requests.

    Attributes:
        uid: Uid of the RegisteredModel.
        stage: The stage.
        identity: Identity of the pods that split.
        revision: What they were told last.
        interval: How much time one interval of counts takes at least.
        judged: How many intervals of this rollout are judged and recorded: the next one has the
            number after it.

    """

    uid: str
    stage: str
    identity: str
    revision: int
    interval: timedelta
    judged: int = 0


@dataclass(frozen=True)
class Interval:
    """What was counted in one interval, within which the pods were told the same."""

    number: int
    stable: Arm
    candidate: Arm


@dataclass(frozen=True)
class SplitObservation:
    """What the pods say that split their requests.

    Attributes:
        revisions: What each of them applies, by the pod's uid: 0 is no rule. One that did not
            answer is not there.
        stable: What was counted under the revision that was asked about, added up over the pods
            that apply it.
        candidate: The same for the candidate.
        interval: An interval that is over and not judged yet; the same one until it is.

    """

    revisions: Mapping[str, int] = field(default_factory=dict)
    stable: Arm = field(default_factory=Arm)
    candidate: Arm = field(default_factory=Arm)
    interval: Interval | None = None


class Traffic(Protocol):
    """The counters of serving pods."""

    async def answered(self, watched: Watched, pods: Iterable[Manifest], now: datetime) -> Answered:
        """Return what a version's pods answered. Pods are asked now and then only, and one that
        does not answer in time counts nothing.

        What was answered before the first time that its pods were asked is not counted, nor what
        pods answered between the last time and their end. Raises nothing.
        """
        ...

    async def split(
        self, asked: Split, pods: Iterable[Manifest], now: datetime
    ) -> SplitObservation:
        """Return what pods say that split their requests: each is asked every time, for its
        revision.

        An interval in which the revision changed, or before which an operator started, is left out.
        Counts are differences between two answers of one process of one pod under one revision.
        Raises nothing.
        """
        ...
