"""Read what a TrainingRun is about: its Experiment, Jobs and pods, MLflow runs, its model. Deciding does not belong here."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from modelyard.api.experiment import Experiment
from modelyard.api.mlmodel import MLMODEL_LIMIT, MLModel, read_mlmodel
from modelyard.api.registered_model import RegisteredModel
from modelyard.api.training_run import TrainingRun
from modelyard.kube.jobs import failed, succeeded
from modelyard.kube.names import ATTEMPT_TAG, UID_TAG
from modelyard.plan import Manifest
from modelyard.ports import ArtifactTree, Ports, Tenant, TrackedRun

__all__ = ["FoundModel", "Seen", "observe"]


@dataclass(frozen=True)
class FoundModel:
    """The model that a run logged: where it lies, its bytes, what its MLmodel file says."""

    uri: str
    tree: ArtifactTree
    mlmodel: MLModel


@dataclass(frozen=True)
class Seen:
    """The world at one moment, as far as a TrainingRun is concerned.

    Attributes:
        experiment: The Experiment that it belongs to.
        registered_model: The RegisteredModel that `spec.register` names.
        children: Its ConfigMap, Jobs and pods.
        runs: Its MLflow runs by attempt; none are looked up once the TrainingRun has ended, unless it is being deleted.
        script: Digest of the script's text; None while the ConfigMap or its key is missing.
        model: The logged model; looked for when the Job is complete.
        referenced: Runs that a model version came from; looked up for a deletion.
        tracking_url: Where MLflow answers.

    """

    experiment: Experiment | None
    registered_model: RegisteredModel | None
    children: tuple[Manifest, ...]
    runs: dict[int, TrackedRun]
    script: str | None = None
    model: FoundModel | None = None
    referenced: frozenset[str] = frozenset()
    tracking_url: str = ""

    @property
    def attempt(self) -> int:
        """The newest attempt, counted from 1; 0 before there is one."""
        return max(self.runs, default=0)

    @property
    def newest(self) -> TrackedRun | None:
        """Its MLflow run."""
        return self.runs.get(self.attempt)


async def observe(run: TrainingRun, ports: Ports, _now: datetime) -> Seen:
    """Look at Kubernetes, and at MLflow and S3 unless the TrainingRun has ended.

    Raises:
        ModelyardError: One of them did not answer, or refused.

    """
    meta, register = run.metadata, run.spec.register_
    experiment = ports.cluster.get("experiments", meta.namespace, run.spec.experiment)
    model = ports.cluster.get("registeredmodels", meta.namespace, register.model) if register else None
    seen = Seen(
        experiment=Experiment.parse(experiment) if experiment else None,
        registered_model=RegisteredModel.parse(model) if model else None,
        children=ports.cluster.owned(meta.uid),
        runs={},
    )
    deleting = meta.deletion_timestamp is not None
    tracked_id = _tracked_experiment(run, seen.experiment)
    if tracked_id is None or (run.status.completion_time is not None and not deleting):
        return seen
    tenant = await ports.tenant(meta.namespace)
    runs = await _runs(tenant, tracked_id, run)
    newest = runs.get(max(runs, default=0))
    return Seen(
        experiment=seen.experiment,
        registered_model=seen.registered_model,
        children=seen.children,
        runs=runs,
        script=await _script(run, ports),
        model=await _model(tenant, newest) if newest and not deleting and _trained(newest, seen.children) else None,
        referenced=frozenset({r.id for r in runs.values() if await tenant.tracking.versions_of_run(r.id)}) if deleting else frozenset(),
        tracking_url=tenant.tracking_url,
    )


def _tracked_experiment(run: TrainingRun, experiment: Experiment | None) -> str | None:
    """The Experiment may be gone, or its name may be another one's now: where the run was made counts."""
    if run.status.mlflow is not None:
        return run.status.mlflow.experiment_id
    return experiment.status.mlflow.id if experiment and experiment.status.mlflow else None


async def _runs(tenant: Tenant, experiment: str, run: TrainingRun) -> dict[int, TrackedRun]:
    """By attempt. MLflow cannot keep two creates apart, so of two runs of one attempt the older one counts.

    One that was soft-deleted in MLflow meanwhile is still the attempt's run.
    """
    uid, recorded = run.metadata.uid, run.status.mlflow
    found = await tenant.tracking.runs(experiment, tags={UID_TAG: uid})
    if recorded is not None and all(each.id != recorded.run_id for each in found):
        hidden = await tenant.tracking.run(recorded.run_id)
        found = found if hidden is None else (hidden, *found)
    by_attempt: dict[int, TrackedRun] = {}
    for each in found:  # newest first
        attempt = each.tags.get(ATTEMPT_TAG, "")
        if attempt.isdecimal() and each.tags.get(UID_TAG) == uid:
            by_attempt[int(attempt)] = each
    return by_attempt


def _trained(newest: TrackedRun, children: tuple[Manifest, ...]) -> bool:
    """Its Job is complete, or gone after the run was closed well. Before that the model may still change."""
    jobs = [child for child in children if child["kind"] == "Job"]
    return any(map(succeeded, jobs)) or (newest.status == "FINISHED" and all(map(failed, jobs)))


async def _script(run: TrainingRun, ports: Ports) -> str | None:
    script = run.spec.trainer.script
    if script is None:
        return None
    data = await ports.cluster.config_map(run.metadata.namespace, script.config_map)
    text = (data or {}).get(script.key)
    return None if text is None else "sha256:" + hashlib.sha256(text.encode()).hexdigest()


async def _model(tenant: Tenant, run: TrackedRun) -> FoundModel | None:
    """The last model that the run put out (MLflow 3), or what lies under its artifacts as `model` (MLflow 2)."""
    uri = f"{run.artifact_uri.rstrip('/')}/model"
    if run.models:
        logged = await tenant.tracking.logged_model(run.models[-1])
        uri = logged.uri if logged else uri
    if not uri.startswith("s3://"):
        return None
    text = await tenant.store.read(f"{uri.rstrip('/')}/MLmodel", MLMODEL_LIMIT)
    if text is None:
        return None
    tree = await tenant.store.digest(uri)
    return None if tree is None else FoundModel(uri, tree, read_mlmodel(text))
