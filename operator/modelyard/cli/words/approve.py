"""`modelyard approve`: say that a version may take a stage."""

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
        help="The stage that it is to take.",
        autocompletion=completing.stages,
    ),
]
Gate = Annotated[
    str,
    typer.Option(
        "--gate",
        metavar="GATE",
        help="The gate; the stage's gate approvals if absent.",
        autocompletion=completing.gates,
    ),
]
Comment = Annotated[str, typer.Option("--comment", metavar="WORDS", help="Why.")]
Evidence = Annotated[
    str, typer.Option("--evidence", metavar="URL", help="Where it can be read why.")
]


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

    It counts for the version's present bytes. Who asked for the version, or registered it, cannot
    approve it.
    """
    from modelyard.api.model_approval import Decision  # noqa: PLC0415
    from modelyard.cli.commands import approve as command  # noqa: PLC0415
    from modelyard.client.approving import Saying  # noqa: PLC0415

    saying = Saying(version, stage, Decision.APPROVE, gate, comment, evidence)
    command.decide(Where(namespace, context, output), model, saying, dry_run=dry_run)


command = word(approve)
