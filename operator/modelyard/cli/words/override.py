"""`modelyard override`: put a version into a stage at once, without its gates; and take the
override off.
"""

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
            "--reason", metavar="WORDS", help="Why, such as incident 4711; kept in the history."
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
            help="How long it is in force, such as 4h; an hour if absent.",
        ),
    ] = "",
    end: Annotated[bool, typer.Option("--end", help="Take the override off.")] = False,
    wait: Wait = True,
    timeout: Timeout = 900,
    dry_run: DryRun = False,
    namespace: Namespace = None,
    context: Context = None,
    output: Output = None,
) -> None:
    """Put a registered version into a stage at once, without its gates, for a day at most.

    When it ends nothing switches: a person decides. It needs the right to override.
    """
    from modelyard.cli.commands import override as command  # noqa: PLC0415

    where = Where(namespace, context, output)
    if end:
        if version or reason or until or for_:
            raise typer.BadParameter(
                "--end takes the override off that is there: say nothing but the model and the"
                " stage."
            )
        command.end(where, model, stage, dry_run=dry_run)
        return
    if not version:
        raise typer.BadParameter(
            "name the version, or say --end to take the override off.", param_hint="'VERSION'"
        )
    if not reason.strip():
        raise typer.BadParameter(
            "say why, such as --reason 'incident 4711': it is kept in the history.",
            param_hint="'--reason'",
        )
    command.override(
        where,
        model,
        version,
        stage,
        command.Asked(reason, until, for_, wait=wait, timeout=timeout, dry_run=dry_run),
    )


command = word(override)
