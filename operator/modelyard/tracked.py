"""MLflow's entities as immutable values: what `ports.Tracking` returns."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from modelyard.api.run_status import OPEN, UNSUCCESSFUL, RunStatus

__all__ = [
    "LoggedModel",
    "ModelStage",
    "RunList",
    "TrackedExperiment",
    "TrackedModel",
    "TrackedRun",
    "TrackedVersion",
    "logged_last",
]

ModelStage = Literal["None", "Staging", "Production", "Archived"]


@dataclass(frozen=True)
class TrackedExperiment:
    """An MLflow experiment."""

    id: str
    name: str
    location: str
    deleted: bool
    tags: Mapping[str, str]


@dataclass(frozen=True)
class TrackedRun:
    """An MLflow run with parameters, the newest value of each metric, and ids of logged models."""

    id: str
    experiment: str
    name: str
    status: RunStatus
    deleted: bool
    start: datetime | None
    end: datetime | None
    tags: Mapping[str, str]
    parameters: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    artifact_uri: str = ""
    models: tuple[str, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether the run has not been closed."""
        return self.status in OPEN

    @property
    def has_finished(self) -> bool:
        """Whether the run was closed as finished."""
        return self.status == RunStatus.FINISHED

    @property
    def has_failed(self) -> bool:
        """Whether the run was closed as failed or killed."""
        return self.status in UNSUCCESSFUL


@dataclass(frozen=True)
class RunList:
    """Result of a search for runs.

    Attributes:
        runs: In the requested order.
        complete: Whether all results up to the requested number were read; False if MLflow's
            answers became too large.

    """

    runs: tuple[TrackedRun, ...]
    complete: bool = True


@dataclass(frozen=True)
class LoggedModel:
    """A model that a run logged (MLflow 3): its id `m-...`, its artifacts' URI, and its name."""

    id: str
    uri: str
    name: str
    run: str | None
    created: datetime | None = None


def logged_last(models: Iterable[LoggedModel]) -> tuple[LoggedModel, ...]:
    """Return the model with the latest creation time, or several of the same millisecond."""
    found = tuple(models)
    last = max((each.created for each in found if each.created is not None), default=None)
    return tuple(each for each in found if each.created == last) if last is not None else found


@dataclass(frozen=True)
class TrackedModel:
    """A registered model; aliases map to version numbers."""

    name: str
    description: str
    tags: Mapping[str, str]
    aliases: Mapping[str, str]


@dataclass(frozen=True)
class TrackedVersion:
    """A registered version; `version` is MLflow's number."""

    model: str
    version: str
    source: str
    run: str | None
    stage: ModelStage
    ready: bool
    tags: Mapping[str, str]
    created: datetime | None = None
