"""Read the state of a Job, and times of its pods' containers, from their statuses. Pure."""

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
"""Jobs and pods have separate watches: one may be observed seconds before the other."""

Manifest = dict[str, Any]


def of_kind(owned: Iterable[Manifest], kind: str) -> list[Manifest]:
    """Return the owned objects of a kind."""
    return [each for each in owned if each.get("kind") == kind]


def _job_condition(job: Manifest, type_: str) -> dict[str, Any] | None:
    conditions = (job.get("status") or {}).get("conditions") or []
    return next(
        (c for c in conditions if c.get("type") == type_ and c.get("status") == "True"), None
    )


def succeeded(owned: Manifest) -> bool:
    """Return whether this is a Job that is complete."""
    return owned.get("kind") == "Job" and _job_condition(owned, "Complete") is not None


def failed(job: Manifest) -> dict[str, Any] | None:
    """Return a Job's condition Failed, which has the reason; None if it has not failed."""
    return _job_condition(job, "Failed")


def completed(job: Manifest) -> datetime | None:
    """Return when a Job completed; None if it has not, or its status has no time."""
    return _time((job.get("status") or {}).get("completionTime")) if succeeded(job) else None


def asked_to_end(pod: Manifest) -> datetime | None:
    """Return when a pod was first deleted, evicted or preempted; None if it was not."""
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
    """Return when a container ended; None if it has not, or its status has no time."""
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
    """Return when a Job failed; None if it has not, or its status has no time."""
    return _time((failed(job) or {}).get("lastTransitionTime"))


def newest_of(pods: Iterable[Manifest]) -> Manifest | None:
    """Return the pod that was created last."""
    return max(
        pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")), default=None
    )


def interrupted(pod: Manifest, container: str) -> bool:
    """Return whether a pod was deleted, evicted or preempted before its container ended.

    The container's exit code then has no meaning.
    """
    asked, ended = asked_to_end(pod), ended_at(pod, container)
    return asked is not None and (ended is None or asked <= ended)


def has_run(pod: Manifest, container: str) -> bool:
    """Return whether a container has ever started: only then has its state a `startedAt`."""
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
    """Return the digest of a container's image; empty until it runs."""
    statuses: list[dict[str, Any]] = (pod.get("status") or {}).get("containerStatuses") or []
    found = next((status for status in statuses if status.get("name") == container), {})
    return str(found.get("imageID") or "")


def running_since(pod: Manifest, container: str) -> datetime | None:
    """Return since when a container runs; None if it does not run."""
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
    """Return the start time of a Job that has never had a pod; None for any other Job."""
    status = job.get("status") or {}
    since = status.get("startTime")
    if not isinstance(since, str) or any(
        status.get(count) for count in ("active", "succeeded", "failed", "terminating")
    ):
        return None
    return datetime.fromisoformat(since)
