"""`modelyard compare`: compare two versions side by side."""

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
            help="A version, or a stage for the version that is effective there.",
        ),
    ],
    second: Annotated[
        str, typer.Argument(metavar="V2", help="The other version; MODEL@V2 for another model.")
    ],
    *,
    png: Annotated[
        Path | None,
        typer.Option("--png", metavar="FILE", help="Also draw the curves into a PNG file."),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Also write a self-contained HTML page."),
    ] = None,
    curves: Annotated[
        bool, typer.Option("--curves/--no-curves", help="Read the metrics' curves from MLflow.")
    ] = True,
    namespace: Namespace = None,
    context: Context = None,
    output: Output = None,
) -> None:
    """Compare two versions side by side.

    Shows parameters, metrics, data, signature and the metrics' curves.
    """
    from modelyard.cli.commands import compare as command  # noqa: PLC0415

    command.compare(
        Where(namespace, context, output), first, second, command.Pictures(png, html, curves=curves)
    )


command = word(compare)
