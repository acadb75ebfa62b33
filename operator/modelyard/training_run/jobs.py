"""Select a TrainingRun's Jobs and their pods among its owned objects. Pure.

An object counts as owned if it names the TrainingRun as its controller, and any editor of the
namespace can write that. So a Job belongs to an attempt only if it has the attempt's name and the
uid that the status records. Before a uid is recorded, it must train the attempt's MLflow run,
whose id cannot be guessed before the attempt starts. Any other Job with an attempt's name is
deleted; Jobs with other names are ignored.
"""

from collections.abc import Iterable

from modelyard.api import wire
from modelyard.api.training_run import TrainingRun
from modelyard.kube.jobs import of_kind
from modelyard.kube.names import job_name
from modelyard.kube.owned import parent_of
from modelyard.kube.pods import literal
from modelyard.plan import Delete, Manifest
from modelyard.training_run.observation import Observation

__all__ = ["delete", "impostor", "is_recorded", "job_of_attempt", "named", "not_deleted", "pods_of"]


def job_of_attempt(run: TrainingRun, observation: Observation) -> Manifest | None:
    """Return the Job of the newest attempt; None if the operator has created none."""
    job = _named(run, observation)
    return job if job is not None and _counts(run, observation, job) else None


def impostor(run: TrainingRun, observation: Observation) -> Manifest | None:
    """Return a Job with the newest attempt's name that the operator did not create."""
    job = _named(run, observation)
    return job if job is not None and not _counts(run, observation, job) else None


def is_recorded(run: TrainingRun, attempt: int) -> bool:
    """Tell whether the status records the uid of this attempt's Job."""
    return run.status.attempt == attempt and run.status.job_uid is not None


def _named(run: TrainingRun, observation: Observation) -> Manifest | None:
    return _of_name(observation, "Job", job_name(run.metadata.name, observation.attempt))


def _of_name(observation: Observation, kind: str, name: str) -> Manifest | None:
    found = of_kind(observation.owned, kind)
    return next((each for each in found if each["metadata"]["name"] == name), None)


def _counts(run: TrainingRun, observation: Observation, job: Manifest) -> bool:
    if is_recorded(run, observation.attempt):
        return bool(job["metadata"]["uid"] == run.status.job_uid)
    newest = observation.newest
    return newest is not None and _mlflow_run(job) == literal(newest.id)


def _mlflow_run(job: Manifest) -> str | None:
    """Return the MLflow run id in the trainer's environment; a Job's template is immutable."""
    containers = job["spec"]["template"]["spec"].get("containers") or ()
    trainers = (each for each in containers if each.get("name") == wire.TRAINER)
    variables = (each for trainer in trainers for each in trainer.get("env") or ())
    return next((each.get("value") for each in variables if each.get("name") == wire.RUN_ID), None)


def not_deleted(run: TrainingRun, observation: Observation) -> list[Manifest]:
    """Return the Jobs with an attempt's name that are not being deleted yet."""
    attempts = {*range(1, run.spec.backoff_limit + 2), run.status.attempt, observation.attempt}
    names = {job_name(run.metadata.name, attempt) for attempt in attempts}
    ours = (job for job in of_kind(observation.owned, "Job") if job["metadata"]["name"] in names)
    return [job for job in ours if not job["metadata"].get("deletionTimestamp")]


def pods_of(owned: Iterable[Manifest], job: Manifest | None) -> list[Manifest]:
    """Return the pods that a Job controls; an empty list if there is no Job."""
    if job is None:
        return []
    parents = ((pod, parent_of(pod)) for pod in of_kind(owned, "Pod"))
    uid = job["metadata"]["uid"]
    return [pod for pod, parent in parents if parent is not None and parent.uid == uid]


def named(observation: Observation, manifest: Manifest) -> Manifest | None:
    """Return the owned object with a manifest's kind and name."""
    return _of_name(observation, manifest["kind"], manifest["metadata"]["name"])


def delete(owned: Manifest) -> Delete:
    """Return the action that deletes an owned object; a Job is deleted with its pods."""
    meta = owned["metadata"]
    return Delete(owned["apiVersion"], owned["kind"], meta["name"], meta["uid"])
