"""`status`: models as trees, once or live."""

from rich.console import RenderableType
from rich.live import Live
from rich.text import Text

from modelyard.api.registered_model import RegisteredModel
from modelyard.api.training_run import TrainingRun
from modelyard.cli.commands.live import WatchedObjects
from modelyard.cli.commands.session import Session, now, opened
from modelyard.cli.options import Where
from modelyard.cli.views import models as views
from modelyard.client.errors import NotFound
from modelyard.client.kube import Manifest

__all__ = ["status"]


def status(where: Where, model: str | None, *, watch: bool) -> None:
    """Show one model or all, once or until Ctrl-C."""
    session = opened(where)
    if watch:
        _watch(session, model)
        return
    models = (
        [session.kube.get("RegisteredModel", model)] if model else session.every("RegisteredModel")
    )
    if where.document:
        session.print_objects(models, single=model is not None)
        return
    session.screen.show(_drawn(session, models, session.every("TrainingRun"), model))


def _drawn(
    session: Session, models: list[Manifest], runs: list[Manifest], model: str | None
) -> RenderableType:
    parsed, active = (
        [RegisteredModel.parse(body) for body in models],
        [TrainingRun.parse(body) for body in runs],
    )
    if model is not None:
        active = [run for run in active if run.spec.register_ and run.spec.register_.model == model]
    return views.status(
        parsed, active, now(), session.screen.width, session.hint, wide=session.where.wide
    )


def _watch(session: Session, model: str | None) -> None:
    """Redraw on each change; the last drawing stays on the screen."""
    watched, named = WatchedObjects(), {"name": model} if model else {}
    if model:
        session.kube.get("RegisteredModel", model)
    watched.watch(session.kube, "RegisteredModel", all_namespaces=session.where.everywhere, **named)
    watched.watch(session.kube, "TrainingRun", all_namespaces=session.where.everywhere)
    if session.where.document:
        for changed in watched.changes():
            if changed:
                session.print_objects(watched.of("RegisteredModel"))
    seen = False
    with Live(console=session.screen.out, auto_refresh=False, vertical_overflow="visible") as live:
        for changed in watched.changes():
            models = watched.of("RegisteredModel")
            seen = seen or bool(models)
            if model and seen and not models:
                raise NotFound(
                    f"The model {model} was deleted.", kind="RegisteredModel", name=model
                )
            drawing = _drawn(session, models, watched.of("TrainingRun"), model)
            if session.screen.live:
                live.update(drawing, refresh=True)
            elif changed:
                session.screen.show(drawing)
                session.screen.show(Text())
