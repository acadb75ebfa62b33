"""What a decision may ask for: data, compared and printed, never run here.

A plan holds any number of idempotent applies of children and at most one outside effect. The engine performs it, and goes round
again; nothing that an effect returns is threaded into the next one. Performing does not belong here (`engine.perform`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Generic, Literal, TypeVar

__all__ = [
    "Action",
    "Apply",
    "ArchiveRun",
    "CreateBucket",
    "CreateExperiment",
    "CreateModel",
    "CreateRun",
    "CreateVersion",
    "Delete",
    "DeleteAlias",
    "DeleteExperiment",
    "DeleteExperimentTags",
    "DeleteModel",
    "DeleteModelTags",
    "Event",
    "FinishRun",
    "LogParameters",
    "Manifest",
    "Outside",
    "Plan",
    "RestoreExperiment",
    "SetAlias",
    "SetExperimentTags",
    "SetModelTags",
    "SetRunTags",
    "SetVersionTags",
    "TransitionStage",
]

StatusT = TypeVar("StatusT")
Manifest = dict[str, Any]
RunStatus = Literal["FINISHED", "FAILED", "KILLED"]


# --- children: idempotent, any number in a pass ---------------------------------------------------
@dataclass(frozen=True)
class Apply:
    """Server-side apply of a child; the manifest carries its owner reference."""

    manifest: Manifest


@dataclass(frozen=True)
class Delete:
    """Delete a child, only if it still has this uid. Its own children go in the background."""

    api_version: str
    kind: str
    name: str
    uid: str


# --- outside: at most one in a pass -----------------------------------------------------------------
@dataclass(frozen=True)
class CreateBucket:
    """Create the tenant's bucket."""

    bucket: str


@dataclass(frozen=True)
class CreateExperiment:
    """Create the MLflow experiment with these tags; `modelyard.io/uid` is among them."""

    name: str
    location: str
    tags: Mapping[str, str]


@dataclass(frozen=True)
class RestoreExperiment:
    """Undo MLflow's soft deletion."""

    id: str


@dataclass(frozen=True)
class DeleteExperiment:
    """Soft-delete the experiment with its runs."""

    id: str


@dataclass(frozen=True)
class SetExperimentTags:
    """Make these tags equal; tags that are not named stay as they are. The description is the tag `mlflow.note.content`."""

    id: str
    tags: Mapping[str, str]


@dataclass(frozen=True)
class DeleteExperimentTags:
    """Take these tags away."""

    id: str
    keys: tuple[str, ...]


@dataclass(frozen=True)
class CreateRun:
    """Create a run; `modelyard.io/uid` and `modelyard.io/attempt` among the tags identify it."""

    experiment: str
    name: str
    tags: Mapping[str, str]


@dataclass(frozen=True)
class LogParameters:
    """Log these parameters; a parameter that is there with the same value stays."""

    run: str
    parameters: Mapping[str, str]


@dataclass(frozen=True)
class SetRunTags:
    """Make these tags equal."""

    run: str
    tags: Mapping[str, str]


@dataclass(frozen=True)
class FinishRun:
    """Close a run that its process left open, or closed otherwise than it ended."""

    run: str
    status: RunStatus


@dataclass(frozen=True)
class ArchiveRun:
    """Soft-delete a run; it can be restored until it is purged."""

    run: str


@dataclass(frozen=True)
class CreateModel:
    """Create the registered model with these tags; `modelyard.io/uid` is among them."""

    name: str
    description: str
    tags: Mapping[str, str]


@dataclass(frozen=True)
class SetModelTags:
    """Make these tags, and the description unless None, equal."""

    name: str
    tags: Mapping[str, str]
    description: str | None = None


@dataclass(frozen=True)
class DeleteModelTags:
    """Take these tags away."""

    name: str
    keys: tuple[str, ...]


@dataclass(frozen=True)
class DeleteModel:
    """Delete the registered model with its versions (MLflow keeps no trash for models; artifacts stay)."""

    name: str


@dataclass(frozen=True)
class CreateVersion:
    """Register one version; the tag `modelyard.io/version` holds the name that users gave it."""

    model: str
    source: str
    run: str | None
    tags: Mapping[str, str]
    logged_model: str | None = None


@dataclass(frozen=True)
class SetVersionTags:
    """Make these tags equal."""

    model: str
    version: str
    tags: Mapping[str, str]


@dataclass(frozen=True)
class TransitionStage:
    """Move a version to one of MLflow's own stages; with `displacing`, whatever is in that stage is Archived in the same transaction."""

    model: str
    version: str
    stage: Literal["None", "Staging", "Production", "Archived"]
    displacing: bool = False


@dataclass(frozen=True)
class SetAlias:
    """Point an alias at a version; it leaves the version that held it."""

    model: str
    alias: str
    version: str


@dataclass(frozen=True)
class DeleteAlias:
    """Remove an alias."""

    model: str
    alias: str


Outside = (
    CreateBucket
    | CreateExperiment
    | RestoreExperiment
    | DeleteExperiment
    | SetExperimentTags
    | DeleteExperimentTags
    | CreateRun
    | LogParameters
    | SetRunTags
    | FinishRun
    | ArchiveRun
    | CreateModel
    | SetModelTags
    | DeleteModelTags
    | DeleteModel
    | CreateVersion
    | SetVersionTags
    | TransitionStage
    | SetAlias
    | DeleteAlias
)
Action = Apply | Delete | Outside


# --- the plan ---------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Event:
    """A Kubernetes event about the object. Transitions of conditions make their own; this is for what no condition says."""

    reason: str
    message: str
    warning: bool = False


@dataclass(frozen=True)
class Plan(Generic[StatusT]):
    """One pass: the status to report, what to do, when to look again.

    Attributes:
        status: What users see after this pass.
        actions: Applies and deletes of children, and at most one outside effect. Empty: nothing is missing.
        again: Look again after this time though nothing changed; None: only the resync does.
        events: Said once, when the plan's actions have succeeded.
        released: In a release only: nothing outside is left, the finalizer may go.

    """

    status: StatusT
    actions: tuple[Action, ...] = ()
    again: timedelta | None = None
    events: tuple[Event, ...] = field(default=())
    released: bool = False

    def __post_init__(self) -> None:
        """Hold the rule that the crash-safety of everything rests on."""
        outside = [action for action in self.actions if not isinstance(action, Apply | Delete)]
        assert len(outside) <= 1, f"a pass has at most one outside effect, this has {outside}"
