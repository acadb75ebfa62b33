"""What a RegisteredModel's decision is made from: frozen values, read by `observe`."""

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

__all__ = ["Artifacts", "Evidence", "Observation", "RecordSeen", "Source", "is_empty"]


@dataclass(frozen=True)
class Source:
    """Where a version is stored, and what its bytes are.

    Attributes:
        uri: The artifact tree.
        tree: Its digest and size.
        mlmodel: What its MLmodel file says.
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
    """The artifacts of a recorded version in S3: digest of their listing, and digest of their
    bytes.

    The bytes are read only when the listing has changed.
    """

    listing_digest: str
    digest: str | None


@dataclass(frozen=True)
class Evidence:
    """What gates judge by. A text in place of a value says why it could not be read.

    Attributes:
        runs: MLflow runs by id; None: there is none.
        signatures: By digest of the version; None: the model has none.
        training_runs: TrainingRuns by name.
        objectives: By version, the objective of the Experiment that it came from, when its training
            began.
        creation_errors: By the uid of a gate's Job that has no pod, why Kubernetes can create none.
        approvals: The ModelApprovals that name the model.
        unguarded: Why they cannot be believed; None: the API server takes none in another's name.
        split: What the stable pods say that split their requests, by stage.
        progress: What is kept of the analysis of a rollout, by stage: text of our own, which others
            may have changed.
        answered: What the pods of a version that is watched answered since the switch, by stage.

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
class RecordSeen:
    """What S3 has of the model's record.

    Attributes:
        folder: Where its objects lie: `s3://bucket/namespace/.modelyard/history/uid/`.
        head: The newest entry there, read where the status does not name the record; its number is
            0 where there is none.
        content: The object that the first pending entry should have; None: nothing lies there.
        error: Why that could not be read.

    """

    folder: str
    head: RecordedEntry | None = None
    content: bytes | None = None
    error: ModelyardError | None = None


@dataclass(frozen=True)
class Observation:
    """The world at one moment, as far as a RegisteredModel is concerned.

    Attributes:
        declarations: The versions that there should be.
        owned: Its Deployments, Services, autoscalers, budgets, ControllerRevisions, Jobs of gates,
            and pods.
        refusals: Applies that the API server refused in this reconcile, and pods that it did not
            let tell, by kind and name.
        model: The registered model of our name in MLflow, whoever it belongs to.
        versions: Its versions there, oldest first.
        sources: For versions that are not recorded: where they are stored, or what blocks them. The
            first one that can be recorded ends the search: a round records one.
        artifacts: For recorded versions in use, and those that MLflow has lost: what is in S3; None
            when nothing is; a Blocker when S3 refuses.
        runs: The TrainingRuns that versions may come from, by name.
        evidence: What gates judge by that are not judged yet.
        calendar: The freezes of the whole cluster, or why they cannot be read.
        neighbours: Stages whose address another model of the namespace has, with its name.
        allow_code: Whether the namespace allows models whose loading runs code.
        pods_secret: The Secret with the connection of the pods.
        tracking_url: MLflow's address.
        record: What S3 has of the record; None: it was not asked.
        dependency_error: Why MLflow or S3 could not be read; everything external is unknown then.

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
    record: RecordSeen | None = None
    dependency_error: ModelyardError | None = None


def is_empty(model: RegisteredModel) -> bool:
    """Tell whether the status records nothing at all, as that of an object restored from a backup.

    The name in MLflow is recorded before the model is created there, so a status without it was
    lost or is new.
    """
    status = model.status
    return not (
        status.mlflow_name
        or status.versions
        or status.older_versions
        or status.stages
        or status.history
    )
