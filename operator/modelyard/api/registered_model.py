"""RegisteredModel: versions, stages, and how each stage is served."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from modelyard.api.base import DeletionPolicy, Name, Resource, Schema, Status, Tags
from modelyard.api.blocker import Blocker, VersionBlocker
from modelyard.api.rules import listed, rule, rules
from modelyard.api.training_run import Labels, Resources, Toleration

__all__ = [
    "Autoscaling",
    "Draining",
    "Drift",
    "HeldStage",
    "HistoryEntry",
    "KnownVersion",
    "ModelReason",
    "ModelRuntime",
    "ModelVersionSpec",
    "Outcome",
    "RegisteredModel",
    "RegisteredModelSpec",
    "RegisteredModelStatus",
    "Rejection",
    "RuntimeUpdate",
    "ServedVersion",
    "Serving",
    "ServingRuntime",
    "Stage",
    "StageStatus",
    "StepState",
    "StepStatus",
    "VersionStatus",
]


class ModelReason(StrEnum):
    """Why a RegisteredModel is or is not Ready. It is Ready when every stage serves the version that its spec asks for."""

    SERVING = "Serving"
    """Every stage serves what the spec asks for, and MLflow agrees."""
    REGISTERED = "Registered"
    """The model is in MLflow; no stage has a version, so nothing is served."""
    REGISTERING = "Registering"
    """The registered model or a version is being created in MLflow."""
    WAITING_FOR_VERSION = "WaitingForVersion"
    """A stage asks for a version that is not registered yet; the promotion continues automatically when it is."""
    VERSION_UNKNOWN = "VersionUnknown"
    """A stage asks for a version that nothing declares."""
    VERSION_INVALID = "VersionInvalid"
    """A version cannot be registered from its source; the message says why."""
    ARTIFACT_MISSING = "ArtifactMissing"
    """The artifacts of a version are no longer in S3."""
    ARTIFACT_DIGEST_MISMATCH = "ArtifactDigestMismatch"
    """The artifacts of a version are not those that were registered; no new pod serves them."""
    PROMOTING = "Promoting"
    """A candidate is starting next to the stable version, or is about to receive all traffic."""
    SERVING_FAILED = "ServingFailed"
    """The candidate cannot be served; the stable version is still serving. The message says why."""
    CODE_MODEL_FORBIDDEN = "CodeModelForbidden"
    """Loading the model runs code (a pickled flavour), which the namespace does not allow."""
    ARTIFACT_INVALID = "ArtifactInvalid"
    """The artifact tree of a version cannot be written to a pod's volume; the message names the path."""
    UNSCHEDULABLE = "Unschedulable"
    """No node fits a pod of a stage; the message says why."""
    IMAGE_PULL_FAILED = "ImagePullFailed"
    """The runtime image cannot be pulled."""
    CONFIGURATION_MISSING = "ConfigurationMissing"
    """A pod waits for a Secret or key that is missing."""
    OUT_OF_MEMORY = "OutOfMemory"
    """A container was killed for using more memory than its limit."""
    VOLUME_FULL = "VolumeFull"
    """The volume of a pod is full, or the pod wrote more than its limit of ephemeral storage."""
    QUOTA_EXCEEDED = "QuotaExceeded"
    """The namespace's quota refuses a pod."""
    POD_REFUSED = "PodRefused"
    """Pod Security, a LimitRange or another admission rule refuses a pod; the message says which."""
    NOT_SERVING = "NotServing"
    """A stage has too few ready pods."""
    NAME_TAKEN = "NameTaken"
    """MLflow has a model of this name that belongs to another object; the annotation modelyard.io/adopt takes it over."""
    DRIFTED = "Drifted"
    """A stage, an alias or a tag was changed in MLflow itself."""
    SYNCED = "Synced"
    """MLflow agrees with the status."""
    CONNECTION_MISSING = "ConnectionMissing"
    """The namespace has no usable Secret modelyard-connection."""
    CONNECTION_REFUSED = "ConnectionRefused"
    """MLflow or S3 refuses the credentials."""
    MLFLOW_UNAVAILABLE = "MLflowUnavailable"
    """MLflow does not answer; what is served is still serving."""
    STORE_UNAVAILABLE = "StoreUnavailable"
    """S3 does not answer; what is served is still serving."""
    REQUEST_REFUSED = "RequestRefused"
    """MLflow, S3 or Kubernetes refused a request; the message says which."""
    DELETING = "Deleting"
    """The object is being deleted."""


