"""TrainingRun: what should happen next, given what is there. Pure: no I/O, no clock of its own.

The attempt that counts is the newest MLflow run; an attempt is over when its run is closed. That is all the memory there is until
the TrainingRun ends: everything else is read off the Job.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from modelyard.api.base import Condition, DeletionPolicy, condition
from modelyard.api.conditions import CONNECTION_OPERATION, progressing, stalled
from modelyard.api.conditions import trouble as trouble_conditions
from modelyard.api.training_run import Failure, TrainingRun, TrainingRunStatus
from modelyard.api.training_run import TrainingReason as Reason
from modelyard.errors import Invalid, ModelyardError
from modelyard.kube.applied import in_sync
from modelyard.kube.jobs import failed, image_id, of_kind, succeeded
from modelyard.kube.names import ATTEMPT_TAG, CODE_TAG, IMAGE_TAG, UID_TAG, job_name, owner_tags
from modelyard.kube.pods import Runtime
from modelyard.plan import (
    Apply,
    ArchiveRun,
    CreateRun,
    Delete,
    Event,
    FinishRun,
    LogParameters,
    Manifest,
    Outside,
    Plan,
    SetRunTags,
)
from modelyard.ports import TrackedRun
from modelyard.training_run import build, external, outcome
from modelyard.training_run.ended import settle
from modelyard.training_run.observe import Seen
from modelyard.training_run.report import known

__all__ = ["decider", "release", "settled", "trouble"]

_LOOK = timedelta(seconds=10)
"""How often a running training's metrics are read."""
_MISSING = timedelta(seconds=15)
"""How often a ConfigMap that is not there, and that nobody watches, is looked for."""
_RETRY_BASE, _RETRY_CAP = timedelta(seconds=10), timedelta(minutes=6)
"""The pause before another attempt doubles from one to the other, as a Job's does."""

_IN_POD = "spec.template.spec."
"""How the API server names fields of a Job's pod."""

Decide = Callable[[TrainingRun, Seen, datetime], Plan[TrainingRunStatus]]


def decider(runtime: Runtime) -> Decide:
    """Return the decision for pods of this runtime."""

    def decide(run: TrainingRun, seen: Seen, now: datetime) -> Plan[TrainingRunStatus]:
        """Say what is missing most, or that nothing is."""
        if run.status.completion_time is not None:
            return settle(run, seen, now)
        if run.status.attempt > seen.attempt:
            return _lost(run, seen, now)
        if seen.newest is not None:
            return _attempt(run, seen, seen.newest, now, runtime)
        if (why := build.too_large(run)) is not None:
            return _refused(run, why, now)
        experiment = seen.experiment
        if experiment is None or experiment.status.mlflow is None or experiment.metadata.deletion_timestamp is not None:
            message = f"The Experiment {run.spec.experiment} is not there, or not in MLflow yet. The run goes on by itself when it is."
            return _say(run, seen, progressing(Reason.WAITING_FOR_EXPERIMENT, message))
        return _start(run, seen, experiment.status.mlflow.id, runtime)

    return decide


def _refused(run: TrainingRun, why: str, now: datetime) -> Plan[TrainingRunStatus]:
    """End a run that nobody could train, before anything is made for it."""
    found = Failure(reason=Reason.INVALID_PARAMETERS, message=why)
    conditions = (condition("Succeeded", False, found.reason, why), *stalled(found.reason, why))
    status = run.status.model_copy(update={"conditions": conditions, "completion_time": now, "failure": found})
    return Plan(status, again=timedelta(0))


def _start(run: TrainingRun, seen: Seen, experiment: str, runtime: Runtime) -> Plan[TrainingRunStatus]:
    """Begin the next attempt with its MLflow run, unless something is in the way."""
    attempt = seen.attempt + 1
    meta, script = run.metadata, run.spec.trainer.script
    if run.spec.suspend:
        return _say(run, seen, progressing(Reason.SUSPENDED, "Suspended. Set spec.suspend to false to go on."))
    if script is not None and seen.script is None:
        message = f"The ConfigMap {script.config_map} with the key {script.key} is not there. Create it; the run goes on by itself."
        return _say(run, seen, stalled(Reason.CONFIGURATION_MISSING, message), again=_MISSING)
    code = seen.script if script is not None else f"modelyard {runtime.version}" if run.spec.trainer.xgboost is not None else None
    tags = owner_tags(meta.namespace, meta.name, meta.uid) | {ATTEMPT_TAG: str(attempt)} | ({CODE_TAG: code} if code else {})
    name = meta.name if attempt == 1 else f"{meta.name}-{attempt}"
    return _say(run, seen, progressing(Reason.PENDING, "Making the MLflow run."), CreateRun(experiment, name, tags))


