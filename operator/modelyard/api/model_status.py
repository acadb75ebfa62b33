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
"""How many stages a model has, in its spec and in its status."""


ATTEMPTS = 1_000_000
"""How often `attempt` is raised at most."""
DETAIL = 72
"""Characters of a step's detail."""
REMEMBERED = 248
"""Characters of what a rejection remembers."""
PLANNED = 22
"""Rows of a plan."""
DOES = 112
"""Characters of what a row of a plan says."""


class OperatorRuntime(Schema):
    """What the operator would serve a version with that is promoted or refreshed now."""

    image: Annotated[str, Field(max_length=RUNTIME_IMAGE, description="Image of the model server.")]
    revision: Annotated[int, Field(ge=0, le=9999, description="Number of the pod's shape.")]

    def serves(self, runtime: ModelRuntime) -> bool:
        """Tell whether a stage's runtime is this one."""
        return (self.image, self.revision) == (runtime.image, runtime.revision)


class ServedVersion(Schema):
    """What a promotion promotes: a version, its bytes, and the runtime that serves them."""

    version: Annotated[Name, Field(description="The version.")]
    digest: Annotated[str, Field(max_length=71, description="Digest of its artifact tree.")]
    runtime: Annotated[ModelRuntime, Field(description="What serves it.")]


class PreviousVersion(ServedVersion):
    """The version that a stage's switch displaced last."""

    until_time: Annotated[
        datetime | None,
        Field(
            description="Until when it keeps its pods and comes back at once (`rollback.window`);"
            " absent without a window, and after it."
        ),
    ] = None

    @property
    def served(self) -> ServedVersion:
        """What it was served as."""
        return ServedVersion(version=self.version, digest=self.digest, runtime=self.runtime)

    @classmethod
    def of(cls, what: ServedVersion, until_time: datetime | None = None) -> Self:
        """Return what a switch displaces."""
        return cls(
            version=what.version, digest=what.digest, runtime=what.runtime, until_time=until_time
        )


class HeldStage(Schema):
    """A stage that a version holds, or has held; the newest time of each stage."""

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
        Field(description="When it was displaced; absent while it holds the stage."),
    ] = None
    verified: Annotated[
        bool | None,
        Field(
            description="What its verification in the stage said last (`reverify`). False: no stage"
            " takes it from there."
        ),
    ] = None


