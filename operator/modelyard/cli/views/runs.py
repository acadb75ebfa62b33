"""TrainingRuns: table rows, one line with a bar, and the details of one."""

from datetime import datetime, timedelta

from rich.console import Group, RenderableType
from rich.text import Text

from modelyard.api.training_run import TrainingRun
from modelyard.cli.views.text import bar, state_of, style_of
from modelyard.client import text
from modelyard.client.table import Cell, facts, table
from modelyard.client.text import age, ago, clip, lasted, number, short_digest, size

__all__ = ["HEADS", "WIDE_HEADS", "eta", "finished", "line", "metrics", "row", "show", "word"]

HEADS = ("NAME", "EXPERIMENT", "STATE", "PROGRESS", "AGE", "METRICS")
WIDE_HEADS = (
    "NAME",
    "EXPERIMENT",
    "STATE",
    "PROGRESS",
    "AGE",
    "ATTEMPT",
    "TRAINER",
    "REGISTERED",
    "RUN",
    "METRICS",
)
_FEW = 3


def finished(run: TrainingRun) -> bool:
    """Tell whether a run is finished: it has succeeded, or failed permanently."""
    found = run.status.condition("Succeeded")
    return found is not None and found.status != "Unknown"


def word(run: TrainingRun) -> str:
    """Return the state of a run in one word: the reason of its Ready condition."""
    state, condition = state_of(run.status, run.metadata.generation)
    return (
        "Deleting" if run.metadata.deletion_timestamp else condition.reason if condition else state
    )


def _style(run: TrainingRun) -> str:
    return style_of(state_of(run.status, run.metadata.generation)[0])


def _percent(run: TrainingRun) -> int | None:
    if finished(run):
        return 100 if run.status.is_true("Succeeded") else None
    return run.status.progress.percent if run.status.progress else None


def metrics(run: TrainingRun, limit: int | None = None) -> str:
    """Return the newest values: `accuracy 0.941, auc 0.98`."""
    return text.metrics(((metric.name, metric.value) for metric in run.status.metrics), limit)


def eta(run: TrainingRun) -> str:
    """Return the operator's estimate of the time left; empty without one."""
    progress = run.status.progress
    if progress is None or progress.eta_seconds is None or finished(run):
        return ""
    return f"about {lasted(timedelta(seconds=progress.eta_seconds))} to go"


def row(run: TrainingRun, now: datetime, *, wide: bool = False) -> list[Cell]:
    """Return a run as a row below `HEADS`."""
    percent = _percent(run)
    cells: list[Cell] = [run.metadata.name, run.spec.experiment, Text(word(run), style=_style(run))]
    cells += ["-" if percent is None else f"{percent}%", age(run.metadata.creation_timestamp, now)]
    if wide:
        done = run.status.registered
        cells += [
            str(run.status.attempt),
            _trainer(run),
            f"{done.model}@{done.version}" if done else "-",
        ]
        cells.append(run.status.mlflow.run_id if run.status.mlflow else "-")
    return [*cells, metrics(run, None if wide else _FEW)]


def _trainer(run: TrainingRun) -> str:
    return next((name for name, value in run.spec.trainer if value is not None), "-")


def line(run: TrainingRun, now: datetime, width: int) -> Text:
    """Draw an active run in one line: name, progress bar, state and time left."""
    percent = _percent(run)
    done = "   - " if percent is None else f" {percent:3d}%"
    head = Text.assemble(
        (run.metadata.name, "bold"), "  ", bar(percent or 0, 10, "cyan"), done, "  "
    )
    rest = [
        word(run),
        eta(run) or f"for {age(run.metadata.creation_timestamp, now)}",
        metrics(run, 1),
    ]
    return head.append(
        clip(", ".join(part for part in rest if part), max(16, width - len(head.plain)))
    )


def show(run: TrainingRun, now: datetime, width: int) -> RenderableType:
    """Draw the details of a run."""
    state, condition = state_of(run.status, run.metadata.generation)
    status, meta = run.status, run.metadata
    head = Text.assemble(
        (meta.name, "bold"), (f"  {meta.namespace}  ", "dim"), (word(run), style_of(state))
    )
    shown: list[tuple[str, Cell]] = [
        ("experiment", run.spec.experiment),
        ("trainer", _trainer(run)),
    ]
    if (data := run.spec.dataset) is not None:
        read = (
            f"  {status.dataset.rows} rows, {short_digest(status.dataset.digest)}"
            if status.dataset
            else ""
        )
        shown.append(("dataset", f"{data.name}  {data.uri or 'synthetic'}{read}"))
    if (percent := _percent(run)) is not None:
        shown.append(("progress", bar(percent) + f" {percent}%  {eta(run)}".rstrip()))
    if status.start_time:
        end = status.completion_time or now
        shown.append(
            (
                "time",
                (
                    f"{lasted(end - status.start_time)}, started {ago(status.start_time, now)},"
                    f" attempt {status.attempt}"
                ),
            )
        )
    if status.model:
        shown.append(
            (
                "model",
                (
                    f"{status.model.flavor or '?'}  {size(status.model.bytes)} "
                    f" {short_digest(status.model.digest)}"
                ),
            )
        )
    if run.spec.register_:
        done = "registered" if status.registered else "not registered yet"
        shown.append(
            ("version", f"{run.spec.register_.model}@{run.spec.register_.version}, {done}")
        )
    if status.mlflow:
        shown.append(("mlflow", status.mlflow.url))
    parts: list[RenderableType] = [head]
    if condition and condition.message:
        parts.append(Text(condition.message))
    parts += [Text(), facts(shown)]
    for title, values in (("parameters", run.parameters), ("metrics", _values(run))):
        if values:
            parts += [
                Text(),
                table(
                    (title.upper(), "VALUE"),
                    [[key, value] for key, value in sorted(values.items())],
                    width,
                ),
            ]
        if title == "parameters" and status.omitted_parameters:
            parts.append(Text(f"and {status.omitted_parameters} more in MLflow", style="dim"))
    return Group(*parts, *_failure(run))


def _values(run: TrainingRun) -> dict[str, str]:
    return {metric.name: number(metric.value) for metric in run.status.metrics}


def _failure(run: TrainingRun) -> list[RenderableType]:
    failed = run.status.failure
    if failed is None:
        return []
    code = f", exit code {failed.exit_code}" if failed.exit_code is not None else ""
    head = Text(f"attempt {failed.attempt} failed: {failed.reason}{code}", style="red")
    said = [Text(failed.message)] if failed.message else []
    log = (
        [Text("\n".join(f"  | {each}" for each in failed.log.rstrip().splitlines()), style="dim")]
        if failed.log
        else []
    )
    return [Text(), head, *said, *log]
