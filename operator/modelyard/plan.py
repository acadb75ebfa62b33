"""Plans: what `decide` returns, as data that can be compared and printed.

`engine.perform` carries it out.

A round of a reconcile is one of four things:

    Act        write any number of owned objects and make at most one change in MLflow or S3
               (an external effect); then observe again
    Record     write this status before any other action; then observe again
    Rest       do nothing now, and report this status
    Finalize   nothing is left to clean up in MLflow or S3; remove the finalizer

A round does not pass results of its actions to the next round, which observes them.
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
    "SetTrafficRule",
    "Suspend",
    "TagTarget",
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
    """Delete an owned object if it still has this uid, and its dependents in the background."""

    api_version: str
    kind: str
    name: str
    uid: str


@dataclass(frozen=True)
class Suspend:
    """Suspend or resume an owned Job if it still has this uid, and change nothing else of it.

    A Job is applied only once: its template is immutable, and another release of the operator may
    build another template.
    """

    name: str
    uid: str
    suspend: bool


@dataclass(frozen=True)
class SetTrafficRule:
    """Set the traffic rule in a serving pod's annotation, if the pod still has this uid.

    Attributes:
        name: The pod.
        uid: Its uid.
        rule: JSON for the model server (`modelyard_runtime.serve.rule`); None: the pod answers all
            requests itself.

    """

    name: str
    uid: str
    rule: str | None


# --- external effects: at most one in a round ---------------------------------------------------
@dataclass(frozen=True)
class TagTarget:
    """An object in MLflow that has tags.

    Attributes:
        kind: The kind of object.
        id: The id of an experiment or run; the name of a registered model.
        version: MLflow's number of a model version; empty for everything else.

    """

    kind: Literal["experiment", "run", "model", "version"]
    id: str
    version: str = ""


@dataclass(frozen=True)
class SetTags:
    """Set these tags, and leave other tags alone.

    If `description` is not None, it is set too. Only a registered model has it; an experiment's
    description is its tag `mlflow.note.content`.
    """

    target: TagTarget
    tags: Mapping[str, str]
    description: str | None = None


@dataclass(frozen=True)
class DeleteTags:
    """Delete these tags; a missing one is no error."""

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
    """Log these parameters; one that is already logged with the same value is no error."""

    run: str
    parameters: Mapping[str, str]


@dataclass(frozen=True)
class ReopenRun:
    """Reopen a closed run, because another pod continues it."""

    run: str


@dataclass(frozen=True)
class FinishRun:
    """Close a run that its process left open or closed with the wrong status."""

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
    """Delete the registered model and its versions, irreversibly; artifacts are kept."""

    name: str


@dataclass(frozen=True)
class CreateVersion:
    """Register one version; its tag `modelyard.io/version` is the version's name in the spec."""

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
    """Point an alias at a version; no other version keeps it."""

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
    """Store an entry of a model's history in S3, if no object has that URI yet.

    A failure does not end the reconcile; it is recorded in `Ports.refusals`, under this class's
    name and the URI.
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
Owned = Apply | Delete | Suspend | SetTrafficRule
Action = Owned | External


# --- the plan -----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Event:
    """A Kubernetes Event about the object, for what no transition of a condition reports."""

    reason: str
    message: str
    warning: bool = False


@dataclass(frozen=True)
class Act:
    """Do these actions, then observe again. The events are recorded if all actions succeed."""

    actions: tuple[Action, ...]
    events: tuple[Event, ...] = ()

    def __post_init__(self) -> None:
        """Check that there is at most one external effect, as crash safety requires."""
        external = [action for action in self.actions if not isinstance(action, Owned)]
        assert self.actions, "a round that does nothing is a Rest"
        assert len(external) <= 1, (
            f"a round has at most one external effect, this one has {external}"
        )


@dataclass(frozen=True)
class Record(Generic[StatusT]):
    """Write this status, then observe again: the next steps rely on the written status."""

    status: StatusT
    events: tuple[Event, ...] = ()


@dataclass(frozen=True)
class Rest(Generic[StatusT]):
    """Do nothing now, and report this status.

    Attributes:
        status: The status to write.
        requeue_after: Reconcile again after this time even if nothing changes; None: at the resync.
        events: Recorded when the status is written.
        reads_valid_for: How long the next reconciles may reuse answers of MLflow and S3. It is for
            an object that is reconciled often for another reason, such as a watched version. None:
            answers are reused only while a change is in progress.

    """

    status: StatusT
    requeue_after: timedelta | None = None
    events: tuple[Event, ...] = ()
    reads_valid_for: timedelta | None = None


@dataclass(frozen=True)
class Finalize:
    """Remove the finalizer, because nothing external is left to clean up."""

    events: tuple[Event, ...] = ()


Plan = Act | Record[StatusT] | Rest[StatusT] | Finalize
