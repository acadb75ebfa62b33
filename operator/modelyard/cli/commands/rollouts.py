"""`resume` and `abort`: continue a paused rollout, or cancel a promotion that is under way."""

from rich.text import Text

from modelyard.api.registered_model import RegisteredModel
from modelyard.cli.commands.changing import followed
from modelyard.cli.commands.promote import MANUAL, ChangeOptions, reasoned
from modelyard.cli.commands.session import DRY_RUN, Session, opened
from modelyard.cli.options import Where
from modelyard.cli.views.rollouts import rollout_lines, split_line
from modelyard.client import aborting, newest, rollouts, whoami
from modelyard.client.kube import Manifest
from modelyard.client.progress import Change, asked_for

__all__ = ["abort", "resume"]


def resume(where: Where, name: str, stage: str, options: ChangeOptions) -> None:
    """Continue a rollout that is at a pause, and follow it to its end or the next pause."""
    session = opened(where)
    model = session.model(name)
    patch = rollouts.resume(model, session.stage_of(model, stage))
    found = rollouts.rollout_state(model, stage)
    assert found is not None, "a rollout that can be resumed is under way"
    body = session.kube.patch("RegisteredModel", name, patch, dry_run=options.dry_run)
    session.screen.message(
        Text.assemble(
            (f"{model.key}  {stage}: ", "bold"),
            f"{found.stable} → {found.version} continues after {found.at}",
        )
    )
    for line in (split_line(found), *rollout_lines(found)):
        session.screen.message(Text("  ") + line)
    _ended(
        session,
        body,
        asked_for(RegisteredModel.parse(body), stage),
        f"{stage} holds {found.version}.",
        options,
    )


def abort(where: Where, name: str, stage: str, options: ChangeOptions) -> None:
    """Set a stage back to its effective version, and follow it until the candidate is deleted."""
    session = opened(where)
    model = session.model(name)
    found = aborting.abort(model, session.stage_of(model, stage))
    held, other = found.version or "no version", found.given_up or "no version"
    wanted: Manifest = dict(found.wanted)
    if not found.is_refresh:
        wanted |= whoami.requester(session.kube, model, stage)
    patch: Manifest = {"spec": {"stages": {stage: wanted}}}
    body = session.kube.patch(
        "RegisteredModel",
        name,
        reasoned(patch, model, stage, options.reason),
        dry_run=options.dry_run,
    )
    what = (
        f"{held} keeps its runtime"
        if found.is_refresh
        else f"{other} is given up, and {held} keeps the stage"
    )
    session.screen.message(Text.assemble((f"{model.key}  {stage}: ", "bold"), what))
    if newest.is_automatic(model, stage) and not found.is_refresh:
        session.screen.message(Text(MANUAL.format(stage)))
    if (rollout_state := rollouts.rollout_state(model, stage)) is not None:
        session.screen.message(Text("  ") + split_line(rollout_state))
    _ended(
        session,
        body,
        found.change(RegisteredModel.parse(body), stage),
        f"{stage} holds {held}.",
        options,
    )


def _ended(
    session: Session, body: Manifest, change: Change, done: str, options: ChangeOptions
) -> None:
    """Follow the change unless --no-wait was given, and print the object for programs."""
    if options.dry_run:
        session.screen.message(Text(DRY_RUN))
    elif options.wait:
        body = followed(session, body, [change], options.timeout, {change.stage: done})
    else:
        session.screen.message(session.requested(body["metadata"]["name"]))
    if session.where.document:
        session.print_objects([body], single=True)
