"""The status of a RegisteredModel: the record of what was registered and promoted (decision
0012).
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field

from modelyard.api.base import Name, Schema, Status, cut
from modelyard.api.blocker import Blocker, VersionBlocker
from modelyard.api.gates import GATES, Verdict
from modelyard.api.history import RUNTIME_IMAGE, HistoryEntry, ModelRuntime, Outcome, RecordStatus
from modelyard.api.rollback import Watch
from modelyard.api.rollout import RolloutStatus
from modelyard.api.rules import listed
from modelyard.api.verification import Verification

__all__ = [
    "ATTEMPTS",
    "DETAIL",
    "DOES",
    "PLANNED",
    "REMEMBERED",
    "STAGES",
    "Draining",
    "GateStatus",
    "HeldStage",
    "HistoryEntry",
    "JudgedVersion",
    "KnownVersion",
    "ModelRuntime",
    "OperatorRuntime",
    "Outcome",
    "OverrideStatus",
    "PlannedStep",
    "PreviousVersion",
    "RecordStatus",
    "RegisteredModelStatus",
    "Rejection",
    "ServedVersion",
    "StageStatus",
    "StepState",
    "StepStatus",
    "VersionStatus",
]

STAGES = 16
"""Greatest number of stages of a model, in its spec and in its status."""


ATTEMPTS = 1_000_000
"""Greatest value of `attempt`."""
DETAIL = 72
"""Characters of a step's detail."""
REMEMBERED = 248
"""Characters of a rejection's message."""
PLANNED = 22
"""Greatest number of rows of a plan."""
DOES = 112
"""Characters of the text in a row of a plan."""


class OperatorRuntime(Schema):
    """The runtime that the operator gives a version that is promoted or refreshed now."""

    image: Annotated[str, Field(max_length=RUNTIME_IMAGE, description="Image of the model server.")]
    revision: Annotated[int, Field(ge=0, le=9999, description="Revision of the pod template.")]

    def serves(self, runtime: ModelRuntime) -> bool:
        """Tell whether a stage's runtime is this one."""
        return (self.image, self.revision) == (runtime.image, runtime.revision)


class ServedVersion(Schema):
    """What is promoted: a version, the digest of its artifacts, and the runtime that serves them."""

    version: Annotated[Name, Field(description="The version.")]
    digest: Annotated[str, Field(max_length=71, description="Digest of its artifact tree.")]
    runtime: Annotated[ModelRuntime, Field(description="The runtime that serves it.")]


class PreviousVersion(ServedVersion):
    """The version that the last switch of a stage replaced."""

    until_time: Annotated[
        datetime | None,
        Field(
            description="Until when its pods are kept, so that it can be restored at once"
            " (`rollback.window`); absent without a window, and after it."
        ),
    ] = None

    @property
    def served(self) -> ServedVersion:
        """The same version without its `until_time`."""
        return ServedVersion(version=self.version, digest=self.digest, runtime=self.runtime)

    @classmethod
    def of(cls, what: ServedVersion, until_time: datetime | None = None) -> Self:
        """Return the previous version that a switch of the effective one leaves."""
        return cls(
            version=what.version, digest=what.digest, runtime=what.runtime, until_time=until_time
        )


class HeldStage(Schema):
    """A stage in which a version is or was effective; only the latest period of each stage."""

    stage: Annotated[str, Field(max_length=30, description="The stage.")]
    digest: Annotated[
        str | None, Field(max_length=71, description="Digest of the version's tree then.")
    ] = None
    since_time: Annotated[
        datetime,
        Field(
            description="When the version became effective, or passed its verification again after"
            " that had failed."
        ),
    ]
    until_time: Annotated[
        datetime | None,
        Field(description="When it stopped being effective; absent while it is."),
    ] = None
    verified: Annotated[
        bool | None,
        Field(
            description="Result of its latest verification in the stage (`reverify`). False: it"
            " does not count for the `from` and `soak` of other stages."
        ),
    ] = None


