"""Read what a ModelApproval depends on, from the watch caches."""

from datetime import datetime

from modelyard.api.model_approval import ModelApproval
from modelyard.api.registered_model import RegisteredModel
from modelyard.model_approval.observation import Observation
from modelyard.ports import Ports

__all__ = ["observe"]


async def observe(approval: ModelApproval, ports: Ports, _now: datetime) -> Observation:
    """Read the model and all approvals for it."""
    namespace, name = approval.metadata.namespace, approval.spec.model
    body = ports.cluster.get("registeredmodels", namespace, name)
    about = (
        each
        for each in ports.cluster.select("modelapprovals", namespace)
        if each["spec"]["model"] == name
    )
    return Observation(
        RegisteredModel.parse(body) if body is not None else None,
        tuple(map(ModelApproval.parse, about)),
    )
