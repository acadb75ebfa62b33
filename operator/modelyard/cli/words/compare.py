"""`modelyard compare`: two versions side by side."""

from pathlib import Path
from typing import Annotated

import typer

from modelyard.cli.groups import word
from modelyard.cli.options import Context, Namespace, Output, Where

__all__ = ["command"]


def compare(
    first: Annotated[
        str,
        typer.Argument(
            metavar="MODEL@V1",
            help="A version; a stage's name stands for the version that holds it.",
        ),
    ],
    second: Annotated[
        str, typer.Argument(metavar="V2", help="Another one, of the same model or of another.")
    ],
    *,
    png: Annotated[
        Path | None, typer.Option("--png", metavar="FILE", help="Draw the curves into a picture.")
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write a page that needs nothing else."),
    ] = None,
    curves: Annotated[
        bool, typer.Option("--curves/--no-curves", help="Ask MLflow for the metrics' curves.")
    ] = True,
    namespace: Namespace = None,
    context: Context = None,
    output: Output = None,
) -> None:
    """Set two versions side by side.

    Parameters, metrics, data, signature, and the metrics' curves.
    """
    from modelyard.cli.commands import compare as command  # noqa: PLC0415

    command.compare(
        Where(namespace, context, output), first, second, command.Pictures(png, html, curves=curves)
    )


command = word(compare)