class VersionStatus(Schema):
    """A version: what the operator recorded of it before it was registered, and where it stands.

    The record, not MLflow's tags, says which bytes a version is.
    """

    name: Annotated[Name, Field(description="Its name in the spec.")]
    mlflow_version: Annotated[
        str | None,
        Field(max_length=16, description="MLflow's number; absent until it is registered."),
    ] = None
    run_id: Annotated[
        str | None, Field(max_length=64, description="The MLflow run that it came from.")
    ] = None
    training_run: Annotated[
        Name | None, Field(description="The TrainingRun that it came from.")
    ] = None
    logged_model: Annotated[
        str | None, Field(max_length=64, description="MLflow's id of the logged model that it is.")
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
            description="Hash of registeredBy, as it was declared: eight hex digits of its"
            " SHA-256.",
        ),
    ] = None
    held: Annotated[
        tuple[HeldStage, ...],
        Field(
            max_length=4,
            description="Stages that it holds, and those that it held last.",
            json_schema_extra=listed("stage"),
        ),
    ] = ()
    held_by: Annotated[
        str | None,
        Field(
            max_length=76,
            description="The declaration that holds the name until the version is recorded: the"
            " uid of a TrainingRun, trainingruns/<name> of one that does not exist yet, or a"
            " hash of the source in spec.versions.",
        ),
    ] = None
    blocked: Annotated[
        VersionBlocker | None, Field(description="Why it is not registered or must not be served.")
    ] = None

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages that it holds now."""
        return tuple(held.stage for held in self.held if held.until_time is None)


class KnownVersion(Schema):
    """An older version, of which only the record is kept."""

    name: Annotated[Name, Field(description="Its name.")]
    digest: Annotated[str, Field(max_length=71, description="Digest of its artifact tree.")]
    mlflow_version: Annotated[str | None, Field(max_length=16, description="MLflow's number.")] = (
        None
    )


class StepState(StrEnum):
    """Where a step of a promotion stands."""

    DONE = "Done"
    ACTIVE = "Active"
    WAITING = "Waiting"
    """For a step before it, or for what its detail names."""
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
    since_time: Annotated[datetime | None, Field(description="Since when it is in that state.")] = (
        None
    )
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
            description="Identity of the runtime that the gates with pods were asked with.",
        ),
    ] = None


class GateStatus(Schema):
    """What a gate says of the version that is judged."""

    name: Annotated[str, Field(max_length=30, description="The gate.")]
    verdict: Annotated[Verdict, Field(description="Pass, Fail, Pending or Error.")]
    message: Annotated[str, Field(max_length=140, description="Why, with the figures.")]
    time: Annotated[datetime, Field(description="When it was said.")]
    gate_hash: Annotated[
        str,
        Field(max_length=8, description="Hash of the gate's spec: a changed gate is asked again."),
    ]
    incumbent: Annotated[
        str | None,
        Field(
            max_length=8,
            description="First digits of the digest of the version that it was compared with.",
        ),
    ] = None


class Rejection(Schema):
    """A version that a stage does not take: tried again when the stage's spec changes or
    `attempt` is raised.
    """

    version: Annotated[Name, Field(description="The version.")]
    digest: Annotated[str, Field(max_length=71, description="Digest of its artifact tree.")]
    runtime: Annotated[
        str | None, Field(max_length=8, description="Identity of the runtime whose pods failed.")
    ] = None
    spec_hash: Annotated[
        str,
        Field(
            max_length=16, description="Hash of the stage, but for what takes no right to promote."
        ),
    ]
    attempt: Annotated[
        int, Field(ge=0, le=ATTEMPTS, description="The stage's `attempt` at that time.")
    ] = 0
    reason: Annotated[str, Field(max_length=32, description="Why, in a word.")]
    message: Annotated[
        str, cut(REMEMBERED), Field(max_length=REMEMBERED, description="Why, and what to do.")
    ]
    time: Annotated[datetime, Field(description="When.")]


class OverrideStatus(Schema):
    """An override of a stage, from when it was first seen."""

    version: Annotated[Name, Field(description="The version.")]
    digest: Annotated[
        str | None,
        Field(
            max_length=71,
            description="Digest of its artifact tree then; absent if it was not registered: it"
            " never counts.",
        ),
    ] = None
    attempt: Annotated[
        int,
        Field(
            ge=0,
            le=ATTEMPTS,
            description="The spec's `attempt` then; raised above it the stage goes back to the"
            " spec's version.",
        ),
    ] = 0
    before: Annotated[
        str | None,
        Field(
            max_length=71,
            description="Digest of what the override before it has put into the stage, while that"
            " is still there.",
        ),
    ] = None
    since_time: Annotated[datetime, Field(description="When it was first seen.")]
    until_time: Annotated[
        datetime,
        Field(
            description="When it ends: as the spec says, a day after it was first seen at the"
            " latest."
        ),
    ]
    ends_soon: Annotated[
        bool | None,
        Field(
            description="It ends within the hour, or within a tenth of its time if that is less; an"
            " event has said so."
        ),
    ] = None
    ended: Annotated[
        bool | None,
        Field(
            description="It has ended, or was removed, while its version served; the history says"
            " so."
        ),
    ] = None


class Draining(Schema):
    """A displaced version whose pods still answer requests that were sent before the switch."""

    identity: Annotated[str, Field(max_length=8, description="Identity of its serving objects.")]
    until_time: Annotated[datetime, Field(description="When they are deleted.")]


class StageStatus(Schema):
    """Which version is effective in a stage, and how far a change of it is."""

    version: Annotated[Name | None, Field(description="The effective version.")] = None
    digest: Annotated[
        str | None, Field(max_length=71, description="Digest of its artifact tree.")
    ] = None
    runtime: Annotated[ModelRuntime | None, Field(description="What serves it.")] = None
    desired: Annotated[Name | None, Field(description="The version that the spec asks for.")] = None
    candidate: Annotated[
        ServedVersion | None,
        Field(description="What is being promoted; recorded when the promotion begins."),
    ] = None
    previous: Annotated[
        PreviousVersion | None,
        Field(description="The version displaced last, which a rollback restores whole."),
    ] = None
    attempt: Annotated[
        int, Field(ge=0, le=ATTEMPTS, description="The `attempt` that was carried out.")
    ] = 0
    hold_time: Annotated[
        datetime | None,
        Field(
            description="`autoPromote` takes only versions registered after it: when the newest"
            " was, at the last rollback."
        ),
    ] = None
    since_time: Annotated[
        datetime | None, Field(description="Since when the version is effective.")
    ] = None
    start_time: Annotated[
        datetime | None, Field(description="When the change that is under way began.")
    ] = None
    url: Annotated[
        str | None, Field(max_length=140, description="Where it answers, in the cluster.")
    ] = None
    ready_replicas: Annotated[int, Field(ge=0, le=999_999, description="Pods that answer.")] = 0
    desired_replicas: Annotated[
        int, Field(ge=0, le=999_999, description="Pods that there should be.")
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
            description="What the gates say of it.",
            json_schema_extra=listed("name"),
        ),
    ] = ()
    verification: Annotated[
        Verification | None,
        Field(
            description="What the gates say of the effective version since; absent without"
            " `reverify`."
        ),
    ] = None
    watch: Annotated[
        Watch | None,
        Field(
            description="The watch of the effective version (`rollback.automatic`); absent when"
            " none is on."
        ),
    ] = None
    rollout: Annotated[
        RolloutStatus | None,
        Field(description="How far the candidate's rollout in steps is; absent without one."),
    ] = None
    traffic_revision: Annotated[
        int,
        Field(
            ge=0,
            le=999_999_999,
            description="Number of what its pods were told last of splitting requests; it only"
            " rises.",
        ),
    ] = 0
    override: Annotated[
        OverrideStatus | None,
        Field(description="The override that put its version there, or is about to."),
    ] = None
    blocked: Annotated[
        Blocker | None, Field(description="Why it is not as the spec asks; absent when it is.")
    ] = None
    rejected: Annotated[
        tuple[Rejection, ...],
        Field(
            max_length=3,
            description="Versions that the stage did not take, oldest first.",
            json_schema_extra=listed(),
        ),
    ] = ()
    draining: Annotated[
        tuple[Draining, ...],
        Field(
            max_length=4,
            description="Displaced versions whose pods are about to be deleted.",
            json_schema_extra=listed(),
        ),
    ] = ()

    @property
    def kept(self) -> PreviousVersion | None:
        """The version displaced last while it keeps its pods: inside its window, or while what
        displaced it is watched.
        """
        is_watched = self.watch is not None and self.watch.displaced is not None
        return (
            self.previous
            if is_watched or (self.previous is not None and self.previous.until_time is not None)
            else None
        )

    @property
    def effective(self) -> ServedVersion | None:
        """What is effective, if it is recorded whole."""
        if self.version is None or self.digest is None or self.runtime is None:
            return None
        return ServedVersion(version=self.version, digest=self.digest, runtime=self.runtime)


class PlannedStep(Schema):
    """What a change that `dryRun` holds would do, or waits for, in one step."""

    stage: Annotated[
        str,
        Field(max_length=30, description="The stage; empty in a last row, of what found no place."),
    ]
    step: Annotated[
        str,
        Field(
            max_length=10, description="The step: of the promotion, and what follows it in MLflow."
        ),
    ]
    does: Annotated[str, Field(max_length=DOES, description="What it would do, or waits for.")]


class RegisteredModelStatus(Status):
    """What is registered, what is served, and how it came to be. It is the record of what was
    promoted.
    """

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
            description="The operator's own runtime. A stage that serves with another one can be"
            " refreshed (modelyard refresh)."
        ),
    ] = None
    plan: Annotated[
        tuple[PlannedStep, ...],
        Field(
            max_length=PLANNED,
            description="With `dryRun`, what the changes would do that it holds, by stage and in"
            " order.",
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
        RecordStatus | None, Field(description="The whole history, as it is stored in S3.")
    ] = None
    summary: Annotated[
        str, Field(max_length=512, description="Stages and their versions in one line.")
    ] = ""

    @property
    def in_use(self) -> dict[str, str]:
        """The versions that stages hold, are taking, or keep for a rollback, each with a stage
        that does.
        """
        found: dict[str, str] = {}
        for name, stage in self.stages.items():
            versions = (
                stage.version,
                *(each.version for each in (stage.candidate, stage.kept) if each is not None),
            )
            found |= {version: name for version in versions if version is not None}
        return found
