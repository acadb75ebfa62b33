"""A TrainingRun before an attempt: what it waits for, then its MLflow run. Pure."""

from datetime import datetime, timedelta

from modelyard.api.conditions import progressing, stalled
from modelyard.api.training_run import Failure, TrainingRun, TrainingRunStatus
from modelyard.api.training_run import TrainingReason as Reason
from modelyard.kube.names import ATTEMPT_TAG, CODE_TAG, owner_tags
from modelyard.kube.pods import Runtime
from modelyard.plan import Act, CreateRun, Plan, Record, Rest
from modelyard.training_run import build
from modelyard.training_run.observation import Observation
from modelyard.training_run.report import failed_for_good, known

__all__ = ["UNWATCHED_POLL", "decide_start", "start_attempt", "suspended"]

UNWATCHED_POLL = timedelta(seconds=15)
"""How often to look for what no watch tells about, such as a user's ConfigMap."""


def decide_start(
    run: TrainingRun, observation: Observation, now: datetime, runtime: Runtime
) -> Plan[TrainingRunStatus]:
    """Start the first attempt when its Experiment is ready."""
    if (why := build.refused(run)) is not None:
        return _rejected(run, why, now)
    experiment = observation.experiment
    if (
        experiment is None
        or experiment.status.mlflow is None
        or experiment.metadata.deletion_timestamp is not None
    ):
        message = (
            f"Waiting for the Experiment {run.spec.experiment}: it does not exist, or is not in"
            " MLflow yet. The run starts automatically when it is."
        )
        if experiment is None:
            message += (
                " If the name is misspelt, delete this TrainingRun and create another one: its spec"
                " cannot be changed."
            )
        return Rest(known(run, observation, progressing(Reason.WAITING_FOR_EXPERIMENT, message)))
    return start_attempt(run, observation, experiment.status.mlflow.id, runtime)


def start_attempt(
    run: TrainingRun, observation: Observation, experiment: str, runtime: Runtime
) -> Plan[TrainingRunStatus]:
    """Create the next attempt's MLflow run, unless the attempt has to wait."""
    attempt = observation.attempt + 1
    meta, script = run.metadata, run.spec.trainer.script
    if run.spec.suspend:
        return suspended(run, observation)
    if script is not None and observation.script is None:
        message = (
            f"The ConfigMap {script.config_map} with the key {script.key} does not exist. Create"
            " it; the run then continues automatically."
        )
        conditions = stalled(Reason.CONFIGURATION_MISSING, message)
        return Rest(known(run, observation, conditions), requeue_after=UNWATCHED_POLL)
    if observation.dataset:
        return _beyond(run, observation)
    tags = owner_tags(meta.namespace, meta.name, meta.uid) | {ATTEMPT_TAG: str(attempt)}
    if code := _code(run, observation, runtime):
        tags[CODE_TAG] = code
    name = meta.name if attempt == 1 else f"{meta.name}-{attempt}"
    return Act((CreateRun(experiment, name, tags),))


def _beyond(run: TrainingRun, observation: Observation) -> Rest[TrainingRunStatus]:
    """Report a dataset that the namespace may not read; its connection may come to name the
    place.
    """
    message = (
        f"Nothing is trained: spec.dataset.uri: {observation.dataset}. The run then continues"
        " automatically. Or train on another dataset, in another TrainingRun."
    )
    conditions = stalled(Reason.DATASET_UNAVAILABLE, message)
    return Rest(known(run, observation, conditions), requeue_after=UNWATCHED_POLL)


def suspended(run: TrainingRun, observation: Observation) -> Rest[TrainingRunStatus]:
    """Report that nothing runs because the spec says so."""
    message = "Suspended. Set spec.suspend to false to continue."
    return Rest(known(run, observation, progressing(Reason.SUSPENDED, message)))


def _code(run: TrainingRun, observation: Observation, runtime: Runtime) -> str | None:
    """Return the version of the code that trains; None if only the user knows it."""
    if run.spec.trainer.script is not None:
        return observation.script
    return f"modelyard {runtime.version}" if run.spec.trainer.kind.program else None


def _rejected(run: TrainingRun, why: str, now: datetime) -> Record[TrainingRunStatus]:
    """End a run that no pod could train, before anything is created for it."""
    failure = Failure(reason=Reason.INVALID_PARAMETERS, message=why)
    return Record(failed_for_good(run.status, failure, why, now))
