"""RegisteredModel: versions, stages, and how each stage is served."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from modelyard.api.base import DeletionPolicy, Name, Resource, Schema, Status, Tags
from modelyard.api.pods import Labels, Resources, Toleration
from modelyard.api.rules import listed, rule, rules

__all__ = [
    "Autoscaling",
    "Drift",
    "HistoryEntry",
    "ModelReason",
    "ModelVersionSpec",
    "RegisteredModel",
    "RegisteredModelSpec",
    "RegisteredModelStatus",
    "Serving",
    "ServingRuntime",
    "Stage",
    "StageStatus",
    "VersionStatus",
]


class ModelReason(StrEnum):
    """Why a RegisteredModel is or is not Ready. It is Ready when every stage serves the version that the spec says."""

    SERVING = "Serving"
    """Every stage serves what the spec says, and MLflow agrees."""
    REGISTERED = "Registered"
    """It is in MLflow; no stage holds a version, so nothing is served."""
    REGISTERING = "Registering"
    """The registered model or a version is being made in MLflow."""
    WAITING_FOR_VERSION = "WaitingForVersion"
    """A stage names a version that is not registered yet; it goes on by itself when it is."""
    VERSION_UNKNOWN = "VersionUnknown"
    """A stage names a version that nothing declares."""
    VERSION_INVALID = "VersionInvalid"
    """A version's source cannot be registered; the message says why."""
    ARTIFACT_MISSING = "ArtifactMissing"
    """The artifacts of a version are gone from S3."""
    ARTIFACT_DIGEST_MISMATCH = "ArtifactDigestMismatch"
    """The artifacts of a version are not those that were registered; it is not served anew."""
    PROMOTING = "Promoting"
    """A new version comes up beside the old one, or takes over."""
    SERVING_FAILED = "ServingFailed"
    """The new version cannot be served; the old one serves on. The message says why."""
    CODE_MODEL_FORBIDDEN = "CodeModelForbidden"
    """The model's flavour runs pickled code, which the namespace does not allow."""
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
    """MLflow has a model of this name that belongs to somebody else; the annotation modelyard.io/adopt takes it over."""
    DRIFTED = "Drifted"
    """Somebody moved a stage or alias in MLflow itself."""
    SYNCED = "Synced"
    """MLflow agrees with the spec."""
    CONNECTION_MISSING = "ConnectionMissing"
    """The namespace has no usable Secret modelyard-connection."""
    CONNECTION_REFUSED = "ConnectionRefused"
    """MLflow or S3 refuses the credentials."""
    MLFLOW_UNAVAILABLE = "MLflowUnavailable"
    """MLflow does not answer; what is served is served on."""
    STORE_UNAVAILABLE = "StoreUnavailable"
    """S3 does not answer; what is served is served on."""
    REQUEST_REFUSED = "RequestRefused"
    """MLflow, S3 or Kubernetes understood a request and refused it; the message says which."""
    DELETING = "Deleting"
    """The object is being deleted."""


class Drift(StrEnum):
    """What happens when somebody moves a stage or an alias in MLflow itself."""

    REVERT = "Revert"
    WARN = "Warn"


class ModelVersionSpec(Schema):
    """Where a version comes from: exactly one source."""

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
            max_length=1024,
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

    min_replicas: Annotated[int, Field(ge=1, le=1000, description="At least so many pods.")] = 1
    max_replicas: Annotated[int, Field(ge=1, le=1000, description="At most so many pods.")]
    target_cpu_utilization_percentage: Annotated[int, Field(ge=1, le=1000, description="CPU use, of the request, that it aims at.")] = 80


class ServingRuntime(Schema):
    """How the model server runs."""

    workers: Annotated[int, Field(ge=1, le=64, description="Processes in a pod.")] = 1


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


