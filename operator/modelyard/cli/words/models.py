"""Words about models: status, promote, rollback, refresh, history, compare."""

from pathlib import Path
from typing import Annotated

import typer

from modelyard.cli import completing
from modelyard.cli.options import AllNamespaces, Context, Model, Namespace, Output, Timeout, Where

__all__ = ["add_to"]

_Stage = Annotated[str, typer.Option("--stage", "-s", metavar="STAGE", help="The stage.", autocompletion=completing.stages)]
_Reason = Annotated[str, typer.Option("--reason", metavar="WORDS", help="Why; kept with the model.")]
_Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Follow it to the end, or leave it to the operator.")]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would change, ask the API server whether it may, change nothing.")]


def status(
    *,
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL", autocompletion=completing.models, help="One model; all if absent.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Stay, and draw anew when something changes.")] = False,
    namespace: Namespace = None,
    every: AllNamespaces = False,
    context: Context = None,
    output: Output = None,
) -> None:
    """Show stages, versions, traffic, what blocks and why."""
    from modelyard.cli.commands import status as command  # noqa: PLC0415

    command.status(Where(namespace, context, output, every), model, watch=watch)


def promote(
    model: Model,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="The version.", autocompletion=completing.versions)],
    to: Annotated[str, typer.Option("--to", metavar="STAGE", help="The stage that it takes.", autocompletion=completing.stages)],
    *,
    reason: _Reason = "",
    wait: _Wait = True,
    timeout: Timeout = 900,
    dry_run: _DryRun = False,
    namespace: Namespace = None,
    context: Context = None,
    output: Output = None,
) -> None:
    """Give a stage to a version, and follow it to the end."""
    from modelyard.cli.commands import promote as command  # noqa: PLC0415

    asked = command.Asked(reason, wait=wait, timeout=timeout, dry_run=dry_run)
    command.promote(Where(namespace, context, output), model, version, to, asked)


def rollback(
    model: Model,
    stage: _Stage,
    *,
    to: Annotated[str | None, typer.Option("--to", metavar="VERSION", help="Which; the one before if absent.")] = None,
    reason: _Reason = "",
    wait: _Wait = True,
    timeout: Timeout = 900,
    dry_run: _DryRun = False,
    namespace: Namespace = None,
    context: Context = None,
    output: Output = None,
) -> None:
    """Give a stage back to the version that held it before."""
    from modelyard.cli.commands import promote as command  # noqa: PLC0415

    asked = command.Asked(reason, wait=wait, timeout=timeout, dry_run=dry_run)
    command.rollback(Where(namespace, context, output), model, stage, to, asked)


def refresh(
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL", autocompletion=completing.models, help="The RegisteredModel; or --all.")
    ] = None,
    *,
    stage: Annotated[
        str | None,
        typer.Option(
            "--stage",
            "-s",
            metavar="STAGE",
            help="The stage; all that are served with another runtime if absent.",
            autocompletion=completing.stages,
        ),
    ] = None,
    all_: Annotated[
        bool, typer.Option("--all", help="All models of the namespace, one after the other; the first failure ends it.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    wait: _Wait = True,
    timeout: Timeout = 900,
    dry_run: _DryRun = False,
    namespace: Namespace = None,
    context: Context = None,
    output: Output = None,
) -> None:
    """Serve effective versions with the operator's current runtime.

    After an upgrade of the operator a stage keeps the runtime that it was promoted with. A refresh is a
    promotion of the same version, and needs the same right.
    """
    from modelyard.cli.commands import promote  # noqa: PLC0415
    from modelyard.cli.commands import refresh as command  # noqa: PLC0415

    asked = promote.Asked(wait=wait, timeout=timeout, dry_run=dry_run)
    command.refresh(Where(namespace, context, output), model, stage, asked, every=all_, yes=yes)


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


def compare(
    first: Annotated[str, typer.Argument(metavar="MODEL@V1", help="A version; a stage's name stands for the version that holds it.")],
    second: Annotated[str, typer.Argument(metavar="V2", help="Another one, of the same model or of another.")],
    *,
    png: Annotated[Path | None, typer.Option("--png", metavar="FILE", help="Draw the curves into a picture.")] = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page that needs nothing else.")] = None,
    curves: Annotated[bool, typer.Option("--curves/--no-curves", help="Ask MLflow for the metrics' curves.")] = True,
    namespace: Namespace = None,
    context: Context = None,
    output: Output = None,
) -> None:
    """Set two versions side by side.

    Parameters, metrics, data, signature, and the metrics' curves.
    """
    from modelyard.cli.commands import compare as command  # noqa: PLC0415

    command.compare(Where(namespace, context, output), first, second, command.Pictures(png, html, curves=curves))


def add_to(app: typer.Typer) -> None:
    """Add these words to the program."""
    app.command()(status)
    app.command()(promote)
    app.command()(rollback)
    app.command()(refresh)
    app.command()(history)
    app.command()(compare)
