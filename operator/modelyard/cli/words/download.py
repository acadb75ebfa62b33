"""`modelyard download`: fetch a version's artifact tree."""

from pathlib import Path
from typing import Annotated

import typer

from modelyard.cli import completing
from modelyard.cli.groups import word
from modelyard.cli.options import Context, Namespace, Output, Where

__all__ = ["command"]


def download(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL[@STAGE|VERSION]",
            autocompletion=completing.models,
            help="What; production's version if absent.",
        ),
    ],
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH", help="A folder; what is there already and whole is not fetched again."
        ),
    ],
    *,
    namespace: Namespace = None,
    context: Context = None,
    output: Output = None,
) -> None:
    """Fetch a version's whole artifact tree and check its digest. Goes on where it was
    interrupted.
    """
    from modelyard.cli.commands import download as command  # noqa: PLC0415

    command.download(Where(namespace, context, output), model, path)


command = word(download)
