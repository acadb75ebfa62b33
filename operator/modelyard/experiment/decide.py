"""Decide the next step of an Experiment from what was observed. Pure."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from modelyard.api.base import Condition, DeletionPolicy, as_name
from modelyard.api.conditions import CONNECTION_OPERATION, ready, stalled, trouble
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
from modelyard.experiment.observation import Observation
from modelyard.experiment.retention import best_first, expired
from modelyard.kube import tags
from modelyard.kube.names import (
    ADOPT_ANNOTATION,
    NAME_TAG,
    OUR_TAGS,
    UID_TAG,
    experiment_name,
    experiment_prefix,
    owner_tags,
)
from modelyard.plan import (
    Act,
    ArchiveRun,
    CreateBucket,
    CreateExperiment,
    DeleteExperiment,
    DeleteTags,
    Event,
    External,
    Finalize,
    Manifest,
    Plan,
    Record,
    Rest,
    RestoreExperiment,
    SetTags,
    TagTarget,
)
from modelyard.ports import TrackedExperiment, TrackedRun

__all__ = ["decide", "finalize", "in_sync", "on_error"]

NOTE_TAG = "mlflow.note.content"
_NAMES_LIMIT = 300
_NAME_TAKEN_POLL = timedelta(minutes=1)


def decide(
    experiment: Experiment, observation: Observation, now: datetime
) -> Plan[ExperimentStatus]:
    """Create the bucket and the MLflow experiment, set its tags, then apply retention."""
    tracked = observation.tracked
    if not observation.bucket_exists:
        return Act((CreateBucket(observation.bucket),))
    if tracked is not None and not _may_use(experiment, tracked):
        return _name_taken(experiment, tracked)
    if (effect := _missing(experiment, observation)) is not None:
        return Act((effect,))
    status = _status(experiment, observation)
    runs = expired(experiment.spec, (*observation.runs, *observation.older), now)
    for run in runs:
        if run.id in observation.unreferenced:
            return _retain(experiment, status, run)
    return Rest(_with(status, ready(Reason.SYNCED, "MLflow and the bucket agree with the spec.")))


def finalize(
    experiment: Experiment, observation: Observation, _now: datetime
) -> Plan[ExperimentStatus]:
    """Soft-delete our MLflow experiment if the policy is Delete and no stage needs its versions."""
    tracked = observation.tracked
    ours = tracked is not None and tracked.tags.get(UID_TAG) == experiment.metadata.uid
    delete = experiment.spec.deletion_policy is DeletionPolicy.DELETE
    if delete and tracked is not None and ours and not tracked.deleted:
        if observation.in_use:
            message = (
                f"The MLflow experiment {tracked.name} was not deleted. It has files of versions"
                f" that are in use: {', '.join(observation.in_use)[:_NAMES_LIMIT]}."
            )
            return Finalize((Event("LeftBehind", message, warning=True),))
        return Act((DeleteExperiment(tracked.id),))
    return Finalize()


def on_error(
    experiment: Experiment, error: ModelyardError, _now: datetime
) -> Rest[ExperimentStatus] | Finalize:
    """Report an error.

    A deletion is not held up if the policy is Retain, or if MLflow cannot be reached because the
    connection is gone.
    """
    deleting = experiment.metadata.deletion_timestamp is not None
    if deleting and experiment.spec.deletion_policy is DeletionPolicy.RETAIN:
        return Finalize()
    if deleting and error.operation == CONNECTION_OPERATION:
        message = "The connection to MLflow is gone, so the MLflow experiment was not deleted."
        return Finalize((Event("LeftBehind", message, warning=True),))
    return Rest(_with(experiment.status, trouble(error)))


def in_sync(experiment: Experiment, _owned: tuple[Manifest, ...]) -> bool:
    """Tell whether the status says that the current spec is applied."""
    status = experiment.status
    return status.observed_generation == experiment.metadata.generation and status.is_true("Ready")


# --- what is missing ----------------------------------------------------------------------------
def _missing(experiment: Experiment, observation: Observation) -> External | None:
    """Return the next external action that MLflow needs to match the spec; None if it does."""
    meta, tracked = experiment.metadata, observation.tracked
    if tracked is None:
        name = experiment_name(meta.namespace, meta.name)
        location = experiment_prefix(observation.bucket, meta.namespace, meta.name).rstrip("/")
        wanted = tags.recorded(_spec_tags(experiment)) | _tags(experiment)
        return CreateExperiment(name, location, wanted)
    if tracked.deleted:
        return RestoreExperiment(tracked.id)
    target = TagTarget("experiment", tracked.id)
    if stale := tags.stale(_spec_tags(experiment), tracked.tags):
        return DeleteTags(target, stale)
    current = {NOTE_TAG: "", **tracked.tags}
    if missing := tags.missing(_tags(experiment), _spec_tags(experiment), current):
        return SetTags(target, missing)
    return None


def _spec_tags(experiment: Experiment) -> tuple[str, ...]:
    """Return the keys of the user's tags, which are deleted when the spec no longer has them."""
    return tuple(key for key in experiment.spec.tags if not key.startswith(OUR_TAGS))


