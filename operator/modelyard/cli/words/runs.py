"""`modelyard runs ...`: list, show, follow, delete, restore and purge TrainingRuns."""

from typing import Annotated

import typer

from modelyard.cli import completing
from modelyard.cli.groups import group, words_of
from modelyard.cli.options import (
    AllNamespaces,
    Context,
    Namespace,
    Output,
    Run,
    Timeout,
    Where,
    Yes,
)

__all__ = ["command"]


def runs_list(
    *,
    experiment: Annotated[
        str | None,
        typer.Option(
            "--experiment",
            "-e",
            metavar="NAME",
            help="Only runs of this experiment.",
            autocompletion=completing.experiments,
        ),
    ] = None,
    filter: Annotated[  # noqa: A002 - the option's name, as MLflow and the client call it
        str,
        typer.Option(
            "--filter",
            metavar="COMPARISONS",
            help="A filter, such as 'metrics.accuracy > 0.9 and parameters.max_depth = 6'.",
        ),
    ] = "",
    limit: Annotated[
        int | None,
        typer.Option("--limit", metavar="NUMBER", min=1, help="Only the newest NUMBER runs."),
    ] = None,
    namespace: Namespace = None,
    every: AllNamespaces = False,
    context: Context = None,
    output: Output = None,
) -> None:
    """List TrainingRuns, newest first.

    A filter compares name, namespace, experiment, reason, attempt, ready, running, failed, flavor,
    metrics.NAME, parameters.NAME or labels.KEY with = != > >= < <= or ~ (contains). Join
    comparisons with `and`.
    """
    from modelyard.cli.commands import runs as command  # noqa: PLC0415

    selection = command.Selection(experiment, filter, limit)
    command.listed(Where(namespace, context, output, every), selection)


def runs_show(
    run: Run, *, namespace: Namespace = None, context: Context = None, output: Output = None
) -> None:
    """Show runs: parameters, metrics, data, the model, and why a run failed."""
    from modelyard.cli.commands import runs as command  # noqa: PLC0415

    command.show(Where(namespace, context, output), run)


def runs_follow(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="The TrainingRun.", autocompletion=completing.runs)
    ],
    *,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout",
            metavar="SECONDS",
            min=1,
            help="Seconds to follow at most. Default: no limit.",
        ),
    ] = None,
    namespace: Namespace = None,
    context: Context = None,
    output: Output = None,
) -> None:
    """Follow a run's logs, metrics and progress to its end, for example after Ctrl-C."""
    from modelyard.cli.commands import train as command  # noqa: PLC0415

    command.follow(Where(namespace, context, output), run, timeout)


def runs_delete(
    run: Run,
    *,
    mlflow: Annotated[
        bool,
        typer.Option(
            "--mlflow",
            help="Also soft-delete the MLflow runs; `runs restore` restores them until a purge.",
        ),
    ] = False,
    yes: Yes = False,
    namespace: Namespace = None,
    context: Context = None,
    output: Output = None,
) -> None:
    """Delete runs. Their MLflow runs stay, unless --mlflow or deletionPolicy says otherwise."""
    from modelyard.cli.commands import runs as command  # noqa: PLC0415

    command.delete(Where(namespace, context, output), run, mlflow=mlflow, yes=yes)


def runs_restore(
    run: Annotated[
        list[str], typer.Argument(metavar="RUN", help="TrainingRuns, also deleted ones.")
    ],
    *,
    namespace: Namespace = None,
    context: Context = None,
    output: Output = None,
) -> None:
    """Restore soft-deleted MLflow runs. Possible until they are purged."""
    from modelyard.cli.commands import runs as command  # noqa: PLC0415

    command.restore(Where(namespace, context, output), run)


def runs_purge(
    run_id: Annotated[
        list[str], typer.Argument(metavar="RUN_ID", help="MLflow ids of soft-deleted runs.")
    ],
    *,
    yes: Yes = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print what would be purged.")
    ] = False,
    operator_namespace: Annotated[
        str,
        typer.Option("--operator-namespace", metavar="NAME", help="The namespace of the operator."),
    ] = "modelyard-system",
    timeout: Timeout = 900,
    context: Context = None,
    output: Output = None,
) -> None:
    """Permanently remove soft-deleted MLflow runs, with metadata and artifacts.

    They cannot be restored afterwards.
    """
    from modelyard.cli.commands import purge as command  # noqa: PLC0415

    command.purge(
        Where(operator_namespace, context, output),
        run_id,
        yes=yes,
        dry_run=dry_run,
        timeout=timeout,
    )


command = group(
    "runs",
    "List, show, follow, delete, restore and purge runs.",
    words_of(
        {
            "list": runs_list,
            "show": runs_show,
            "follow": runs_follow,
            "delete": runs_delete,
            "restore": runs_restore,
            "purge": runs_purge,
        }
    ),
)