def _attempt(run: TrainingRun, seen: Seen, tracked: TrackedRun, now: datetime, runtime: Runtime) -> Plan[TrainingRunStatus]:
    """Carry the newest attempt on: its parameters, its Job, its end."""
    name = job_name(run.metadata.name, seen.attempt)
    job = next((job for job in of_kind(seen.children, "Job") if job["metadata"]["name"] == name), None)
    if tracked.deleted and tracked.status in {"RUNNING", "SCHEDULED"}:
        message = f"The MLflow run of attempt {seen.attempt} was deleted in MLflow. Restore it there, and the run goes on by itself."
        return _say(run, seen, stalled(Reason.EXPERIMENT_GONE, message), again=_MISSING)
    if run.spec.trainer.external is not None:
        return _elsewhere(run, seen, tracked, now, runtime)
    recorded = _recorded(run, seen)
    if job is None and recorded is not None and recorded.reason == Reason.INVALID_RESOURCES:
        return _after_failure(run, seen, recorded, now, runtime)
    if job is None and tracked.status in {"FAILED", "KILLED"}:
        return _after_failure(run, seen, recorded or _vanished(seen), now, runtime)
    if job is None and tracked.status == "FINISHED":
        return _complete(run, seen, tracked, now)
    if missing := _unlogged(run, tracked):
        return _say(run, seen, progressing(Reason.PENDING, "Logging the parameters."), LogParameters(tracked.id, missing))
    if job is None:
        if run.spec.suspend:
            return _say(run, seen, progressing(Reason.SUSPENDED, "Suspended. Set spec.suspend to false to go on."))
        children = (Apply(build.config_map(run)), Apply(build.job(run, seen.attempt, tracked.id, runtime)))
        return Plan(known(run, seen, progressing(Reason.PENDING, "Making the Job.")), children)
    if succeeded(job):
        return _complete(run, seen, tracked, now)
    if failed(job):
        return _after_failure(run, seen, _why(run, seen, job), now, runtime)
    return _active(run, seen, job, now)


def _elsewhere(run: TrainingRun, seen: Seen, tracked: TrackedRun, now: datetime, runtime: Runtime) -> Plan[TrainingRunStatus]:
    """Carry an attempt on that trains elsewhere: there is no Job, its MLflow run says how it ended."""
    if tracked.status == "FINISHED":
        return _complete(run, seen, tracked, now)
    found = external.failure(run, tracked, seen.attempt, now)
    if found is not None:
        return _after_failure(run, seen, found, now, runtime)
    if missing := _unlogged(run, tracked):
        return _say(run, seen, progressing(Reason.PENDING, "Logging the parameters."), LogParameters(tracked.id, missing))
    return external.training(run, seen, tracked, now)


def _unlogged(run: TrainingRun, tracked: TrackedRun) -> dict[str, str]:
    return {key: value for key, value in run.spec.parameters.items() if key not in tracked.parameters}


def _active(run: TrainingRun, seen: Seen, job: Manifest, now: datetime) -> Plan[TrainingRunStatus]:
    """Say how a Job that has not ended stands; suspend it or let it go on, as the spec says."""
    tracked, pods = seen.runs[seen.attempt], _pods(seen, job)
    config = build.config_map(run)
    if not any(in_sync(config, there) for there in of_kind(seen.children, "ConfigMap")):
        return Plan(known(run, seen, progressing(Reason.PENDING, "Writing the run's ConfigMap.")), (Apply(config),))
    if (switch := _switch(run, job)) is not None:
        word = "Ending the pod: suspended." if run.spec.suspend else "Going on."
        return Plan(known(run, seen, progressing(Reason.SUSPENDED, word)), (switch,))
    if run.spec.suspend:
        return _say(run, seen, progressing(Reason.SUSPENDED, "Suspended. Set spec.suspend to false to go on."))
    waits = outcome.waiting(job, pods, now, ran=IMAGE_TAG in tracked.tags)
    if waits is not None:
        conditions = (stalled if waits.stalled else progressing)(waits.reason, waits.message)
        return _say(run, seen, conditions, again=waits.again)
    image = next((found for pod in pods if (found := image_id(pod, build.TRAINER))), "")
    if image and tracked.tags.get(IMAGE_TAG) != image:
        return _say(run, seen, progressing(Reason.TRAINING, "Training."), SetRunTags(tracked.id, {IMAGE_TAG: image}))
    return Plan(known(run, seen, progressing(Reason.TRAINING, f"Training, attempt {seen.attempt}."), now), again=_LOOK)


