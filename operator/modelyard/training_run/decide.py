"""Decide the next step of a TrainingRun from what was observed. Pure."""

from collections.abc import Callable
from datetime import datetime

from modelyard.api.base import DeletionPolicy
from modelyard.api.conditions import CONNECTION_OPERATION, stalled, trouble
from modelyard.api.run_status import RunStatus
from modelyard.api.training_run import TrainingRun, TrainingRunStatus
from modelyard.errors import ModelyardError
from modelyard.kube.names import UID_TAG
from modelyard.kube.pods import Runtime
from modelyard.plan import Act, ArchiveRun, Event, Finalize, FinishRun, Manifest, Plan, Rest
from modelyard.training_run import jobs
from modelyard.training_run.attempt import decide_attempt
from modelyard.training_run.failed import decide_lost, refused_job
from modelyard.training_run.finished import decide_finished
from modelyard.training_run.observation import Observation
from modelyard.training_run.start import decide_start
from modelyard.training_run.view import AttemptView

__all__ = ["decider", "finalize", "in_sync", "on_error"]

Decide = Callable[[TrainingRun, Observation, datetime], Plan[TrainingRunStatus]]


def decider(runtime: Runtime) -> Decide:
    """Return the `decide` function for pods with this runtime."""

    def decide(
        run: TrainingRun, observation: Observation, now: datetime
    ) -> Plan[TrainingRunStatus]:
        """Start an attempt, continue it, or finish a run that has ended."""
        if run.status.completion_time is not None:
            return decide_finished(run, observation, now)
        if run.status.attempt > observation.attempt:
            return decide_lost(run, observation, now)
        if observation.newest is not None:
            return decide_attempt(AttemptView(run, observation, observation.newest, runtime, now))
        return decide_start(run, observation, now, runtime)

    return decide


def finalize(run: TrainingRun, observation: Observation, _now: datetime) -> Plan[TrainingRunStatus]:
    """Delete the Jobs and close open MLflow runs; with policy Delete, soft-delete the runs."""
    if found := jobs.not_deleted(run, observation):
        return Act(tuple(map(jobs.delete, found)))
    uid = run.metadata.uid
    ours = [
        tracked
        for tracked in observation.runs.values()
        if tracked.tags.get(UID_TAG) == uid and not tracked.deleted
    ]
    for tracked in ours:
        if tracked.is_open:
            return Act((FinishRun(tracked.id, RunStatus.KILLED),))
    delete = run.spec.deletion_policy is DeletionPolicy.DELETE
    for tracked in ours:
        if delete and tracked.id not in observation.referenced:
            return Act((ArchiveRun(tracked.id),))
    return Finalize()


def on_error(
    run: TrainingRun, error: ModelyardError, _now: datetime
) -> Rest[TrainingRunStatus] | Finalize:
    """Report an error; keep the Succeeded condition of a finished run.

    A deletion is not held up if nothing is left to do in MLflow, or if MLflow cannot be reached
    because the connection is gone.
    """
    if run.metadata.deletion_timestamp is not None:
        ended = run.status.completion_time is not None
        retain = run.spec.deletion_policy is DeletionPolicy.RETAIN
        if run.status.mlflow is None or (ended and retain):
            return Finalize()
        if error.operation == CONNECTION_OPERATION:
            message = "The connection to MLflow is gone, so the MLflow run was left as it is."
            return Finalize((Event("LeftBehind", message, warning=True),))
    kept = tuple(each for each in run.status.conditions if each.type == "Succeeded")
    refused = refused_job(run, error)
    if refused is None:
        conditions = (*kept, *trouble(error))
        return Rest(run.status.model_copy(update={"conditions": conditions}))
    conditions = (*kept, *stalled(refused.reason, refused.message))
    update = {"conditions": conditions, "failure": refused}
    return Rest(run.status.model_copy(update=update))


def in_sync(run: TrainingRun, _owned: tuple[Manifest, ...]) -> bool:
    """Tell whether the run is finished and the operator has nothing left to do for it."""
    status = run.status
    current = status.observed_generation == run.metadata.generation
    return status.completion_time is not None and current and not status.is_true("Reconciling")
