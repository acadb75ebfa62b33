"""The port to the counters of serving pods, and the values that cross it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from modelyard.plan import Manifest

__all__ = ["Answered", "Arm", "Interval", "Split", "SplitObservation", "Traffic", "Watched"]


@dataclass(frozen=True)
class Answered:
    """The counted answers of a version's pods since the stage switched to it.

    Attributes:
        requests: Answered requests.
        failures: Answers of 500 and above, including time-outs.

    """

    requests: int = 0
    failures: int = 0


@dataclass(frozen=True)
class Watched:
    """A version whose answers are counted.

    Attributes:
        uid: Uid of the RegisteredModel.
        stage: The stage.
        identity: Identity that the version's pods report with their counters.
        since: When the stage switched to it.
        recorded: The counts in the status, from which a restarted operator continues.

    """

    uid: str
    stage: str
    identity: str
    since: datetime
    recorded: Answered


@dataclass(frozen=True)
class Arm:
    """Requests drawn for one version, whichever version answered them in the end.

    Attributes:
        requests: All of them.
        failures: Requests that the version failed: 500 and above, no connection, no answer in time,
            or skipped after one of these.
        refusals: Requests that it answered with 400 to 499.
        latency: The other answers, counted by the number of the edge that bounds their duration
            (`wire.LATENCY_EDGES`).
        drawn: Draws of the version, counted before its answers; 0 of older runtimes.

    """

    requests: int = 0
    failures: int = 0
    refusals: int = 0
    latency: Mapping[int, int] = field(default_factory=dict)
    drawn: int = 0


@dataclass(frozen=True)
class Split:
    """A question to the pods that split their requests.

    Attributes:
        uid: Uid of the RegisteredModel.
        stage: The stage.
        identity: Identity of the pods that split.
        revision: The revision of their present rule.
        interval: The least length of one interval of counts.
        judged: Number of the last interval that was judged and kept; the next one follows it.

    """

    uid: str
    stage: str
    identity: str
    revision: int
    interval: timedelta
    judged: int = 0


@dataclass(frozen=True)
class Interval:
    """The counts of one interval, within which the pods had one rule."""

    number: int
    stable: Arm
    candidate: Arm


@dataclass(frozen=True)
class SplitObservation:
    """The answers of the pods that split their requests.

    Attributes:
        revisions: The revision that each pod applies, by the pod's uid; 0 is no rule. A pod that
            did not answer is missing.
        stable: The stable version's counts under the asked revision, summed over the pods that
            apply it.
        candidate: The same for the candidate.
        interval: An interval that has ended and is not judged yet; the same one until it is.

    """

    revisions: Mapping[str, int] = field(default_factory=dict)
    stable: Arm = field(default_factory=Arm)
    candidate: Arm = field(default_factory=Arm)
    interval: Interval | None = None


class Traffic(Protocol):
    """The counters of serving pods."""

    async def answered(self, watched: Watched, pods: Iterable[Manifest], now: datetime) -> Answered:
        """Return the counts of a version's pods, as of the last time that they were asked.

        A pod that does not answer in time counts nothing. Answers before the first question and
        between the last question and a pod's end are not counted. Raises nothing.
        """
        ...

    async def split(
        self, asked: Split, pods: Iterable[Manifest], now: datetime
    ) -> SplitObservation:
        """Ask every pod that splits its requests for its revision and its counts.

        An interval in which the revision changed, or before which an operator started, is dropped.
        Counts are differences between two answers of one process of one pod under one revision.
        Raises nothing.
        """
        ...
