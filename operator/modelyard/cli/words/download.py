"""`modelyard download`: download the files of a version."""

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
            help="The version, or the stage that it is effective in. Default: production.",
        ),
    ],
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH", help="The target folder. Complete files in it are not downloaded again."
        ),
    ],
    *,
    namespace: Namespace = None,
    context: Context = None,
    output: Output = None,
) -> None:
    """Download all files of a version and check its digest. Resumes an interrupted download."""
    from modelyard.cli.commands import download as command  # noqa: PLC0415

    command.download(Where(namespace, context, output), model, path)


command = word(download)
