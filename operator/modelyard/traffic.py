"""The port to the counters of serving pods, and its values."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from modelyard.plan import Manifest

__all__ = ["Answered", "Arm", "Interval", "Seen", "Split", "Traffic", "Watched"]


@dataclass(frozen=True)
class Answered:
    """Requests that a version's pods answered since the stage switched to it, as far as counted.

    Attributes:
        requests: Number of answered requests.
        failures: Number of those that failed: status 500 and above, which includes time-outs.

    """

    requests: int = 0
    failures: int = 0


@dataclass(frozen=True)
class Watched:
    """The version whose requests are counted.

    Attributes:
        uid: Uid of the RegisteredModel.
        stage: The stage.
        identity: Identity of the version's serving objects, which pods return with their counters.
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
    """Requests assigned to one version, whichever version finally answered them.

    Attributes:
        requests: Number of requests.
        failures: Number that the version failed: status 500 and above, no connection, no answer in
            time, or skipped after such a failure.
        refusals: Number that it refused: status 400 to 499.
        latency: Histogram of the other answers' latencies: count by index of the upper edge
            (`wire.LATENCY_EDGES`).

    """

    requests: int = 0
    failures: int = 0
    refusals: int = 0
    latency: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Split:
    """A query for the counters of pods that split their requests.

    Attributes:
        uid: Uid of the RegisteredModel.
        stage: The stage.
        identity: Identity of the pods that split.
        revision: Revision of the traffic rule last sent to them.
        interval: Shortest length of one interval of counts.
        judged: Number of intervals of this rollout that are judged and recorded; the next one has
            this number plus one.

    """

    uid: str
    stage: str
    identity: str
    revision: int
    interval: timedelta
    judged: int = 0


@dataclass(frozen=True)
class Interval:
    """Counts of one interval, in which the traffic rule did not change."""

    number: int
    stable: Arm
    candidate: Arm


@dataclass(frozen=True)
class Seen:
    """Counters of the pods that split their requests.

    Attributes:
        revisions: The revision that each pod applies, by the pod's uid; 0 means no rule. Pods that
            did not answer are absent.
        stable: Counts under the queried revision, summed over the pods that apply it.
        candidate: The same for the candidate.
        interval: A complete interval that is not judged yet; the same one until it is judged.

    """

    revisions: Mapping[str, int] = field(default_factory=dict)
    stable: Arm = field(default_factory=Arm)
    candidate: Arm = field(default_factory=Arm)
    interval: Interval | None = None


class Traffic(Protocol):
    """The counters of serving pods."""

    async def answered(self, watched: Watched, pods: Iterable[Manifest], now: datetime) -> Answered:
        """Return the counts of a version's pods.

        Pods are queried occasionally; one that does not answer in time adds nothing.

        Requests before the first query, and those between a pod's last query and its end, are not
        counted. Raises nothing.
        """
        ...

    async def split(self, asked: Split, pods: Iterable[Manifest], now: datetime) -> Seen:
        """Return the counters of pods that split their requests.

        Each pod is queried every time, for its revision.

        An interval in which the revision changed, or before which the operator started, is left
        out. Counts are differences between two answers of one process of one pod under one
        revision. Raises nothing.
        """
        ...
