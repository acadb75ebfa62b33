"""`runs list | show | delete | restore`. Purging, which is done by a Job, stands in `purge`."""

from dataclasses import dataclass

from rich.text import Text

from modelyard.api.base import DeletionPolicy
from modelyard.api.training_run import TrainingRun
from modelyard.cli.commands.session import full_name, now, opened
from modelyard.cli.commands.sure import sure
from modelyard.cli.options import Format, Where
from modelyard.cli.views import runs as views

__all__ = ["Selection", "delete", "listed", "restore", "show"]


@dataclass(frozen=True)
class Selection:
    """Which runs are listed."""

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
    none = "No run matches." if selected else "No runs yet: `train` begins one."
    rows = [views.row(run, now(), wide=where.wide) for run in runs]
    session.print_table(heads, runs, rows, none)


def show(where: Where, names: list[str]) -> None:
    """Show runs, one after the other."""
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
    """Delete runs, after asking. `mlflow`: their deletionPolicy is set to Delete first, so that
    the operator takes the MLflow run along.
    """
    session = opened(where)
    bodies = [session.kube.get("TrainingRun", name) for name in names]
    runs = [TrainingRun.parse(body) for body in bodies]
    also = [run for run in runs if mlflow or run.spec.deletion_policy is DeletionPolicy.DELETE]
    going = [run.metadata.name for run in runs if not views.ended(run)]
    words = [f"Delete {', '.join(names)}"]
    words += [f"(still training: {', '.join(going)})"] if going else []
    words += (
        [f"and soft-delete the MLflow runs of {', '.join(run.metadata.name for run in also)}"]
        if also
        else []
    )
    sure(session.screen, " ".join(words), yes=yes)
    recorded = [run.metadata.name for run in runs if run.status.mlflow]
    taken = [run.metadata.name for run in also if run.status.mlflow]
    for name in names:
        if mlflow:
            session.kube.patch("TrainingRun", name, {"spec": {"deletionPolicy": "Delete"}})
        session.kube.delete("TrainingRun", name, wait=120)
        stays = "; its MLflow run stays" if name in recorded and name not in taken else ""
        session.screen.tell(Text(f"{name} is deleted{stays}."))
    if taken:
        session.screen.tell(
            Text(f"To have the MLflow runs back: {session.hint('runs restore ' + ' '.join(taken))}")
        )
    if where.output is Format.NAME:
        session.screen.names([full_name(body) for body in bodies])
    elif where.document:
        session.print_objects(bodies)


def restore(where: Where, names: list[str]) -> None:
    """Bring back the MLflow runs of TrainingRuns; the objects themselves stay as they are."""
    session = opened(where)
    ids = {name: session.client.runs.restore(name) for name in names}
    if where.output is Format.NAME:
        session.screen.names(list(ids.values()))
    elif where.document:
        session.screen.document(ids)
    else:
        for name, run_id in ids.items():
            session.screen.tell(Text(f"{name}: MLflow has the run {run_id} again."))
