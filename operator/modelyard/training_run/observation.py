"""What a TrainingRun depends on in Kubernetes, MLflow and S3, as frozen values."""

from dataclasses import dataclass, field

from modelyard.api.experiment import Experiment
from modelyard.api.mlmodel import MLModel
from modelyard.api.registered_model import RegisteredModel
from modelyard.api.text import TextFilter
from modelyard.kube.names import CONNECTION_SECRET
from modelyard.plan import Manifest
from modelyard.ports import ArtifactTree, TrackedRun

__all__ = ["FoundModel", "Observation"]


@dataclass(frozen=True)
class FoundModel:
    """The model that a run logged: its URI, its artifact tree and its MLmodel file."""

    uri: str
    tree: ArtifactTree
    mlmodel: MLModel


@dataclass(frozen=True)
class Observation:
    """What one reconcile round read from Kubernetes, MLflow and S3 for a TrainingRun.

    Attributes:
        experiment: The Experiment that it belongs to; None if there is none.
        registered_model: The RegisteredModel that `spec.register` names.
        owned: Its ConfigMap, Jobs and pods, with known credentials removed from their texts.
        runs: Its MLflow runs by attempt; empty once it has finished, unless it is being deleted.
        script: SHA-256 of the script's text; None while the ConfigMap or its key is missing.
        dataset: Why the namespace may not read `spec.dataset.uri`, and what to do; empty if it may.
        model: The logged model; read when the Job is complete.
        candidates: Logged models, as `name (id)`, if the run logged several at the same moment.
        referenced: Ids of runs that a model version was created from; read for a deletion.
        tracking_url: The address of MLflow.
        pods_secret: The Secret with the connection for the pods.
        creation_error: Why Kubernetes could not create a pod; read when a Job has had no pod for
            some time.
        text_filter: Removes credentials from texts of MLflow; texts of pods in `owned` are clean.

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
    text_filter: TextFilter = field(default_factory=TextFilter)

    @property
    def attempt(self) -> int:
        """The number of the newest attempt, from 1; 0 before the first."""
        return max(self.runs, default=0)

    @property
    def newest(self) -> TrackedRun | None:
        """The MLflow run of the newest attempt."""
        return self.runs.get(self.attempt)
