"""`modelyard status`: show models as trees, once or live."""

from typing import Annotated

import typer

from modelyard.cli import completing
from modelyard.cli.groups import word
from modelyard.cli.options import AllNamespaces, Context, Namespace, Output, Where

__all__ = ["command"]


def status(
    *,
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL", autocompletion=completing.models, help="One model. Default: all."
        ),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Keep running, and redraw on each change.")
    ] = False,
    namespace: Namespace = None,
    every: AllNamespaces = False,
    context: Context = None,
    output: Output = None,
) -> None:
    """Show each model's stages, versions and traffic, and what blocks it."""
    from modelyard.cli.commands import status as command  # noqa: PLC0415

    command.status(Where(namespace, context, output, every), model, watch=watch)


command = word(status)
