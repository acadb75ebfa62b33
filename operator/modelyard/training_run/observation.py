"""What is known of Kubernetes, MLflow and S3 when a TrainingRun is decided on."""

from dataclasses import dataclass, field

from modelyard.api.experiment import Experiment
from modelyard.api.mlmodel import MLModel
from modelyard.api.registered_model import RegisteredModel
from modelyard.api.text import Words
from modelyard.kube.names import CONNECTION_SECRET
from modelyard.plan import Manifest
from modelyard.ports import ArtifactTree, TrackedRun

__all__ = ["FoundModel", "Observation"]


@dataclass(frozen=True)
class FoundModel:
    """The model that a run logged: its URI, its bytes, and its MLmodel file."""

    uri: str
    tree: ArtifactTree
    mlmodel: MLModel


@dataclass(frozen=True)
class Observation:
    """Kubernetes, MLflow and S3 at one moment, as far as a TrainingRun depends on them.

    Attributes:
        experiment: The Experiment that it belongs to.
        registered_model: The RegisteredModel that `spec.register` names.
        owned: Its ConfigMap, Jobs and pods.
        runs: Its MLflow runs by attempt; empty once it has ended, unless it is being deleted.
        script: The digest of the script's text; None while the ConfigMap or its key is missing.
        dataset: Why the namespace may not read `spec.dataset.uri`, and what to do; empty: it may.
        model: The logged model; read when the Job is complete.
        candidates: Logged models, `name (id)`, of which none is the run's more than the others.
        referenced: Runs that a model version came from; read for a deletion.
        tracking_url: The address of MLflow.
        pods_secret: The Secret with the connection of the pods.
        creation_error: Why Kubernetes could not create a pod; read for a Job that has none for a
            while.
        words: Cleans what MLflow says; what pods say is clean in `owned`.

    """

    experiment: Experiment | None
    registered_model: RegisteredModel | None
    owned: tuple[Manifest, ...]
    runs: dict[int, TrackedRun]
    script: str | None = None
    dataset: str = ""
    model: FoundModel | None = None
    candidates: tuple[str, ...] = ()
    referenced: frozenset[str] = frozenset()
    tracking_url: str = ""
    pods_secret: str = CONNECTION_SECRET
    creation_error: str | None = None
    words: Words = field(default_factory=Words)

    @property
    def attempt(self) -> int:
        """The newest attempt, counted from 1; 0 before there is one."""
        return max(self.runs, default=0)

    @property
    def newest(self) -> TrackedRun | None:
        """The newest attempt's MLflow run."""
        return self.runs.get(self.attempt)
