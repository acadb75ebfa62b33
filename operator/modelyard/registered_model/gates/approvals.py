"""The gates `approvals` and `external`: ModelApprovals by people and other systems. Pure."""

from collections.abc import Iterable
from datetime import datetime

from modelyard.api.approvals import ApprovalTarget, standings
from modelyard.api.gates import Gate
from modelyard.api.model_approval import Decision, ModelApproval
from modelyard.api.registered_model import VersionStatus
from modelyard.api.text import printable
from modelyard.registered_model.gates.judged import Judged, erroneous, failed, passed, pending
from modelyard.registered_model.view import StageView

__all__ = ["approvals", "external"]

_WORDS = 80
"""Maximum characters of a comment in a verdict."""


def approvals(gate: Gate, view: StageView, candidate: VersionStatus, now: datetime) -> Judged:
    """Pass when enough people approve, each counted once, and none rejects."""
    spec = gate.approvals
    assert spec is not None, "the table sends each gate to its kind"
    assert view.spec is not None, "a stage that is judged is in the spec"
    if view.evidence.unguarded is not None:
        return erroneous(view.evidence.unguarded)
    if spec.exclude_registrar == "Required" and candidate.registrar is None:
        return failed(
            f"{candidate.name} does not say who registered it, and excludeRegistrar is Required:"
            " declare it with registeredBy"
        )
    found_standings = standings(
        view.evidence.approvals, ApprovalTarget(view.name, view.spec, gate, candidate), now
    )
    found = [approval for approval, standing in found_standings if standing.counts]
    if (no := _rejected(found)) is not None:
        return failed(no)
    names = ", ".join(each.spec.approver for each in found)
    count = f"{len(found)} of {spec.at_least}{f': {names}' if names else ''}"
    if len(found) >= spec.at_least:
        return passed(count)
    others = ", ".join(
        f"{each.spec.approver} ({standing.reason})"
        for each, standing in found_standings
        if not standing.counts
    )
    return pending(f"{count}; not counted: {others}" if others else count, None)


def external(gate: Gate, view: StageView, candidate: VersionStatus, now: datetime) -> Judged:
    """Pass when the external system approves and does not reject."""
    assert view.spec is not None, "a stage that is judged is in the spec"
    if view.evidence.unguarded is not None:
        return erroneous(view.evidence.unguarded)
    found_standings = standings(
        view.evidence.approvals, ApprovalTarget(view.name, view.spec, gate, candidate), now
    )
    found = [approval for approval, standing in found_standings if standing.counts]
    if (no := _rejected(found)) is not None:
        return failed(no)
    if not found:
        return pending(f"waits for a ModelApproval that names the gate {gate.name}", None)
    evidence = f": {found[-1].spec.evidence}" if found[-1].spec.evidence else ""
    return passed(f"{found[-1].spec.approver} approves{evidence}")


def _rejected(found: Iterable[ModelApproval]) -> str | None:
    """Return who rejects, and why; None: there is no rejection."""
    no = next((each for each in found if each.spec.decision is Decision.REJECT), None)
    if no is None:
        return None
    comment = f": {printable(no.spec.comment)[:_WORDS]}" if no.spec.comment else ""
    return f"rejected by {no.spec.approver}{comment}"
