"""What a decision asks for: data, compared and printed, never run here (`engine.perform` runs it).

A round of a reconcile is one of four things:

    Act        apply and delete any number of owned objects, and have at most one external effect; then observe again
    Record     write this status first; then observe again
    Rest       nothing to do now; report this status
    Finalize   nothing external is left; remove the finalizer

No effect's result is threaded into the next round: the next round observes it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, Literal, TypeVar

from modelyard.api.run_status import RunStatus

__all__ = [
    "Act",
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
    "DeleteModel",
    "DeleteTags",
    "Event",
    "External",
    "Finalize",
    "FinishRun",
    "LogParameters",
    "Manifest",
    "Owned",
    "Plan",
    "PutRecord",
    "Record",
    "ReopenRun",
    "Rest",
    "RestoreExperiment",
    "SetAlias",
    "SetTags",
    "Suspend",
    "TagTarget",
    "Tell",
    "TransitionStage",
]

StatusT = TypeVar("StatusT")
Manifest = dict[str, Any]


# --- owned objects: idempotent, any number in a round -------------------------------------------
@dataclass(frozen=True)
class Apply:
    """Server-side apply of an owned object; the manifest carries its owner reference."""

    manifest: Manifest


@dataclass(frozen=True)
class Delete:
    """Delete an owned object if it still has this uid. What it owns is deleted in the
    background.
    """

    api_version: str
    kind: str
    name: str
    uid: str


@dataclass(frozen=True)
class Suspend:
    """Suspend or resume an owned Job, if it still has this uid; all else of it stays as it is.

    A Job is never applied a second time: its template is immutable, and another release may build
    it otherwise.
    """

    name: str
    uid: str
    suspend: bool


@dataclass(frozen=True)
class Tell:
    """Tell a serving pod how it splits its requests, if it still has this uid: one annotation, and
    nothing else of the pod.

    Attributes:
        name: The pod.
        uid: Its uid.
        rule: JSON, as the model server reads it (`modelyard_runtime.serve.rule`); None: it answers
            all requests itself.

    """

    name: str
    uid: str
    rule: str | None


# --- external effects: at most one in a round ---------------------------------------------------
@dataclass(frozen=True)
class TagTarget:
    """The object in MLflow whose tags are meant.

    Attributes:
        kind: What it is.
        id: The id of an experiment or run; the name of a registered model.
        version: MLflow's number of a model version; empty for everything else.

    """

    kind: Literal["experiment", "run", "model", "version"]
    id: str
    version: str = ""


@dataclass(frozen=True)
class SetTags:
    """Set these tags; tags that are not named stay.

    An experiment's description is its tag `mlflow.note.content`; a registered model has a field for
    it: `description` is set with the tags unless it is None.
    """

    target: TagTarget
    tags: Mapping[str, str]
    description: str | None = None


@dataclass(frozen=True)
class DeleteTags:
    """Delete these tags; one that is not there is no error."""

    target: TagTarget
    keys: tuple[str, ...]


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
class CreateRun:
    """Create a run; the tags `modelyard.io/uid` and `modelyard.io/attempt` identify it."""

    experiment: str
    name: str
    tags: Mapping[str, str]


@dataclass(frozen=True)
class LogParameters:
    """Log these parameters; a parameter that is there with the same value stays."""

    run: str
    parameters: Mapping[str, str]


@dataclass(frozen=True)
class ReopenRun:
    """Have a run that was closed go on: another pod trains it."""

    run: str


@dataclass(frozen=True)
class FinishRun:
    """Close a run that its process left open, or closed with another status than it ended with."""

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
class DeleteModel:
    """Delete the registered model and its versions (MLflow has no trash for models); artifacts
    stay.
    """

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
class TransitionStage:
    """Move a version to one of MLflow's own stages.

    With `displacing`, the version in that stage is archived in the same transaction.
    """

    model: str
    version: str
    stage: Literal["None", "Staging", "Production", "Archived"]
    displacing: bool = False


@dataclass(frozen=True)
class SetAlias:
    """Point an alias at a version; it leaves the version that had it."""

    model: str
    alias: str
    version: str


@dataclass(frozen=True)
class DeleteAlias:
    """Remove an alias."""

    model: str
    alias: str


@dataclass(frozen=True)
class PutRecord:
    """Store an entry of a model's history in S3, if nothing lies there yet.

    What goes wrong is no error of the reconcile: `Ports.refusals` has it, below this name and the
    URI.
    """

    uri: str
    content: bytes


External = (
    SetTags
    | DeleteTags
    | CreateBucket
    | CreateExperiment
    | RestoreExperiment
    | DeleteExperiment
    | CreateRun
    | LogParameters
    | FinishRun
    | ReopenRun
    | ArchiveRun
    | CreateModel
    | DeleteModel
    | CreateVersion
    | TransitionStage
    | SetAlias
    | DeleteAlias
    | PutRecord
)
Owned = Apply | Delete | Suspend | Tell
Action = Owned | External


# --- the plan -----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Event:
    """A Kubernetes Event about the object, for what no condition's transition says."""

    reason: str
    message: str
    warning: bool = False


@dataclass(frozen=True)
class Act:
    """Do these actions, then observe again. The events are recorded when all actions succeeded."""

    actions: tuple[Action, ...]
    events: tuple[Event, ...] = ()

    def __post_init__(self) -> None:
        """Check the rule that crash-safety rests on."""
        external = [action for action in self.actions if not isinstance(action, Owned)]
        assert self.actions, "a round that does nothing is a Rest"
        assert len(external) <= 1, (
            f"a round has at most one external effect, this one has {external}"
        )


@dataclass(frozen=True)
class Record(Generic[StatusT]):
    """Write this status, then observe again: what follows relies on its being written."""

    status: StatusT
    events: tuple[Event, ...] = ()


@dataclass(frozen=True)
class Rest(Generic[StatusT]):
    """Nothing to do now: report this status.

    Attributes:
        status: What users see.
        requeue_after: Reconcile again after this time though nothing changed; None: at the resync.
        events: Recorded when the status is written.
        reads_last: How long what was read of MLflow and S3 may be used again though nothing is
            under way: the next look is at something else.

    """

    status: StatusT
    requeue_after: timedelta | None = None
    events: tuple[Event, ...] = ()
    reads_last: timedelta | None = None


@dataclass(frozen=True)
class Finalize:
    """Nothing external is left: remove the finalizer."""

    events: tuple[Event, ...] = ()


Plan = Act | Record[StatusT] | Rest[StatusT] | Finalize
