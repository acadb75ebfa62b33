"""A failed attempt: why it failed, and whether another attempt follows. Pure."""

import re
from datetime import datetime, timedelta

from modelyard.api.conditions import progressing
from modelyard.api.run_status import RunStatus
from modelyard.api.training_run import Failure, TrainingRun, TrainingRunStatus
from modelyard.api.training_run import TrainingReason as Reason
from modelyard.errors import Invalid, ModelyardError
from modelyard.kube.jobs import failed, succeeded
from modelyard.kube.names import job_name
from modelyard.plan import Act, FinishRun, Manifest, Plan, Record, Rest
from modelyard.training_run import jobs
from modelyard.training_run.observation import Observation
from modelyard.training_run.pods import closed_failure, has_reason, is_final, job_failure
from modelyard.training_run.report import failed_status, observed_status
from modelyard.training_run.start import start_attempt
from modelyard.training_run.view import AttemptView

__all__ = [
    "closed_as_failed",
    "decide_failed",
    "decide_lost",
    "recorded_failure",
    "refused_job",
    "vanished",
    "why_failed",
]

_RETRY_BASE, _RETRY_CAP = timedelta(seconds=10), timedelta(minutes=6)
"""The back-off before the next attempt doubles with each attempt, as a Job's does."""
_IN_POD = "spec.template.spec."
"""Prefix of pod fields in the API server's messages about a Job."""


def decide_failed(view: AttemptView, failure: Failure) -> Plan[TrainingRunStatus]:
    """Record the failure, close the MLflow run, then start another attempt or fail the run."""
    run, observation = view.run, view.observation
    attempt, tracked = view.attempt, view.tracked
    message = f"Attempt {attempt} failed: {failure.message}"
    if run.status.failure != failure:
        status = observed_status(run, observation, progressing(Reason.RETRYING, message))
        return Record(status.model_copy(update={"failure": failure}))
    if not tracked.has_failed or (tracked.end is None and not tracked.deleted):
        return Act((FinishRun(tracked.id, RunStatus.FAILED),))
    if is_final(failure) or attempt > run.spec.backoff_limit:
        return _fail(view, failure)
    pause = min(_RETRY_BASE * 2 ** (attempt - 1), _RETRY_CAP)
    wait = (tracked.end or view.now) + pause - view.now
    if wait > timedelta(0):
        message += f" Attempt {attempt + 1} of {run.spec.backoff_limit + 1} follows."
        status = observed_status(run, observation, progressing(Reason.RETRYING, message))
        return Rest(status, requeue_after=wait)
    return start_attempt(run, observation, tracked.experiment, view.runtime)


def decide_lost(
    run: TrainingRun, observation: Observation, now: datetime
) -> Plan[TrainingRunStatus]:
    """Fail a run whose MLflow run was deleted permanently: an attempt never gets a second one."""
    active = [
        job for job in jobs.not_deleted(run, observation) if not (succeeded(job) or failed(job))
    ]
    if active:
        return Act(tuple(map(jobs.delete, active)))
    message = (
        f"The MLflow run of attempt {run.status.attempt} was deleted permanently. Train again in"
        " another TrainingRun."
    )
    failure = Failure(reason=Reason.EXPERIMENT_GONE, message=message, attempt=run.status.attempt)
    return Record(failed_status(run.status, failure, message, now))


def why_failed(view: AttemptView, job: Manifest) -> Failure:
    """Return why a Job failed; a reason recorded from its pod outlives the pod."""
    pods = jobs.pods_of(view.observation.owned, job)
    found = job_failure(job, pods, view.run.spec.active_deadline_seconds)
    if found is None:
        found = vanished(view)
    found = found.model_copy(update={"attempt": view.attempt})
    recorded = recorded_failure(view)
    return recorded if recorded is not None and not has_reason(found) else found


def closed_as_failed(view: AttemptView) -> Failure | None:
    """Return the failure of an attempt with a complete Job and a failed MLflow run, if any."""
    if not view.tracked.has_failed:
        return None
    found = closed_failure(view.tracked, view.observation.text_filter, exit_code=0)
    return found.model_copy(update={"attempt": view.attempt}) if found else None


def recorded_failure(view: AttemptView) -> Failure | None:
    """Return the recorded failure if it belongs to this attempt."""
    recorded = view.run.status.failure
    return recorded if recorded and recorded.attempt == view.attempt else None


def vanished(view: AttemptView) -> Failure:
    """Return the failure of an attempt whose Job was deleted before its result was observed."""
    message = "The Job was deleted before the operator observed its result."
    return Failure(reason=Reason.FAILED, message=message, attempt=view.attempt)


def refused_job(run: TrainingRun, error: ModelyardError) -> Failure | None:
    """Return the failure if Kubernetes refuses the Job because of the pod in the spec.

    The spec is immutable, so that is final. Any other refusal is temporary: a quota, a policy, or
    a Job of the same name with another owner.
    """
    problem = error.detail.partition(" is invalid: ")[2]
    where = (error.dependency, error.operation)
    if type(error) is not Invalid or where != ("Kubernetes", "apply Job") or _IN_POD not in problem:
        return None
    newest = max(run.status.attempt, 1)
    ours = error.subject.endswith(f"/{job_name(run.metadata.name, newest)}")
    fields = re.sub(
        rf"{re.escape(_IN_POD)}(containers\[0\]\.|initContainers\[0\]\.)?", "spec.", problem
    )
    message = (
        f"Kubernetes refuses the Job: {fields.rstrip('.')[:1500]}. Correct that in another"
        " TrainingRun; requests must not exceed limits."
    )
    attempt = newest if ours else newest + 1
    return Failure(reason=Reason.INVALID_RESOURCES, message=message, attempt=attempt)


def _fail(view: AttemptView, failure: Failure) -> Record[TrainingRunStatus]:
    tried = "" if view.attempt == 1 else f" This was attempt {view.attempt}."
    status = observed_status(view.run, view.observation, ())
    end = view.tracked.end or view.now
    return Record(failed_status(status, failure, failure.message + tried, end))
