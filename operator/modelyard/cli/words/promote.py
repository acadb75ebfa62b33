"""`modelyard promote`: give a stage to a version."""

from typing import Annotated

import typer

from modelyard.cli import completing
from modelyard.cli.groups import word
from modelyard.cli.options import Context, DryRun, Follow, Model, Namespace, Output, Reason, Wait, Where

__all__ = ["command"]


def promote(
    model: Model,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="The version.", autocompletion=completing.versions)],
    to: Annotated[str, typer.Option("--to", metavar="STAGE", help="The stage that it takes.", autocompletion=completing.stages)],
    *,
    reason: Reason = "",
    wait: Wait = True,
    timeout: Follow = None,
    dry_run: DryRun = False,
    namespace: Namespace = None,
    context: Context = None,
    output: Output = None,
) -> None:
    """Give a stage to a version, and follow it to the end."""
    from modelyard.cli.commands import promote as command  # noqa: PLC0415

    asked = command.Asked(reason, wait=wait, timeout=timeout, dry_run=dry_run)
    command.promote(Where(namespace, context, output), model, version, to, asked)


command = word(promote)
