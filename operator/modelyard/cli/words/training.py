"""Words about training: train, runs, experiments."""

from pathlib import Path
from typing import Annotated

import typer

from modelyard.cli import completing
from modelyard.cli.groups import Words
from modelyard.cli.options import AllNamespaces, Context, Namespace, Output, Run, Timeout, Where

__all__ = ["add_to"]

_Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
_Experiment = Annotated[str, typer.Argument(metavar="EXPERIMENT", help="The experiment.", autocompletion=completing.experiments)]
_Experiments = Annotated[list[str], typer.Argument(metavar="EXPERIMENT", help="Experiments.", autocompletion=completing.experiments)]


def train(
    *,
    file: Annotated[Path | None, typer.Option("--file", "-f", metavar="FILE", help="A TrainingRun in YAML; - is standard input.")] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="The run's name; made from the experiment's if absent.")
    ] = None,
    experiment: Annotated[
        str | None, typer.Option("--experiment", "-e", metavar="NAME", help="The experiment.", autocompletion=completing.experiments)
    ] = None,
    parameter: Annotated[
        list[str] | None, typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="A parameter; may be repeated.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", "-d", metavar="NAME[=s3://...]", help="What is trained on; without an address synthetic.")
    ] = None,
    digest: Annotated[
        str | None, typer.Option("--digest", metavar="sha256:...", help="The dataset's digest, checked before training.")
    ] = None,
    target: Annotated[str | None, typer.Option("--target", metavar="COLUMN", help="The column to predict.")] = None,
    task: Annotated[str | None, typer.Option("--task", metavar="TASK", help="XGBoost: classification or regression.")] = None,
    script: Annotated[
        str | None, typer.Option("--script", metavar="FILE.py|CONFIGMAP[/KEY]", help="A Python file, of this machine or in a ConfigMap.")
    ] = None,
    image: Annotated[
        str | None, typer.Option("--image", metavar="IMAGE", help="An image, instead of XGBoost. What follows -- are its arguments.")
    ] = None,
    cpu: Annotated[str | None, typer.Option("--cpu", metavar="CORES", help="CPU that it is given.")] = None,
    memory: Annotated[str | None, typer.Option("--memory", metavar="BYTES", help="Memory that it is given, and no more: 2Gi.")] = None,
    register: Annotated[str | None, typer.Option("--register", metavar="MODEL@VERSION", help="Register the model on success.")] = None,
    retries: Annotated[
        int | None, typer.Option("--retries", metavar="TIMES", min=0, help="How often a failed attempt is repeated.")
    ] = None,
    deadline: Annotated[int | None, typer.Option("--deadline", min=1, metavar="SECONDS", help="What one attempt may take.")] = None,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="Show logs, metrics and progress to the end.")] = True,
    timeout: Annotated[
        float | None, typer.Option("--timeout", metavar="SECONDS", min=1, help="Seconds to follow at most; no limit if absent.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the TrainingRun as the API server would store it.")] = False,
    command: Annotated[list[str] | None, typer.Argument(metavar="-- ARGUMENT", help="Arguments of --image.")] = None,
    namespace: Namespace = None,
    context: Context = None,
    output: Output = None,
) -> None:
    """Train, from a file or from options, and follow it. Ctrl-C leaves the run going."""
    from modelyard.cli.commands import manifest  # noqa: PLC0415
    from modelyard.cli.commands import train as doing  # noqa: PLC0415

    words = manifest.Words(
        file=file,
        name=name,
        experiment=experiment,
        parameters=tuple(parameter or ()),
        dataset=dataset,
        digest=digest,
        target=target,
        task=task,
        script=script,
        image=image,
        arguments=tuple(command or ()),
        cpu=cpu,
        memory=memory,
        register=register,
        retries=retries,
        deadline=deadline,
    )
    doing.train(Where(namespace, context, output), words, doing.Following(follow=follow, timeout=timeout, dry_run=dry_run))


def runs_list(
    *,
    experiment: Annotated[
        str | None, typer.Option("--experiment", "-e", metavar="NAME", help="Of one experiment.", autocompletion=completing.experiments)
    ] = None,
    filter: Annotated[  # noqa: A002 - the option's name, as MLflow and the client call it
        str, typer.Option("--filter", metavar="COMPARISONS", help="Such as 'metrics.accuracy > 0.9 and parameters.max_depth = 6'.")
    ] = "",
    limit: Annotated[int | None, typer.Option("--limit", metavar="NUMBER", min=1, help="Only so many, the newest.")] = None,
    namespace: Namespace = None,
    every: AllNamespaces = False,
    context: Context = None,
    output: Output = None,
) -> None:
    """List TrainingRuns, newest first.

    A filter compares name, namespace, experiment, reason, attempt, ready, running, failed, flavor, metrics.NAME,
    parameters.NAME or labels.KEY by = != > >= < <= or ~ (contains); `and` stands between comparisons.
    """
    from modelyard.cli.commands import runs as command  # noqa: PLC0415

    selection = command.Selection(experiment, filter, limit)
    command.listed(Where(namespace, context, output, every), selection)