class Drift(StrEnum):
    """What happens when somebody moves a stage or an alias in MLflow itself."""

    REVERT = "Revert"
    WARN = "Warn"


class ModelVersionSpec(Schema):
    """The source of a version: exactly one of the fields `trainingRun`, `runId` and `uri`."""

    model_config = Schema.model_config | {
        "json_schema_extra": rules(
            rule(
                "[has(self.trainingRun), has(self.runId), has(self.uri)].filter(x, x).size() == 1",
                "name exactly one source: trainingRun, runId or uri",
            ),
            rule("!has(self.path) || has(self.runId)", "path belongs to runId: the artifact path of the model in that run"),
        )
    }

    training_run: Annotated[Name | None, Field(description="A TrainingRun in this namespace.")] = None
    run_id: Annotated[str | None, Field(min_length=1, max_length=64, pattern=r"^[a-zA-Z0-9_-]+$", description="An MLflow run.")] = None
    path: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=256,
            pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$",
            description="The model's name or path in that run; model if absent.",
        ),
    ] = None
    uri: Annotated[
        str | None,
        Field(
            min_length=6,
            max_length=500,
            pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[^%?#]+$",
            description="An artifact tree in S3, with an MLmodel file.",
        ),
    ] = None
    tags: Annotated[Tags, Field(description="Tags of the version in MLflow.")] = Field(default_factory=dict)


class Autoscaling(Schema):
    """A HorizontalPodAutoscaler on CPU."""

    model_config = Schema.model_config | {
        "json_schema_extra": rules(rule("self.minReplicas <= self.maxReplicas", "minReplicas must not be greater than maxReplicas"))
    }

    min_replicas: Annotated[int, Field(ge=1, le=1000, description="Minimum number of pods.")] = 1
    max_replicas: Annotated[int, Field(ge=1, le=1000, description="Maximum number of pods.")]
    target_cpu_utilization_percentage: Annotated[int, Field(ge=1, le=1000, description="CPU use, of the request, that it aims at.")] = 80


class RuntimeUpdate(StrEnum):
    """When a stage gets the image of a newer operator."""

    WITH_PROMOTION = "WithPromotion"
    ALWAYS = "Always"


class ServingRuntime(Schema):
    """How the model server runs."""

    workers: Annotated[int, Field(ge=1, le=64, description="Processes in a pod.")] = 1
    update: Annotated[
        RuntimeUpdate,
        Field(
            description="When the stage gets the runtime image of a newer operator. WithPromotion: with the next version, or when"
            " `attempt` is raised (modelyard refresh). Always: at once, which replaces its pods."
        ),
    ] = RuntimeUpdate.WITH_PROMOTION


class Serving(Schema):
    """How a stage is served."""

    replicas: Annotated[int, Field(ge=0, le=1000, description="Pods that serve. 0: the registry moves, nothing is served.")] = 1
    autoscaling: Annotated[Autoscaling | None, Field(description="Scales between two numbers, instead of replicas.")] = None
    resources: Annotated[Resources, Field(description="Resources of the model server.")] = Field(default_factory=Resources)
    runtime: Annotated[ServingRuntime, Field(description="How the model server runs.")] = Field(default_factory=ServingRuntime)
    node_selector: Annotated[Labels, Field(description="Labels that the node must have.")] = Field(default_factory=dict)
    tolerations: Annotated[
        tuple[Toleration, ...], Field(max_length=16, description="Taints that the pods tolerate.", json_schema_extra=listed())
    ] = ()


class Stage(Schema):
    """A slot: which version, and how it is served."""

    version: Annotated[
        Name | None,
        # A server-side apply that says null is refused without this.
        Field(description="The version that holds the stage. Null: none, and nothing is served.", json_schema_extra={"nullable": True}),
    ] = None
    attempt: Annotated[
        int,
        Field(
            ge=0,
            le=1_000_000,
            description="Raise it to try a rejected version again, or, while the version is effective, to serve it with the operator's"
            " current runtime image (modelyard refresh).",
        ),
    ] = 0
    serving: Annotated[Serving, Field(description="How it is served.")] = Field(default_factory=Serving)


class RegisteredModelSpec(Schema):
    """What a team wants of a model."""

    description: Annotated[str, Field(max_length=5000, description="Shown as the model's description in MLflow.")] = ""
    tags: Annotated[Tags, Field(description="Tags of the registered model in MLflow. Tags set there by others stay.")] = Field(
        default_factory=dict
    )
    versions: Annotated[
        dict[str, ModelVersionSpec],
        Field(
            max_length=64,
            description="Declared versions. Those that TrainingRuns register appear in the status by themselves.",
            json_schema_extra=rules(
                rule(
                    "self.all(k, k.size() <= 63 && k.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'))",
                    "a version's name is lower case letters, digits and dashes, such as v3",
                ),
                rule(
                    "oldSelf.all(k, !(k in self) || self[k] == oldSelf[k])",
                    "a version is immutable: declare another one; one that was never registered can be removed and declared again",
                ),
            ),
        ),
    ] = Field(default_factory=dict)
    stages: Annotated[
        dict[str, Stage],
        Field(
            max_length=16,
            description="Stages by name. Changing a stage's version promotes; changing it back rolls back.",
            json_schema_extra=rules(
                rule(
                    "self.all(k, k.size() <= 30 && k.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'))",
                    "a stage's name is at most 30 lower case letters, digits and dashes, such as production",
                ),
                rule(
                    "self.all(k, k != 'latest' && !k.matches('^v[0-9]+$'))",
                    "MLflow reserves the aliases latest and v<number>: name the stage otherwise",
                ),
            ),
        ),
    ] = Field(default_factory=dict)
    drift: Annotated[
        Drift, Field(description="When somebody moves a stage in MLflow itself. Revert: put it back and say so. Warn: only say so.")
    ] = Drift.REVERT
    deletion_policy: Annotated[
        DeletionPolicy,
        Field(description="Delete: delete the model in MLflow too (needs the verb purge). Retain: leave it. Serving goes either way."),
    ] = DeletionPolicy.RETAIN


class ModelRuntime(Schema):
    """What a version is served with."""

    image: Annotated[str, Field(max_length=384, description="Image of the model server.")]
    revision: Annotated[int, Field(ge=0, description="Number of the pod's shape; the operator raises it when its meaning changes.")]
    identity: Annotated[
        str, Field(max_length=8, description="Eight hex digits of version, digest, image and revision; a label of the serving objects.")
    ]


class ServedVersion(Schema):
    """What a promotion promotes: a version, its bytes, and the runtime that serves them."""

    version: Annotated[Name, Field(description="The version.")]
    digest: Annotated[str, Field(max_length=71, description="Digest of its artifact tree.")]
    runtime: Annotated[ModelRuntime, Field(description="What serves it.")]


class HeldStage(Schema):
    """A stage that a version holds, or has held; the newest time of each stage."""

    stage: Annotated[str, Field(max_length=30, description="The stage.")]
    digest: Annotated[str | None, Field(max_length=71, description="Digest of the version's tree then.")] = None
    since_time: Annotated[datetime, Field(description="When the version became effective.")]
    until_time: Annotated[datetime | None, Field(description="When it was displaced; absent while it holds the stage.")] = None


class VersionStatus(Schema):
    """A version: what the operator recorded of it before it was registered, and where it stands.

    The record, not MLflow's tags, says which bytes a version is.
    """

    name: Annotated[Name, Field(description="Its name in the spec.")]
    mlflow_version: Annotated[str | None, Field(max_length=16, description="MLflow's number; absent until it is registered.")] = None
    run_id: Annotated[str | None, Field(max_length=64, description="The MLflow run that it came from.")] = None
    training_run: Annotated[Name | None, Field(description="The TrainingRun that it came from.")] = None
    logged_model: Annotated[str | None, Field(max_length=64, description="MLflow's id of the logged model that it is.")] = None
    uri: Annotated[str | None, Field(max_length=500, description="Where its artifact tree is stored.")] = None
    digest: Annotated[str | None, Field(max_length=71, description="Digest of the tree, recorded before registration.")] = None
    listing_digest: Annotated[
        str | None,
        Field(max_length=71, description="SHA-256 over paths, sizes and ETags of the listing; changes when any object changes."),
    ] = None
    bytes: Annotated[int | None, Field(ge=0, description="Size of the tree.", json_schema_extra={"format": "int64"})] = None
    flavor: Annotated[str | None, Field(max_length=64, description="Its MLflow flavour, such as xgboost.")] = None
    signature: Annotated[str | None, Field(max_length=480, description="Its inputs and outputs, in short.")] = None
    registered_time: Annotated[datetime | None, Field(description="When it was registered.")] = None
    held: Annotated[
        tuple[HeldStage, ...],
        Field(max_length=4, description="Stages that it holds, and those that it held last.", json_schema_extra=listed("stage")),
    ] = ()
    blocked: Annotated[VersionBlocker | None, Field(description="Why it is not registered or must not be served.")] = None

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages that it holds now."""
        return tuple(held.stage for held in self.held if held.until_time is None)


class KnownVersion(Schema):
    """An older version, of which only the record is kept."""

    name: Annotated[Name, Field(description="Its name.")]
    digest: Annotated[str, Field(max_length=71, description="Digest of its artifact tree.")]
    mlflow_version: Annotated[str | None, Field(max_length=16, description="MLflow's number.")] = None


class StepState(StrEnum):
    """Where a step of a promotion stands."""

    DONE = "Done"
    ACTIVE = "Active"
    WAITING = "Waiting"
    """For a step before it, or for what its detail names."""
    FAILED = "Failed"


class StepStatus(Schema):
    """One step of a promotion."""

    name: Annotated[str, Field(max_length=32, description="The step: admit, start, switch, record.")]
    state: Annotated[StepState, Field(description="Done, Active, Waiting or Failed.")]
    since_time: Annotated[datetime | None, Field(description="Since when it is in that state.")] = None
    detail: Annotated[str, Field(max_length=128, description="What it does, or waits for.")] = ""


class Rejection(Schema):
    """A version that a stage does not take: tried again when the stage's spec changes or `attempt` is raised."""

    version: Annotated[Name, Field(description="The version.")]
    digest: Annotated[str, Field(max_length=71, description="Digest of its artifact tree.")]
    runtime: Annotated[str | None, Field(max_length=8, description="Identity of the runtime whose pods failed.")] = None
    spec_hash: Annotated[str, Field(max_length=16, description="Hash of the stage's spec, without replicas, autoscaling, resources.")]
    attempt: Annotated[int, Field(ge=0, description="The stage's `attempt` at that time.")] = 0
    reason: Annotated[str, Field(max_length=32, description="Why, in a word.")]
    message: Annotated[str, Field(max_length=256, description="Why, and what to do.")]
    time: Annotated[datetime, Field(description="When.")]


class Draining(Schema):
    """A displaced version whose pods still answer requests that were sent before the switch."""

    identity: Annotated[str, Field(max_length=8, description="Identity of its serving objects.")]
    until_time: Annotated[datetime, Field(description="When they are deleted.")]


class StageStatus(Schema):
    """Which version is effective in a stage, and how far a change of it is."""

    version: Annotated[Name | None, Field(description="The effective version.")] = None
    digest: Annotated[str | None, Field(max_length=71, description="Digest of its artifact tree.")] = None
    runtime: Annotated[ModelRuntime | None, Field(description="What serves it.")] = None
    desired: Annotated[Name | None, Field(description="The version that the spec asks for.")] = None
    candidate: Annotated[ServedVersion | None, Field(description="What is being promoted; recorded when the promotion begins.")] = None
    previous: Annotated[ServedVersion | None, Field(description="The version displaced last, which a rollback restores whole.")] = None
    attempt: Annotated[int, Field(ge=0, description="The `attempt` that was carried out.")] = 0
    since_time: Annotated[datetime | None, Field(description="Since when the version is effective.")] = None
    start_time: Annotated[datetime | None, Field(description="When the change that is under way began.")] = None
    url: Annotated[str | None, Field(max_length=140, description="Where it answers, in the cluster.")] = None
    ready_replicas: Annotated[int, Field(ge=0, description="Pods that answer.")] = 0
    desired_replicas: Annotated[int, Field(ge=0, description="Pods that there should be.")] = 0
    steps: Annotated[
        tuple[StepStatus, ...],
        Field(max_length=10, description="Steps of the promotion, in order.", json_schema_extra=listed("name")),
    ] = ()
    blocked: Annotated[Blocker | None, Field(description="Why it is not as the spec asks; absent when it is.")] = None
    rejected: Annotated[
        tuple[Rejection, ...],
        Field(max_length=5, description="Versions that the stage did not take, oldest first.", json_schema_extra=listed()),
    ] = ()
    draining: Annotated[
        tuple[Draining, ...],
        Field(max_length=4, description="Displaced versions whose pods are about to be deleted.", json_schema_extra=listed()),
    ] = ()

    @property
    def effective(self) -> ServedVersion | None:
        """What is effective, if it is recorded whole."""
        if self.version is None or self.digest is None or self.runtime is None:
            return None
        return ServedVersion(version=self.version, digest=self.digest, runtime=self.runtime)


class Outcome(StrEnum):
    """How a change of a stage ended."""

    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"
    """The version had held the stage before."""
    REFRESHED = "Refreshed"
    """The same version, with another runtime."""
    CLEARED = "Cleared"
    """No version is effective now."""


class HistoryEntry(Schema):
    """One change of a stage."""

    time: Annotated[datetime, Field(description="When the new version became effective.")]
    stage: Annotated[str, Field(max_length=30, description="The stage.")]
    from_: Annotated[Name | None, Field(alias="from", description="The version before; absent if there was none.")] = None
    to: Annotated[Name | None, Field(description="The version since; absent if the stage was cleared.")] = None
    digest: Annotated[str | None, Field(max_length=71, description="Digest of the version since.")] = None
    runtime: Annotated[ModelRuntime | None, Field(description="What serves the version since.")] = None
    outcome: Annotated[
        Outcome,
        Field(
            description="Promoted; RolledBack: the version had held the stage before; Refreshed: the same version with another runtime;"
            " Cleared: no version is effective."
        ),
    ]
    duration_seconds: Annotated[
        int | None, Field(ge=0, description="Seconds from the change of the spec until the new version was effective.")
    ] = None
    reason: Annotated[
        str | None,
        Field(max_length=256, description="Why, as the user who changed the stage wrote it: annotation reason.modelyard.io/<stage>."),
    ] = None


class RegisteredModelStatus(Status):
    """What is registered, what is served, and how it came to be. It is the record of what was promoted."""

    mlflow_name: Annotated[str | None, Field(max_length=256, description="Its name in MLflow: namespace.name.")] = None
    url: Annotated[str | None, Field(max_length=1024, description="Its page in MLflow.")] = None
    versions: Annotated[
        tuple[VersionStatus, ...],
        Field(max_length=64, description="Versions, oldest first: those in use and the newest.", json_schema_extra=listed("name")),
    ] = ()
    older_versions: Annotated[
        tuple[KnownVersion, ...],
        Field(max_length=448, description="The other versions, oldest first.", json_schema_extra=listed("name")),
    ] = ()
    stages: Annotated[dict[str, StageStatus], Field(max_length=16, description="Stages by name.")] = Field(default_factory=dict)
    history: Annotated[
        tuple[HistoryEntry, ...], Field(max_length=50, description="The last 50 changes, oldest first.", json_schema_extra=listed())
    ] = ()
    summary: Annotated[str, Field(max_length=512, description="Stages and their versions in one line.")] = ""


class RegisteredModel(Resource[RegisteredModelSpec, RegisteredModelStatus]):
    """A model: its versions, its stages, and how each stage is served."""

    KIND: ClassVar[str] = "RegisteredModel"
    PLURAL: ClassVar[str] = "registeredmodels"
