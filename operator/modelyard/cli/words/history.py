"""`modelyard history`: which version held which stage."""

from typing import Annotated

import typer

from modelyard.cli import completing
from modelyard.cli.groups import word
from modelyard.cli.options import Context, Model, Namespace, Output, Where

__all__ = ["command"]


def history(
    model: Model,
    *,
    stage: Annotated[
        str | None, typer.Option("--stage", "-s", metavar="STAGE", help="Of one stage only.", autocompletion=completing.stages)
    ] = None,
    namespace: Namespace = None,
    context: Context = None,
    output: Output = None,
) -> None:
    """Show which version held which stage, and when, newest first."""
    from modelyard.cli.commands import history as command  # noqa: PLC0415

    command.history(Where(namespace, context, output), model, stage)


command = word(history)
