"""What a TrainingRun's Job and pods say: waiting, running, failed and why. Pure; what to do
about it is decided elsewhere.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from modelyard.api.pod_end import PodReason
from modelyard.api.text import Words
from modelyard.api.training_run import DatasetStatus, Failure
from modelyard.api.training_run import TrainingReason as Reason
from modelyard.kube.jobs import POD_COMES, POD_SAYS, failed, failed_at, podless_since, running_since
from modelyard.kube.names import FAILURE_TAG
from modelyard.kube.pod_state import PodEnd, not_created, pod_end, terminations, workload_end
from modelyard.plan import Manifest
from modelyard.ports import TrackedRun
from modelyard.training_run.build import DATA, TRAINER

__all__ = [
    "Waiting",
    "closed",
    "dataset",
    "failure",
    "final",
    "is_podless",
    "is_unsettled",
    "told",
    "too_late",
    "waiting",
]

_ASK_AGAIN = timedelta(minutes=1)
_MESSAGE_LIMIT, _TAG_LIMIT = 2048, 1000
_ANOTHER = " A corrected run is another TrainingRun."
_OTHER_EXPERIMENT = re.compile(r"active experiment ID does not match environment run ID")
_OTHER_MLFLOW = re.compile(r"Run (with id=|')[0-9a-f]{32}'? not found")
"""MLflow's words, in `mlflow.start_run`."""
_SET_EXPERIMENT = (
    "mlflow.set_experiment named another experiment than the run's before mlflow.start_run. Remove"
    " that line, which the log shows below: MLFLOW_RUN_ID says which run it is. An image of your"
    " own may have created that experiment: delete it in MLflow."
)
_SET_TRACKING_URI = (
    "the MLflow that was asked does not have this attempt's run. If mlflow.set_tracking_uri names"
    " another one, remove that line: MLFLOW_TRACKING_URI says where MLflow is, and MLFLOW_RUN_ID"
    " which run it is."
)
_HABITS = ((_OTHER_EXPERIMENT, _SET_EXPERIMENT), (_OTHER_MLFLOW, _SET_TRACKING_URI))
"""What the end of a log says, and what to do about it."""
_CONTAINERS = frozenset({DATA, TRAINER})
_REASONS = {reason: Reason(reason.value) for reason in PodReason if reason.value in set(Reason)}
"""The TrainingRun's reason for a pod's. Any other end of a pod is Failed, with its own message."""
_FINAL = {
    *(str(reason) for reason in PodReason if not reason.retryable),
    Reason.INVALID_RESOURCES,
    Reason.HEARTBEAT_LOST,
}


@dataclass(frozen=True)
class Waiting:
    """Why an active Job does not train yet. `stalled`: somebody has to do something. `again`:
    when it may mean something else.
    """

    reason: Reason
    message: str
    stalled: bool = False
    again: timedelta | None = None


def final(found: Failure) -> bool:
    """Tell whether another attempt would only fail the same way."""
    return found.reason in _FINAL


def told(found: Failure) -> bool:
    """Tell whether a failure says more than that there was one."""
    return found.exit_code is not None or found.reason != Reason.FAILED


def is_podless(job: Manifest, now: datetime) -> bool:
    """Tell whether a Job has had no pod for so long that something must keep Kubernetes from
    creating one.
    """
    since = podless_since(job)
    return since is not None and now - since >= POD_COMES


def waiting(
    job: Manifest,
    pods: Iterable[Manifest],
    now: datetime,
    *,
    ran: bool,
    creation_error: str | None = None,
) -> Waiting | None:
    """Say why an active Job does not train yet; None when it trains.

    Args:
        job: The Job.
        pods: Its pods.
        now: The time.
        ran: Whether a pod of it has trained before: the next one may take its time, which nothing
            tells from a refusal.
        creation_error: Why Kubernetes could not create a pod, if it said so.

    """
    if job.get("spec", {}).get("suspend"):
        return Waiting(Reason.QUEUED, "The Job is held by a queue and starts when that lets it.")
    there = list(pods)
    pods = [pod for pod in there if not pod["metadata"].get("deletionTimestamp")]
    for pod in pods:
        found = None if running_since(pod, TRAINER) else pod_end(pod, _CONTAINERS)
        if found is not None and not found.ended:
            reason = _REASONS.get(found.reason, Reason.SCHEDULING)
            return Waiting(reason, found.text(), stalled=found.needs_action)
    if not any(
        (pod.get("status") or {}).get("phase") in {"Running", "Succeeded", "Failed"} for pod in pods
    ):
        since = podless_since(job)
        left = None if ran or there or since is None else since + POD_COMES - now
        if left is not None and left <= timedelta(0):
            return _without_pod(job, creation_error)
        return Waiting(Reason.SCHEDULING, "The pod is being started.", again=left)
    return None


