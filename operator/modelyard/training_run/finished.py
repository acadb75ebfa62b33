"""A finished TrainingRun: the registration of its model, and the deletion of its Jobs. Pure.

The result of the run is final.
"""

from datetime import datetime, timedelta

from modelyard.api.base import Condition
from modelyard.api.conditions import progressing, ready, stalled
from modelyard.api.registered_model import VersionStatus
from modelyard.api.training_run import Registered, TrainingRun, TrainingRunStatus
from modelyard.api.training_run import TrainingReason as Reason
from modelyard.kube.names import version_holder
from modelyard.plan import Act, Plan, Rest
from modelyard.training_run import jobs
from modelyard.training_run.observation import Observation

__all__ = ["decide_finished"]


def decide_finished(
    run: TrainingRun, observation: Observation, now: datetime
) -> Plan[TrainingRunStatus]:
    """Delete the Jobs when their TTL has passed, and report the result and the registration."""
    ttl, end = run.spec.ttl_seconds_after_finished, run.status.completion_time
    left = jobs.not_deleted(run, observation)
    status = _status(run, observation)
    if ttl is None or end is None or not left:
        return Rest(status)
    wait = end + timedelta(seconds=ttl) - now
    if wait > timedelta(0):
        return Rest(status, requeue_after=wait)
    return Act(tuple(map(jobs.delete, left)))


def _status(run: TrainingRun, observation: Observation) -> TrainingRunStatus:
    kept = tuple(each for each in run.status.conditions if each.type == "Succeeded")
    if run.status.is_true("Succeeded"):
        conditions, registered = _registration(run, observation)
        update = {"conditions": (*kept, *conditions), "registered": registered}
        return run.status.model_copy(update=update)
    # A later error, such as an outage of Kubernetes, must not hide why the run failed.
    failure = tuple(each for failed in kept for each in stalled(failed.reason, failed.message))
    return run.status.model_copy(update={"conditions": (*kept, *failure)})


def _registration(
    run: TrainingRun, observation: Observation
) -> tuple[tuple[Condition, ...], Registered | None]:
    """Return the conditions of a run that has succeeded, and its registered version."""
    register, model = run.spec.register_, observation.registered_model
    if register is None:
        return ready(Reason.SUCCEEDED, "Trained."), None
    if (
        done := run.status.registered
    ) is not None:  # final: the RegisteredModel may be deleted later
        return ready(Reason.SUCCEEDED, _registered(done)), done
    name = f"{register.version} of {register.model}"
    if run.status.model is None:
        return stalled(Reason.NO_MODEL, _no_model(run)), None
    if model is None:
        message = (
            f"Trained. Waiting for the RegisteredModel {register.model}, which does not exist in"
            " this namespace; the model is registered as soon as it does."
        )
        line = f"spec.versions.{register.version}.trainingRun: {run.metadata.name}"
        message += f" If the name is misspelt, declare the version in the right one: {line}."
        return progressing(Reason.WAITING_FOR_MODEL, message), None
    version = next((v for v in model.status.versions if v.name == register.version), None)
    if version is not None and _is_held(run, version):
        message = (
            f"Trained, but {name} is held by {_declarer(version)}, which was declared first."
            " If that fails, this run is registered. Or declare this run under another version in"
            f" the RegisteredModel: spec.versions.<name>.trainingRun: {run.metadata.name}."
        )
        if version.blocked is not None and version.blocked.reason == Reason.VERSION_HELD:
            message = f"Trained, but not registered. {version.blocked.message}"
        return stalled(Reason.VERSION_HELD, message), None
    if version is not None and _is_of_another(run, version):
        message = (
            f"Trained, but {name} is already the model of {_holder(run, version)}. Delete this run,"
            " or declare it under another version in the RegisteredModel:"
            f" spec.versions.<name>.trainingRun: {run.metadata.name}"
        )
        return stalled(Reason.VERSION_TAKEN, message), None
    if version is None or version.mlflow_version is None:
        return progressing(Reason.REGISTERING, f"Trained, and being registered as {name}."), None
    if version.training_run is None:
        message = f"Trained, but spec.versions of {register.model} gives {name} another source."
        return stalled(Reason.VERSION_TAKEN, message), None
    registered = Registered(model=register.model, version=register.version)
    return ready(Reason.SUCCEEDED, _registered(registered)), registered


def _no_model(run: TrainingRun) -> str:
    mlflow = run.status.mlflow
    if not run.status.candidates or mlflow is None:
        return (
            "Trained, but not registered: no model was logged. Log one, for example with"
            " mlflow.xgboost.log_model, in another TrainingRun."
        )
    return (
        "Trained, but the run logged several models at the same moment:"
        f" {', '.join(run.status.candidates)}. Name the one to register in the RegisteredModel:"
        f" spec.versions.<name>: {{runId: {mlflow.run_id}, path: <the model's name>}}. Or log one"
        " of them under the name model, in another TrainingRun."
    )


def _registered(registered: Registered) -> str:
    return f"Trained, and registered as {registered.version} of {registered.model}."


def _is_held(run: TrainingRun, version: VersionStatus) -> bool:
    """Tell whether another declaration holds the name of a version that is not registered yet."""
    ours = {None, run.metadata.uid, version_holder(run.metadata.name)}
    return version.digest is None and version.mlflow_version is None and version.held_by not in ours


def _declarer(version: VersionStatus) -> str:
    if version.training_run is None:
        return "a declaration in spec.versions"
    return f"the TrainingRun {version.training_run} (uid {version.held_by})"


def _is_of_another(run: TrainingRun, version: VersionStatus) -> bool:
    """Tell whether another TrainingRun, or an earlier one of this name, made the version."""
    if version.training_run is None:
        return False
    return version.training_run != run.metadata.name or _is_of_an_earlier(run, version)


def _is_of_an_earlier(run: TrainingRun, version: VersionStatus) -> bool:
    ours = run.status.mlflow.run_id if run.status.mlflow else None
    return version.run_id is not None and version.run_id != ours


def _holder(run: TrainingRun, version: VersionStatus) -> str:
    earlier = version.training_run == run.metadata.name
    return f"{'an earlier' if earlier else 'the'} TrainingRun {version.training_run}"
