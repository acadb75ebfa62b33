"""The input of a RegisteredModel's decision: frozen values, read by `observe`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from modelyard.api.blocker import Blocker
from modelyard.api.freeze import Calendar
from modelyard.api.history import RecordedEntry
from modelyard.api.mlmodel import MLModel, Signature
from modelyard.api.model_approval import ModelApproval
from modelyard.api.registered_model import RegisteredModel
from modelyard.api.training_run import ObjectiveStatus, TrainingRun
from modelyard.errors import ModelyardError
from modelyard.kube.names import CONNECTION_SECRET
from modelyard.plan import Manifest
from modelyard.ports import ArtifactTree, TrackedModel, TrackedRun, TrackedVersion
from modelyard.registered_model.declarations import Declaration
from modelyard.traffic import Answered, SplitObservation

__all__ = ["Artifacts", "Evidence", "Observation", "RecordObservation", "Source", "is_empty"]


@dataclass(frozen=True)
class Source:
    """Where a version is stored, and its digest.

    Attributes:
        uri: The artifact tree.
        tree: Its digest and size.
        mlmodel: Its MLmodel file.
        run: The MLflow run that it came from.
        training_run: The TrainingRun that it came from.
        logged_model: MLflow's id of the logged model.

    """

    uri: str
    tree: ArtifactTree
    mlmodel: MLModel
    run: str | None = None
    training_run: str | None = None
    logged_model: str | None = None


@dataclass(frozen=True)
class Artifacts:
    """The artifacts of a recorded version in S3: the digests of their listing and of their bytes.

    The bytes are read only when the listing has changed.
    """

    listing_digest: str
    digest: str | None


@dataclass(frozen=True)
class Evidence:
    """What gates, analyses and watches judge by. A string in place of a value is an error message.

    Attributes:
        runs: MLflow runs by id; None: there is none.
        signatures: By digest of the version; None: the model has none.
        training_runs: TrainingRuns by name.
        objectives: By version, the objective of its Experiment when its training began.
        creation_errors: By the uid of a gate's Job that has no pod, why Kubernetes can create none.
        approvals: The ModelApprovals that name the model.
        unguarded: Why approvals cannot be trusted; None: an admission policy checks who approves.
        split: What the stable pods that split requests report, by stage.
        progress: The stored state of the analysis of a rollout, by stage: text that the operator
            wrote and another client may have changed.
        answered: Requests and failures of a watched version's pods since the switch, by stage.

    """

    runs: Mapping[str, TrackedRun | str | None] = field(default_factory=dict)
    signatures: Mapping[str, Signature | str | None] = field(default_factory=dict)
    training_runs: Mapping[str, TrainingRun] = field(default_factory=dict)
    objectives: Mapping[str, ObjectiveStatus] = field(default_factory=dict)
    creation_errors: Mapping[str, str] = field(default_factory=dict)
    approvals: tuple[ModelApproval, ...] = ()
    unguarded: str | None = None
    answered: Mapping[str, Answered] = field(default_factory=dict)
    split: Mapping[str, SplitObservation] = field(default_factory=dict)
    progress: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RecordObservation:
    """What S3 has of the model's record.

    Attributes:
        folder: Where its objects are: `s3://bucket/namespace/.modelyard/history/uid/`.
        head: The newest entry there, read only if the status does not name it. Number 0: there is
            none.
        content: The object at the URI of the first pending entry; None: there is none.
        error: Why that object could not be read.

    """

    folder: str
    head: RecordedEntry | None = None
    content: bytes | None = None
    error: ModelyardError | None = None


@dataclass(frozen=True)
class Observation:
    """Everything that one round observed about a RegisteredModel.

    Attributes:
        declarations: The declared versions.
        owned: Its Deployments, Services, autoscalers, budgets, ControllerRevisions, Jobs of gates,
            and pods.
        refusals: Applies, and updates of pods, that the API server refused in this reconcile, by
            kind and name.
        model: The registered model of our name in MLflow, whichever object it belongs to.
        versions: Its versions there, oldest first.
        sources: For versions that are not recorded: where they are stored, or what blocks them. The
            search ends at the first one that can be recorded, because a round records one.
        artifacts: What S3 has of the recorded versions that are in use or that MLflow has lost.
            None: it has nothing; a Blocker: S3 refuses the request.
        runs: The TrainingRuns that versions may come from, by name.
        evidence: The evidence for gates without a lasting verdict, for analyses and for watches.
        calendar: The freezes of the whole cluster, or why they cannot be read.
        neighbours: Stages whose Service name another model of the namespace has, with that model's
            name.
        allow_code: Whether the namespace allows models that run code when they are loaded.
        pods_secret: The Secret with the connection of the pods.
        tracking_url: MLflow's address.
        record: What S3 has of the record; None: it was not read.
        dependency_error: Why MLflow or S3 could not be read; all external state is unknown then.

    """

    declarations: Mapping[str, Declaration]
    owned: tuple[Manifest, ...] = ()
    refusals: Mapping[tuple[str, str], ModelyardError] = field(default_factory=dict)
    model: TrackedModel | None = None
    versions: tuple[TrackedVersion, ...] = ()
    sources: Mapping[str, Source | Blocker] = field(default_factory=dict)
    artifacts: Mapping[str, Artifacts | Blocker | None] = field(default_factory=dict)
    runs: Mapping[str, TrainingRun] = field(default_factory=dict)
    evidence: Evidence = field(default_factory=Evidence)
    calendar: Calendar | str = field(default_factory=Calendar)
    neighbours: Mapping[str, str] = field(default_factory=dict)
    allow_code: bool = False
    pods_secret: str = CONNECTION_SECRET
    tracking_url: str = ""
    record: RecordObservation | None = None
    dependency_error: ModelyardError | None = None


def is_empty(model: RegisteredModel) -> bool:
    """Tell whether the status is empty, as after the object was restored from a backup.

    The name in MLflow is recorded before the model is created there, so a status without it is new
    or was lost.
    """
    status = model.status
    return not (
        status.mlflow_name
        or status.versions
        or status.older_versions
        or status.stages
        or status.history
    )
