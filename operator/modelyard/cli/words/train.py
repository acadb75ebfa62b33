"""`modelyard train`: create a TrainingRun from a file or options, and follow it."""

from pathlib import Path
from typing import Annotated

import typer

from modelyard.cli import completing
from modelyard.cli.groups import word
from modelyard.cli.options import Context, Namespace, Output, Where

__all__ = ["command"]


def train(
    *,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file", "-f", metavar="FILE", help="A TrainingRun in YAML; - for standard input."
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            metavar="NAME",
            help="The run's name. Default: made from the experiment's name.",
        ),
    ] = None,
    experiment: Annotated[
        str | None,
        typer.Option(
            "--experiment",
            "-e",
            metavar="NAME",
            help="The experiment.",
            autocompletion=completing.experiments,
        ),
    ] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option(
            "--parameter", "-p", metavar="NAME=VALUE", help="A parameter; may be repeated."
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset",
            "-d",
            metavar="NAME[=s3://...]",
            help="The dataset to train on. Without an address: synthetic data.",
        ),
    ] = None,
    digest: Annotated[
        str | None,
        typer.Option(
            "--digest", metavar="sha256:...", help="The dataset's digest, checked before training."
        ),
    ] = None,
    target: Annotated[
        str | None, typer.Option("--target", metavar="COLUMN", help="The column to predict.")
    ] = None,
    task: Annotated[
        str | None,
        typer.Option("--task", metavar="TASK", help="XGBoost: classification or regression."),
    ] = None,
    script: Annotated[
        str | None,
        typer.Option(
            "--script",
            metavar="FILE.py|CONFIGMAP[/KEY]",
            help="A Python file, on this machine or in a ConfigMap.",
        ),
    ] = None,
    image: Annotated[
        str | None,
        typer.Option(
            "--image",
            metavar="IMAGE",
            help="Train with this image instead of XGBoost; its arguments follow --.",
        ),
    ] = None,
    cpu: Annotated[str | None, typer.Option("--cpu", metavar="CORES", help="CPU request.")] = None,
    memory: Annotated[
        str | None,
        typer.Option("--memory", metavar="BYTES", help="Memory request and limit, such as 2Gi."),
    ] = None,
    register: Annotated[
        str | None,
        typer.Option("--register", metavar="MODEL@VERSION", help="Register the model on success."),
    ] = None,
    retries: Annotated[
        int | None,
        typer.Option(
            "--retries", metavar="TIMES", min=0, help="How often a failed attempt is retried."
        ),
    ] = None,
    deadline: Annotated[
        int | None,
        typer.Option("--deadline", min=1, metavar="SECONDS", help="Time limit of an attempt."),
    ] = None,
    follow: Annotated[
        bool,
        typer.Option(
            "--follow/--no-follow",
            help="Show logs, metrics and progress to the end, or return at once.",
        ),
    ] = True,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout",
            metavar="SECONDS",
            min=1,
            help="Seconds to follow at most. Default: no limit.",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Create nothing; show the TrainingRun as the API server would store it.",
        ),
    ] = False,
    command: Annotated[
        list[str] | None, typer.Argument(metavar="-- ARGUMENT", help="Arguments of --image.")
    ] = None,
    namespace: Namespace = None,
    context: Context = None,
    output: Output = None,
) -> None:
    """Train from a file or from options, and follow the run. Ctrl-C does not stop the run."""
    from modelyard.cli.commands import manifest  # noqa: PLC0415
    from modelyard.cli.commands import train as doing  # noqa: PLC0415

    options = manifest.TrainOptions(
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
    doing.train(
        Where(namespace, context, output),
        options,
        doing.Following(follow=follow, timeout=timeout, dry_run=dry_run),
    )


command = word(train)
