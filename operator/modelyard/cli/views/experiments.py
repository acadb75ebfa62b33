"""Experiments: table rows, and the details of one."""

from collections.abc import Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.text import Text

from modelyard.api.experiment import Experiment, RunCounts
from modelyard.api.training_run import TrainingRun
from modelyard.cli.views import runs as run_views
from modelyard.cli.views.text import state_of, style_of
from modelyard.client.table import Cell, facts, table
from modelyard.client.text import age, number, size

__all__ = ["HEADS", "WIDE_HEADS", "row", "show"]

HEADS = ("NAME", "STATE", "RUNS", "BEST", "AGE", "DESCRIPTION")
WIDE_HEADS = ("NAME", "STATE", "RUNS", "BEST", "AGE", "MLFLOW", "ARTIFACTS", "DESCRIPTION")


def row(experiment: Experiment, now: datetime, *, wide: bool = False) -> list[Cell]:
    """Return an experiment as a row below `HEADS`."""
    word, _ = state_of(experiment.status, experiment.metadata.generation)
    counts = experiment.status.runs
    cells: list[Cell] = [experiment.metadata.name, Text(word, style=style_of(word))]
    cells += ["-" if counts is None else _count(counts), _best(experiment)]
    cells.append(age(experiment.metadata.creation_timestamp, now))
    if wide:
        mlflow, artifacts = experiment.status.mlflow, experiment.status.artifacts
        cells += [
            mlflow.id if mlflow else "-",
            f"{artifacts.objects}, {size(artifacts.bytes)}" if artifacts else "-",
        ]
    return [*cells, experiment.spec.description]


def _count(counts: RunCounts) -> str:
    return f"{counts.running + counts.finished + counts.failed}{'+' if counts.at_least else ''}"


def _best(experiment: Experiment) -> str:
    best = experiment.status.best_run
    return (
        f"{best.training_run or best.run_id[:8]} {best.metric}={number(best.value)}"
        if best
        else "-"
    )


def show(
    experiment: Experiment, runs: Sequence[TrainingRun], now: datetime, width: int
) -> RenderableType:
    """Draw an experiment and its runs, newest first."""
    word, condition = state_of(experiment.status, experiment.metadata.generation)
    meta, status = experiment.metadata, experiment.status
    parts: list[RenderableType] = [
        Text.assemble((meta.name, "bold"), (f"  {meta.namespace}  ", "dim"), (word, style_of(word)))
    ]
    if experiment.spec.description:
        parts.append(Text(experiment.spec.description))
    if condition and condition.message and word != "Ready":
        parts.append(Text(f"{condition.reason}: {condition.message}"))
    shown: list[tuple[str, Cell]] = []
    if status.runs:
        counts = status.runs
        states = (
            f"{counts.finished} finished, {counts.failed} failed, {counts.running} running,"
            f" {counts.deleted} deleted"
        )
        shown.append(("runs", f"at least {states}" if counts.at_least else states))
    if status.best_run:
        shown.append(("best", _best(experiment)))
    if status.artifacts:
        more = "at least " if status.artifacts.at_least else ""
        shown.append(
            (
                "artifacts",
                (
                    f"{more}{status.artifacts.objects} objects, {size(status.artifacts.bytes)},"
                    f" {status.artifacts.uri}"
                ),
            )
        )
    if experiment.spec.retention:
        kept = experiment.spec.retention
        shown.append(("retention", f"runs for {kept.runs}, and the best {kept.keep_best} always"))
    if status.mlflow:
        shown.append(("mlflow", status.mlflow.url))
    if shown:
        parts += [Text(), facts(shown)]
    if runs:
        newest = sorted(
            runs,
            key=lambda run: (str(run.metadata.creation_timestamp or ""), run.metadata.name),
            reverse=True,
        )
        parts += [
            Text(),
            table(run_views.HEADS, [run_views.row(run, now) for run in newest], width),
        ]
    return Group(*parts)
