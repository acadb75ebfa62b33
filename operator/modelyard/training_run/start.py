"""Before an attempt: what the TrainingRun waits for, then its MLflow run. Pure."""

from datetime import datetime, timedelta

from modelyard.api.conditions import progressing, stalled
from modelyard.api.training_run import Failure, TrainingRun, TrainingRunStatus
from modelyard.api.training_run import TrainingReason as Reason
from modelyard.kube.names import ATTEMPT_TAG, CODE_TAG, owner_tags
from modelyard.kube.pods import Runtime
from modelyard.plan import Act, CreateRun, Plan, Record, Rest
from modelyard.training_run import build
from modelyard.training_run.observation import Observation
from modelyard.training_run.report import failed_status, observed_status

__all__ = ["UNWATCHED_POLL", "decide_start", "start_attempt", "suspended"]

UNWATCHED_POLL = timedelta(seconds=15)
"""How often to poll for what is not watched, such as a user's ConfigMap."""


def decide_start(
    run: TrainingRun, observation: Observation, now: datetime, runtime: Runtime
) -> Plan[TrainingRunStatus]:
    """Start the first attempt once the Experiment is in MLflow."""
    if (why := build.invalid(run)) is not None:
        return _fail(run, why, now)
    experiment = observation.experiment
    if (
        experiment is None
        or experiment.status.mlflow is None
        or experiment.metadata.deletion_timestamp is not None
    ):
        message = (
            f"Waiting for the Experiment {run.spec.experiment}, which does not exist or is not in"
            " MLflow yet. The run then starts automatically."
        )
        if experiment is None:
            message += (
                " If the name is misspelt, delete this TrainingRun and create another: its spec"
                " cannot be changed."
            )
        return Rest(
            observed_status(run, observation, progressing(Reason.WAITING_FOR_EXPERIMENT, message))
        )
    return start_attempt(run, observation, experiment.status.mlflow.id, runtime)


def start_attempt(
    run: TrainingRun, observation: Observation, experiment: str, runtime: Runtime
) -> Plan[TrainingRunStatus]:
    """Create the MLflow run of the next attempt, unless the attempt has to wait."""
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
        return Rest(observed_status(run, observation, conditions), requeue_after=UNWATCHED_POLL)
    if observation.dataset:
        return _unreadable_dataset(run, observation)
    tags = owner_tags(meta.namespace, meta.name, meta.uid) | {ATTEMPT_TAG: str(attempt)}
    if code := _code(run, observation, runtime):
        tags[CODE_TAG] = code
    name = meta.name if attempt == 1 else f"{meta.name}-{attempt}"
    return Act((CreateRun(experiment, name, tags),))


def _unreadable_dataset(run: TrainingRun, observation: Observation) -> Rest[TrainingRunStatus]:
    """Report a dataset that the namespace may not read, and wait until its connection allows it."""
    message = (
        f"Training has not started: spec.dataset.uri: {observation.dataset}. The run then continues"
        " automatically. Or train on another dataset, in another TrainingRun."
    )
    conditions = stalled(Reason.DATASET_UNAVAILABLE, message)
    return Rest(observed_status(run, observation, conditions), requeue_after=UNWATCHED_POLL)


def suspended(run: TrainingRun, observation: Observation) -> Rest[TrainingRunStatus]:
    """Report that the run is suspended by its spec."""
    message = "Suspended. Set spec.suspend to false to continue."
    return Rest(observed_status(run, observation, progressing(Reason.SUSPENDED, message)))


def _code(run: TrainingRun, observation: Observation, runtime: Runtime) -> str | None:
    """Return the version of the training code; None for a user's image, whose code is unknown."""
    if run.spec.trainer.script is not None:
        return observation.script
    return f"modelyard {runtime.version}" if run.spec.trainer.kind.program else None


def _fail(run: TrainingRun, why: str, now: datetime) -> Record[TrainingRunStatus]:
    """Fail a run whose parameters no pod can take, before anything is created for it."""
    failure = Failure(reason=Reason.INVALID_PARAMETERS, message=why)
    return Record(failed_status(run.status, failure, why, now))
