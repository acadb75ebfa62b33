"""`modelyard approve`: approve a version for a stage."""

from typing import Annotated

import typer

from modelyard.cli import completing
from modelyard.cli.groups import word
from modelyard.cli.options import Context, DryRun, Model, Namespace, Output, Where

__all__ = ["Comment", "Evidence", "Gate", "Stage", "Version", "command"]

Version = Annotated[
    str, typer.Argument(metavar="VERSION", help="The version.", autocompletion=completing.versions)
]
Stage = Annotated[
    str,
    typer.Option(
        "--stage",
        "-s",
        metavar="STAGE",
        help="The stage that the version is for.",
        autocompletion=completing.stages,
    ),
]
Gate = Annotated[
    str,
    typer.Option(
        "--gate",
        metavar="GATE",
        help="The gate. Default: the stage's approvals gate.",
        autocompletion=completing.gates,
    ),
]
Comment = Annotated[str, typer.Option("--comment", metavar="TEXT", help="Why.")]
Evidence = Annotated[str, typer.Option("--evidence", metavar="URL", help="A link to the evidence.")]


def approve(
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
    """Approve a version for a stage, in your own name.

    The approval is for the version's current bytes. You cannot approve a version that you requested
    or registered.
    """
    from modelyard.api.model_approval import Decision  # noqa: PLC0415
    from modelyard.cli.commands import approve as command  # noqa: PLC0415
    from modelyard.client.approving import ApprovalRequest  # noqa: PLC0415

    request = ApprovalRequest(version, stage, Decision.APPROVE, gate, comment, evidence)
    command.decide(Where(namespace, context, output), model, request, dry_run=dry_run)


command = word(approve)
