"""How a version's Deployment and pods stand. Pure; what follows from it is decided in `stages`."""

from collections.abc import Iterable
from dataclasses import dataclass

from modelyard.api.registered_model import ModelReason as Reason
from modelyard.kube.jobs import Termination, pod_trouble, terminations
from modelyard.plan import Manifest

__all__ = ["Health", "health"]

# What the pod says of itself (modelyard_runtime), and whether another try could end otherwise.
_SAID: dict[str, tuple[Reason, bool]] = {
    "LoadFailed": (Reason.SERVING_FAILED, True),
    "SmokeFailed": (Reason.SERVING_FAILED, True),
    "ArtifactDigestMismatch": (Reason.ARTIFACT_DIGEST_MISMATCH, True),
    "ArtifactMissing": (Reason.ARTIFACT_MISSING, False),
    "CodeModelForbidden": (Reason.CODE_MODEL_FORBIDDEN, False),
    "StoreUnavailable": (Reason.STORE_UNAVAILABLE, False),
}
_NEXT = {
    Reason.CODE_MODEL_FORBIDDEN: " Allow it for the namespace: kubectl label namespace <name> modelyard.io/allow-code-models=true",
}


@dataclass(frozen=True)
class Health:
    """How a version is served.

    Attributes:
        ready: Pods that are ready, of the Deployment's current template.
        available: Of those, how many have been ready for the Deployment's `minReadySeconds` without a break.
        current: Whether the Deployment's controller has seen what was applied last, and all its pods are of it.
        message: Why it is not ready, as far as anything says so.
        reason: The same in a word.
        stalled: Somebody has to do something.
        refused: Another try would end the same way.

    """

    ready: int = 0
    available: int = 0
    current: bool = False
    message: str = ""
    reason: Reason | None = None
    stalled: bool = False
    refused: bool = False


def health(deployment: Manifest | None, pods: Iterable[Manifest]) -> Health:
    """Read how a version is served off its Deployment and, where that is not ready, its pods."""
    if deployment is None:
        return Health()
    status = deployment.get("status") or {}
    replicas = int(deployment["spec"].get("replicas", 1))
    seen = int(status.get("observedGeneration", 0)) >= int(deployment["metadata"].get("generation", 0))
    ready, available = int(status.get("readyReplicas", 0)), int(status.get("availableReplicas", 0))
    current = seen and int(status.get("updatedReplicas", 0)) >= replicas
    if ready >= replicas and current:
        return Health(ready, available, current)
    for pod in _current(deployment, pods) if seen else ():
        for ended in terminations(pod):
            if ended.exit_code != 0:
                message, reason, refused = _ended(ended)
                # An outage ends by itself, and the kubelet tries until it does.
                stalled = reason is not Reason.STORE_UNAVAILABLE
                return Health(ready, available, current, message, reason, stalled=stalled, refused=refused)
        trouble = pod_trouble(pod)
        if trouble is not None:
            return Health(
                ready,
                available,
                current,
                trouble.message,
                Reason.NOT_SERVING if ready else Reason.SERVING_FAILED,
                stalled=trouble.kind != "Unschedulable",
            )
    if (failure := _replica_failure(status)) is not None:
        return Health(ready, available, current, failure, Reason.NOT_SERVING if ready else Reason.SERVING_FAILED, stalled=True)
    return Health(ready, available, current)


def _current(deployment: Manifest, pods: Iterable[Manifest]) -> list[Manifest]:
    """The pods that speak of what was applied last: of the newest template, and not of a Deployment of the same name before this one."""
    born = str(deployment["metadata"].get("creationTimestamp", ""))
    if not int((deployment.get("status") or {}).get("updatedReplicas", 0)):
        return []
    ours = [pod for pod in pods if _created(pod) >= born]
    newest = max(ours, key=_created, default=None)
    if newest is None:
        return []
    return [pod for pod in ours if _template(pod) == _template(newest) and not pod["metadata"].get("deletionTimestamp")]


def _created(pod: Manifest) -> str:
    return str(pod["metadata"].get("creationTimestamp", ""))


def _template(pod: Manifest) -> str | None:
    found: str | None = (pod["metadata"].get("labels") or {}).get("pod-template-hash")
    return found


def _replica_failure(status: Manifest) -> str | None:
    """Why no pod can be made at all: a quota, a policy."""
    conditions = status.get("conditions") or []
    found = next((c for c in conditions if c.get("type") == "ReplicaFailure" and c.get("status") == "True"), None)
    return str(found.get("message") or "Its pods cannot be created.")[:900] if found else None


def _ended(ended: Termination) -> tuple[str, Reason, bool]:
    said = ended.said.get("reason")
    if isinstance(said, str) and said in _SAID:
        reason, refused = _SAID[said]
        return f"{ended.said.get('message', said)}{_NEXT.get(reason, '')}"[:900], reason, refused
    if ended.reason == "OOMKilled":
        return (
            f"The container {ended.container} used more memory than its limit: raise serving.resources.limits.memory.",
            Reason.SERVING_FAILED,
            False,
        )
    words = ended.said.get("message")
    words = words if isinstance(words, str) else ended.log
    return f"The container {ended.container} ended with exit code {ended.exit_code}: {words[-500:]}", Reason.SERVING_FAILED, False
