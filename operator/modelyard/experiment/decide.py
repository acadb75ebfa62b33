"""Experiment: what should happen next, given what is there. Pure: no I/O, no clock of its own."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from modelyard.api.base import DeletionPolicy, as_name
from modelyard.api.conditions import CONNECTION_OPERATION, progressing, ready, stalled
from modelyard.api.conditions import trouble as trouble_conditions
from modelyard.api.experiment import (
    Artifacts,
    BestRun,
    Experiment,
    ExperimentStatus,
    MlflowExperiment,
    RunCounts,
)
from modelyard.api.experiment import ExperimentReason as Reason
from modelyard.errors import ModelyardError
from modelyard.experiment.observe import Seen
from modelyard.experiment.retention import best_first, expired
from modelyard.kube import tags
from modelyard.kube.names import ADOPT_ANNOTATION, NAME_TAG, OUR_TAGS, UID_TAG, experiment_name, experiment_prefix, owner_tags
from modelyard.plan import (
    Action,
    ArchiveRun,
    CreateBucket,
    CreateExperiment,
    DeleteExperiment,
    DeleteExperimentTags,
    Event,
    Manifest,
    Plan,
    RestoreExperiment,
    SetExperimentTags,
)
from modelyard.ports import TrackedExperiment, TrackedRun

__all__ = ["decide", "release", "settled", "trouble"]

NOTE_TAG = "mlflow.note.content"
_NAME_TAKEN_AGAIN = timedelta(minutes=1)


def decide(experiment: Experiment, seen: Seen, now: datetime) -> Plan[ExperimentStatus]:
    """Say what is missing most, or that nothing is."""
    meta, tracked = experiment.metadata, seen.tracked
    name = experiment_name(meta.namespace, meta.name)
    if not seen.bucket_exists:
        return _step(experiment, seen, f"Creating the bucket {seen.bucket}.", CreateBucket(seen.bucket))
    if tracked is None:
        location = experiment_prefix(seen.bucket, meta.namespace, meta.name).rstrip("/")
        made = tags.recorded(_users(experiment)) | _tags(experiment)
        return _step(experiment, seen, f"Creating {name} in MLflow.", CreateExperiment(name, location, made))
    if tracked.tags.get(UID_TAG) != meta.uid and meta.annotations.get(ADOPT_ANNOTATION) != "true":
        # Nothing of what was ours is told on: TrainingRuns would go by it.
        taken = ExperimentStatus(conditions=stalled(Reason.NAME_TAKEN, _taken(experiment, tracked)))
        return Plan(taken, again=_NAME_TAKEN_AGAIN)
    if tracked.deleted:
        return _step(experiment, seen, f"Restoring {name}, which was deleted in MLflow.", RestoreExperiment(tracked.id))
    if stale := tags.stale(_users(experiment), tracked.tags):
        return _step(experiment, seen, f"Taking the tags {', '.join(stale)} away.", DeleteExperimentTags(tracked.id, stale))
    if missing := tags.missing(_tags(experiment), _users(experiment), {NOTE_TAG: "", **tracked.tags}):
        return _step(experiment, seen, f"Setting the tags {', '.join(sorted(missing))}.", SetExperimentTags(tracked.id, missing))
    status = _status(experiment, seen)
    if gone := [run for run in expired(experiment.spec, (*seen.runs, *seen.older), now) if run.id in seen.unreferenced]:
        message = "Runs past their retention are being soft-deleted."
        conditions = ready(Reason.RETAINING, message)
        return Plan(
            status.model_copy(update={"conditions": conditions}),
            (ArchiveRun(gone[0].id),),
            events=(
                Event("RunExpired", f"Soft-deleted run {gone[0].id}, which is past its retention; it can be restored until it is purged."),
            ),
        )
    return Plan(status.model_copy(update={"conditions": ready(Reason.SYNCED, "MLflow and the bucket agree with the spec.")}))


def release(experiment: Experiment, seen: Seen, _now: datetime) -> Plan[ExperimentStatus]:
    """Say what has to go before the object may: with `deletionPolicy: Delete`, our MLflow experiment is soft-deleted."""
    tracked = seen.tracked
    status = experiment.status.model_copy(update={"conditions": progressing(Reason.DELETING, "Soft-deleting the MLflow experiment.")})
    ours = tracked is not None and tracked.tags.get(UID_TAG) == experiment.metadata.uid
    if experiment.spec.deletion_policy is DeletionPolicy.DELETE and tracked is not None and ours and not tracked.deleted:
        return Plan(status, (DeleteExperiment(tracked.id),))
    return Plan(status, released=True)


def trouble(experiment: Experiment, error: ModelyardError, _now: datetime) -> Plan[ExperimentStatus]:
    """Say what an error means; a deletion that owes nothing outside, or can never reach it, is not held up by one."""
    status = experiment.status.model_copy(update={"conditions": trouble_conditions(error)})
    deleting = experiment.metadata.deletion_timestamp is not None
    if deleting and experiment.spec.deletion_policy is DeletionPolicy.RETAIN:
        return Plan(status, released=True)
    if deleting and error.operation == CONNECTION_OPERATION:
        left = Event("LeftBehind", "There is no connection to MLflow any more: its experiment was left as it is.", warning=True)
        return Plan(status, released=True, events=(left,))
    return Plan(status)


def settled(experiment: Experiment, _children: tuple[Manifest, ...]) -> bool:
    """Tell whether the status says that the spec, as it is now, was applied."""
    return experiment.status.observed_generation == experiment.metadata.generation and experiment.status.is_true("Ready")


def _step(experiment: Experiment, seen: Seen, message: str, action: Action) -> Plan[ExperimentStatus]:
    status = _status(experiment, seen if seen.tracked else None)
    return Plan(status.model_copy(update={"conditions": progressing(Reason.CREATING, message)}), (action,))


def _users(experiment: Experiment) -> tuple[str, ...]:
    """Keys of the tags that go when the spec says them no more. Ours stay, whatever the spec says."""
    return tuple(key for key in experiment.spec.tags if not key.startswith(OUR_TAGS))


def _tags(experiment: Experiment) -> dict[str, str]:
    """What the user asks for, what marks it as ours on top: nobody takes an experiment over by its tags."""
    meta = experiment.metadata
    return {NOTE_TAG: experiment.spec.description} | experiment.spec.tags | owner_tags(meta.namespace, meta.name, meta.uid)


def _taken(experiment: Experiment, tracked: TrackedExperiment) -> str:
    meta = experiment.metadata
    whose = "an earlier object of this name" if tracked.tags.get(NAME_TAG) == meta.name else "somebody else"
    return (
        f"MLflow already has the experiment {tracked.name}, made by {whose}. Give this Experiment another name, or take that one over: "
        f"kubectl annotate mlexp {meta.name} -n {meta.namespace} {ADOPT_ANNOTATION}=true"
    )


def _status(experiment: Experiment, seen: Seen | None) -> ExperimentStatus:
    """What is known of the outside; what was known before while nothing can be known now."""
    old, meta = experiment.status, experiment.metadata
    if seen is None or seen.tracked is None:
        return old
    url = f"{seen.tracking_url}/#/experiments/{seen.tracked.id}"
    states = [run.status for run in seen.runs]
    return old.model_copy(
        update={
            "mlflow": MlflowExperiment(id=seen.tracked.id, name=seen.tracked.name, url=url),
            "artifacts": seen.usage
            and Artifacts(
                uri=experiment_prefix(seen.bucket, meta.namespace, meta.name), objects=seen.usage.objects, bytes=seen.usage.bytes
            ),
            "runs": RunCounts(
                running=sum(state in {"RUNNING", "SCHEDULED"} for state in states),
                finished=states.count("FINISHED"),
                failed=sum(state in {"FAILED", "KILLED"} for state in states),
                deleted=seen.deleted_runs,
            ),
            "best_run": _best(experiment, (*seen.runs, *seen.older)),
        }
    )


def _best(experiment: Experiment, runs: Iterable[TrackedRun]) -> BestRun | None:
    objective = experiment.spec.objective
    best = best_first(objective, runs)
    if objective is None or not best:
        return None
    value = f"{best[0].metrics[objective.metric]:.6g}"
    return BestRun(training_run=as_name(best[0].tags.get(NAME_TAG)), run_id=best[0].id, metric=objective.metric, value=value)