def _switch(run: TrainingRun, job: Manifest) -> Apply | Delete | None:
    """Suspend the Job or let it go on, if it is not as the spec says. One that a queue holds can only be taken from it."""
    if build.queued(run):
        gone = run.spec.suspend and not job["metadata"].get("deletionTimestamp")
        return _delete(job) if gone else None
    suspended = bool(job["spec"].get("suspend"))
    return Apply(build.switched(job, suspend=run.spec.suspend)) if suspended != run.spec.suspend else None


def _complete(run: TrainingRun, seen: Seen, tracked: TrackedRun, now: datetime) -> Plan[TrainingRunStatus]:
    """The pod ended well: close the run if its process did not, and write the end down. What follows is `ended.settle`."""
    if tracked.status != "FINISHED":
        return _say(run, seen, progressing(Reason.TRAINING, "Closing the MLflow run."), FinishRun(tracked.id, "FINISHED"))
    conditions = (condition("Succeeded", True, Reason.SUCCEEDED, "Trained."), *progressing(Reason.REGISTERING, "Trained; writing it down."))
    status = known(run, seen, conditions).model_copy(update={"completion_time": tracked.end or now, "failure": None})
    return Plan(status, again=timedelta(0))


def _after_failure(run: TrainingRun, seen: Seen, found: Failure, now: datetime, runtime: Runtime) -> Plan[TrainingRunStatus]:
    """An attempt failed: close its run, then begin another one or give up."""
    attempt, tracked = seen.attempt, seen.runs[seen.attempt]
    if run.status.failure != found:
        conditions = progressing(Reason.RETRYING, f"Attempt {attempt} failed: {found.message}")
        return Plan(known(run, seen, conditions).model_copy(update={"failure": found}), again=timedelta(0))
    if tracked.status not in {"FAILED", "KILLED"} or (tracked.end is None and not tracked.deleted):
        return _say(run, seen, progressing(Reason.RETRYING, f"Attempt {attempt} failed: {found.message}"), FinishRun(tracked.id, "FAILED"))
    if outcome.final(found) or attempt > run.spec.backoff_limit:
        tried = "" if attempt == 1 else f" This was attempt {attempt}."
        failed_ = condition("Succeeded", False, found.reason, found.message + tried)
        status = known(run, seen, (failed_, *stalled(found.reason, found.message + tried)))
        return Plan(status.model_copy(update={"completion_time": tracked.end or now}), again=timedelta(0))
    pause = min(_RETRY_BASE * 2 ** (attempt - 1), _RETRY_CAP)
    wait = (tracked.end or now) + pause - now
    message = f"Attempt {attempt} failed: {found.message} Attempt {attempt + 1} of {run.spec.backoff_limit + 1} follows."
    if wait > timedelta(0):
        return _say(run, seen, progressing(Reason.RETRYING, message), again=wait)
    return _start(run, seen, tracked.experiment, runtime)


def _lost(run: TrainingRun, seen: Seen, now: datetime) -> Plan[TrainingRunStatus]:
    """The attempt's MLflow run is gone for good: there is nothing to train into, and no second run for one attempt."""
    message = f"The MLflow run of attempt {run.status.attempt} was deleted for good. Train again in another TrainingRun."
    conditions = (condition("Succeeded", False, Reason.EXPERIMENT_GONE, message), *stalled(Reason.EXPERIMENT_GONE, message))
    found = Failure(reason=Reason.EXPERIMENT_GONE, message=message, attempt=run.status.attempt)
    status = run.status.model_copy(update={"conditions": conditions, "completion_time": now, "failure": found})
    jobs = [job for job in of_kind(seen.children, "Job") if not (succeeded(job) or failed(job) or job["metadata"].get("deletionTimestamp"))]
    return Plan(status, tuple(_delete(job) for job in jobs), again=timedelta(0))


def _why(run: TrainingRun, seen: Seen, job: Manifest) -> Failure:
    """What a pod has said of its end stays when the pod goes."""
    found = outcome.failure(job, _pods(seen, job), run.spec.active_deadline_seconds)
    found = found.model_copy(update={"attempt": seen.attempt}) if found else _vanished(seen)
    recorded = _recorded(run, seen)
    return recorded if recorded is not None and not outcome.told(found) else found