def _tags(experiment: Experiment) -> dict[str, str]:
    """Return the user's tags and ours; ours win, so a spec cannot claim another's experiment."""
    meta = experiment.metadata
    ours = owner_tags(meta.namespace, meta.name, meta.uid)
    return {NOTE_TAG: experiment.spec.description} | experiment.spec.tags | ours


def _may_use(experiment: Experiment, tracked: TrackedExperiment) -> bool:
    """Tell whether the MLflow experiment is ours, or the adopt annotation is set."""
    meta = experiment.metadata
    adopt = meta.annotations.get(ADOPT_ANNOTATION) == "true"
    return adopt or tracked.tags.get(UID_TAG) == meta.uid


def _name_taken(experiment: Experiment, tracked: TrackedExperiment) -> Rest[ExperimentStatus]:
    """Report the conflict in an empty status, from which TrainingRuns cannot read an MLflow id."""
    meta = experiment.metadata
    earlier = tracked.tags.get(NAME_TAG) == meta.name
    owner = "an earlier object of this name" if earlier else "another client"
    message = (
        f"MLflow already has the experiment {tracked.name}, created by {owner}. Give this"
        f" Experiment another name, or adopt the existing one: kubectl annotate mlexp {meta.name}"
        f" -n {meta.namespace} {ADOPT_ANNOTATION}=true"
    )
    status = ExperimentStatus(conditions=stalled(Reason.NAME_TAKEN, message))
    return Rest(status, requeue_after=_NAME_TAKEN_POLL)


# --- retention ----------------------------------------------------------------------------------
def _retain(
    experiment: Experiment, status: ExperimentStatus, run: TrackedRun
) -> Plan[ExperimentStatus]:
    """Soft-delete one run per round; report it in the status first, as there may be thousands."""
    shown = experiment.status.condition("Ready")
    if shown is None or shown.reason != Reason.RETAINING:
        message = "Runs past their retention are being soft-deleted."
        return Record(_with(status, ready(Reason.RETAINING, message)))
    message = (
        f"Soft-deleted the MLflow run {run.id}, which is past its retention. It can be restored"
        " until it is purged."
    )
    return Act((ArchiveRun(run.id),), (Event("RunExpired", message),))


# --- the status ---------------------------------------------------------------------------------
def _with(status: ExperimentStatus, conditions: tuple[Condition, ...]) -> ExperimentStatus:
    return status.model_copy(update={"conditions": conditions})


def _status(experiment: Experiment, observation: Observation) -> ExperimentStatus:
    """Return the status with the observed values; the caller adds the conditions."""
    meta, tracked, usage = experiment.metadata, observation.tracked, observation.usage
    assert tracked is not None, "the MLflow experiment is created first"
    assert usage is not None, "the bucket is created first"
    runs = observation.runs
    url = f"{observation.tracking_url}/#/experiments/{tracked.id}"
    prefix = experiment_prefix(observation.bucket, meta.namespace, meta.name)
    return experiment.status.model_copy(
        update={
            "mlflow": MlflowExperiment(id=tracked.id, name=tracked.name, url=url),
            "artifacts": Artifacts(
                uri=prefix,
                objects=usage.objects,
                bytes=usage.bytes,
                at_least=not usage.complete or None,
            ),
            "runs": RunCounts(
                running=sum(run.is_open for run in runs),
                finished=sum(run.has_finished for run in runs),
                failed=sum(run.has_failed for run in runs),
                deleted=observation.deleted_runs,
                at_least=not (observation.all_runs and observation.all_deleted) or None,
            ),
            "best_run": _best(experiment, (*runs, *observation.older)),
        }
    )


def _best(experiment: Experiment, runs: Iterable[TrackedRun]) -> BestRun | None:
    objective = experiment.spec.objective
    ranked = best_first(objective, runs)
    if objective is None or not ranked:
        return None
    best = ranked[0]
    return BestRun(
        training_run=as_name(best.tags.get(NAME_TAG)),
        run_id=best.id,
        metric=objective.metric,
        value=f"{best.metrics[objective.metric]:.6g}",
    )
