"""Build the status of a TrainingRun from what was observed. Pure."""

import re
from datetime import datetime

from modelyard.api.base import Condition, condition
from modelyard.api.conditions import stalled
from modelyard.api.run_status import RunStatus
from modelyard.api.text import TextFilter
from modelyard.api.training_run import (
    DatasetStatus,
    Failure,
    Metric,
    MlflowRun,
    ModelArtifact,
    ObjectiveStatus,
    Progress,
    TrainingRun,
    TrainingRunStatus,
)
from modelyard.api.training_status import PARAMETER_NAME, PARAMETERS, shortened
from modelyard.api.wire import DATASET_TAGS, PROGRESS_METRIC
from modelyard.kube.jobs import running_since
from modelyard.plan import Manifest
from modelyard.ports import TrackedRun
from modelyard.training_run import jobs
from modelyard.training_run.build import TRAINER
from modelyard.training_run.observation import Observation
from modelyard.training_run.pods import dataset_read

__all__ = ["failed_status", "observed_status"]

_METRICS_LIMIT = 32
_DIGEST, _ROWS = re.compile(r"sha256:[0-9a-f]{64}"), re.compile(r"[0-9]{1,18}")


def observed_status(
    run: TrainingRun,
    observation: Observation,
    conditions: tuple[Condition, ...],
    now: datetime | None = None,
) -> TrainingRunStatus:
    """Return the status with the observed values; a field that was not observed keeps its value.

    Args:
        run: The TrainingRun.
        observation: What was observed.
        conditions: The new conditions.
        now: The time, for the estimate of the time left; None: nothing trains, so no estimate.

    """
    old = run.status
    attempt, tracked = observation.attempt, observation.newest
    if tracked is None:
        return old.model_copy(update={"conditions": conditions})
    same = old.attempt == attempt
    job = jobs.job_of_attempt(run, observation)
    name = job["metadata"]["name"] if job is not None else old.job if same else None
    pods = jobs.pods_of(observation.owned, job)
    progress = _progress(tracked, _began(run, pods, tracked), now)
    return old.model_copy(
        update={
            "conditions": conditions,
            "attempt": attempt,
            "mlflow": _mlflow(observation, tracked),
            "job": name,
            "job_uid": job["metadata"]["uid"] if job is not None else None,
            **_parameters(run, tracked, observation.text_filter),
            "metrics": _metrics(tracked, observation.text_filter),
            "progress": progress or (old.progress if same else None),
            "dataset": dataset_read(pods) or _dataset(tracked) or old.dataset,
            "objective": _objective(observation) if old.start_time is None else old.objective,
            "model": _artifact(observation) or old.model,
            "candidates": tuple(
                observation.text_filter(each)[:320] for each in observation.candidates
            )
            or old.candidates,
            "start_time": old.start_time or tracked.start,
        }
    )


def failed_status(
    status: TrainingRunStatus, failure: Failure, message: str, end: datetime
) -> TrainingRunStatus:
    """Return the status of a run that finished with this failure."""
    conditions = (
        condition("Succeeded", False, failure.reason, message),
        *stalled(failure.reason, message),
    )
    update = {"conditions": conditions, "completion_time": end, "failure": failure}
    return status.model_copy(update=update)


def _mlflow(observation: Observation, tracked: TrackedRun) -> MlflowRun:
    url = f"{observation.tracking_url}/#/experiments/{tracked.experiment}/runs/{tracked.id}"
    return MlflowRun(run_id=tracked.id, experiment_id=tracked.experiment, url=url)


def _objective(observation: Observation) -> ObjectiveStatus | None:
    asked = observation.experiment.spec.objective if observation.experiment is not None else None
    return ObjectiveStatus(metric=asked.metric, goal=asked.goal) if asked is not None else None


def _metrics(tracked: TrackedRun, text_filter: TextFilter) -> tuple[Metric, ...]:
    shown = sorted(
        name
        for name in tracked.metrics
        if name != PROGRESS_METRIC and not name.startswith("system/")
    )
    values = {text_filter(name): tracked.metrics[name] for name in shown[:_METRICS_LIMIT]}
    return tuple(Metric(name=name, value=f"{value:.6g}") for name, value in values.items())


def _parameters(
    run: TrainingRun, tracked: TrackedRun, text_filter: TextFilter
) -> dict[str, object]:
    """Return the spec's parameters, then those that a script logged, up to the status' limit."""
    logged = tracked.parameters
    named = (name for name in logged if len(name) <= PARAMETER_NAME)
    ours_first = sorted(named, key=lambda name: (name not in run.spec.parameters, name))
    shown = {
        text_filter(name): shortened(text_filter(logged[name], lines=True))
        for name in sorted(ours_first[:PARAMETERS])
    }
    return {"parameters": shown, "omitted_parameters": len(logged) - len(shown) or None}


def _dataset(tracked: TrackedRun) -> DatasetStatus | None:
    """Return the dataset that the trainer logged, for external runs and runs without their pod."""
    digest, rows = (tracked.tags.get(f"{DATASET_TAGS}{key}", "") for key in ("digest", "rows"))
    if not _DIGEST.fullmatch(digest) or not _ROWS.fullmatch(rows):
        return None
    return DatasetStatus(digest=digest, rows=int(rows))


def _artifact(observation: Observation) -> ModelArtifact | None:
    model = observation.model
    if model is None:
        return None
    return ModelArtifact(
        uri=model.uri,
        digest=model.tree.digest,
        bytes=model.tree.bytes,
        flavor=model.mlmodel.flavor,
        listing_digest=model.tree.listing_digest or None,
    )


def _began(run: TrainingRun, pods: list[Manifest], tracked: TrackedRun) -> datetime | None:
    """Return when the trainer itself started; its MLflow run is created before the pod starts."""
    if not run.spec.trainer.kind.in_cluster:
        return tracked.start
    return next((since for pod in pods if (since := running_since(pod, TRAINER))), None)


def _progress(tracked: TrackedRun, began: datetime | None, now: datetime | None) -> Progress | None:
    """Estimate the time left linearly, from the percentage done so far.

    It is rounded to 10 s, so that the status does not change with every reconcile. There is no
    estimate below 10 %: most of that time is imports and reading the data.
    """
    value = tracked.metrics.get(PROGRESS_METRIC)
    if value is None or not 0 <= value <= 100:
        return None
    percent = int(value)
    if percent == 100:
        return Progress(percent=percent, message="Done.")
    if now is None or began is None or percent < 10 or tracked.status != RunStatus.RUNNING:
        return Progress(percent=percent, message=f"{percent}% done.")
    left = (now - began).total_seconds() * (100 - percent) / percent
    eta = max(10, round(left / 10) * 10)
    message = f"{percent}% done, about {eta} s to go."
    return Progress(percent=percent, eta_seconds=eta, message=message)
