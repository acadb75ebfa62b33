"""`promote --plan`, `--carry-out` and `--take-back`: make a plan, carry it out or take it back."""

from functools import partial

from rich.text import Text

from modelyard.api.registered_model import RegisteredModel
from modelyard.cli.commands.changing import followed, watched
from modelyard.cli.commands.promote import ChangeOptions, reasoned
from modelyard.cli.commands.session import DRY_RUN, Session, now, opened
from modelyard.cli.options import Where
from modelyard.cli.views.history import change as drawn
from modelyard.cli.views.plans import planned
from modelyard.client import planning, whoami
from modelyard.client.errors import Failed
from modelyard.client.kube import Manifest
from modelyard.client.progress import Change, Progress, asked_for

__all__ = ["carry_out", "plan", "take_back"]


def plan(where: Where, name: str, version: str, stage: str, options: ChangeOptions) -> None:
    """Request a version with dryRun, wait for the plan and print it."""
    session = opened(where)
    model = session.model(name)
    session.stage_of(model, stage)
    if planning.is_planned(model, stage, version):
        session.screen.message(
            Text(f"{model.key}  {stage}: {version} is planned already; nothing was changed.")
        )
        body = session.kube.get("RegisteredModel", name)
    else:
        planning.check(model, stage, version)
        session.screen.message(drawn(model, stage, version, now()))
        wanted: Manifest = {"version": version} | whoami.requester(session.kube, model, stage)
        patch = reasoned(planning.patch(model, stage, wanted), model, stage, options.reason)
        body = session.kube.patch("RegisteredModel", name, patch, dry_run=options.dry_run)
    if options.dry_run:
        session.screen.message(Text(DRY_RUN))
    elif options.wait:
        body = _made(session, body, stage, version, options.timeout)
    else:
        session.screen.message(
            Text(f"Requested. To see the plan: {session.hint(f'status {name}')}")
        )
    if session.where.document:
        session.print_objects([body], single=True)


def _made(
    session: Session, written: Manifest, stage: str, version: str, timeout: float | None
) -> Manifest:
    """Wait for the plan and print it; if it cannot be carried out, print how to take it back."""
    change = Change(stage, version, written["metadata"]["generation"])
    try:
        body = watched(
            session,
            written,
            {stage: partial(_standing, change)},
            timeout,
            {stage: f"{stage}: {version} is planned."},
        )
    except Failed:
        name = written["metadata"]["name"]
        session.screen.message(
            Text(
                "To take it back:"
                f" {session.hint(f'promote {name} {version} --to {stage} --take-back')}"
            )
        )
        raise
    session.screen.message(planned(RegisteredModel.parse(body), stage, version, session.hint))
    return body


def _standing(change: Change, model: RegisteredModel) -> Progress:
    return planning.plan_progress(model, change)


def carry_out(where: Where, name: str, version: str, stage: str, options: ChangeOptions) -> None:
    """Carry out a plan, and follow it."""
    session = opened(where)
    model = session.model(name)
    patch = planning.carry_out(model, session.stage_of(model, stage), version)
    body = session.kube.patch("RegisteredModel", name, patch, dry_run=options.dry_run)
    if options.dry_run:
        session.screen.message(Text(DRY_RUN))
    elif options.wait:
        changes = [asked_for(RegisteredModel.parse(body), stage)]
        body = followed(
            session, body, changes, options.timeout, {stage: f"{stage} holds {version}."}
        )
    else:
        session.screen.message(session.requested(name))
    if session.where.document:
        session.print_objects([body], single=True)


def take_back(where: Where, name: str, version: str, stage: str, options: ChangeOptions) -> None:
    """Take a plan back."""
    session = opened(where)
    model = session.model(name)
    session.stage_of(model, stage)
    requester = whoami.requester(session.kube, model, stage)
    patch = reasoned(planning.take_back(model, stage, version, requester), model, stage, "")
    body = session.kube.patch("RegisteredModel", name, patch, dry_run=options.dry_run)
    if options.dry_run:
        session.screen.message(Text(DRY_RUN))
    else:
        holds = model.status.stages[stage].version if stage in model.status.stages else None
        session.screen.message(
            Text(
                f"{stage}: the plan is taken back; it {f'holds {holds}' if holds else 'is empty'}."
            )
        )
    if session.where.document:
        session.print_objects([body], single=True)
