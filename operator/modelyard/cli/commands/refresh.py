"""`refresh`: serve effective versions with the operator's current runtime.

A refresh is a promotion of the same version.
"""

from collections.abc import Sequence

import typer
from rich.text import Text

from modelyard.api.registered_model import RegisteredModel
from modelyard.cli.commands.changing import followed
from modelyard.cli.commands.confirm import confirm
from modelyard.cli.commands.promote import ChangeOptions
from modelyard.cli.commands.session import DRY_RUN, Session, opened
from modelyard.cli.options import Where
from modelyard.client import refreshing
from modelyard.client.kube import Manifest
from modelyard.client.refreshing import RuntimeState

__all__ = ["refresh"]

_STYLES = {RuntimeState.CURRENT: "green", RuntimeState.OLDER: "yellow"}


def refresh(
    where: Where,
    name: str | None,
    stage: str | None,
    options: ChangeOptions,
    *,
    every: bool,
    yes: bool,
) -> None:
    """Refresh a stage, the stages of a model, or all models of the namespace one by one."""
    if every == (name is not None) or (every and stage is not None):
        raise typer.BadParameter("name a MODEL, with or without --stage, or use --all")
    session = opened(where)
    bodies = (
        session.every("RegisteredModel")
        if name is None
        else [session.kube.get("RegisteredModel", name)]
    )
    models = [RegisteredModel.parse(body) for body in bodies]
    todo = [(model, stages) for model in models if (stages := _print_states(session, model, stage))]
    if not todo:
        session.screen.message(Text("There is nothing to refresh; nothing was changed."))
        done = bodies
    else:
        count = sum(len(stages) for _, stages in todo)
        if not options.dry_run:
            confirm(session.screen, f"Refresh {count} stage{'s' if count > 1 else ''}", yes=yes)
        done = [_refreshed(session, model, stages, options) for model, stages in todo]
    if session.where.document:
        session.print_objects(done, single=name is not None)


def _print_states(session: Session, model: RegisteredModel, stage: str | None) -> list[str]:
    """Print the runtime state of each stage; return the stages to refresh."""
    stages = refreshing.stages_to_refresh(model, stage)
    for each in refreshing.plan(model):
        if stage in (None, each.stage):
            session.screen.message(
                Text.assemble(
                    (f"{model.key}  {each.stage}: ", "bold"),
                    (each.words, _STYLES.get(each.state, "")),
                )
            )
    return stages


def _refreshed(
    session: Session, model: RegisteredModel, stages: Sequence[str], options: ChangeOptions
) -> Manifest:
    """Raise `attempt` of these stages, and follow the refresh."""
    meta = model.metadata
    patch = refreshing.patch(model, stages)
    body = session.kube.patch(
        "RegisteredModel", meta.name, patch, meta.namespace, dry_run=options.dry_run
    )
    if options.dry_run:
        session.screen.message(Text(f"{model.key}: {DRY_RUN}"))
        return body
    if not options.wait:
        session.screen.message(session.requested(meta.name))
        return body
    changes = refreshing.changes(RegisteredModel.parse(body), stages)
    ended = {each: f"{each} of {model.key} is refreshed." for each in stages}
    return followed(session, body, changes, options.timeout, ended)
