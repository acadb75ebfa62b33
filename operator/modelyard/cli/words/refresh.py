"""`modelyard refresh`: move serving stages to the operator's current runtime."""

from typing import Annotated

import typer

from modelyard.cli import completing
from modelyard.cli.groups import word
from modelyard.cli.options import Context, DryRun, Follow, Namespace, Output, Wait, Where, Yes

__all__ = ["command"]

_Stage = Annotated[
    str | None,
    typer.Option(
        "--stage",
        "-s",
        metavar="STAGE",
        help="The stage. Default: all stages with another runtime.",
        autocompletion=completing.stages,
    ),
]


def refresh(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL", autocompletion=completing.models, help="The RegisteredModel, or --all."
        ),
    ] = None,
    *,
    stage: _Stage = None,
    all_: Annotated[
        bool,
        typer.Option(
            "--all",
            help="All models of the namespace, one after the other, until one fails.",
        ),
    ] = False,
    yes: Yes = False,
    wait: Wait = True,
    timeout: Follow = None,
    dry_run: DryRun = False,
    namespace: Namespace = None,
    context: Context = None,
    output: Output = None,
) -> None:
    """Serve effective versions with the operator's current runtime.

    After an upgrade of the operator, a stage keeps the runtime that it was promoted with. A refresh
    is a promotion of the same version, and needs the same verb, promote.
    """
    from modelyard.cli.commands import promote  # noqa: PLC0415
    from modelyard.cli.commands import refresh as command  # noqa: PLC0415

    options = promote.ChangeOptions(wait=wait, timeout=timeout, dry_run=dry_run)
    command.refresh(Where(namespace, context, output), model, stage, options, every=all_, yes=yes)


command = word(refresh)
