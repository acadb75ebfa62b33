"""`experiments list`, `show` and `delete`."""

from rich.text import Text

from modelyard.api.experiment import Experiment
from modelyard.api.training_run import TrainingRun
from modelyard.cli.commands.confirm import confirm
from modelyard.cli.commands.session import now, opened
from modelyard.cli.options import Where
from modelyard.cli.views import experiments as views

__all__ = ["delete", "listed", "show"]


def listed(where: Where) -> None:
    """List experiments."""
    session = opened(where)
    bodies = session.every("Experiment")
    if where.document:
        session.print_objects(bodies)
        return
    found = [Experiment.parse(body) for body in bodies]
    heads = views.WIDE_HEADS if where.wide else views.HEADS
    session.print_table(
        heads,
        found,
        [views.row(each, now(), wide=where.wide) for each in found],
        "No experiments yet.",
    )


def show(where: Where, name: str) -> None:
    """Show an experiment and its runs."""
    session = opened(where)
    body = session.kube.get("Experiment", name)
    if where.document:
        session.print_objects([body], single=True)
        return
    runs = [
        TrainingRun.parse(run)
        for run in session.every("TrainingRun")
        if run["spec"].get("experiment") == name
    ]
    session.screen.show(views.show(Experiment.parse(body), runs, now(), session.screen.width))


def delete(where: Where, names: list[str], *, yes: bool) -> None:
    """Delete experiments, after confirmation."""
    session = opened(where)
    bodies = [session.kube.get("Experiment", name) for name in names]
    in_mlflow = [
        body["metadata"]["name"]
        for body in bodies
        if body["spec"].get("deletionPolicy") == "Delete"
    ]
    names_in_mlflow = ", ".join(in_mlflow)
    also = f", and soft-delete the MLflow experiments of {names_in_mlflow}" if in_mlflow else ""
    confirm(session.screen, f"Delete {', '.join(names)}{also}", yes=yes)
    for name in names:
        session.kube.delete("Experiment", name, wait=120)
        session.screen.message(Text(f"{name} is deleted."))
    if where.document:
        session.print_objects(bodies)
