"""What became of a pod that was up: whether a container of it ended by itself, since when it does
not answer any more. Pure.

Why a pod does not start, or cannot be created, belongs to `pod_state`.
"""

from datetime import datetime
from typing import Any

from modelyard.kube.jobs import asked_to_end

__all__ = ["server_end", "unready_since"]

Manifest = dict[str, Any]

_OUTSIDE = {"Unknown", "ContainerStatusUnknown"}
"""What containerd says of a container that was gone with its node's last boot, and the kubelet
of one that it no longer finds.
"""


def server_end(pod: Manifest, container: str, since: datetime) -> str | None:
    """Say how a container ended by itself since a moment: by a crash, its memory's limit, its
    liveness probe; None: it did not.

    A pod that was deleted, evicted or preempted, or went with its node, says nothing of the program
    in it. Nor does one that was never ready: it has answered nothing, and may lack what
    `serving.resources` gives it now.

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
    """Return since when a pod does not answer that did before; None: it answers, never did yet, or
    its node is away.

    Args:
        pod: The pod.
        container: The container with the probes; it has started once the startup probe has passed.

    """
    ready, containers = _condition(pod, "Ready"), _condition(pod, "ContainersReady")
    # Of a node that is away the node controller sets Ready alone; what the kubelet says is both.
    if ready.get("status") != "False" or containers.get("status") != "False":
        return None
    if asked_to_end(pod) is not None or not _of(pod, container).get("started"):
        return None
    return _time(ready.get("lastTransitionTime"))


def _was_ready(pod: Manifest) -> bool:
    """Tell whether a pod is ready, or was: its Ready has changed after its init containers were
    through.
    """
    ready, begun = (
        _condition(pod, "Ready"),
        _time(_condition(pod, "Initialized").get("lastTransitionTime")),
    )
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
