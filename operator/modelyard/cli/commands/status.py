"""`status`: every model as a tree, once or live."""

from rich.console import RenderableType
from rich.live import Live
from rich.text import Text

from modelyard.api.registered_model import RegisteredModel
from modelyard.api.training_run import TrainingRun
from modelyard.cli.commands.live import Board
from modelyard.cli.commands.session import Session, now, opened
from modelyard.cli.options import Where
from modelyard.cli.views import models as views
from modelyard.client.errors import NotFound
from modelyard.client.kube import Manifest

__all__ = ["status"]


def status(where: Where, model: str | None, *, watch: bool) -> None:
    """Show one model or all, once, or until Ctrl-C."""
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
    parsed, going = (
        [RegisteredModel.parse(body) for body in models],
        [TrainingRun.parse(body) for body in runs],
    )
    if model is not None:
        going = [run for run in going if run.spec.register_ and run.spec.register_.model == model]
    return views.status(parsed, going, now(), session.screen.width, wide=session.where.wide)


def _watch(session: Session, model: str | None) -> None:
    """Draw anew when a watch tells of a change; the last drawing stays when it ends."""
    board, named = Board(), {"name": model} if model else {}
    if model:
        session.kube.get("RegisteredModel", model)
    board.watch(session.kube, "RegisteredModel", all_namespaces=session.where.everywhere, **named)
    board.watch(session.kube, "TrainingRun", all_namespaces=session.where.everywhere)
    if session.where.document:
        for changed in board.changes():
            if changed:
                session.print_objects(board.of("RegisteredModel"))
    seen = False
    with Live(console=session.screen.out, auto_refresh=False, vertical_overflow="visible") as live:
        for changed in board.changes():
            models = board.of("RegisteredModel")
            seen = seen or bool(models)
            if model and seen and not models:
                raise NotFound(
                    f"The model {model} was deleted.", kind="RegisteredModel", name=model
                )
            drawing = _drawn(session, models, board.of("TrainingRun"), model)
            if session.screen.live:
                live.update(drawing, refresh=True)
            elif changed:
                session.screen.show(drawing)
                session.screen.show(Text())
