"""A new approval or rejection, and what it means for the stage."""

from rich.text import Text

from modelyard.api.approvals import gate_of
from modelyard.api.model_approval import Decision, ModelApproval
from modelyard.api.registered_model import RegisteredModel

__all__ = ["decided"]

_DIGEST = 19


def decided(model: RegisteredModel, approval: ModelApproval) -> Text:
    """Draw a new decision: who decided on which bytes, for which gate, and if it counts now."""
    spec = approval.spec
    word, style = (
        ("approved", "green") if spec.decision is Decision.APPROVE else ("rejected", "red")
    )
    lines = [
        Text.assemble(
            (f"{model.key}  {spec.stage}: ", "bold"),
            f"{spec.version} is ",
            (word, style),
            f" by {spec.approver}.",
        ),
        Text(f"  bytes     {spec.digest[:_DIGEST]}..."),
    ]
    if (gate := gate_of(approval, model.spec.stages[spec.stage])) is not None:
        needed = (
            f", which needs {gate.approvals.at_least} approvals"
            if gate.approvals and gate.approvals.at_least > 1
            else ""
        )
        after = (
            f"; it expires after {gate.approvals.expire_after}"
            if gate.approvals and gate.approvals.expire_after
            else ""
        )
        lines.append(
            Text(
                "  gate     "
                f" {gate.name}{needed}{after if spec.decision is Decision.APPROVE else ''}"
            )
        )
    if spec.comment:
        lines.append(Text(f"  comment   {spec.comment}"))
    if spec.evidence:
        lines.append(Text(f"  evidence  {spec.evidence}"))
    if model.requested_version(spec.stage) != spec.version:
        asks = model.requested_version(spec.stage) or "no version"
        lines.append(
            Text(
                f"  {spec.stage} asks for {asks} now; this counts once it asks for {spec.version}."
            )
        )
    return Text("\n").join(lines)
