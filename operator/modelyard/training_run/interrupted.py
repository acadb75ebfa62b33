"""A Job that is complete although its pod was terminated before training was done. Pure.

A drained node, an eviction, a preemption or a deletion sends SIGTERM. If a user's image then saves
its work and exits with 0, Kubernetes counts the pod as succeeded and does not replace it. Our own
programs exit with 143. Pods that the Job controller terminates itself, to suspend the Job, do not
count as succeeded.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from modelyard.api.base import condition
from modelyard.api.conditions import progressing
from modelyard.api.training_run import TrainingReason as Reason
from modelyard.api.training_run import TrainingRun, TrainingRunStatus
from modelyard.kube.jobs import completed, interrupted, newest_of, succeeded
from modelyard.plan import Act, Manifest, Plan, Record, ReopenRun, Rest
from modelyard.training_run import jobs
from modelyard.training_run.build import TRAINER
from modelyard.training_run.report import observed_status
from modelyard.training_run.view import AttemptView

__all__ = ["is_interrupted", "is_recorded", "reopen", "train_again"]

_CONDITION = "Interrupted"
_JUST_NOW = timedelta(seconds=60)
"""A pod that is gone this soon after its Job completed was already being deleted.

A pod that disappears later may have been removed by a clean-up or with its node.
"""
_MESSAGE = (
    "The pod was terminated before training was done, for example because its node was drained, and"
    " exited with 0. The attempt trains again in another pod, with the same MLflow run."
)


def is_interrupted(
    run: TrainingRun, job: Manifest, pods: Sequence[Manifest], now: datetime
) -> bool:
    """Tell whether the Job is complete only because its container exits with 0 on SIGTERM."""
    if run.spec.trainer.container is None or not succeeded(job):
        return False
    if is_recorded(run):
        return True
    newest = newest_of(pods)
    if newest is None:
        since = completed(job)
        return since is not None and now - since < _JUST_NOW
    return interrupted(newest, TRAINER)


def is_recorded(run: TrainingRun) -> bool:
    """Tell whether the status records an interruption whose Job has not been replaced yet."""
    return run.status.is_true(_CONDITION)


def reopen(view: AttemptView) -> Act | None:
    """Reopen the MLflow run of an interrupted attempt if its container closed it."""
    closed = not view.tracked.is_open and not view.tracked.deleted
    return Act((ReopenRun(view.tracked.id),)) if is_recorded(view.run) and closed else None


def train_again(view: AttemptView, job: Manifest) -> Plan[TrainingRunStatus]:
    """Record the interruption before the pod is gone, reopen the MLflow run, delete the Job."""
    conditions = (
        *progressing(Reason.INTERRUPTED, _MESSAGE),
        condition(_CONDITION, True, Reason.INTERRUPTED, _MESSAGE),
    )
    status = observed_status(view.run, view.observation, conditions)
    if not is_recorded(view.run):
        return Record(status)
    if (opened := reopen(view)) is not None:
        return opened
    if not job["metadata"].get("deletionTimestamp"):
        return Act((jobs.delete(job),))
    return Rest(status)