class VersionStatus(Schema):
    """A version: what the operator recorded before it registered it, and its state.

    This record, not MLflow's tags, decides which bytes a version has.
    """

    name: Annotated[Name, Field(description="Its name in the spec.")]
    mlflow_version: Annotated[
        str | None,
        Field(
            max_length=16,
            description="Its version number in MLflow; absent until it is registered.",
        ),
    ] = None
    run_id: Annotated[
        str | None, Field(max_length=64, description="The MLflow run that it came from.")
    ] = None
    training_run: Annotated[
        Name | None, Field(description="The TrainingRun that it came from.")
    ] = None
    logged_model: Annotated[
        str | None, Field(max_length=64, description="Id of its logged model in MLflow.")
    ] = None
    uri: Annotated[
        str | None, Field(max_length=500, description="Where its artifact tree is stored.")
    ] = None
    digest: Annotated[
        str | None,
        Field(max_length=71, description="Digest of the tree, recorded before registration."),
    ] = None
    listing_digest: Annotated[
        str | None,
        Field(
            max_length=71,
            description="SHA-256 over paths, sizes and ETags of the listing; changes when any"
            " object changes.",
        ),
    ] = None
    bytes: Annotated[
        int | None,
        Field(ge=0, description="Size of the tree.", json_schema_extra={"format": "int64"}),
    ] = None
    flavor: Annotated[
        str | None, Field(max_length=64, description="Its MLflow flavour, such as xgboost.")
    ] = None
    signature: Annotated[
        str | None, Field(max_length=184, description="Its inputs and outputs, in short.")
    ] = None
    registered_time: Annotated[datetime | None, Field(description="When it was registered.")] = None
    registrar: Annotated[
        str | None,
        Field(
            max_length=8,
            description="First eight hex digits of the SHA-256 of registeredBy, as it was"
            " declared.",
        ),
    ] = None
    held: Annotated[
        tuple[HeldStage, ...],
        Field(
            max_length=4,
            description="Stages in which it is effective, and those in which it was effective"
            " last.",
            json_schema_extra=listed("stage"),
        ),
    ] = ()
    held_by: Annotated[
        str | None,
        Field(
            max_length=76,
            description="The declaration that reserves the name until the version is recorded:"
            " the uid of a TrainingRun, trainingruns/<name> of one that does not exist yet, or a"
            " hash of the source in spec.versions.",
        ),
    ] = None
    blocked: Annotated[
        VersionBlocker | None, Field(description="Why it is not registered or must not be served.")
    ] = None

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages in which it is effective now."""
        return tuple(held.stage for held in self.held if held.until_time is None)


class KnownVersion(Schema):
    """An older version, of which only name, digest and number are kept."""

    name: Annotated[Name, Field(description="Its name.")]
    digest: Annotated[str, Field(max_length=71, description="Digest of its artifact tree.")]
    mlflow_version: Annotated[
        str | None, Field(max_length=16, description="Its version number in MLflow.")
    ] = None


class StepState(StrEnum):
    """State of a step of a promotion."""

    DONE = "Done"
    ACTIVE = "Active"
    WAITING = "Waiting"
    """It waits for an earlier step, or for what its detail names."""
    FAILED = "Failed"


class StepStatus(Schema):
    """One step of a promotion."""

    name: Annotated[
        str,
        Field(
            max_length=16,
            description="The step: admit, from, freeze, gates, plan, trial, approval, start,"
            " rollout, switch or record.",
        ),
    ]
    state: Annotated[StepState, Field(description="Done, Active, Waiting or Failed.")]
    since_time: Annotated[datetime | None, Field(description="When it entered that state.")] = None
    detail: Annotated[
        str,
        cut(DETAIL),
        Field(max_length=DETAIL, description="What it does, or waits for."),
    ] = ""


class JudgedVersion(Schema):
    """The version that a stage's gates judge."""

    version: Annotated[Name, Field(description="The version.")]
    digest: Annotated[str, Field(max_length=71, description="Digest of its artifact tree.")]
    runtime: Annotated[
        str | None,
        Field(
            max_length=8,
            description="Identity of the runtime with which the gates that run pods were"
            " evaluated.",
        ),
    ] = None


class GateStatus(Schema):
    """The verdict of a gate on the judged version."""

    name: Annotated[str, Field(max_length=30, description="Name of the gate.")]
    verdict: Annotated[Verdict, Field(description="Pass, Fail, Pending or Error.")]
    message: Annotated[str, Field(max_length=140, description="Why, with the figures.")]
    time: Annotated[datetime, Field(description="When the gate gave the verdict.")]
    gate_hash: Annotated[
        str,
        Field(
            max_length=8, description="Hash of the gate's spec: a changed gate is evaluated again."
        ),
    ]
    incumbent: Annotated[
        str | None,
        Field(
            max_length=8,
            description="First digits of the digest of the version it was compared with.",
        ),
    ] = None