def _without_pod(job: Manifest, creation_error: str | None) -> Waiting:
    """Say why a Job has no pod. Kubernetes tells it in events only, and keeps those for an hour."""
    if creation_error is not None:
        found = not_created(creation_error)
        return Waiting(
            _REASONS[found.reason], found.text(), stalled=found.needs_action, again=_ASK_AGAIN
        )
    meta = job["metadata"]
    message = (
        f"Kubernetes has created no pod for the Job in {POD_COMES.seconds} s, and does not say why:"
        f" kubectl describe job {meta['name']} -n {meta['namespace']}."
        " When the pod is admitted, the run continues automatically."
    )
    return Waiting(Reason.NO_POD, message, stalled=True, again=_ASK_AGAIN)


def dataset(pods: Iterable[Manifest]) -> DatasetStatus | None:
    """Return the dataset as the init container read it."""
    for pod in pods:
        for ended in terminations(pod):
            said = ended.said.get("dataset")
            if ended.container == DATA and ended.exit_code == 0 and isinstance(said, dict):
                digest, rows = said.get("digest"), said.get("rows")
                if isinstance(digest, str) and isinstance(rows, int) and not isinstance(rows, bool):
                    return DatasetStatus(digest=digest[:71], rows=max(rows, 0))
    return None


def is_unsettled(job: Manifest, pods: Iterable[Manifest], now: datetime) -> bool:
    """Tell whether a Job has just failed and the last status of its pod, which says why, is
    still on its way.
    """
    since = failed_at(job)
    if since is None or now - since >= POD_SAYS:
        return False
    there = (pod for pod in pods if not pod["metadata"].get("deletionTimestamp"))
    return any(
        (pod.get("status") or {}).get("phase") not in {"Failed", "Succeeded"} for pod in there
    )


def failure(job: Manifest, pods: Iterable[Manifest], deadline: int | None) -> Failure | None:
    """Say why a Job failed; None when it did not."""
    found = workload_end(job, pods, _CONTAINERS) if failed(job) else None
    if found is None:
        return None
    if found.reason is PodReason.DEADLINE_EXCEEDED:
        return too_late(deadline)
    reason = _REASONS.get(found.reason, Reason.FAILED)
    return Failure(reason=reason, message=_message(found), exit_code=found.exit_code, log=found.log)


def closed(tracked: TrackedRun, words: Words, *, exit_code: int | None = None) -> Failure | None:
    """Say why an attempt failed whose MLflow run the trainer, or a user, closed without a result.

    None without a word of why: its tag says nothing, and no container exited with 0 all the same.
    """
    reason = words(tracked.tags.get(FAILURE_TAG, ""))[:_TAG_LIMIT].strip()
    if reason:
        return Failure(reason=Reason.FAILED, message=reason, exit_code=exit_code)
    if exit_code is None:
        return None
    message = (
        f"The trainer exited with code {exit_code}, but its MLflow run was closed as"
        f" {tracked.status}: by mlflow.end_run, or by an exception within mlflow.start_run that"
        " the script caught. Nothing is registered. Exit with another code when training fails,"
        " and close the run as FINISHED when it does not."
    )
    return Failure(reason=Reason.FAILED, message=message, exit_code=exit_code)


def _message(found: PodEnd) -> str:
    """Return what is the case and what to do; the spec never changes, so a correction is a new
    object.
    """
    if found.reason is PodReason.CONTAINER_FAILED:
        for said, advice in _HABITS:
            if said.search(found.log):
                return f"{found.message.strip().rstrip('.')}: {advice}{_ANOTHER}"
    another = _ANOTHER if found.reason in _REASONS and found.needs_action else ""
    return f"{found.text(_MESSAGE_LIMIT - len(another))}{another}"


def too_late(deadline: int | None) -> Failure:
    """Return the failure of an attempt that took longer than it may."""
    return Failure(
        reason=Reason.DEADLINE_EXCEEDED,
        message=f"It did not end within the {deadline} seconds of activeDeadlineSeconds.",
    )
