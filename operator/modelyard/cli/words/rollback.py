"""`modelyard rollback`: set a stage back to an earlier version."""

from typing import Annotated

import typer

from modelyard.cli.groups import word
from modelyard.cli.options import (
    Context,
    DryRun,
    Follow,
    Model,
    Namespace,
    Output,
    Reason,
    Stage,
    Wait,
    Where,
)

__all__ = ["command"]


def rollback(
    model: Model,
    stage: Stage,
    *,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="VERSION", help="The version. Default: the previous one."),
    ] = None,
    reason: Reason = "",
    wait: Wait = True,
    timeout: Follow = None,
    dry_run: DryRun = False,
    namespace: Namespace = None,
    context: Context = None,
    output: Output = None,
) -> None:
    """Set a stage back to the version before.

    While another version is being promoted, it cancels that promotion instead.
    """
    from modelyard.cli.commands import promote as command  # noqa: PLC0415

    options = command.ChangeOptions(reason, wait=wait, timeout=timeout, dry_run=dry_run)
    command.rollback(Where(namespace, context, output), model, stage, to, options)


command = word(rollback)