class VersionStatus(Schema):
    """A version, as it was registered."""

    name: Annotated[Name, Field(description="Its name in the spec.")]
    mlflow_version: Annotated[str | None, Field(max_length=16, description="MLflow's number; absent until it is registered.")] = None
    run_id: Annotated[str | None, Field(max_length=64, description="The MLflow run that it came from.")] = None
    training_run: Annotated[Name | None, Field(description="The TrainingRun that it came from.")] = None
    uri: Annotated[str | None, Field(max_length=1024, description="Where its artifact tree lies.")] = None
    digest: Annotated[str | None, Field(max_length=71, description="Digest of the tree, computed at registration.")] = None
    seal: Annotated[
        str | None, Field(max_length=71, description="Digest of the store's own listing, by which a change is noticed without reading.")
    ] = None
    bytes: Annotated[int | None, Field(ge=0, description="Size of the tree.", json_schema_extra={"format": "int64"})] = None
    flavor: Annotated[str | None, Field(max_length=64, description="Its MLflow flavour, such as xgboost.")] = None
    signature: Annotated[str | None, Field(max_length=1024, description="Its inputs and outputs, in short.")] = None
    created_at: Annotated[datetime | None, Field(description="When it was registered.")] = None
    stages: Annotated[
        tuple[Annotated[str, Field(max_length=63)], ...],
        Field(max_length=16, description="Stages that it holds.", json_schema_extra=listed()),
    ] = ()
    served_until: Annotated[datetime | None, Field(description="When it last served, if it does not now.")] = None
    problem: Annotated[str | None, Field(max_length=1024, description="Why it is not registered or must not be served.")] = None


class StageStatus(Schema):
    """What holds a stage, and how it is served."""

    version: Annotated[Name | None, Field(description="The version that holds the stage now.")] = None
    desired: Annotated[Name | None, Field(description="The version that the spec asks for.")] = None
    since: Annotated[datetime | None, Field(description="Since when the version holds it.")] = None
    url: Annotated[str | None, Field(max_length=512, description="Where it answers, in the cluster.")] = None
    ready_replicas: Annotated[int, Field(ge=0, description="Pods that answer.")] = 0
    desired_replicas: Annotated[int, Field(ge=0, description="Pods that there should be.")] = 0
    started: Annotated[datetime | None, Field(description="When the change that is under way began.")] = None
    refused: Annotated[str | None, Field(max_length=1024, description="Why the desired version is not promoted.")] = None
    refused_generation: Annotated[
        int | None, Field(ge=0, description="The spec's generation that the refusal speaks of; it is tried again when the spec changes.")
    ] = None


class HistoryEntry(Schema):
    """One change of a stage."""

    time: Annotated[datetime, Field(description="When the new version took over.")]
    stage: Annotated[str, Field(max_length=63, description="The stage.")]
    from_: Annotated[Name | None, Field(alias="from", description="The version before; absent if there was none.")] = None
    to: Annotated[Name | None, Field(description="The version since; absent if the stage was cleared.")] = None
    reason: Annotated[
        Literal["Promoted", "RolledBack", "Cleared"],
        Field(description="Promoted; RolledBack: the version had held the stage before; Cleared: none holds it now."),
    ]
    duration_seconds: Annotated[
        int | None, Field(ge=0, description="Seconds from the change of the spec to the new version's taking over.")
    ] = None
    note: Annotated[
        str | None,
        Field(max_length=256, description="Why, as whoever changed the stage wrote it: the annotation reason.modelyard.io/<stage>."),
    ] = None


class RegisteredModelStatus(Status):
    """What is registered, what is served, and how it came to be."""

    mlflow_name: Annotated[str | None, Field(max_length=256, description="Its name in MLflow: namespace.name.")] = None
    url: Annotated[str | None, Field(max_length=2048, description="Where to look at it in MLflow.")] = None
    versions: Annotated[
        tuple[VersionStatus, ...], Field(max_length=512, description="Versions, oldest first.", json_schema_extra=listed("name"))
    ] = ()
    stages: Annotated[dict[str, StageStatus], Field(max_length=16, description="Stages by name.")] = Field(default_factory=dict)
    history: Annotated[
        tuple[HistoryEntry, ...], Field(max_length=50, description="The last 50 changes, oldest first.", json_schema_extra=listed())
    ] = ()
    summary: Annotated[str, Field(max_length=1024, description="Stages and their versions in one line.")] = ""


class RegisteredModel(Resource[RegisteredModelSpec, RegisteredModelStatus]):
    """A model: its versions, its stages, and how each stage is served."""

    KIND: ClassVar[str] = "RegisteredModel"
    PLURAL: ClassVar[str] = "registeredmodels"
