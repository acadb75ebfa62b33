"""The user's name, as the API server has it, and `requestedBy` with it."""

from modelyard.api.registered_model import RegisteredModel
from modelyard.client.kube import Kube, Manifest

__all__ = ["requester", "user"]


def user(kube: Kube) -> str:
    """Return the user's name, from a SelfSubjectReview."""
    body: Manifest = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    return str(
        ((kube.create(body).get("status") or {}).get("userInfo") or {}).get("username") or ""
    )


def requester(kube: Kube, model: RegisteredModel, stage: str) -> dict[str, str]:
    """Return `requestedBy` with the user's name, for a stage that requires it; else nothing.

    A stage requires it if it has the field already, or a gate of the kind `approvals`.
    """
    spec = model.spec.stages.get(stage)
    if spec is None or not (
        spec.requested_by or any(gate.approvals is not None for gate in spec.gates)
    ):
        return {}
    return {"requestedBy": user(kube)}
