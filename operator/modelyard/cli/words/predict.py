"""`modelyard predict`: ask a model."""

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
            help="The model; its only stage, or production, if absent.",
        ),
    ],
    *,
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE|JSON",
            help="Rows: a file in JSON or CSV, or JSON itself; standard input if absent or -.",
        ),
    ] = "",
    csv: Annotated[
        bool,
        typer.Option("--csv", help="The input is CSV with a head, whatever the file is called."),
    ] = False,
    timeout: Annotated[
        float,
        typer.Option("--timeout", metavar="SECONDS", min=1, help="Seconds to wait for the answer."),
    ] = 30,
    namespace: Namespace = None,
    context: Context = None,
    output: Output = None,
) -> None:
    """Ask a model. From outside of the cluster through a port-forward.

    JSON is a list of rows, a list of records, columns, or a body of the V1 protocol or of MLflow's.
    """
    from modelyard.cli.commands import predict as command  # noqa: PLC0415

    command.predict(
        Where(namespace, context, output), model, command.Input(source, csv=csv), timeout
    )


command = word(predict)
