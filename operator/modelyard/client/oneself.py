"""Who the user is, as the API server has it; and where a change of a stage must say so."""

from modelyard.api.registered_model import RegisteredModel
from modelyard.client.kube import Kube, Manifest

__all__ = ["requester", "user"]


def user(kube: Kube) -> str:
    """Return the user's name."""
    body: Manifest = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    return str(
        ((kube.create(body).get("status") or {}).get("userInfo") or {}).get("username") or ""
    )


def requester(kube: Kube, model: RegisteredModel, stage: str) -> dict[str, str]:
    """Return `requestedBy` with the user's name, for a stage that names who asks for its
    version; nothing for another one.
    """
    spec = model.spec.stages.get(stage)
    if spec is None or not (
        spec.requested_by or any(gate.approvals is not None for gate in spec.gates)
    ):
        return {}
    return {"requestedBy": user(kube)}
