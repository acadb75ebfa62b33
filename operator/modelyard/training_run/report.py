"""What a TrainingRun's status says of what is known. Pure; which conditions hold is decided elsewhere."""

import re
from datetime import datetime

from modelyard.api.base import Condition
from modelyard.api.training_run import DatasetStatus, Metric, MlflowRun, ModelArtifact, Progress, TrainingRun, TrainingRunStatus
from modelyard.api.wire import DATASET_TAGS, PROGRESS_METRIC
from modelyard.kube.jobs import of_kind, running_since
from modelyard.kube.names import job_name
from modelyard.ports import TrackedRun
from modelyard.training_run import outcome
from modelyard.training_run.build import TRAINER
from modelyard.training_run.observe import Seen

__all__ = ["known"]

_METRICS_LIMIT = 32
_PARAMETERS_LIMIT = 256
_PARAMETER_LIMIT = 6000
_DIGEST, _ROWS = re.compile(r"sha256:[0-9a-f]{64}"), re.compile(r"[0-9]{1,18}")


def known(run: TrainingRun, seen: Seen, conditions: tuple[Condition, ...], now: datetime | None = None) -> TrainingRunStatus:
    """Return the status with everything that is seen now, what was seen before where nothing is, and these conditions.

    Args:
        run: The object.
        seen: The world.
        conditions: What holds.
        now: The time, for the estimate of what is left; None: no estimate, for nothing is being trained.

    """
    old = run.status
    attempt, tracked = seen.attempt, seen.newest
    if tracked is None:
        return old.model_copy(update={"conditions": conditions})
    shown = sorted(name for name in tracked.metrics if name != PROGRESS_METRIC and not name.startswith("system/"))
    name = job_name(run.metadata.name, attempt)
    found = any(job["metadata"]["name"] == name for job in of_kind(seen.children, "Job"))
    return old.model_copy(
        update={
            "conditions": conditions,
            "attempt": attempt,
            "mlflow": MlflowRun(
                run_id=tracked.id,
                experiment_id=tracked.experiment,
                url=f"{seen.tracking_url}/#/experiments/{tracked.experiment}/runs/{tracked.id}",
            ),
            "job": name if found else old.job if old.attempt == attempt else None,
            "parameters": _parameters(run, tracked),
            "metrics": tuple(Metric(name=key, value=f"{tracked.metrics[key]:.6g}") for key in shown[:_METRICS_LIMIT]),
            "progress": _progress(tracked, _began(run, seen, tracked), now) or (old.progress if old.attempt == attempt else None),
            "dataset": outcome.dataset(of_kind(seen.children, "Pod")) or _dataset(tracked) or old.dataset,
            "model": _artifact(seen) or old.model,
            "start_time": old.start_time or tracked.start,
        }
    )


def _parameters(run: TrainingRun, tracked: TrackedRun) -> dict[str, str]:
    """Those of the spec, then what a script has logged besides, as far as the status has room."""
    ours_first = sorted(tracked.parameters, key=lambda name: (name not in run.spec.parameters, name))
    return {name: tracked.parameters[name][:_PARAMETER_LIMIT] for name in sorted(ours_first[:_PARAMETERS_LIMIT])}


def _dataset(tracked: TrackedRun) -> DatasetStatus | None:
    """The dataset as whoever trains has told MLflow: all that is known of one that was read elsewhere, or by a pod that is gone."""
    digest, rows = (tracked.tags.get(f"{DATASET_TAGS}{key}", "") for key in ("digest", "rows"))
    if not _DIGEST.fullmatch(digest) or not _ROWS.fullmatch(rows):
        return None
    return DatasetStatus(digest=digest, rows=int(rows))


def _artifact(seen: Seen) -> ModelArtifact | None:
    if seen.model is None:
        return None
    return ModelArtifact(uri=seen.model.uri, digest=seen.model.tree.digest, bytes=seen.model.tree.bytes, flavor=seen.model.mlmodel.flavor)


def _began(run: TrainingRun, seen: Seen, tracked: TrackedRun) -> datetime | None:
    """Since when the trainer itself runs: the MLflow run is older, by all that a pod needs to come up."""
    if run.spec.trainer.external is not None:
        return tracked.start
    return next((since for pod in of_kind(seen.children, "Pod") if (since := running_since(pod, TRAINER))), None)


def _progress(tracked: TrackedRun, began: datetime | None, now: datetime | None) -> Progress | None:
    """The estimate is linear: what is left takes as long, a percent, as what is done. In steps, so that it rests between two looks.

    The first tenth says nothing of the rest: most of it is imports and reading the data.
    """
    value = tracked.metrics.get(PROGRESS_METRIC)
    if value is None or not 0 <= value <= 100:
        return None
    percent = int(value)
    if percent == 100:
        return Progress(percent=percent, message="Done.")
    if now is None or began is None or percent < 10 or tracked.status != "RUNNING":
        return Progress(percent=percent, message=f"{percent}% done.")
    left = (now - began).total_seconds() * (100 - percent) / percent
    eta = max(10, round(left / 10) * 10)
    return Progress(percent=percent, eta_seconds=eta, message=f"{percent}% done, about {eta} s to go.")
