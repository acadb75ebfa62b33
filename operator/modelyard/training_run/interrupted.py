"""A Job that is complete though its pod was ended from outside: nothing is trained yet. Pure.

A drained node, an eviction, a preemption or a deletion sends SIGTERM. An image of a user's own that
saves its work then and exits with 0 has succeeded for Kubernetes, which replaces only pods that
fail. Our own programs exit with 143, and what the Job controller ends itself, to suspend, it does
not count.
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
from modelyard.training_run.report import known
from modelyard.training_run.view import AttemptView

__all__ = ["is_interrupted", "is_recorded", "reopen", "train_again"]

_CONDITION = "Interrupted"
_JUST_NOW = timedelta(seconds=60)
"""A pod that is gone this soon after its Job was complete was being deleted when it ended. Later
others may have cleaned it up, or its node away."""
_MESSAGE = (
    "The pod was ended from outside before training was through, as when its node is drained, and"
    " exited with 0. The attempt trains again in another pod, with the same MLflow run."
)


def is_interrupted(
    run: TrainingRun, job: Manifest, pods: Sequence[Manifest], now: datetime
) -> bool:
    """Tell whether an attempt's Job is complete only because its container exits with 0 on
    SIGTERM.
    """
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
    """Tell whether the status says that the attempt was interrupted, and its Job has not been
    replaced since.
    """
    return run.status.is_true(_CONDITION)


def reopen(view: AttemptView) -> Act | None:
    """Have the MLflow run of an interrupted attempt go on, which its container may have closed;
    None when nothing is left to do.
    """
    closed = not view.tracked.is_open and not view.tracked.deleted
    return Act((ReopenRun(view.tracked.id),)) if is_recorded(view.run) and closed else None


def train_again(view: AttemptView, job: Manifest) -> Plan[TrainingRunStatus]:
    """Record it, so that it is known when the pod is gone; reopen the MLflow run; delete the
    Job.
    """
    conditions = (
        *progressing(Reason.INTERRUPTED, _MESSAGE),
        condition(_CONDITION, True, Reason.INTERRUPTED, _MESSAGE),
    )
    status = known(view.run, view.observation, conditions)
    if not is_recorded(view.run):
        return Record(status)
    if (opened := reopen(view)) is not None:
        return opened
    if not job["metadata"].get("deletionTimestamp"):
        return Act((jobs.delete(job),))
    return Rest(status)
