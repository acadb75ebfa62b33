"""Read the state of a TrainingRun's Job and pods: waiting, running, failed and why. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from modelyard.api.pod_end import PodReason
from modelyard.api.text import TextFilter
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
    "closed_failure",
    "dataset_read",
    "deadline_exceeded",
    "has_no_pod",
    "has_reason",
    "is_final",
    "is_unsettled",
    "job_failure",
    "waiting_for",
]

_RECHECK = timedelta(minutes=1)
_MESSAGE_LIMIT, _TAG_LIMIT = 2048, 1000
_NEW_RUN = " Correct it in another TrainingRun."
_OTHER_EXPERIMENT = re.compile(r"active experiment ID does not match environment run ID")
_OTHER_MLFLOW = re.compile(r"Run (with id=|')[0-9a-f]{32}'? not found")
"""Error texts of `mlflow.start_run`."""
_SET_EXPERIMENT = (
    "the script selected another experiment with mlflow.set_experiment before mlflow.start_run."
    " Remove that line, which the log shows below: MLFLOW_RUN_ID already names the run. If the"
    " image created that experiment, delete it in MLflow."
)
_SET_TRACKING_URI = (
    "this MLflow server does not have the attempt's run. If the script selects another server with"
    " mlflow.set_tracking_uri, remove that line: MLFLOW_TRACKING_URI already names the server, and"
    " MLFLOW_RUN_ID the run."
)
_KNOWN_ERRORS = ((_OTHER_EXPERIMENT, _SET_EXPERIMENT), (_OTHER_MLFLOW, _SET_TRACKING_URI))
"""Errors at the end of a log, and what to do about them."""
_CONTAINERS = frozenset({DATA, TRAINER})
_REASONS = {reason: Reason(reason.value) for reason in PodReason if reason.value in set(Reason)}
"""Pod reasons that a TrainingRun has too; any other becomes Failed, with the pod's message."""
_FINAL = {
    *(str(reason) for reason in PodReason if not reason.retryable),
    Reason.INVALID_RESOURCES,
    Reason.HEARTBEAT_LOST,
}


@dataclass(frozen=True)
class Waiting:
    """Why an active Job does not train yet.

    Attributes:
        reason: The reason of the condition.
        message: What it waits for, and what to do.
        stalled: Whether it needs action by a user.
        again: After how long to check again; None: a watch reports the change.

    """

    reason: Reason
    message: str
    stalled: bool = False
    again: timedelta | None = None


def is_final(found: Failure) -> bool:
    """Tell whether another attempt would fail the same way."""
    return found.reason in _FINAL


def has_reason(found: Failure) -> bool:
    """Tell whether a failure says why: it has an exit code or a specific reason."""
    return found.exit_code is not None or found.reason != Reason.FAILED


def has_no_pod(job: Manifest, now: datetime) -> bool:
    """Tell whether a Job has had no pod for so long that something must prevent its creation."""
    since = podless_since(job)
    return since is not None and now - since >= POD_COMES


def waiting_for(
    job: Manifest,
    pods: Iterable[Manifest],
    now: datetime,
    *,
    ran: bool,
    creation_error: str | None = None,
) -> Waiting | None:
    """Return why an active Job does not train yet; None if it trains.

    Args:
        job: The Job.
        pods: Its pods.
        now: The time.
        ran: Whether a pod of it has trained before. Then a missing pod is not reported: a slow
            replacement looks the same as a refused one.
        creation_error: Why Kubernetes could not create a pod, from its events.

    """
    if job.get("spec", {}).get("suspend"):
        return Waiting(
            Reason.QUEUED, "The Job waits in a queue, and starts when the queue admits it."
        )
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
    """Return why a Job has no pod. Kubernetes reports it only in events, kept for one hour."""
    if creation_error is not None:
        found = not_created(creation_error)
        return Waiting(
            _REASONS[found.reason], found.text(), stalled=found.needs_action, again=_RECHECK
        )
    meta = job["metadata"]
    message = (
        f"Kubernetes has created no pod for the Job in {POD_COMES.seconds} s, and does not say why:"
        f" kubectl describe job {meta['name']} -n {meta['namespace']}."
        " The run continues automatically when the pod is created."
    )
    return Waiting(Reason.NO_POD, message, stalled=True, again=_RECHECK)


def dataset_read(pods: Iterable[Manifest]) -> DatasetStatus | None:
    """Return the digest and rows of the dataset that the init container read."""
    for pod in pods:
        for ended in terminations(pod):
            found = ended.report.get("dataset")
            if ended.container == DATA and ended.exit_code == 0 and isinstance(found, dict):
                digest, rows = found.get("digest"), found.get("rows")
                if isinstance(digest, str) and isinstance(rows, int) and not isinstance(rows, bool):
                    return DatasetStatus(digest=digest[:71], rows=max(rows, 0))
    return None


def is_unsettled(job: Manifest, pods: Iterable[Manifest], now: datetime) -> bool:
    """Tell whether a Job has just failed and the pod status that says why is still pending."""
    since = failed_at(job)
    if since is None or now - since >= POD_SAYS:
        return False
    there = (pod for pod in pods if not pod["metadata"].get("deletionTimestamp"))
    return any(
        (pod.get("status") or {}).get("phase") not in {"Failed", "Succeeded"} for pod in there
    )


def job_failure(job: Manifest, pods: Iterable[Manifest], deadline: int | None) -> Failure | None:
    """Return why a Job failed; None if it did not."""
    found = workload_end(job, pods, _CONTAINERS) if failed(job) else None
    if found is None:
        return None
    if found.reason is PodReason.DEADLINE_EXCEEDED:
        return deadline_exceeded(deadline)
    reason = _REASONS.get(found.reason, Reason.FAILED)
    return Failure(reason=reason, message=_message(found), exit_code=found.exit_code, log=found.log)


def closed_failure(
    tracked: TrackedRun, text_filter: TextFilter, *, exit_code: int | None = None
) -> Failure | None:
    """Return why the trainer or a user closed the MLflow run of an attempt as failed.

    None if nothing says why: the run has no failure tag, and there is no container whose exit code
    disagrees.
    """
    reason = text_filter(tracked.tags.get(FAILURE_TAG, ""))[:_TAG_LIMIT].strip()
    if reason:
        return Failure(reason=Reason.FAILED, message=reason, exit_code=exit_code)
    if exit_code is None:
        return None
    message = (
        f"The trainer exited with code {exit_code}, but its MLflow run was closed as"
        f" {tracked.status}: by mlflow.end_run, or by an exception inside mlflow.start_run that"
        " the script caught. Nothing is registered. If training failed, exit with another code; if"
        " it succeeded, close the run as FINISHED."
    )
    return Failure(reason=Reason.FAILED, message=message, exit_code=exit_code)


def _message(found: PodEnd) -> str:
    """Return what happened and what to do. The spec is immutable, so a fix is a new object."""
    if found.reason is PodReason.CONTAINER_FAILED:
        for error, advice in _KNOWN_ERRORS:
            if error.search(found.log):
                return f"{found.message.strip().rstrip('.')}: {advice}{_NEW_RUN}"
    advice = _NEW_RUN if found.reason in _REASONS and found.needs_action else ""
    return f"{found.text(_MESSAGE_LIMIT - len(advice))}{advice}"


def deadline_exceeded(deadline: int | None) -> Failure:
    """Return the failure of an attempt that exceeded its deadline."""
    return Failure(
        reason=Reason.DEADLINE_EXCEEDED,
        message=f"It did not finish within activeDeadlineSeconds ({deadline} s).",
    )
