"""The newest attempt of a TrainingRun: its parameters, its Job, its end. Pure."""

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
from modelyard.training_run import build, external, jobs, outcome
from modelyard.training_run.failed import (
    closed_as_failed,
    decide_failed,
    recorded_failure,
    vanished,
    why_failed,
)
from modelyard.training_run.interrupted import is_interrupted, reopen, train_again
from modelyard.training_run.report import known
from modelyard.training_run.start import UNWATCHED_POLL, suspended
from modelyard.training_run.view import AttemptView

__all__ = ["decide_attempt"]

_SOON = timedelta(seconds=1)
_METRICS_POLL = timedelta(seconds=10)
"""How often a running training's metrics are read."""


def decide_attempt(view: AttemptView) -> Plan[TrainingRunStatus]:
    """Carry the newest attempt on, in the cluster or outside of it."""
    if view.tracked.deleted and view.tracked.is_open:
        message = (
            f"The MLflow run of attempt {view.attempt} was deleted in MLflow. Restore it there; the"
            " run then continues automatically."
        )
        conditions = stalled(Reason.EXPERIMENT_GONE, message)
        return Rest(known(view.run, view.observation, conditions), requeue_after=UNWATCHED_POLL)
    if not view.run.spec.trainer.kind.in_cluster:
        return _external(view)
    return _in_cluster(view)


def _external(view: AttemptView) -> Plan[TrainingRunStatus]:
    """Carry on an attempt without a Job: its MLflow run says how it ended."""
    if (log := _log_the_rest(view)) is not None:
        return log
    if view.tracked.has_finished:
        return _complete(view)
    failure = external.failure(view)
    return external.training(view) if failure is None else decide_failed(view, failure)


def _in_cluster(view: AttemptView) -> Plan[TrainingRunStatus]:
    """Carry on an attempt whose Job says how it ended."""
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
    if outcome.is_unsettled(job, pods, view.now):
        message = "The Job has failed; the last status of its pod says why, and is on its way."
        return Rest(
            known(run, observation, progressing(Reason.TRAINING, message)), requeue_after=_SOON
        )
    if failed(job):
        failure = why_failed(view, job)
        return decide_failed(view, failure)
    return _active(view, job)


def _without_job(view: AttemptView) -> Plan[TrainingRunStatus]:
    """Create the Job, unless there was one and its MLflow run says how it ended."""
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
    if jobs.is_recorded(view.run, view.attempt):  # the next one has another uid
        message = "The Job was deleted; another is created."
        return Record(known(view.run, view.observation, progressing(Reason.SCHEDULING, message)))
    job = build.job(
        view.run, view.attempt, view.tracked.id, view.runtime, view.observation.pods_secret
    )
    return Act((*_config(view), Apply(job)))


def _impostor(view: AttemptView, job: Manifest) -> Plan[TrainingRunStatus]:
    """Delete a Job that has the attempt's name, names this run its controller, and is not ours."""
    if not job["metadata"].get("deletionTimestamp"):
        return Act((jobs.delete(job),))
    name = job["metadata"]["name"]
    message = f"Waiting until a Job {name} is gone that the operator did not create."
    return Rest(known(view.run, view.observation, progressing(Reason.SCHEDULING, message)))


def _active(view: AttemptView, job: Manifest) -> Plan[TrainingRunStatus]:
    """Suspend or resume a Job that has not ended, as the spec says; report what its pod does."""
    wanted = build.config_map(view.run)
    config = jobs.named(view.observation, wanted)
    if config is None or not same_content(wanted, config):
        return Act(_config(view))
    if (change := _suspend_or_resume(view.run, job)) is not None:
        return Act((change,))
    if view.run.spec.suspend:
        return suspended(view.run, view.observation)
    pods = jobs.pods_of(view.observation.owned, job)
    waiting = outcome.waiting(
        job,
        pods,
        view.now,
        ran=IMAGE_TAG in view.tracked.tags,
        creation_error=view.observation.creation_error,
    )
    if waiting is not None:
        conditions = (stalled if waiting.stalled else progressing)(waiting.reason, waiting.message)
        return Rest(known(view.run, view.observation, conditions), requeue_after=waiting.again)
    image = next((found for pod in pods if (found := image_id(pod, build.TRAINER))), "")
    if image and view.tracked.tags.get(IMAGE_TAG) != image:
        return Act((SetTags(TagTarget("run", view.tracked.id), {IMAGE_TAG: image}),))
    message = f"Training, attempt {view.attempt}."
    status = known(view.run, view.observation, progressing(Reason.TRAINING, message), view.now)
    return Rest(status, requeue_after=_METRICS_POLL)


def _config(view: AttemptView) -> tuple[Apply | Delete, ...]:
    """Return what makes the ConfigMap. One that is there is replaced: its data cannot be
    changed, and is not known.
    """
    wanted = build.config_map(view.run)
    there = jobs.named(view.observation, wanted)
    gone = (
        [jobs.delete(there)]
        if there is not None and not there["metadata"].get("deletionTimestamp")
        else []
    )
    return (*gone, Apply(wanted))


def _suspend_or_resume(run: TrainingRun, job: Manifest) -> Delete | Suspend | None:
    """Make the Job's `suspend` as the spec says. A Job in a queue can only be deleted from it."""
    if build.queued(run):
        held = run.spec.suspend and not job["metadata"].get("deletionTimestamp")
        return jobs.delete(job) if held else None
    if bool(job["spec"].get("suspend")) == run.spec.suspend:
        return None
    return Suspend(job["metadata"]["name"], job["metadata"]["uid"], run.spec.suspend)


def _log_first(view: AttemptView) -> Act | None:
    """Log the parameters before our own trainer starts."""
    return None if view.run.spec.trainer.kind.logs_itself else _unlogged(view)


def _log_the_rest(view: AttemptView) -> Act | None:
    """Log the parameters that a user's code has not logged, once its MLflow run is closed.

    MLflow takes each once: `log_params({"subsample": 1.0})` would fail over our text "1".
    """
    ours = not view.run.spec.trainer.kind.logs_itself
    return None if ours or view.tracked.is_open or view.tracked.deleted else _unlogged(view)


def _unlogged(view: AttemptView) -> Act | None:
    """Log the parameters that MLflow lacks. One with another value stays as it is there."""
    logged = view.tracked.parameters
    missing = {key: value for key, value in view.run.spec.parameters.items() if key not in logged}
    return Act((LogParameters(view.tracked.id, missing),)) if missing else None


def _complete(view: AttemptView) -> Plan[TrainingRunStatus]:
    """Close the MLflow run if its process did not, and record the end (`ended` follows)."""
    if not view.tracked.has_finished:
        return Act((FinishRun(view.tracked.id, RunStatus.FINISHED),))
    conditions = (
        condition("Succeeded", True, Reason.SUCCEEDED, "Trained."),
        *progressing(Reason.REGISTERING, "Trained; the registration is checked next."),
    )
    update = {"completion_time": view.tracked.end or view.now, "failure": None}
    return Record(known(view.run, view.observation, conditions).model_copy(update=update))