class Rejection(Schema):
    """A rejected version; retried when the stage's spec changes or its `attempt` is raised."""

    version: Annotated[Name, Field(description="The version.")]
    digest: Annotated[str, Field(max_length=71, description="Digest of its artifact tree.")]
    runtime: Annotated[
        str | None, Field(max_length=8, description="Identity of the runtime whose pods failed.")
    ] = None
    spec_hash: Annotated[
        str,
        Field(
            max_length=16,
            description="Hash of the stage's spec, without the fields that can be"
            " changed without the right to promote.",
        ),
    ]
    attempt: Annotated[
        int, Field(ge=0, le=ATTEMPTS, description="The stage's `attempt` at that time.")
    ] = 0
    reason: Annotated[str, Field(max_length=32, description="Why, as one CamelCase word.")]
    message: Annotated[
        str, cut(REMEMBERED), Field(max_length=REMEMBERED, description="Why, and what to do.")
    ]
    time: Annotated[datetime, Field(description="When it was rejected.")]


class OverrideStatus(Schema):
    """An override of a stage, as the operator first observed it."""

    version: Annotated[Name, Field(description="The version.")]
    digest: Annotated[
        str | None,
        Field(
            max_length=71,
            description="Digest of its artifact tree at that time; absent if it was not"
            " registered, and then the override never takes effect.",
        ),
    ] = None
    attempt: Annotated[
        int,
        Field(
            ge=0,
            le=ATTEMPTS,
            description="The spec's `attempt` at that time; raising it further returns the stage"
            " to the spec's version.",
        ),
    ] = 0
    before: Annotated[
        str | None,
        Field(
            max_length=71,
            description="Digest of the version that an earlier override promoted, while that"
            " version is still effective.",
        ),
    ] = None
    since_time: Annotated[datetime, Field(description="When the operator first observed it.")]
    until_time: Annotated[
        datetime,
        Field(
            description="When it ends: as the spec says, but at most a day after it was first"
            " observed."
        ),
    ]
    ends_soon: Annotated[
        bool | None,
        Field(
            description="It ends within the hour, or within a tenth of its duration if that is"
            " less; an event reported it."
        ),
    ] = None
    ended: Annotated[
        bool | None,
        Field(
            description="It ended or was removed while its version was serving; recorded in the"
            " history."
        ),
    ] = None


class Draining(Schema):
    """A replaced version whose pods still answer requests that were sent before the switch."""

    identity: Annotated[str, Field(max_length=8, description="Identity of its serving objects.")]
    until_time: Annotated[datetime, Field(description="When they are deleted.")]


class StageStatus(Schema):
    """The effective version of a stage, and the progress of a change."""

    version: Annotated[Name | None, Field(description="The effective version.")] = None
    digest: Annotated[
        str | None, Field(max_length=71, description="Digest of its artifact tree.")
    ] = None
    runtime: Annotated[ModelRuntime | None, Field(description="The runtime that serves it.")] = None
    desired: Annotated[Name | None, Field(description="The version that the spec asks for.")] = None
    candidate: Annotated[
        ServedVersion | None,
        Field(description="What is being promoted; recorded when the promotion begins."),
    ] = None
    previous: Annotated[
        PreviousVersion | None,
        Field(
            description="The version that the last switch replaced; a rollback restores it with"
            " its digest and runtime."
        ),
    ] = None
    attempt: Annotated[
        int, Field(ge=0, le=ATTEMPTS, description="The `attempt` that was carried out last.")
    ] = 0
    hold_time: Annotated[
        datetime | None,
        Field(
            description="`autoPromote` considers only versions registered after this time: that"
            " of the newest version at the last rollback."
        ),
    ] = None
    since_time: Annotated[
        datetime | None, Field(description="When the version became effective.")
    ] = None
    start_time: Annotated[datetime | None, Field(description="When the current change began.")] = (
        None
    )
    url: Annotated[str | None, Field(max_length=140, description="Its URL inside the cluster.")] = (
        None
    )
    ready_replicas: Annotated[int, Field(ge=0, le=999_999, description="Number of ready pods.")] = 0
    desired_replicas: Annotated[
        int, Field(ge=0, le=999_999, description="Desired number of pods.")
    ] = 0
    steps: Annotated[
        tuple[StepStatus, ...],
        Field(
            max_length=11,
            description="Steps of the promotion, in order.",
            json_schema_extra=listed("name"),
        ),
    ] = ()
    judged: Annotated[
        JudgedVersion | None, Field(description="The version that `gates` is about.")
    ] = None
    gates: Annotated[
        tuple[GateStatus, ...],
        Field(
            max_length=GATES,
            description="Verdicts of the gates on that version.",
            json_schema_extra=listed("name"),
        ),
    ] = ()
    verification: Annotated[
        Verification | None,
        Field(
            description="Verdict of the gates on the effective version since its promotion;"
            " absent without `reverify`."
        ),
    ] = None
    watch: Annotated[
        Watch | None,
        Field(
            description="The watch of the effective version (`rollback.automatic`); absent while"
            " it is not watched."
        ),
    ] = None
    rollout: Annotated[
        RolloutStatus | None,
        Field(description="Progress of the candidate's rollout in steps; absent without one."),
    ] = None
    traffic_revision: Annotated[
        int,
        Field(
            ge=0,
            le=999_999_999,
            description="Revision of the latest traffic rule of its pods; it only increases.",
        ),
    ] = 0
    override: Annotated[
        OverrideStatus | None,
        Field(
            description="The override that promoted the effective version, or is about to promote"
            " one."
        ),
    ] = None
    blocked: Annotated[
        Blocker | None,
        Field(description="Why the stage is not as its spec asks; absent when it is."),
    ] = None
    rejected: Annotated[
        tuple[Rejection, ...],
        Field(
            max_length=3,
            description="Versions that the stage rejected, oldest first.",
            json_schema_extra=listed(),
        ),
    ] = ()
    draining: Annotated[
        tuple[Draining, ...],
        Field(
            max_length=4,
            description="Replaced versions whose pods are about to be deleted.",
            json_schema_extra=listed(),
        ),
    ] = ()

    @property
    def kept(self) -> PreviousVersion | None:
        """The previous version while its pods are kept: in its window, or while its successor is
        watched.
        """
        is_watched = self.watch is not None and self.watch.displaced is not None
        return (
            self.previous
            if is_watched or (self.previous is not None and self.previous.until_time is not None)
            else None
        )

    @property
    def effective(self) -> ServedVersion | None:
        """The effective version, or None unless its digest and runtime are recorded too."""
        if self.version is None or self.digest is None or self.runtime is None:
            return None
        return ServedVersion(version=self.version, digest=self.digest, runtime=self.runtime)


