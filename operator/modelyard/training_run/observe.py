"""Read what a TrainingRun depends on: Experiment, Jobs, pods, MLflow runs, the logged model."""

import hashlib
import re
from dataclasses import replace
from datetime import datetime

from modelyard.api.experiment import Experiment
from modelyard.api.mlmodel import MLMODEL_LIMIT, read_mlmodel
from modelyard.api.registered_model import RegisteredModel
from modelyard.api.training_run import TrainingRun
from modelyard.api.training_status import CANDIDATES
from modelyard.kube.jobs import failed, succeeded
from modelyard.kube.names import ATTEMPT_TAG, UID_TAG
from modelyard.kube.pod_words import cleaned
from modelyard.ports import LoggedModel, Ports, Tenant, TrackedRun
from modelyard.tracked import logged_last
from modelyard.training_run import jobs
from modelyard.training_run.interrupted import is_interrupted, is_recorded
from modelyard.training_run.observation import FoundModel, Observation
from modelyard.training_run.pods import has_no_pod

__all__ = ["observe"]

_DEFAULT = "model"
"""The default name of a run's model, and its path below the artifacts in MLflow 2."""
_ATTEMPT = re.compile(r"[1-9][0-9]?")
"""The attempt tag: 1 to 99; `spec.backoffLimit` allows 21. User code can write any tag."""


async def observe(run: TrainingRun, ports: Ports, now: datetime) -> Observation:
    """Read Kubernetes, and also MLflow and S3 unless the TrainingRun has finished.

    Raises:
        ModelyardError: One of them did not answer, or refused a request.

    """
    meta, register = run.metadata, run.spec.register_
    experiment = ports.cluster.get("experiments", meta.namespace, run.spec.experiment)
    plural = RegisteredModel.PLURAL
    model = ports.cluster.get(plural, meta.namespace, register.model) if register else None
    observation = Observation(
        experiment=Experiment.parse(experiment) if experiment else None,
        registered_model=RegisteredModel.parse(model) if model else None,
        owned=(),
        runs={},
    )
    deleting = meta.deletion_timestamp is not None
    finished = run.status.completion_time is not None and not deleting
    tracked_id = _tracked_experiment(run, observation.experiment)
    if tracked_id is None or finished:
        return _owned(observation, run, ports)
    tenant = await ports.tenant(meta.namespace)
    runs = await _runs(tenant, tracked_id, run)
    observation = _owned(observation, run, ports)  # again: the credentials are known since `tenant`
    found = replace(
        observation, runs=runs, tracking_url=tenant.tracking_url, pods_secret=tenant.pods_secret
    )
    if deleting:
        return replace(found, referenced=await _referenced(tenant, runs))
    newest = found.newest
    trained = newest is not None and _trained(run, newest, found, now)
    trained_model, candidates = await _model(tenant, newest) if newest and trained else (None, ())
    return replace(
        found,
        script=await _script(run, ports),
        dataset=_dataset(run, tenant),
        creation_error=await _creation_error(run, ports, found, now),
        model=trained_model,
        candidates=candidates,
    )


def _owned(observation: Observation, run: TrainingRun, ports: Ports) -> Observation:
    """Add the owned objects, with known credentials removed from their texts."""
    text_filter = ports.text_filter(run.metadata.namespace)
    owned = tuple(cleaned(each, text_filter) for each in ports.cluster.owned(run.metadata.uid))
    return replace(observation, owned=owned, text_filter=text_filter)


def _tracked_experiment(run: TrainingRun, experiment: Experiment | None) -> str | None:
    """Return the id of the MLflow experiment that the run was created in.

    The status comes first: the Experiment may have been deleted or recreated since.
    """
    if run.status.mlflow is not None:
        return run.status.mlflow.experiment_id
    return experiment.status.mlflow.id if experiment and experiment.status.mlflow else None


