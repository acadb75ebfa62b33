"""The state of a version's Deployment and pods. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from modelyard.api.pod_end import PodReason
from modelyard.api.registered_model import ModelReason as Reason
from modelyard.kube.pod_state import PodEnd, workload_end
from modelyard.plan import Manifest
from modelyard.registered_model.build import FETCH, MODEL

__all__ = ["Health", "health"]

_MESSAGE_LIMIT, _LOG_LIMIT = 1000, 400
_REASONS = {reason: Reason(reason.value) for reason in PodReason if reason.value in set(Reason)}
"""The RegisteredModel's reason for a pod's reason.

For any other, it is ServingFailed, or NotServing if some pods are ready.
"""


@dataclass(frozen=True)
class Health:
    """The state of a version's pods.

    Attributes:
        ready: Number of ready pods of the Deployment's current template.
        available: Of those, how many have been ready for the Deployment's `minReadySeconds`.
        current: Whether the Deployment's controller has observed the last apply, and all pods are
            of the applied template.
        message: Why the pods are not ready, if Kubernetes or a pod reports it.
        reason: The reason of the condition.
        stalled: Whether a user has to act.
        refused: Whether another try would fail in the same way.

    """

    ready: int = 0
    available: int = 0
    current: bool = False
    message: str = ""
    reason: Reason | None = None
    stalled: bool = False
    refused: bool = False


def health(deployment: Manifest | None, pods: Iterable[Manifest]) -> Health:
    """Return the state of a version's pods, from its Deployment and, if not ready, the pods."""
    if deployment is None:
        return Health()
    status = deployment.get("status") or {}
    replicas = int(deployment["spec"].get("replicas", 1))
    is_observed = int(status.get("observedGeneration", 0)) >= int(
        deployment["metadata"].get("generation", 0)
    )
    ready, available = int(status.get("readyReplicas", 0)), int(status.get("availableReplicas", 0))
    updated = int(status.get("updatedReplicas", 0))
    # `updatedReplicas` counts pods of the new template before they run. Compare it with `replicas`:
    # pods of the old template remain until then.
    current = (
        is_observed and updated >= replicas and int(status.get("replicas", updated)) <= updated
    )
    if ready >= replicas and current:
        return Health(ready, available, current)
    found = workload_end(
        deployment, _current(deployment, pods) if is_observed else (), {FETCH, MODEL}
    )
    if found is None:
        return Health(ready, available, current)
    reason = _REASONS.get(found.reason, Reason.NOT_SERVING if ready else Reason.SERVING_FAILED)
    return Health(
        ready,
        available,
        current,
        _message(found),
        reason,
        stalled=found.needs_action,
        refused=not found.retryable,
    )


def _current(deployment: Manifest, pods: Iterable[Manifest]) -> list[Manifest]:
    """Return the pods of the newest template, not those of an earlier Deployment of this name."""
    born = str(deployment["metadata"].get("creationTimestamp", ""))
    if not int((deployment.get("status") or {}).get("updatedReplicas", 0)):
        return []
    ours = [pod for pod in pods if _created(pod) >= born]
    newest = max(ours, key=_created, default=None)
    if newest is None:
        return []
    return [
        pod
        for pod in ours
        if _template(pod) == _template(newest) and not pod["metadata"].get("deletionTimestamp")
    ]


def _created(pod: Manifest) -> str:
    return str(pod["metadata"].get("creationTimestamp", ""))


def _template(pod: Manifest) -> str | None:
    found: str | None = (pod["metadata"].get("labels") or {}).get("pod-template-hash")
    return found


def _message(found: PodEnd) -> str:
    text = found.text(_MESSAGE_LIMIT - _LOG_LIMIT - 2)
    if found.reason is not PodReason.CONTAINER_FAILED or not found.log:
        return text
    return f"{text.rstrip('.')}: {found.log[-_LOG_LIMIT:]}"