class PlannedStep(Schema):
    """One step of a change that `dryRun` holds back."""

    stage: Annotated[
        str,
        Field(
            max_length=30,
            description="The stage; empty in a last row that summarizes the rows that do not fit.",
        ),
    ]
    step: Annotated[
        str,
        Field(
            max_length=10,
            description="The step of the promotion, or of the update of MLflow that follows it.",
        ),
    ]
    does: Annotated[str, Field(max_length=DOES, description="What it would do, or waits for.")]


class RegisteredModelStatus(Status):
    """What is registered and served, and how it changed: the record of what was promoted."""

    mlflow_name: Annotated[
        str | None, Field(max_length=256, description="Its name in MLflow: namespace.name.")
    ] = None
    url: Annotated[str | None, Field(max_length=1024, description="Its page in MLflow.")] = None
    versions: Annotated[
        tuple[VersionStatus, ...],
        Field(
            max_length=64,
            description="Versions, oldest first: those in use and the newest.",
            json_schema_extra=listed("name"),
        ),
    ] = ()
    older_versions: Annotated[
        tuple[KnownVersion, ...],
        Field(
            max_length=448,
            description="The other versions, oldest first.",
            json_schema_extra=listed("name"),
        ),
    ] = ()
    stages: Annotated[
        dict[str, StageStatus], Field(max_length=STAGES, description="Stages by name.")
    ] = Field(default_factory=dict)
    operator_runtime: Annotated[
        OperatorRuntime | None,
        Field(
            description="The operator's current runtime. A stage that serves with another one can"
            " be refreshed (modelyard refresh)."
        ),
    ] = None
    plan: Annotated[
        tuple[PlannedStep, ...],
        Field(
            max_length=PLANNED,
            description="With `dryRun`: what the changes that it holds back would do, by stage"
            " and in order.",
            json_schema_extra=listed(),
        ),
    ] = ()
    history: Annotated[
        tuple[HistoryEntry, ...],
        Field(
            max_length=50,
            description="The last 50 changes, oldest first.",
            json_schema_extra=listed(),
        ),
    ] = ()
    record: Annotated[
        RecordStatus | None, Field(description="How much of the history is stored in S3.")
    ] = None
    summary: Annotated[
        str, Field(max_length=512, description="Stages and their versions in one line.")
    ] = ""

    @property
    def in_use(self) -> dict[str, str]:
        """Effective versions, candidates and versions kept for a rollback, each with a stage of it."""
        found: dict[str, str] = {}
        for name, stage in self.stages.items():
            versions = (
                stage.version,
                *(each.version for each in (stage.candidate, stage.kept) if each is not None),
            )
            found |= {version: name for version in versions if version is not None}
        return found
