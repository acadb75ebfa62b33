"""`Stories`, and their shared steps: apply a run, end its pod, make a call fail."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from modelyard.errors import Unavailable
from modelyard.plan import Manifest
from tests.fakes.calls import Phase
from tests.story.world import Fate, World, manifest

__all__ = [
    "MINUTE",
    "RUNNING",
    "TRAINER",
    "UNAVAILABLE",
    "Live",
    "Stories",
    "Story",
    "answers",
    "ends",
    "trains",
    "waits",
]

Live = Callable[[World], Awaitable[None]]
TRAINER: Manifest = {"xgboost": {"task": "classification"}}
MINUTE = timedelta(minutes=1)
UNAVAILABLE = Unavailable("MLflow", "search", "risk/fraud", "no answer")


@dataclass(frozen=True)
class Story:
    """One story.

    Attributes:
        live: Runs it.
        reaches: The reasons that some status gives on the way.
        logs: Whether the operator logs an error in it.
        deadline: Seconds that a reconcile may take.

    """

    live: Live
    reaches: frozenset[str]
    logs: bool = False
    deadline: float = 60.0


class Stories(dict[str, Story]):
    """Stories by name."""

    def reaching(
        self, *reaches: str, logs: bool = False, deadline: float = 60.0
    ) -> Callable[[Live], Live]:
        """Add a story to the table."""

        def add(live: Live) -> Live:
            self[getattr(live, "__name__", "")] = Story(live, frozenset(reaches), logs, deadline)
            return live

        return add


def trains(
    world: World,
    name: str = "run",
    fate: Fate | None = None,
    *,
    labels: dict[str, str] | None = None,
    **spec: Any,
) -> None:
    """Apply the Experiment fraud and one of its TrainingRuns, whose Jobs meet this fate."""
    if fate is not None:
        world.fates[name] = fate
    run = manifest("TrainingRun", name, **{"experiment": "fraud", "trainer": TRAINER} | spec)
    run["metadata"]["labels"] = labels or {}
    world.apply(manifest("Experiment", "fraud"), run)


def ends(code: int, *, container: str = "trainer", because: str = "", **said: str) -> Fate:
    """Return the fate of a Job whose container ends with this code and termination message."""
    state = {"exitCode": code, "message": json.dumps(said) if said else "", "reason": because}
    statuses = [{"name": container, "state": {"terminated": state}}]
    return Fate({"phase": "Failed", "containerStatuses": statuses}, failed="BackoffLimitExceeded")


def waits(reason: str) -> Fate:
    """Return the fate of a Job whose container cannot be started."""
    statuses = [
        {
            "name": "trainer",
            "image": "team/train:1",
            "state": {"waiting": {"reason": reason, "message": "no"}},
        }
    ]
    return Fate({"phase": "Pending", "containerStatuses": statuses})


RUNNING = Fate(
    {"phase": "Running", "containerStatuses": [{"name": "trainer", "state": {"running": {}}}]}
)


def answers(world: World, error: BaseException, *operations: str) -> None:
    """Have these calls end with an error from now on."""

    def hook(operation: str, phase: Phase) -> None:
        if operation in operations and phase == "before":
            raise error

    world.calls.on_call = hook
