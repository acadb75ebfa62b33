"""`resume` and `abort`: a person has a rollout in steps continue, or gives up what a stage is on
its way to.
"""

from rich.text import Text

from modelyard.api.registered_model import RegisteredModel
from modelyard.cli.commands.changing import followed
from modelyard.cli.commands.promote import Asked, reasoned
from modelyard.cli.commands.session import Session, opened
from modelyard.cli.options import Where
from modelyard.cli.views.rollouts import rollout_lines, split_line
from modelyard.client import aborting, newest, oneself, rollouts
from modelyard.client.kube import Manifest
from modelyard.client.progress import Change, asked_for

__all__ = ["abort", "resume"]


def resume(where: Where, name: str, stage: str, asked: Asked) -> None:
    """Have a rollout continue that is at a pause, and follow it to its end or to the next pause."""
    session = opened(where)
    model = session.model(name)
    patch = rollouts.resume(model, session.stage_of(model, stage))
    found = rollouts.rolling(model, stage)
    assert found is not None, "what is resumed is under way"
    session.screen.tell(
        Text.assemble(
            (f"{model.key}  {stage}: ", "bold"),
            f"{found.stable} → {found.version} continues after {found.at}",
        )
    )
    for line in (split_line(found), *rollout_lines(found)):
        session.screen.tell(Text("  ") + line)
    body = session.kube.patch("RegisteredModel", name, patch, dry_run=asked.dry_run)
    _ended(
        session,
        body,
        asked_for(RegisteredModel.parse(body), stage),
        f"{stage} holds {found.version}.",
        asked,
    )


def abort(where: Where, name: str, stage: str, asked: Asked) -> None:
    """Set a stage back to the version that is effective, and follow it until nothing of the
    other one is left.
    """
    session = opened(where)
    model = session.model(name)
    found = aborting.abort(model, session.stage_of(model, stage))
    held, other = found.version or "no version", found.given_up or "no version"
    what = (
        f"{held} keeps its runtime"
        if found.is_refresh
        else f"{other} is given up, and {held} keeps the stage"
    )
    session.screen.tell(Text.assemble((f"{model.key}  {stage}: ", "bold"), what))
    if newest.is_automatic(model, stage) and not found.is_refresh:
        session.screen.tell(Text(f"{stage} takes the newest version by itself no longer."))
    if (rolling := rollouts.rolling(model, stage)) is not None:
        session.screen.tell(Text("  ") + split_line(rolling))
    wanted: Manifest = dict(found.wanted)
    if not found.is_refresh:
        wanted |= oneself.requester(session.kube, model, stage)
    patch: Manifest = {"spec": {"stages": {stage: wanted}}}
    body = session.kube.patch(
        "RegisteredModel", name, reasoned(patch, model, stage, asked.reason), dry_run=asked.dry_run
    )
    _ended(
        session,
        body,
        found.change(RegisteredModel.parse(body), stage),
        f"{stage} holds {held}.",
        asked,
    )


def _ended(session: Session, body: Manifest, change: Change, done: str, asked: Asked) -> None:
    """Follow what was asked for, if it is followed, and print the object for programs."""
    if asked.dry_run:
        session.screen.tell(Text("The API server would take it; nothing was changed."))
    elif asked.wait:
        body = followed(session, body, [change], asked.timeout, {change.stage: done})
    else:
        name = body["metadata"]["name"]
        session.screen.tell(
            Text(f"Asked for. To see it happen: {session.hint(f'status {name} --watch')}")
        )
    if session.where.document:
        session.print_objects([body], single=True)
