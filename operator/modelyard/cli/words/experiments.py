"""`modelyard experiments ...`: list, show and delete Experiments."""

from typing import Annotated

import typer

from modelyard.cli import completing
from modelyard.cli.groups import group, words_of
from modelyard.cli.options import AllNamespaces, Context, Namespace, Output, Where, Yes

__all__ = ["command"]

_Experiment = Annotated[
    str,
    typer.Argument(
        metavar="EXPERIMENT", help="The experiment.", autocompletion=completing.experiments
    ),
]
_Experiments = Annotated[
    list[str],
    typer.Argument(
        metavar="EXPERIMENT", help="Experiments.", autocompletion=completing.experiments
    ),
]


def experiments_list(
    *,
    namespace: Namespace = None,
    every: AllNamespaces = False,
    context: Context = None,
    output: Output = None,
) -> None:
    """List experiments."""
    from modelyard.cli.commands import experiments as command  # noqa: PLC0415

    command.listed(Where(namespace, context, output, every))


def experiments_show(
    experiment: _Experiment,
    *,
    namespace: Namespace = None,
    context: Context = None,
    output: Output = None,
) -> None:
    """Show an experiment and its runs."""
    from modelyard.cli.commands import experiments as command  # noqa: PLC0415

    command.show(Where(namespace, context, output), experiment)


def experiments_delete(
    experiment: _Experiments,
    *,
    yes: Yes = False,
    namespace: Namespace = None,
    context: Context = None,
    output: Output = None,
) -> None:
    """Delete experiments, and their MLflow experiments if deletionPolicy is Delete."""
    from modelyard.cli.commands import experiments as command  # noqa: PLC0415

    command.delete(Where(namespace, context, output), experiment, yes=yes)


command = group(
    "experiments",
    "List, show and delete experiments.",
    words_of({"list": experiments_list, "show": experiments_show, "delete": experiments_delete}),
)