def runs_show(run: Run, *, namespace: Namespace = None, context: Context = None, output: Output = None) -> None:
    """Show everything about runs: parameters, metrics, data, the model, why one failed."""
    from modelyard.cli.commands import runs as command  # noqa: PLC0415

    command.show(Where(namespace, context, output), run)


def runs_follow(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The TrainingRun.", autocompletion=completing.runs)],
    *,
    timeout: Annotated[
        float | None, typer.Option("--timeout", metavar="SECONDS", min=1, help="Seconds to follow at most; no limit if absent.")
    ] = None,
    namespace: Namespace = None,
    context: Context = None,
    output: Output = None,
) -> None:
    """Follow a run's logs, metrics and progress to its end. This is how to come back after Ctrl-C."""
    from modelyard.cli.commands import train as command  # noqa: PLC0415

    command.follow(Where(namespace, context, output), run, timeout)


def runs_delete(
    run: Run,
    *,
    mlflow: Annotated[
        bool, typer.Option("--mlflow", help="Its MLflow run too; `runs restore` brings that back until it is purged.")
    ] = False,
    yes: _Yes = False,
    namespace: Namespace = None,
    context: Context = None,
    output: Output = None,
) -> None:
    """Delete runs. Their MLflow runs stay, unless --mlflow or their deletionPolicy says otherwise."""
    from modelyard.cli.commands import runs as command  # noqa: PLC0415

    command.delete(Where(namespace, context, output), run, mlflow=mlflow, yes=yes)


def runs_restore(
    run: Annotated[list[str], typer.Argument(metavar="RUN", help="TrainingRuns, there or deleted.")],
    *,
    namespace: Namespace = None,
    context: Context = None,
    output: Output = None,
) -> None:
    """Bring back deleted runs in MLflow, until they are purged."""
    from modelyard.cli.commands import runs as command  # noqa: PLC0415

    command.restore(Where(namespace, context, output), run)


def runs_purge(
    run_id: Annotated[list[str], typer.Argument(metavar="RUN_ID", help="MLflow's ids of deleted runs.")],
    *,
    yes: _Yes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    operator_namespace: Annotated[
        str, typer.Option("--operator-namespace", metavar="NAME", help="Where modelyard itself is installed.")
    ] = "modelyard-system",
    timeout: Timeout = 900,
    context: Context = None,
    output: Output = None,
) -> None:
    """Remove deleted MLflow runs for good, metadata and artifacts together. Nothing brings them back."""
    from modelyard.cli.commands import purge as command  # noqa: PLC0415

    command.purge(Where(operator_namespace, context, output), run_id, yes=yes, dry_run=dry_run, timeout=timeout)


def experiments_list(*, namespace: Namespace = None, every: AllNamespaces = False, context: Context = None, output: Output = None) -> None:
    """List experiments."""
    from modelyard.cli.commands import experiments as command  # noqa: PLC0415

    command.listed(Where(namespace, context, output, every))


def experiments_show(experiment: _Experiment, *, namespace: Namespace = None, context: Context = None, output: Output = None) -> None:
    """Show everything about an experiment, and its runs."""
    from modelyard.cli.commands import experiments as command  # noqa: PLC0415

    command.show(Where(namespace, context, output), experiment)


def experiments_delete(
    experiment: _Experiments, *, yes: _Yes = False, namespace: Namespace = None, context: Context = None, output: Output = None
) -> None:
    """Delete experiments. What they have in MLflow goes too if their deletionPolicy is Delete."""
    from modelyard.cli.commands import experiments as command  # noqa: PLC0415

    command.delete(Where(namespace, context, output), experiment, yes=yes)


def add_to(app: typer.Typer) -> None:
    """Add these words to the program."""
    app.command()(train)
    runs = typer.Typer(cls=Words, help="List, show, follow, delete, restore and purge runs.", no_args_is_help=True, rich_markup_mode=None)
    runs.command("list")(runs_list)
    runs.command("show")(runs_show)
    runs.command("follow")(runs_follow)
    runs.command("delete")(runs_delete)
    runs.command("restore")(runs_restore)
    runs.command("purge")(runs_purge)
    app.add_typer(runs, name="runs")
    experiments = typer.Typer(cls=Words, help="List, show and delete experiments.", no_args_is_help=True, rich_markup_mode=None)
    experiments.command("list")(experiments_list)
    experiments.command("show")(experiments_show)
    experiments.command("delete")(experiments_delete)
    app.add_typer(experiments, name="experiments")
