"""What MLflow has, as small frozen values: what `ports.Tracking` answers."""

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
    """An MLflow experiment as it is now."""

    id: str
    name: str
    location: str
    deleted: bool
    tags: Mapping[str, str]


@dataclass(frozen=True)
class TrackedRun:
    """An MLflow run as it is now: parameters, the newest value of each metric, the logged models
    that it put out.
    """

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
        """Whether nothing has closed it."""
        return self.status in OPEN

    @property
    def has_finished(self) -> bool:
        """Whether it was closed as trained."""
        return self.status == RunStatus.FINISHED

    @property
    def has_failed(self) -> bool:
        """Whether it was closed without a result."""
        return self.status in UNSUCCESSFUL


@dataclass(frozen=True)
class RunList:
    """Runs that a search found.

    Attributes:
        runs: In the order that was asked for.
        complete: Whether the search was read to its end, or to the number of runs that was asked
            for; otherwise MLflow's answers became too large.

    """

    runs: tuple[TrackedRun, ...]
    complete: bool = True


@dataclass(frozen=True)
class LoggedModel:
    """A model that a run logged (MLflow 3): its id `m-...`, where its artifacts lie, and the
    name it was logged under.
    """

    id: str
    uri: str
    name: str
    run: str | None
    created: datetime | None = None


def logged_last(models: Iterable[LoggedModel]) -> tuple[LoggedModel, ...]:
    """Return the model with the latest creation time; several, if they were logged in the same
    millisecond.
    """
    found = tuple(models)
    last = max((each.created for each in found if each.created is not None), default=None)
    return tuple(each for each in found if each.created == last) if last is not None else found


@dataclass(frozen=True)
class TrackedModel:
    """A registered model as it is now; aliases map to version numbers."""

    name: str
    description: str
    tags: Mapping[str, str]
    aliases: Mapping[str, str]


@dataclass(frozen=True)
class TrackedVersion:
    """A registered version as it is now; `version` is MLflow's own number."""

    model: str
    version: str
    source: str
    run: str | None
    stage: ModelStage
    ready: bool
    tags: Mapping[str, str]
    created: datetime | None = None
