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
        current: Whether the Deployment's controller has seen what was applied last, and all its pods are of it.
        message: Why it is not ready, as far as anything says so.
        reason: The same in a word.
        stalled: Somebody has to do something.
        refused: Another try would end the same way.

    """

    ready: int = 0
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
    ready = int(status.get("readyReplicas", 0))
    current = seen and int(status.get("updatedReplicas", 0)) >= replicas
    if ready >= replicas and current:
        return Health(ready, current)
    for pod in pods:
        if pod["metadata"].get("deletionTimestamp"):
            continue
        for ended in terminations(pod):
            if ended.exit_code != 0 and (found := _ended(ended)) is not None:
                message, reason, refused = found
                return Health(ready, current, message, reason, stalled=True, refused=refused)
        trouble = pod_trouble(pod)
        if trouble is not None:
            return Health(
                ready,
                current,
                trouble.message,
                Reason.NOT_SERVING if ready else Reason.SERVING_FAILED,
                stalled=trouble.kind != "Unschedulable",
            )
    return Health(ready, current)


def _ended(ended: Termination) -> tuple[str, Reason, bool] | None:
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
    return f"The container {ended.container} ended with exit code {ended.exit_code}: {ended.log[-500:]}", Reason.SERVING_FAILED, False
