"""The seam to what serving pods answered: the port, and the small values that cross it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from modelyard.plan import Manifest

__all__ = ["Answered", "Traffic", "Watched"]


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


class Traffic(Protocol):
    """The counters of serving pods."""

    async def answered(self, watched: Watched, pods: Iterable[Manifest], now: datetime) -> Answered:
        """Return what a version's pods answered. Pods are asked now and then only, and one that does not answer in time counts nothing.

        What was answered before the first time that its pods were asked is not counted, nor what pods answered between the last time
        and their end. Raises nothing.
        """
        ...
