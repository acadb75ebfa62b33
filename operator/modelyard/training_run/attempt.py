"""The newest attempt of a TrainingRun: its parameters, its Job, its result. Pure."""

from datetime import timedelta

from modelyard.api.base import condition
from modelyard.api.conditions import progressing, stalled
from modelyard.api.run_status import RunStatus
from modelyard.api.training_run import TrainingReason as Reason
from modelyard.api.training_run import TrainingRun, TrainingRunStatus
from modelyard.kube.applied import same_content
from modelyard.kube.jobs import failed, image_id, succeeded
from modelyard.kube.names import IMAGE_TAG
from modelyard.plan import (
    Act,
    Apply,
    Delete,
    FinishRun,
    LogParameters,
    Manifest,
    Plan,
    Record,
    Rest,
    SetTags,
    Suspend,
    TagTarget,
)
from modelyard.training_run import build, external, jobs
from modelyard.training_run.failed import (
    closed_as_failed,
    decide_failed,
    recorded_failure,
    vanished,
    why_failed,
)
from modelyard.training_run.interrupted import is_interrupted, reopen, train_again
from modelyard.training_run.pods import is_unsettled, waiting_for
from modelyard.training_run.report import observed_status
from modelyard.training_run.start import UNWATCHED_POLL, suspended
from modelyard.training_run.view import AttemptView

__all__ = ["decide_attempt"]

_SOON = timedelta(seconds=1)
_METRICS_POLL = timedelta(seconds=10)
"""How often the metrics of a running attempt are read."""


def decide_attempt(view: AttemptView) -> Plan[TrainingRunStatus]:
    """Return the next step of the newest attempt, inside or outside of the cluster."""
    if view.tracked.deleted and view.tracked.is_open:
        message = (
            f"The MLflow run of attempt {view.attempt} was deleted in MLflow. Restore it there;"
            " this TrainingRun then continues automatically."
        )
        conditions = stalled(Reason.EXPERIMENT_GONE, message)
        return Rest(
            observed_status(view.run, view.observation, conditions), requeue_after=UNWATCHED_POLL
        )
    if not view.run.spec.trainer.kind.in_cluster:
        return _external(view)
    return _in_cluster(view)


def _external(view: AttemptView) -> Plan[TrainingRunStatus]:
    """Return the next step of an external attempt: its MLflow run has the result."""
    if (log := _log_the_rest(view)) is not None:
        return log
    if view.tracked.has_finished:
        return _complete(view)
    failure = external.failure(view)
    return external.training(view) if failure is None else decide_failed(view, failure)


def _in_cluster(view: AttemptView) -> Plan[TrainingRunStatus]:
    """Return the next step of an attempt with a Job: the Job has the result."""
    run, observation = view.run, view.observation
    if (foreign := jobs.impostor(run, observation)) is not None:
        return _impostor(view, foreign)
    job = jobs.job_of_attempt(run, observation)
    if job is None:
        return _without_job(view)
    if (log := _log_first(view)) is not None:
        return log
    pods = jobs.pods_of(observation.owned, job)
    if is_interrupted(run, job, pods, view.now):
        return train_again(view, job)
    if (succeeded(job) or failed(job)) and (log := _log_the_rest(view)) is not None:
        return log
    if succeeded(job):
        closed = closed_as_failed(view)
        return _complete(view) if closed is None else decide_failed(view, closed)
    if is_unsettled(job, pods, view.now):
        message = "The Job has failed. Waiting for the final status of its pod, which says why."
        return Rest(
            observed_status(run, observation, progressing(Reason.TRAINING, message)),
            requeue_after=_SOON,
        )
    if failed(job):
        failure = why_failed(view, job)
        return decide_failed(view, failure)
    return _active(view, job)


def _without_job(view: AttemptView) -> Plan[TrainingRunStatus]:
    """Create the Job, unless an earlier Job ended and the MLflow run has its result."""
    if (opened := reopen(view)) is not None:
        return opened
    if (log := _log_the_rest(view)) is not None:
        return log
    recorded = recorded_failure(view)
    if recorded is not None and recorded.reason == Reason.INVALID_RESOURCES:
        return decide_failed(view, recorded)
    if view.tracked.has_failed:
        failure = recorded or vanished(view)
        return decide_failed(view, failure)
    if view.tracked.has_finished:
        return _complete(view)
    if (log := _log_first(view)) is not None:
        return log
    if view.run.spec.suspend:
        return suspended(view.run, view.observation)
    if jobs.is_recorded(view.run, view.attempt):  # clear the uid: the next Job has another
        message = "The Job was deleted; another is being created."
        return Record(
            observed_status(view.run, view.observation, progressing(Reason.SCHEDULING, message))
        )
    job = build.job(
        view.run, view.attempt, view.tracked.id, view.runtime, view.observation.pods_secret
    )
    return Act((*_config(view), Apply(job)))


