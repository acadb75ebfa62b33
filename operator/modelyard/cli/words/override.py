"""`modelyard override`: put a version into a stage immediately, without gates (break-glass)."""

from typing import Annotated

import typer

from modelyard.cli import completing
from modelyard.cli.groups import word
from modelyard.cli.options import (
    Context,
    DryRun,
    Model,
    Namespace,
    Output,
    Stage,
    Timeout,
    Wait,
    Where,
)

__all__ = ["command"]


def override(
    model: Model,
    version: Annotated[
        str,
        typer.Argument(metavar="VERSION", help="The version.", autocompletion=completing.versions),
    ] = "",
    *,
    stage: Stage,
    reason: Annotated[
        str,
        typer.Option(
            "--reason", metavar="TEXT", help="Why, such as incident 4711; kept in the history."
        ),
    ] = "",
    until: Annotated[
        str,
        typer.Option("--until", metavar="TIME", help="When it ends, such as 2030-12-01T18:00:00Z."),
    ] = "",
    for_: Annotated[
        str,
        typer.Option(
            "--for",
            metavar="DURATION",
            help="How long it is in force, such as 4h. Default: 1h.",
        ),
    ] = "",
    end: Annotated[bool, typer.Option("--end", help="End the override that is in force.")] = False,
    wait: Wait = True,
    timeout: Timeout = 900,
    dry_run: DryRun = False,
    namespace: Namespace = None,
    context: Context = None,
    output: Output = None,
) -> None:
    """Put a registered version into a stage immediately, without gates.

    An override is in force for at most a day. When it ends, nothing switches: its version stays
    until a person decides. Needs the verb override.
    """
    from modelyard.cli.commands import override as command  # noqa: PLC0415

    where = Where(namespace, context, output)
    if end:
        if version or reason or until or for_:
            raise typer.BadParameter(
                "--end ends the override that is in force: give only the model and the stage."
            )
        command.end(where, model, stage, dry_run=dry_run)
        return
    if not version:
        raise typer.BadParameter(
            "name the version, or end the override with --end.", param_hint="'VERSION'"
        )
    if not reason.strip():
        raise typer.BadParameter(
            "give a reason, such as --reason 'incident 4711'; it is kept in the history.",
            param_hint="'--reason'",
        )
    command.override(
        where,
        model,
        version,
        stage,
        command.OverrideOptions(reason, until, for_, wait=wait, timeout=timeout, dry_run=dry_run),
    )


command = word(override)
