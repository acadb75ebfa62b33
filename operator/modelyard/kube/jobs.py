"""How a Job stands, and what runs in a pod, read from their status. Why a pod ended or does not
start belongs to `pod_state`.

Whose a Job is does not belong here either.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

__all__ = [
    "POD_COMES",
    "POD_SAYS",
    "asked_to_end",
    "completed",
    "ended_at",
    "failed",
    "failed_at",
    "has_run",
    "image_id",
    "interrupted",
    "newest_of",
    "of_kind",
    "podless_since",
    "running_since",
    "succeeded",
]

POD_COMES = timedelta(seconds=30)
"""A Job's first pod is created within a second; one that is missing after this long was refused."""
POD_SAYS = timedelta(seconds=10)
"""Job and pods are watched apart: one may be seen seconds before the other."""

Manifest = dict[str, Any]


def of_kind(children: Iterable[Manifest], kind: str) -> list[Manifest]:
    """Return the children of a kind."""
    return [child for child in children if child.get("kind") == kind]


def _job_condition(job: Manifest, type_: str) -> dict[str, Any] | None:
    conditions = (job.get("status") or {}).get("conditions") or []
    return next(
        (c for c in conditions if c.get("type") == type_ and c.get("status") == "True"), None
    )


def succeeded(child: Manifest) -> bool:
    """Tell whether this is a Job that is complete."""
    return child.get("kind") == "Job" and _job_condition(child, "Complete") is not None


def failed(job: Manifest) -> dict[str, Any] | None:
    """Return the condition that says why a Job failed, if it did."""
    return _job_condition(job, "Failed")


def completed(job: Manifest) -> datetime | None:
    """Return when a Job was complete; None if it is not, or does not say."""
    return _time((job.get("status") or {}).get("completionTime")) if succeeded(job) else None


def asked_to_end(pod: Manifest) -> datetime | None:
    """Return when a pod was first asked to end from outside: deleted, evicted, preempted; None
    if it was not.
    """
    meta, conditions = pod["metadata"], (pod.get("status") or {}).get("conditions") or []
    times = [
        _time(c.get("lastTransitionTime"))
        for c in conditions
        if (c.get("type"), c.get("status")) == ("DisruptionTarget", "True")
    ]
    if (until := _time(meta.get("deletionTimestamp"))) is not None:
        times.append(until - timedelta(seconds=int(meta.get("deletionGracePeriodSeconds") or 0)))
    return min((time for time in times if time is not None), default=None)


def ended_at(pod: Manifest, container: str) -> datetime | None:
    """Return when a container ended; None when it has not, or does not say."""
    statuses: list[dict[str, Any]] = (pod.get("status") or {}).get("containerStatuses") or []
    return next(
        (
            _time(((s.get("state") or {}).get("terminated") or {}).get("finishedAt"))
            for s in statuses
            if s.get("name") == container
        ),
        None,
    )


def failed_at(job: Manifest) -> datetime | None:
    """Return when a Job failed; None if it did not, or does not say."""
    return _time((failed(job) or {}).get("lastTransitionTime"))


def newest_of(pods: Iterable[Manifest]) -> Manifest | None:
    """Return the pod that was created last."""
    return max(
        pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")), default=None
    )


def interrupted(pod: Manifest, container: str) -> bool:
    """Tell whether a pod was asked to end from outside before its container ended: what that
    exits with then says nothing.
    """
    asked, ended = asked_to_end(pod), ended_at(pod, container)
    return asked is not None and (ended is None or asked <= ended)


def has_run(pod: Manifest, container: str) -> bool:
    """Tell whether a container has ever been started. One of a pod that ended before that has no
    time at which it began.
    """
    statuses: list[dict[str, Any]] = (pod.get("status") or {}).get("containerStatuses") or []
    states = [
        s.get(key) or {}
        for s in statuses
        if s.get("name") == container
        for key in ("state", "lastState")
    ]
    return any(
        (state.get(how) or {}).get("startedAt")
        for state in states
        for how in ("running", "terminated")
    )


def _time(text: object) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else None


def image_id(pod: Manifest, container: str) -> str:
    """Return the digest of the image that a container runs, once it runs."""
    statuses: list[dict[str, Any]] = (pod.get("status") or {}).get("containerStatuses") or []
    found = next((status for status in statuses if status.get("name") == container), {})
    return str(found.get("imageID") or "")


def running_since(pod: Manifest, container: str) -> datetime | None:
    """Return since when a container runs; None when it does not."""
    statuses: list[dict[str, Any]] = (pod.get("status") or {}).get("containerStatuses") or []
    since = next(
        (
            ((s.get("state") or {}).get("running") or {}).get("startedAt")
            for s in statuses
            if s.get("name") == container
        ),
        None,
    )
    return datetime.fromisoformat(since) if isinstance(since, str) else None


def podless_since(job: Manifest) -> datetime | None:
    """Return since when a Job runs that has never had a pod; None for any other."""
    status = job.get("status") or {}
    since = status.get("startTime")
    if not isinstance(since, str) or any(
        status.get(count) for count in ("active", "succeeded", "failed", "terminating")
    ):
        return None
    return datetime.fromisoformat(since)
