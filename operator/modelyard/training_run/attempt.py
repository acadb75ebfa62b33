"""The newest attempt of a TrainingRun: its parameters, its Job, its end. Pure."""

from datetime import datetime, timedelta

from modelyard.api.base import condition
from modelyard.api.conditions import progressing, stalled
from modelyard.api.training_run import TrainingReason as Reason
from modelyard.api.training_run import TrainingRun, TrainingRunStatus
from modelyard.kube.applied import same_content
from modelyard.kube.jobs import failed, image_id, succeeded
from modelyard.kube.names import IMAGE_TAG
from modelyard.kube.pods import Runtime
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
    TagTarget,
)
from modelyard.ports import TrackedRun
from modelyard.training_run import build, external, jobs, outcome
from modelyard.training_run.failed import decide_failed, recorded_failure, vanished, why_failed
from modelyard.training_run.observation import Observation
from modelyard.training_run.report import known
from modelyard.training_run.start import UNWATCHED_POLL, suspended

__all__ = ["decide_attempt"]

_METRICS_POLL = timedelta(seconds=10)
"""How often a running training's metrics are read."""


def decide_attempt(
    run: TrainingRun,
    observation: Observation,
    tracked: TrackedRun,
    now: datetime,
    runtime: Runtime,
) -> Plan[TrainingRunStatus]:
    """Carry the newest attempt on, in the cluster or outside of it."""
    if tracked.deleted and tracked.status in {"RUNNING", "SCHEDULED"}:
        message = (
            f"The MLflow run of attempt {observation.attempt} was deleted in MLflow. Restore it"
            " there; the run then continues automatically."
        )
        conditions = stalled(Reason.EXPERIMENT_GONE, message)
        return Rest(known(run, observation, conditions), requeue_after=UNWATCHED_POLL)
    if not run.spec.trainer.kind.in_cluster:
        return _external(run, observation, tracked, now, runtime)
    return _in_cluster(run, observation, tracked, now, runtime)


def _external(
    run: TrainingRun,
    observation: Observation,
    tracked: TrackedRun,
    now: datetime,
    runtime: Runtime,
) -> Plan[TrainingRunStatus]:
    """Carry on an attempt without a Job: its MLflow run says how it ended."""
    if tracked.status == "FINISHED":
        return _complete(run, observation, tracked, now)
    failure = external.failure(run, tracked, observation.attempt, now)
    if failure is not None:
        return decide_failed(run, observation, failure, now, runtime)
    if missing := _unlogged(run, tracked):
        return Act((LogParameters(tracked.id, missing),))
    return external.training(run, observation, tracked, now)


def _in_cluster(
    run: TrainingRun,
    observation: Observation,
    tracked: TrackedRun,
    now: datetime,
    runtime: Runtime,
) -> Plan[TrainingRunStatus]:
    """Carry on an attempt whose Job says how it ended."""
    if (foreign := jobs.impostor(run, observation)) is not None:
        return _impostor(run, observation, foreign)
    job = jobs.job_of_attempt(run, observation)
    if job is None:
        return _without_job(run, observation, tracked, now, runtime)
    if missing := _unlogged(run, tracked):
        return Act((LogParameters(tracked.id, missing),))
    if succeeded(job):
        return _complete(run, observation, tracked, now)
    if failed(job):
        failure = why_failed(run, observation, job)
        return decide_failed(run, observation, failure, now, runtime)
    return _active(run, observation, job, tracked, now)


def _without_job(
    run: TrainingRun,
    observation: Observation,
    tracked: TrackedRun,
    now: datetime,
    runtime: Runtime,
) -> Plan[TrainingRunStatus]:
    """Create the Job, unless there was one and its MLflow run says how it ended."""
    recorded = recorded_failure(run, observation)
    if recorded is not None and recorded.reason == Reason.INVALID_RESOURCES:
        return decide_failed(run, observation, recorded, now, runtime)
    if tracked.status in {"FAILED", "KILLED"}:
        failure = recorded or vanished(observation)
        return decide_failed(run, observation, failure, now, runtime)
    if tracked.status == "FINISHED":
        return _complete(run, observation, tracked, now)
    if missing := _unlogged(run, tracked):
        return Act((LogParameters(tracked.id, missing),))
    if run.spec.suspend:
        return suspended(run, observation)
    if jobs.is_recorded(run, observation.attempt):  # the next one has another uid
        message = "The Job was deleted; another is created."
        return Record(known(run, observation, progressing(Reason.SCHEDULING, message)))
    job = build.job(run, observation.attempt, tracked.id, runtime, observation.pods_secret)
    return Act((*_config(run, observation), Apply(job)))