async def _runs(tenant: Tenant, experiment: str, run: TrainingRun) -> dict[int, TrackedRun]:
    """Return the MLflow runs by attempt.

    MLflow has no unique key for a run, so an attempt may have two runs; the older one counts. A
    soft-deleted run still counts.
    """
    uid, recorded = run.metadata.uid, run.status.mlflow
    found = await tenant.tracking.runs(experiment, tags={UID_TAG: uid})
    if recorded is not None and all(each.id != recorded.run_id for each in found):
        deleted = await tenant.tracking.run(recorded.run_id)
        found = found if deleted is None else (deleted, *found)
    by_attempt: dict[int, TrackedRun] = {}
    for each in found:  # newest first
        attempt = each.tags.get(ATTEMPT_TAG, "")
        if _ATTEMPT.fullmatch(attempt) and each.tags.get(UID_TAG) == uid:
            by_attempt[int(attempt)] = each
    return by_attempt


async def _referenced(tenant: Tenant, runs: dict[int, TrackedRun]) -> frozenset[str]:
    """Return the ids of the runs that a model version was created from."""
    ids = [run.id for run in runs.values()]
    return frozenset([id_ for id_ in ids if await tenant.tracking.versions_of_run(id_)])


def _trained(run: TrainingRun, newest: TrackedRun, found: Observation, now: datetime) -> bool:
    """Tell whether training is over, so that the logged model can no longer change.

    Either the Job is complete and the MLflow run is not closed as failed, or the run is closed as
    finished and its Job was deleted or has failed.
    """
    job = jobs.job_of_attempt(run, found)
    if job is not None and succeeded(job):
        again = is_interrupted(run, job, jobs.pods_of(found.owned, job), now)
        return not newest.has_failed and not again
    return newest.has_finished and (job is None or failed(job) is not None) and not is_recorded(run)


async def _creation_error(
    run: TrainingRun, ports: Ports, observation: Observation, now: datetime
) -> str | None:
    job = jobs.job_of_attempt(run, observation)
    if job is None or not has_no_pod(job, now):
        return None
    error = await ports.cluster.creation_error(run.metadata.namespace, job["metadata"]["uid"])
    return None if error is None else observation.text_filter(error)


async def _script(run: TrainingRun, ports: Ports) -> str | None:
    script = run.spec.trainer.script
    if script is None:
        return None
    data = await ports.cluster.config_map(run.metadata.namespace, script.config_map)
    text = (data or {}).get(script.key)
    return None if text is None else "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _dataset(run: TrainingRun, tenant: Tenant) -> str:
    """Return why the namespace may not read the dataset for a pod; empty if it may."""
    dataset = run.spec.dataset
    if dataset is None or dataset.uri is None or not run.spec.trainer.kind.in_cluster:
        return ""
    return tenant.reach.complaint(dataset.uri)


async def _model(tenant: Tenant, run: TrackedRun) -> tuple[FoundModel | None, tuple[str, ...]]:
    """Return the run's model: the one named `model`, otherwise the one logged last.

    Models that were logged in the same millisecond are returned by name instead. MLflow 3 has
    logged models; in MLflow 2 the model is the run's artifact `model`. A pod can write any URI, so
    a URI that the namespace may not read is ignored.
    """
    uri = f"{run.artifact_uri.rstrip('/')}/{_DEFAULT}"
    last = logged_last(await _logged(tenant, run))
    if len(last) > 1:
        return None, tuple(f"{each.name} ({each.id})" for each in last[:CANDIDATES])
    uri = last[0].uri if last else uri
    if tenant.reach.complaint(uri):
        return None, ()
    text = await tenant.store.read(f"{uri.rstrip('/')}/MLmodel", MLMODEL_LIMIT)
    if text is None:
        return None, ()
    tree = await tenant.store.digest(uri)
    return None if tree is None else FoundModel(uri, tree, read_mlmodel(text)), ()


async def _logged(tenant: Tenant, run: TrackedRun) -> tuple[LoggedModel, ...]:
    """Return the run's models named `model`, or all of them if none has that name."""
    if not run.models:
        return ()
    named = await tenant.tracking.logged_models(run.experiment, run.id, _DEFAULT)
    return named or await tenant.tracking.logged_models(run.experiment, run.id)
