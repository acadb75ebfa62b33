"""What a TrainingRun's Job and pods say: waiting, running, failed and why. Pure; what to do about it is decided elsewhere."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from modelyard.api.training_run import DatasetStatus, Failure
from modelyard.api.training_run import TrainingReason as Reason
from modelyard.kube.jobs import Termination, failed, pod_trouble, podless_since, terminations
from modelyard.plan import Manifest
from modelyard.training_run.build import DATA, TRAINER

__all__ = ["Waiting", "dataset", "failure", "final", "told", "too_late", "waiting"]

_POD_COMES = timedelta(seconds=30)
"""A Job's first pod is made within a second; one that is not there after so long was refused."""
_SAID = {
    reason.value: reason
    for reason in (
        Reason.DATASET_DIGEST_MISMATCH,
        Reason.DATASET_UNAVAILABLE,
        Reason.DATASET_INVALID,
        Reason.SCRIPT_INVALID,
        Reason.INVALID_PARAMETERS,
    )
}
_FINAL = {
    Reason.DATASET_DIGEST_MISMATCH,
    Reason.DATASET_INVALID,
    Reason.SCRIPT_INVALID,
    Reason.INVALID_PARAMETERS,
    Reason.INVALID_RESOURCES,
    Reason.DEADLINE_EXCEEDED,
    Reason.HEARTBEAT_LOST,
}
_WAITS = {
    "Unschedulable": Reason.UNSCHEDULABLE,
    "ImagePullFailed": Reason.IMAGE_PULL_FAILED,
    "ConfigurationMissing": Reason.CONFIGURATION_MISSING,
    "CrashLoop": Reason.RETRYING,
}


@dataclass(frozen=True)
class Waiting:
    """Why an active Job does not train yet. `stalled`: somebody has to do something. `again`: when it may mean something else."""

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


def waiting(job: Manifest, pods: Iterable[Manifest], now: datetime, *, ran: bool) -> Waiting | None:
    """Say why an active Job does not train yet; None when it trains.

    Args:
        job: The Job.
        pods: Its pods.
        now: The time.
        ran: Whether a pod of it has trained before: the next one may take its time, which nothing tells from a refusal.

    """
    if job.get("spec", {}).get("suspend"):
        return Waiting(Reason.QUEUED, "The Job is held by a queue and starts when that lets it.")
    there = list(pods)
    pods = [pod for pod in there if not pod["metadata"].get("deletionTimestamp")]
    for pod in pods:
        trouble = pod_trouble(pod)
        if trouble is not None:
            reason = _WAITS[trouble.kind]
            return Waiting(reason, _next_step(reason, trouble.message), stalled=reason is not Reason.UNSCHEDULABLE)
    if not any((pod.get("status") or {}).get("phase") in {"Running", "Succeeded", "Failed"} for pod in pods):
        since = podless_since(job)
        left = None if ran or there or since is None else since + _POD_COMES - now
        if left is not None and left <= timedelta(0):
            return Waiting(Reason.NO_POD, _no_pod(job), stalled=True)
        return Waiting(Reason.SCHEDULING, "The pod is being started.", again=left)
    return None


def _no_pod(job: Manifest) -> str:
    """Kubernetes says why in events of the Job only, which are nobody's to read but the user's."""
    meta = job["metadata"]
    return (
        f"Kubernetes has made no pod for the Job in {_POD_COMES.seconds} s: most often a quota, a LimitRange or Pod Security of the"
        f" namespace refuses it. See why: kubectl describe job {meta['name']} -n {meta['namespace']}."
        " When the pod is let in, the run goes on by itself."
    )


def _next_step(reason: Reason, message: str) -> str:
    step = {
        Reason.UNSCHEDULABLE: "Ask for less, free a node or add one; the run goes on by itself.",
        Reason.IMAGE_PULL_FAILED: "Push the image, or train again with one that exists; the kubelet tries again by itself.",
        Reason.CONFIGURATION_MISSING: "Create what is missing; the run goes on by itself.",
    }.get(reason, "")
    return f"{message.rstrip('.')}. {step}".strip()


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


def failure(job: Manifest, pods: Iterable[Manifest], deadline: int | None) -> Failure | None:
    """Say why a Job failed; None when it did not."""
    condition = failed(job)
    if condition is None:
        return None
    if condition.get("reason") == "DeadlineExceeded":
        return too_late(deadline)
    for pod in sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp")), reverse=True):
        for ended in terminations(pod):
            if ended.container in {DATA, TRAINER} and ended.exit_code != 0:
                return _ended(ended)
        phase: dict[str, Any] = pod.get("status") or {}
        if phase.get("phase") == "Failed":
            return Failure(
                reason=Reason.FAILED, message=f"The pod failed: {phase.get('reason') or ''} {phase.get('message') or ''}".strip()[:2048]
            )
    return Failure(reason=Reason.FAILED, message=(condition.get("message") or "The Job failed.")[:2048])


def too_late(deadline: int | None) -> Failure:
    """Return the failure of an attempt that took longer than it may."""
    return Failure(reason=Reason.DEADLINE_EXCEEDED, message=f"It did not end within the {deadline} seconds of activeDeadlineSeconds.")


def _ended(ended: Termination) -> Failure:
    said = ended.said.get("reason")
    if isinstance(said, str) and said in _SAID:
        return Failure(reason=_SAID[said], message=str(ended.said.get("message", ""))[:2048], exit_code=ended.exit_code)
    # containerd loses the kernel's word now and then; nobody else kills a container that Kubernetes has not ended.
    if ended.reason == "OOMKilled" or (ended.exit_code == 137 and not ended.said):
        message = f"The container {ended.container} used more memory than its limit. Raise resources.limits.memory in another TrainingRun."
        return Failure(reason=Reason.OUT_OF_MEMORY, message=message, exit_code=ended.exit_code, log=ended.log[-4096:])
    words = ended.said.get("message")
    why = f": {words}" if isinstance(words, str) and words else "."
    message = f"The container {ended.container} ended with exit code {ended.exit_code}{why}"[:2048]
    return Failure(reason=Reason.FAILED, message=message, exit_code=ended.exit_code, log=ended.log[-4096:])