def _recorded(run: TrainingRun, seen: Seen) -> Failure | None:
    """The failure of this attempt, if it was written down. That of an earlier one says nothing of it."""
    return run.status.failure if run.status.failure and run.status.failure.attempt == seen.attempt else None


def _vanished(seen: Seen) -> Failure:
    return Failure(reason=Reason.FAILED, message="The Job is gone, and nobody saw how it ended.", attempt=seen.attempt)


def _pods(seen: Seen, job: Manifest) -> list[Manifest]:
    """The pods of one attempt."""
    name = job["metadata"]["name"]
    return [pod for pod in of_kind(seen.children, "Pod") if pod["metadata"].get("labels", {}).get("job-name") == name]


def _delete(job: Manifest) -> Delete:
    return Delete("batch/v1", "Job", job["metadata"]["name"], job["metadata"]["uid"])


def _say(
    run: TrainingRun, seen: Seen, conditions: tuple[Condition, ...], action: Outside | None = None, again: timedelta | None = None
) -> Plan[TrainingRunStatus]:
    return Plan(known(run, seen, conditions), () if action is None else (action,), again=again)


def release(run: TrainingRun, seen: Seen, _now: datetime) -> Plan[TrainingRunStatus]:
    """Say what has to go before the object may: its Jobs end, an open run is closed; with policy Delete runs are soft-deleted."""
    status = run.status.model_copy(update={"conditions": progressing(Reason.DELETING, "Ending the Job and closing the MLflow run.")})
    jobs = [job for job in of_kind(seen.children, "Job") if not job["metadata"].get("deletionTimestamp")]
    if jobs:
        return Plan(status, tuple(_delete(job) for job in jobs))
    ours = [tracked for tracked in seen.runs.values() if tracked.tags.get(UID_TAG) == run.metadata.uid and not tracked.deleted]
    for tracked in ours:
        if tracked.status in {"RUNNING", "SCHEDULED"}:
            return Plan(status, (FinishRun(tracked.id, "KILLED"),))
    gone = [tracked for tracked in ours if run.spec.deletion_policy is DeletionPolicy.DELETE and tracked.id not in seen.referenced]
    return Plan(status, (ArchiveRun(gone[0].id),)) if gone else Plan(status, released=True)


def trouble(run: TrainingRun, error: ModelyardError, _now: datetime) -> Plan[TrainingRunStatus]:
    """Say what an error means; once the run has ended, its end stands.

    A deletion that owes MLflow nothing, or can never reach it, is not held up.
    """
    kept = tuple(c for c in run.status.conditions if c.type == "Succeeded")
    status = run.status.model_copy(update={"conditions": (*kept, *trouble_conditions(error))})
    refused = _refused_job(run, error)
    if refused is not None:
        status = status.model_copy(update={"conditions": (*kept, *stalled(refused.reason, refused.message)), "failure": refused})
    if run.metadata.deletion_timestamp is None:
        return Plan(status)
    if run.status.mlflow is None or (run.status.completion_time is not None and run.spec.deletion_policy is DeletionPolicy.RETAIN):
        return Plan(status, released=True)
    if error.operation == CONNECTION_OPERATION:
        left = Event("LeftBehind", "There is no connection to MLflow any more: its run was left as it is.", warning=True)
        return Plan(status, released=True, events=(left,))
    return Plan(status)


def _refused_job(run: TrainingRun, error: ModelyardError) -> Failure | None:
    """The failure that it is when Kubernetes refuses a Job for what the spec asks of its pod: neither of the two ever changes.

    Any other refusal may be taken back by whoever refused: a quota, a policy, somebody else's Job of the name.
    """
    wrong = error.detail.partition(" is invalid: ")[2]
    if type(error) is not Invalid or (error.dependency, error.operation) != ("Kubernetes", "apply Job") or _IN_POD not in wrong:
        return None
    newest = max(run.status.attempt, 1)
    attempt = newest if error.subject.endswith(f"/{job_name(run.metadata.name, newest)}") else newest + 1
    fields = wrong.replace(f"{_IN_POD}containers[0].", "spec.").replace(_IN_POD, "spec.").rstrip(".")[:1500]
    message = f"Kubernetes refuses the Job: {fields}. Correct that in another TrainingRun; requests are at most as much as limits."
    return Failure(reason=Reason.INVALID_RESOURCES, message=message, attempt=attempt)


def settled(run: TrainingRun, _children: tuple[Manifest, ...]) -> bool:
    """Tell whether nothing is under way: the run has ended and all that it owes is done."""
    ended = run.status.completion_time is not None and run.status.observed_generation == run.metadata.generation
    return ended and not run.status.is_true("Reconciling")
