"""ModelApproval, the kind. It imports no other kind.

In reading order: `observation` (what it is held against), `decide` (whether it counts, and whether
it is of any use), `observe` (which reads what the watches know). Which approvals count is a rule of
`api.approvals`; what a promotion does with that is RegisteredModel's
(`registered_model.gates.approvals`).
"""

from collections.abc import Iterable

from modelyard.api.model_approval import ModelApproval, ModelApprovalStatus
from modelyard.controller import Controller, Relation
from modelyard.model_approval.decide import decide, finalize, in_sync, on_error
from modelyard.model_approval.observation import Observation
from modelyard.model_approval.observe import observe
from modelyard.plan import Manifest
from modelyard.ports import Cluster

__all__ = ["controller"]


def _of_model(model: Manifest, cluster: Cluster) -> Iterable[str]:
    """Return the approvals that name a model."""
    meta = model["metadata"]
    return (
        each["metadata"]["name"]
        for each in cluster.select("modelapprovals", meta["namespace"])
        if each["spec"]["model"] == meta["name"]
    )


def _siblings(approval: Manifest, cluster: Cluster) -> Iterable[str]:
    """Return the other approvals of the same approver for the same version: of several, one
    counts.
    """
    meta, about = approval["metadata"], _about(approval)
    for each in cluster.select("modelapprovals", meta["namespace"]):
        if each["metadata"]["name"] != meta["name"] and _about(each) == about:
            yield each["metadata"]["name"]


def _about(approval: Manifest) -> tuple[str, ...]:
    return tuple(approval["spec"][field] for field in ("model", "stage", "version", "approver"))


def controller() -> Controller[ModelApproval, Observation, ModelApprovalStatus]:
    """Return the kind as the engine runs it."""
    return Controller(
        resource=ModelApproval,
        observe=observe,
        decide=decide,
        finalize=finalize,
        on_error=on_error,
        in_sync=in_sync,
        relations=(Relation("registeredmodels", _of_model), Relation("modelapprovals", _siblings)),
    )
