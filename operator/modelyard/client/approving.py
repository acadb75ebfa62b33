"""Approving and rejecting a version for a stage, by a ModelApproval.

The operator decides whether an approval counts (`api.approvals`). The client refuses to create one
that could never count.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

from modelyard.api.approvals import own_work
from modelyard.api.gates import Gate
from modelyard.api.model_approval import Decision, ModelApproval
from modelyard.api.registered_model import RegisteredModel, Stage, VersionStatus
from modelyard.client import whoami
from modelyard.client.errors import NotFound, Refused
from modelyard.client.handles import API_VERSION
from modelyard.client.kube import Kube

__all__ = ["ApprovalRequest", "decide", "gates_of"]


@dataclass(frozen=True)
class ApprovalRequest:
    """A user's approval or rejection of a version for a stage.

    Attributes:
        version: The version. The digest is taken from its status.
        stage: The stage.
        decision: Approve or Reject.
        gate: The gate; empty: the stage's only gate of the kind `approvals`.
        comment: Why.
        evidence: Where the reasons can be read, such as a URL.

    """

    version: str
    stage: str
    decision: Decision
    gate: str = ""
    comment: str = ""
    evidence: str = ""


def decide(
    kube: Kube, model: RegisteredModel, request: ApprovalRequest, *, dry_run: bool = False
) -> ModelApproval:
    """Create the user's ModelApproval; it replaces an earlier one for the same version and gate.

    Raises:
        NotFound: There is no such stage, version or gate.
        Refused: It would never count: the user asked for the version, or registered it.
        NotAllowed: The user may not approve for the stage.

    """
    version, stage, gate = request.version, request.stage, request.gate
    status, spec_of_stage = _version(model, version), _stage(model, stage)
    judged = _gate(model, stage, spec_of_stage, gate)
    user = whoami.user(kube)
    if (
        request.decision is Decision.APPROVE
        and judged.approvals is not None
        and (why := own_work(user, spec_of_stage, status))
    ):
        raise Refused(
            f"{why}, so this approval would not count for {stage} of {model.key}: ask another user"
            " to approve it."
        )
    spec: dict[str, Any] = {
        "model": model.metadata.name,
        "stage": stage,
        "version": version,
        "digest": status.digest,
        "decision": request.decision.value,
        "approver": user,
    }
    optional = {"gate": gate, "comment": request.comment, "evidence": request.evidence}
    spec |= {key: value for key, value in optional.items() if value}
    name = _name(model, stage, version, gate, user)
    # A dry run does not delete the earlier approval, so it needs another name.
    named = {"generateName": f"{name}-"} if dry_run else {"name": name}
    body = {
        "apiVersion": API_VERSION,
        "kind": ModelApproval.KIND,
        "metadata": named | {"namespace": model.metadata.namespace},
        "spec": spec,
    }
    if not dry_run:
        _withdraw(kube, name, model.metadata.namespace)
    made = kube.create(body, dry_run=dry_run)
    return ModelApproval.parse(made)


def gates_of(stage: Stage) -> tuple[Gate, ...]:
    """Return the gates of a stage that ModelApprovals decide."""
    return tuple(gate for gate in stage.gates if (gate.approvals or gate.external) is not None)


def _version(model: RegisteredModel, name: str) -> VersionStatus:
    found = {version.name: version for version in model.status.versions}
    version = found.get(name)
    if version is None:
        raise NotFound(
            f"{model.key} has no version {name}. It has: {', '.join(found) or 'none yet'}.",
            name=name,
        )
    if version.digest is None:
        raise NotFound(
            f"{name} of {model.key} is not registered yet, so there are no bytes to approve. Wait"
            " until it is.",
            name=name,
        )
    return version


def _stage(model: RegisteredModel, name: str) -> Stage:
    stage = model.spec.stages.get(name)
    if stage is None:
        raise NotFound(
            f"{model.key} has no stage {name}. Its stages:"
            f" {', '.join(model.spec.stages) or 'none'}.",
            name=name,
        )
    return stage


def _gate(model: RegisteredModel, name: str, stage: Stage, gate: str) -> Gate:
    """Return the named gate, or the stage's only gate of the kind `approvals`."""
    every = gates_of(stage)
    people = [each for each in every if each.approvals is not None]
    names, groups = (", ".join(each.name for each in some) for some in (every, people))
    if gate:
        found = next((each for each in every if each.name == gate), None)
        if found is None:
            raise NotFound(
                f"{name} of {model.key} has no gate {gate} to approve. It has: {names or 'none'}.",
                name=gate,
            )
        return found
    if len(people) == 1:
        return people[0]
    what = (
        f"has several gates approvals: name one of {groups}" if people else "has no gate approvals"
    )
    named = f"; its external gates are {names}: name one" if every and not people else ""
    raise NotFound(f"{name} of {model.key} {what}{named}.", name=name)


def _withdraw(kube: Kube, name: str, namespace: str) -> None:
    """Delete the user's earlier approval or rejection, if there is one."""
    try:
        kube.delete(ModelApproval.KIND, name, namespace)
    except NotFound as error:
        if error.kind != ModelApproval.KIND:
            raise


def _name(model: RegisteredModel, stage: str, version: str, gate: str, user: str) -> str:
    """Return the name of a user's ModelApproval: one per stage, version, gate and user."""
    suffix = hashlib.sha256(user.encode()).hexdigest()[:8]
    return "-".join(filter(None, (model.metadata.name, stage, version, gate, suffix)))
