"""A TrainingRun that has ended: is its model registered, and may its Job go? Pure."""

from datetime import datetime, timedelta

from modelyard.api.base import Condition
from modelyard.api.conditions import progressing, ready, stalled
from modelyard.api.registered_model import VersionStatus
from modelyard.api.training_run import Registered, TrainingRun, TrainingRunStatus
from modelyard.api.training_run import TrainingReason as Reason
from modelyard.kube.jobs import of_kind
from modelyard.plan import Delete, Plan
from modelyard.training_run.observe import Seen

__all__ = ["settle"]


def settle(run: TrainingRun, seen: Seen, now: datetime) -> Plan[TrainingRunStatus]:
    """Say what a run that has ended still owes. How it ended is never changed again."""
    kept = tuple(c for c in run.status.conditions if c.type == "Succeeded")
    if not run.status.is_true("Succeeded"):
        # A trouble that came later (Kubernetes down while the object was looked at) gives way to how the run ended.
        ended = tuple(each for failed in kept for each in stalled(failed.reason, failed.message))
        status = run.status.model_copy(update={"conditions": (*kept, *ended)})
    else:
        conditions, registered = _registration(run, seen)
        status = run.status.model_copy(update={"conditions": (*kept, *conditions), "registered": registered})
    return _retire(run, seen, status, now)


def _registration(run: TrainingRun, seen: Seen) -> tuple[tuple[Condition, ...], Registered | None]:
    register, model = run.spec.register_, seen.registered_model
    if register is None:
        return ready(Reason.SUCCEEDED, "Trained."), None
    if (done := run.status.registered) is not None:  # for good: the RegisteredModel may go, this is the record
        return ready(Reason.SUCCEEDED, f"Trained, and registered as {done.version} of {done.model}."), done
    if run.status.model is None:
        message = "Trained, but the run logged no model to register. Log one, as with mlflow.xgboost.log_model, in another TrainingRun."
        return stalled(Reason.NO_MODEL, message), None
    if model is None:
        message = f"Trained. It is registered as soon as there is a RegisteredModel {register.model} in this namespace."
        return progressing(Reason.WAITING_FOR_MODEL, message), None
    version = next((v for v in model.status.versions if v.name == register.version), None)
    if version is not None and (version.training_run not in {None, run.metadata.name} or _of_a_predecessor(run, version)):
        message = (
            f"Trained, but {register.version} of {register.model} is the model of {_holder(run, version)} already. "
            f"Declare this one under another version in the RegisteredModel: spec.versions.<name>.trainingRun: {run.metadata.name}"
        )
        return stalled(Reason.VERSION_TAKEN, message), None
    if version is None or version.mlflow_version is None:
        return progressing(Reason.REGISTERING, f"Trained; being registered as {register.version} of {register.model}."), None
    if version.training_run is None:
        message = f"Trained, but {register.version} of {register.model} comes from elsewhere, as spec.versions there says."
        return stalled(Reason.VERSION_TAKEN, message), None
    message = f"Trained, and registered as {register.version} of {register.model}."
    return ready(Reason.SUCCEEDED, message), Registered(model=register.model, version=register.version)


def _of_a_predecessor(run: TrainingRun, version: VersionStatus) -> bool:
    """An earlier TrainingRun of the same name registered it."""
    return None not in {version.run_id, version.training_run} and version.run_id != (
        run.status.mlflow.run_id if run.status.mlflow else None
    )


def _holder(run: TrainingRun, version: VersionStatus) -> str:
    earlier = version.training_run == run.metadata.name
    return f"an earlier TrainingRun {version.training_run}" if earlier else f"the TrainingRun {version.training_run}"


def _retire(run: TrainingRun, seen: Seen, status: TrainingRunStatus, now: datetime) -> Plan[TrainingRunStatus]:
    ttl, end = run.spec.ttl_seconds_after_finished, run.status.completion_time
    jobs = [job for job in of_kind(seen.children, "Job") if not job["metadata"].get("deletionTimestamp")]
    if ttl is None or end is None or not jobs:
        return Plan(status)
    left = end + timedelta(seconds=ttl) - now
    if left > timedelta(0):
        return Plan(status, again=left)
    return Plan(status, tuple(Delete("batch/v1", "Job", job["metadata"]["name"], job["metadata"]["uid"]) for job in jobs))
