"""`modelyard reject`: reject a version for a stage."""

from modelyard.cli.groups import word
from modelyard.cli.options import Context, DryRun, Model, Namespace, Output, Where
from modelyard.cli.words.approve import Comment, Evidence, Gate, Stage, Version

__all__ = ["command"]


def reject(
    model: Model,
    version: Version,
    stage: Stage,
    *,
    gate: Gate = "",
    comment: Comment = "",
    evidence: Evidence = "",
    dry_run: DryRun = False,
    namespace: Namespace = None,
    context: Context = None,
    output: Output = None,
) -> None:
    """Reject a version for a stage, in your own name.

    The version fails the gate, and the effective version is still serving.
    """
    from modelyard.api.model_approval import Decision  # noqa: PLC0415
    from modelyard.cli.commands import approve as command  # noqa: PLC0415
    from modelyard.client.approving import ApprovalRequest  # noqa: PLC0415

    request = ApprovalRequest(version, stage, Decision.REJECT, gate, comment, evidence)
    command.decide(Where(namespace, context, output), model, request, dry_run=dry_run)


command = word(reject)