def _impostor(run: TrainingRun, observation: Observation, job: Manifest) -> Plan[TrainingRunStatus]:
    """Delete a Job that has the attempt's name, names this run its controller, and is not ours."""
    if not job["metadata"].get("deletionTimestamp"):
        return Act((jobs.delete(job),))
    name = job["metadata"]["name"]
    message = f"Waiting until a Job {name} is gone that the operator did not create."
    return Rest(known(run, observation, progressing(Reason.SCHEDULING, message)))


def _active(run: TrainingRun, observation: Observation, job: Manifest, tracked: TrackedRun, now: datetime) -> Plan[TrainingRunStatus]:
    """Suspend or resume a Job that has not ended, as the spec says; report what its pod does."""
    config = jobs.named(observation, build.config_map(run))
    if config is None or not same_content(build.config_map(run), config):
        return Act(_config(run, observation))
    if (change := _suspend_or_resume(run, job)) is not None:
        return Act((change,))
    if run.spec.suspend:
        return suspended(run, observation)
    pods = jobs.pods_of(observation.owned, job)
    waiting = outcome.waiting(job, pods, now, ran=IMAGE_TAG in tracked.tags)
    if waiting is not None:
        conditions = (stalled if waiting.stalled else progressing)(waiting.reason, waiting.message)
        return Rest(known(run, observation, conditions), requeue_after=waiting.again)
    image = next((found for pod in pods if (found := image_id(pod, build.TRAINER))), "")
    if image and tracked.tags.get(IMAGE_TAG) != image:
        return Act((SetTags(TagTarget("run", tracked.id), {IMAGE_TAG: image}),))
    message = f"Training, attempt {observation.attempt}."
    status = known(run, observation, progressing(Reason.TRAINING, message), now)
    return Rest(status, requeue_after=_METRICS_POLL)


def _config(run: TrainingRun, observation: Observation) -> tuple[Apply | Delete, ...]:
    """Return what makes the ConfigMap. One that is there is replaced: its data cannot be changed, and is not known."""
    wanted = build.config_map(run)
    there = jobs.named(observation, wanted)
    gone = [jobs.delete(there)] if there is not None and not there["metadata"].get("deletionTimestamp") else []
    return (*gone, Apply(wanted))


def _suspend_or_resume(run: TrainingRun, job: Manifest) -> Apply | Delete | None:
    """Make the Job's `suspend` as the spec says. A Job in a queue can only be deleted from it."""
    if build.queued(run):
        held = run.spec.suspend and not job["metadata"].get("deletionTimestamp")
        return jobs.delete(job) if held else None
    if bool(job["spec"].get("suspend")) == run.spec.suspend:
        return None
    return Apply(build.switched(job, suspend=run.spec.suspend))


def _unlogged(run: TrainingRun, tracked: TrackedRun) -> dict[str, str]:
    """Return the parameters that MLflow lacks. One with another value stays as it is there."""
    logged = tracked.parameters
    return {key: value for key, value in run.spec.parameters.items() if key not in logged}


def _complete(run: TrainingRun, observation: Observation, tracked: TrackedRun, now: datetime) -> Plan[TrainingRunStatus]:
    """Close the MLflow run if its process did not, and record the end (`ended` follows)."""
    if tracked.status != "FINISHED":
        return Act((FinishRun(tracked.id, "FINISHED"),))
    conditions = (
        condition("Succeeded", True, Reason.SUCCEEDED, "Trained."),
        *progressing(Reason.REGISTERING, "Trained; the registration is checked next."),
    )
    update = {"completion_time": tracked.end or now, "failure": None}
    return Record(known(run, observation, conditions).model_copy(update=update))
