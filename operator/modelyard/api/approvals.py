"""Which ModelApprovals count for a gate.

One rule for gates, for the approvals' status and for the client.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from modelyard.api.base import GROUP, VERSION, parse_duration
from modelyard.api.gates import Gate
from modelyard.api.model_approval import ApprovalReason as Reason
from modelyard.api.model_approval import Decision, ModelApproval
from modelyard.api.registered_model import Stage, VersionStatus

__all__ = [
    "FORGED_IS_REFUSED",
    "ApprovalTarget",
    "Standing",
    "expiry",
    "forged",
    "gate_of",
    "own_work",
    "registrar_of",
    "standings",
]

FORGED_IS_REFUSED = "spec.approver must be who creates the approval"
"""Beginning of the message with which the chart's policy `approval` refuses `forged`
(charts/modelyard/templates/policies/_people.tpl).
"""

_SOON = timedelta(hours=1)
_TENTH = 10


@dataclass(frozen=True)
class Standing:
    """Whether one approval counts, and why.

    Attributes:
        reason: The reason, as one CamelCase word.
        message: Why, and what to do.
        next_time: When this changes although no object changes (an expiry); None: never.

    """

    reason: Reason
    message: str
    next_time: datetime | None = None

    @property
    def counts(self) -> bool:
        """Whether the approval counts for its gate."""
        return self.reason in {Reason.COUNTS, Reason.EXPIRES_SOON}


@dataclass(frozen=True)
class ApprovalTarget:
    """What an approval is for: a gate of a stage, and a version.

    Attributes:
        name: The stage's name.
        stage: The stage.
        gate: The stage's gate.
        version: The version to be promoted to the stage.

    """

    name: str
    stage: Stage
    gate: Gate
    version: VersionStatus


def registrar_of(user: str | None) -> str | None:
    """Return the hash that a version's status holds of the user who registered it.

    Collisions are rare, and then the gate counts one approval too few, never one too many.
    """
    return None if user is None else hashlib.sha256(user.encode()).hexdigest()[:8]


def gate_of(approval: ModelApproval, stage: Stage) -> Gate | None:
    """Return the gate that an approval is for.

    If it names none, it is for the stage's only gate of kind `approvals`. With several it is for
    none of them, because each has its own rights.
    """
    named, people = approval.spec.gate, [gate for gate in stage.gates if gate.approvals is not None]
    if named is None:
        return people[0] if len(people) == 1 else None
    return next(
        (
            gate
            for gate in stage.gates
            if gate.name == named and (gate.approvals or gate.external) is not None
        ),
        None,
    )


def expiry(approval: ModelApproval, gate: Gate) -> datetime | None:
    """Return when an approval expires, or None. A Reject never expires."""
    after = gate.approvals.expire_after if gate.approvals is not None else None
    created = approval.metadata.creation_timestamp
    if after is None or created is None or approval.spec.decision is Decision.REJECT:
        return None
    return created + parse_duration(after)


def own_work(user: str, stage: Stage, version: VersionStatus) -> str | None:
    """Return why a user's approval cannot count (four-eyes principle), or None."""
    if user == stage.requested_by:
        return f"{user} asked for {version.name}"
    if version.registrar is not None and version.registrar == registrar_of(user):
        return f"{user} registered {version.name}"
    return None


def standings(
    approvals: Iterable[ModelApproval], target: ApprovalTarget, now: datetime
) -> tuple[tuple[ModelApproval, Standing], ...]:
    """Return the approvals for a gate and a version, and whether each counts, oldest first.

    One approval per approver counts. An approval that is being deleted is withdrawn, so it is left
    out.
    """
    found = []
    before: set[tuple[str, Decision]] = set()
    for approval in sorted((each for each in approvals if _is_for(each, target)), key=_age):
        about = (approval.spec.approver, approval.spec.decision)
        standing = _alone(approval, target, now)
        if standing.counts and about in before:
            standing = Standing(
                Reason.DUPLICATE,
                f"An older one of {approval.spec.approver} counts already.",
                standing.next_time,
            )
        if standing.counts:
            before.add(about)
        found.append((approval, standing))
    return tuple(found)


def _alone(approval: ModelApproval, target: ApprovalTarget, now: datetime) -> Standing:
    """Return whether an approval counts, regardless of other approvals."""
    spec, gate, version = approval.spec, target.gate, target.version
    if spec.digest != version.digest:
        message = (
            f"{version.name} is {str(version.digest)[:15]}..., and this is for"
            f" {spec.digest[:15]}...: judge that one."
        )
        return Standing(Reason.OTHER_DIGEST, message)
    if spec.decision is Decision.REJECT:
        return Standing(Reason.COUNTS, f"{spec.approver} rejects {spec.version} for {spec.stage}.")
    if gate.approvals is not None and (why := own_work(spec.approver, target.stage, version)):
        return Standing(Reason.OWN_WORK, f"{why}, so another user has to approve it.")
    ends = expiry(approval, gate)
    if ends is None:
        return Standing(Reason.COUNTS, f"{spec.approver} approves {spec.version} for {spec.stage}.")
    if now >= ends:
        return Standing(
            Reason.EXPIRED, f"It expired at {ends:%Y-%m-%d %H:%M} UTC. To renew it, approve again."
        )
    soon = ends - min(_SOON, (ends - (approval.metadata.creation_timestamp or now)) / _TENTH)
    if now >= soon:
        message = f"It expires at {ends:%Y-%m-%d %H:%M} UTC. To renew it, approve again."
        return Standing(Reason.EXPIRES_SOON, message, ends)
    message = (
        f"{spec.approver} approves {spec.version} for {spec.stage}, until {ends:%Y-%m-%d %H:%M}"
        " UTC."
    )
    return Standing(Reason.COUNTS, message, soon)


def _is_for(approval: ModelApproval, target: ApprovalTarget) -> bool:
    """Tell whether an approval is for a gate's version, and is not being deleted."""
    spec, gate = approval.spec, gate_of(approval, target.stage)
    same = (
        (spec.stage, spec.version) == (target.name, target.version.name)
        and gate is not None
        and gate.name == target.gate.name
    )
    return same and approval.metadata.deletion_timestamp is None


def _age(approval: ModelApproval) -> tuple[str, str]:
    return str(approval.metadata.creation_timestamp or ""), approval.metadata.name


def forged() -> dict[str, Any]:
    """Return an approval in the name of a user who cannot exist.

    Names with system: are reserved by Kubernetes.

    If a dry run of creating it is not refused, the `approver` of approvals cannot be trusted.
    """
    spec = {
        "model": "modelyard",
        "stage": "modelyard",
        "version": "modelyard",
        "digest": f"sha256:{'0' * 64}",
        "decision": "Reject",
        "approver": "system:modelyard:nobody",
    }
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": ModelApproval.KIND,
        "metadata": {"generateName": "modelyard-tries-"},
        "spec": spec,
    }
