"""`runs list`, `show`, `delete` and `restore`. `runs purge` is in `purge`."""

from dataclasses import dataclass

from rich.text import Text

from modelyard.api.base import DeletionPolicy
from modelyard.api.training_run import TrainingRun
from modelyard.cli.commands.confirm import confirm
from modelyard.cli.commands.session import full_name, now, opened
from modelyard.cli.options import Format, Where
from modelyard.cli.views import runs as views

__all__ = ["Selection", "delete", "listed", "restore", "show"]


@dataclass(frozen=True)
class Selection:
    """Which runs to list."""

    experiment: str | None = None
    filter: str = ""
    limit: int | None = None


def listed(where: Where, selection: Selection) -> None:
    """List runs, newest first."""
    session = opened(where)
    found = session.client.runs.list(
        selection.limit,
        selection.filter,
        experiment=selection.experiment or "",
        all_namespaces=where.everywhere,
    )
    if where.document:
        session.print_objects([run.body for run in found])
        return
    runs = [run.object for run in found]
    heads = views.WIDE_HEADS if where.wide else views.HEADS
    selected = selection.filter or selection.experiment
    first = f"No runs yet. To start one: {session.hint('train -e EXPERIMENT')}"
    none = "No run matches." if selected else first
    rows = [views.row(run, now(), wide=where.wide) for run in runs]
    session.print_table(heads, runs, rows, none)


def show(where: Where, names: list[str]) -> None:
    """Show each run."""
    session = opened(where)
    bodies = [session.kube.get("TrainingRun", name) for name in names]
    if where.document:
        session.print_objects(bodies, single=len(bodies) == 1)
        return
    for at, body in enumerate(bodies):
        if at:
            session.screen.show(Text())
        session.screen.show(views.show(TrainingRun.parse(body), now(), session.screen.width))


def delete(where: Where, names: list[str], *, mlflow: bool, yes: bool) -> None:
    """Delete runs, after confirmation.

    With `mlflow`, their deletionPolicy is first set to Delete, so that the operator soft-deletes
    the MLflow runs too.
    """
    session = opened(where)
    bodies = [session.kube.get("TrainingRun", name) for name in names]
    runs = [TrainingRun.parse(body) for body in bodies]
    also = [run for run in runs if mlflow or run.spec.deletion_policy is DeletionPolicy.DELETE]
    active = [run.metadata.name for run in runs if not views.finished(run)]
    words = [f"Delete {', '.join(names)}"]
    words += [f"(still training: {', '.join(active)})"] if active else []
    words += (
        [f"and soft-delete the MLflow runs of {', '.join(run.metadata.name for run in also)}"]
        if also
        else []
    )
    confirm(session.screen, " ".join(words), yes=yes)
    recorded = [run.metadata.name for run in runs if run.status.mlflow]
    deleted = [run.metadata.name for run in also if run.status.mlflow]
    for name in names:
        if mlflow:
            session.kube.patch("TrainingRun", name, {"spec": {"deletionPolicy": "Delete"}})
        session.kube.delete("TrainingRun", name, wait=120)
        stays = "; its MLflow run stays" if name in recorded and name not in deleted else ""
        session.screen.message(Text(f"{name} is deleted{stays}."))
    if deleted:
        restore_them = session.hint(f"runs restore {' '.join(deleted)}")
        session.screen.message(Text(f"To restore the MLflow runs: {restore_them}"))
    if where.output is Format.NAME:
        session.screen.names([full_name(body) for body in bodies])
    elif where.document:
        session.print_objects(bodies)


def restore(where: Where, names: list[str]) -> None:
    """Restore the MLflow runs of TrainingRuns; no Kubernetes object is changed."""
    session = opened(where)
    ids = {name: session.client.runs.restore(name) for name in names}
    if where.output is Format.NAME:
        session.screen.names(list(ids.values()))
    elif where.document:
        session.screen.document(ids)
    else:
        for name, run_id in ids.items():
            session.screen.message(Text(f"{name}: the MLflow run {run_id} is restored."))
