"""`modelyard promote`: promote a version to a stage, or only plan it."""

from typing import Annotated

import typer

from modelyard.cli import completing
from modelyard.cli.groups import word
from modelyard.cli.options import (
    Context,
    DryRun,
    Follow,
    Model,
    Namespace,
    Output,
    Reason,
    Wait,
    Where,
)

__all__ = ["command"]


def promote(
    model: Model,
    version: Annotated[
        str,
        typer.Argument(metavar="VERSION", help="The version.", autocompletion=completing.versions),
    ],
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="STAGE",
            help="The stage.",
            autocompletion=completing.stages,
        ),
    ],
    *,
    reason: Reason = "",
    wait: Wait = True,
    timeout: Follow = None,
    dry_run: DryRun = False,
    plan: Annotated[
        bool,
        typer.Option("--plan", help="Only plan it (dryRun): print what the operator would do."),
    ] = False,
    carry_out: Annotated[
        bool, typer.Option("--carry-out", help="Carry out the plan, and follow it.")
    ] = False,
    take_back: Annotated[bool, typer.Option("--take-back", help="Take the plan back.")] = False,
    namespace: Namespace = None,
    context: Context = None,
    output: Output = None,
) -> None:
    """Promote a version to a stage, and follow it to the end.

    Or only plan it (--plan), and then carry out the plan (--carry-out) or take it back
    (--take-back).
    """
    from modelyard.cli.commands import planning  # noqa: PLC0415
    from modelyard.cli.commands import promote as command  # noqa: PLC0415

    options = command.ChangeOptions(reason, wait=wait, timeout=timeout, dry_run=dry_run)
    ways = {planning.plan: plan, planning.carry_out: carry_out, planning.take_back: take_back}
    chosen = [way for way, is_chosen in ways.items() if is_chosen]
    if len(chosen) > 1:
        raise typer.BadParameter("use only one of --plan, --carry-out and --take-back.")
    if reason and (carry_out or take_back):
        raise typer.BadParameter("give the reason with --plan.", param_hint="'--reason'")
    way = chosen[0] if chosen else command.promote
    way(Where(namespace, context, output), model, version, to, options)


command = word(promote)
