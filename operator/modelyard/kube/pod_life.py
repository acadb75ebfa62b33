"""Whether the container of a running pod crashed, or since when it no longer answers. Pure."""

from datetime import datetime
from typing import Any

from modelyard.kube.jobs import asked_to_end

__all__ = ["server_end", "unready_since"]

Manifest = dict[str, Any]

_OUTSIDE = {"Unknown", "ContainerStatusUnknown"}
"""Containerd's reason for a container lost in a reboot of its node, and the kubelet's for one that
it no longer finds.
"""


def server_end(pod: Manifest, container: str, since: datetime) -> str | None:
    """Return how a container crashed since a moment, or None.

    A crash is an exit, the memory limit, or the liveness probe. Ignored are pods that were deleted,
    evicted, preempted or lost with their node, since that is not the program's fault; and pods that
    were never ready, since they have answered nothing and may lack the current `serving.resources`.

    Args:
        pod: The pod.
        container: The container.
        since: The moment.

    """
    status = pod.get("status") or {}
    if (
        asked_to_end(pod) is not None
        or (status.get("phase") == "Failed" and status.get("reason"))
        or not _was_ready(pod)
    ):
        return None
    found = _of(pod, container)
    ended = (
        (found.get("state") or {}).get("terminated")
        or (found.get("lastState") or {}).get("terminated")
        or {}
    )
    time = _time(ended.get("finishedAt"))
    if time is None or time < since or ended.get("reason") in _OUTSIDE:
        return None
    code = f"exit code {int(ended.get('exitCode', 0))}"
    return "OOMKilled" if ended.get("reason") == "OOMKilled" else code


def unready_since(pod: Manifest, container: str) -> datetime | None:
    """Return since when a pod that answered before no longer answers.

    None if it answers, has not answered yet, or its node is down.

    Args:
        pod: The pod.
        container: The container with the probes; it is `started` once its startup probe has passed.

    """
    ready, containers = _condition(pod, "Ready"), _condition(pod, "ContainersReady")
    # If a node is down, the node controller sets Ready only; the kubelet sets both.
    if ready.get("status") != "False" or containers.get("status") != "False":
        return None
    if asked_to_end(pod) is not None or not _of(pod, container).get("started"):
        return None
    return _time(ready.get("lastTransitionTime"))


def _was_ready(pod: Manifest) -> bool:
    """Return whether a pod is or was ready: Ready has changed after the init containers ended."""
    ready = _condition(pod, "Ready")
    begun = _time(_condition(pod, "Initialized").get("lastTransitionTime"))
    changed = _time(ready.get("lastTransitionTime"))
    return ready.get("status") == "True" or changed is None or begun is None or changed > begun


def _condition(pod: Manifest, type_: str) -> Manifest:
    found: list[Manifest] = (pod.get("status") or {}).get("conditions") or []
    return next((each for each in found if each.get("type") == type_), {})


def _of(pod: Manifest, container: str) -> Manifest:
    found: list[Manifest] = (pod.get("status") or {}).get("containerStatuses") or []
    return next((each for each in found if each.get("name") == container), {})


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
