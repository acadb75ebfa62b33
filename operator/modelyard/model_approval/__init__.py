"""The ModelApproval kind. It imports no other kind.

The modules in reading order: `observation` (what it depends on), `decide` (whether it counts, and
when it is deleted), `observe` (reads the watch caches). Two things do not belong here: the rule
which approvals count (`api.approvals`), and what a promotion does with them
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
    """Return the approvals for a model."""
    meta = model["metadata"]
    return (
        each["metadata"]["name"]
        for each in cluster.select("modelapprovals", meta["namespace"])
        if each["spec"]["model"] == meta["name"]
    )


def _siblings(approval: Manifest, cluster: Cluster) -> Iterable[str]:
    """Yield the same approver's other approvals for the same version: only one of them counts."""
    meta, subject = approval["metadata"], _subject(approval)
    for each in cluster.select("modelapprovals", meta["namespace"]):
        if each["metadata"]["name"] != meta["name"] and _subject(each) == subject:
            yield each["metadata"]["name"]


def _subject(approval: Manifest) -> tuple[str, ...]:
    return tuple(approval["spec"][field] for field in ("model", "stage", "version", "approver"))


def controller() -> Controller[ModelApproval, Observation, ModelApprovalStatus]:
    """Return the controller that the engine runs."""
    return Controller(
        resource=ModelApproval,
        observe=observe,
        decide=decide,
        finalize=finalize,
        on_error=on_error,
        in_sync=in_sync,
        relations=(Relation("registeredmodels", _of_model), Relation("modelapprovals", _siblings)),
    )
