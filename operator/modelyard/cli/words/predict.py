"""`modelyard predict`: send rows to a model and print its predictions."""

from typing import Annotated

import typer

from modelyard.cli import completing
from modelyard.cli.groups import word
from modelyard.cli.options import Context, Namespace, Output, Where

__all__ = ["command"]


def predict(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL[@STAGE]",
            autocompletion=completing.models,
            help="The model and its stage. Default: its only stage, or production.",
        ),
    ],
    *,
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE|JSON",
            help="Rows: a JSON or CSV file, or JSON itself. Default, or -: standard input.",
        ),
    ] = "",
    csv: Annotated[
        bool,
        typer.Option(
            "--csv", help="The input is CSV with a header line, whatever the file's name."
        ),
    ] = False,
    timeout: Annotated[
        float,
        typer.Option("--timeout", metavar="SECONDS", min=1, help="Seconds to wait for the answer."),
    ] = 30,
    namespace: Namespace = None,
    context: Context = None,
    output: Output = None,
) -> None:
    """Send rows to a model and print its predictions.

    From outside of the cluster it uses a port-forward. JSON: a list of rows, a list of records,
    columns, or a request body of the V1 protocol or of MLflow.
    """
    from modelyard.cli.commands import predict as command  # noqa: PLC0415

    command.predict(
        Where(namespace, context, output), model, command.Input(source, csv=csv), timeout
    )


command = word(predict)
