"""How a Job and its pod stand, read from their status. What follows from it does not belong here."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

__all__ = [
    "PodTrouble",
    "Termination",
    "failed",
    "image_id",
    "of_kind",
    "pod_trouble",
    "podless_since",
    "running_since",
    "succeeded",
    "terminations",
]

Manifest = dict[str, Any]
WaitKind = Literal["Unschedulable", "ImagePullFailed", "ConfigurationMissing", "CrashLoop"]
_PULL = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError", "RegistryUnavailable"}
# What a kubelet says that is late itself (pkg/kubelet/util/manager, containerd), as on a node that is busy: it tries again in a moment.
_LATE = re.compile(r"^failed to sync \S+ cache: |context deadline exceeded|failed to reserve container name")


@dataclass(frozen=True)
class Termination:
    """How a container of a pod ended: what it said of itself (a JSON object), or the last lines of its log."""

    container: str
    exit_code: int
    reason: str
    said: dict[str, Any]
    log: str


@dataclass(frozen=True)
class PodTrouble:
    """Why a pod does not run."""

    kind: WaitKind
    message: str


def of_kind(children: Iterable[Manifest], kind: str) -> list[Manifest]:
    """Return the children of a kind."""
    return [child for child in children if child.get("kind") == kind]


def _job_condition(job: Manifest, type_: str) -> dict[str, Any] | None:
    conditions = (job.get("status") or {}).get("conditions") or []
    return next((c for c in conditions if c.get("type") == type_ and c.get("status") == "True"), None)


def succeeded(child: Manifest) -> bool:
    """Tell whether this is a Job that is complete."""
    return child.get("kind") == "Job" and _job_condition(child, "Complete") is not None


def failed(job: Manifest) -> dict[str, Any] | None:
    """Return the condition that says why a Job failed, if it did."""
    return _job_condition(job, "Failed")


def _statuses(pod: Manifest) -> list[dict[str, Any]]:
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


def terminations(pod: Manifest) -> list[Termination]:
    """Return how the pod's containers ended, init containers first; one that was started again counts by its last end."""
    found = []
    for status in _statuses(pod):
        ended = (status.get("state") or {}).get("terminated") or (status.get("lastState") or {}).get("terminated")
        if ended is not None:
            text = ended.get("message") or ""
            found.append(Termination(status["name"], int(ended.get("exitCode", 0)), ended.get("reason") or "", _said(text), text))
    return found


def _said(text: str) -> dict[str, Any]:
    if not text.lstrip().startswith("{"):
        return {}
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):  # it is the container's text, and the container may be anybody's
        return {}
    return said if isinstance(said, dict) else {}


def image_id(pod: Manifest, container: str) -> str:
    """Return the digest of the image that a container runs, once it runs."""
    statuses: list[dict[str, Any]] = (pod.get("status") or {}).get("containerStatuses") or []
    found = next((status for status in statuses if status.get("name") == container), {})
    return str(found.get("imageID") or "")


def running_since(pod: Manifest, container: str) -> datetime | None:
    """Return since when a container runs; None when it does not."""
    statuses: list[dict[str, Any]] = (pod.get("status") or {}).get("containerStatuses") or []
    since = next((((s.get("state") or {}).get("running") or {}).get("startedAt") for s in statuses if s.get("name") == container), None)
    return datetime.fromisoformat(since) if isinstance(since, str) else None


def podless_since(job: Manifest) -> datetime | None:
    """Return since when a Job runs that has never had a pod; None for any other."""
    status = job.get("status") or {}
    since = status.get("startTime")
    if not isinstance(since, str) or any(status.get(count) for count in ("active", "succeeded", "failed", "terminating")):
        return None
    return datetime.fromisoformat(since)


def pod_trouble(pod: Manifest) -> PodTrouble | None:
    """Say why a pod does not run, if Kubernetes does."""
    for status in _statuses(pod):
        waiting = (status.get("state") or {}).get("waiting") or {}
        reason, message = waiting.get("reason") or "", waiting.get("message") or ""
        if reason in _PULL:
            return PodTrouble("ImagePullFailed", f"{status.get('image')}: {message or reason}")
        if reason in {"CreateContainerConfigError", "CreateContainerError"} and not _LATE.search(message):
            return PodTrouble("ConfigurationMissing", message or reason)
        if reason == "CrashLoopBackOff":
            return PodTrouble("CrashLoop", message)
    for condition in (pod.get("status") or {}).get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False" and condition.get("reason") == "Unschedulable":
            return PodTrouble("Unschedulable", condition.get("message") or "no node fits")
    return None