def _impostor(view: AttemptView, job: Manifest) -> Plan[TrainingRunStatus]:
    """Delete a Job with the attempt's name that the operator did not create."""
    if not job["metadata"].get("deletionTimestamp"):
        return Act((jobs.delete(job),))
    name = job["metadata"]["name"]
    message = f"Waiting for the deletion of the Job {name}, which the operator did not create."
    return Rest(
        observed_status(view.run, view.observation, progressing(Reason.SCHEDULING, message))
    )


def _active(view: AttemptView, job: Manifest) -> Plan[TrainingRunStatus]:
    """Suspend or resume an active Job as the spec says; report the state of its pod."""
    wanted = build.config_map(view.run)
    config = jobs.named(view.observation, wanted)
    if config is None or not same_content(wanted, config):
        return Act(_config(view))
    if (change := _suspend_or_resume(view.run, job)) is not None:
        return Act((change,))
    if view.run.spec.suspend:
        return suspended(view.run, view.observation)
    pods = jobs.pods_of(view.observation.owned, job)
    waiting = waiting_for(
        job,
        pods,
        view.now,
        ran=IMAGE_TAG in view.tracked.tags,
        creation_error=view.observation.creation_error,
    )
    if waiting is not None:
        conditions = (stalled if waiting.stalled else progressing)(waiting.reason, waiting.message)
        return Rest(
            observed_status(view.run, view.observation, conditions), requeue_after=waiting.again
        )
    image = next((found for pod in pods if (found := image_id(pod, build.TRAINER))), "")
    if image and view.tracked.tags.get(IMAGE_TAG) != image:
        return Act((SetTags(TagTarget("run", view.tracked.id), {IMAGE_TAG: image}),))
    message = f"Training, attempt {view.attempt}."
    status = observed_status(
        view.run, view.observation, progressing(Reason.TRAINING, message), view.now
    )
    return Rest(status, requeue_after=_METRICS_POLL)


def _config(view: AttemptView) -> tuple[Apply | Delete, ...]:
    """Return the actions that create the ConfigMap; one that exists is immutable, so replace it."""
    wanted = build.config_map(view.run)
    live = jobs.named(view.observation, wanted)
    if live is None or live["metadata"].get("deletionTimestamp"):
        return (Apply(wanted),)
    return (jobs.delete(live), Apply(wanted))


def _suspend_or_resume(run: TrainingRun, job: Manifest) -> Delete | Suspend | None:
    """Set the Job's `suspend` to the spec's; a queue owns that field, so delete a queued Job."""
    if build.queued(run):
        is_live = not job["metadata"].get("deletionTimestamp")
        return jobs.delete(job) if run.spec.suspend and is_live else None
    if bool(job["spec"].get("suspend")) == run.spec.suspend:
        return None
    return Suspend(job["metadata"]["name"], job["metadata"]["uid"], run.spec.suspend)


def _log_first(view: AttemptView) -> Act | None:
    """Log the parameters before one of our own trainers starts."""
    return None if view.run.spec.trainer.kind.logs_itself else _unlogged(view)


def _log_the_rest(view: AttemptView) -> Act | None:
    """Log the parameters that a user's code has not logged, once its MLflow run is closed.

    MLflow accepts each parameter only once. If the operator had logged "1", the user's
    `log_params({"subsample": 1.0})` would fail.
    """
    ours = not view.run.spec.trainer.kind.logs_itself
    return None if ours or view.tracked.is_open or view.tracked.deleted else _unlogged(view)


def _unlogged(view: AttemptView) -> Act | None:
    """Log the parameters that MLflow lacks; a different value that is logged there stays."""
    logged = view.tracked.parameters
    missing = {key: value for key, value in view.run.spec.parameters.items() if key not in logged}
    return Act((LogParameters(view.tracked.id, missing),)) if missing else None


def _complete(view: AttemptView) -> Plan[TrainingRunStatus]:
    """Close the MLflow run if its process did not, and record success; `finished` follows."""
    if not view.tracked.has_finished:
        return Act((FinishRun(view.tracked.id, RunStatus.FINISHED),))
    conditions = (
        condition("Succeeded", True, Reason.SUCCEEDED, "Trained."),
        *progressing(Reason.REGISTERING, "Trained. The registration is checked next."),
    )
    update = {"completion_time": view.tracked.end or view.now, "failure": None}
    return Record(observed_status(view.run, view.observation, conditions).model_copy(update=update))
