"""How a Job stands, and what runs in a pod, read from their status. Why a pod ended or does not start belongs to `pod_state`."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

__all__ = ["failed", "image_id", "of_kind", "podless_since", "running_since", "succeeded"]

Manifest = dict[str, Any]


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
