"""`override`: break-glass, set by one merge patch and followed to the end, or taken off."""

from dataclasses import dataclass

from rich.text import Text

from modelyard.api.registered_model import RegisteredModel
from modelyard.cli.commands.changing import followed
from modelyard.cli.commands.session import now, opened
from modelyard.cli.options import Where
from modelyard.cli.views import overrides as views
from modelyard.client import overriding
from modelyard.client.progress import Change

__all__ = ["Asked", "end", "override"]


@dataclass(frozen=True)
class Asked:
    """How an override is asked for, in the words of the user.

    Attributes:
        reason: Why.
        until: When it ends; empty: by `for_`.
        for_: How long it is in force; empty: by `until`, or an hour.
        wait: Whether it is followed.
        timeout: Seconds that it is followed at most.
        dry_run: Whether nothing is changed.

    """

    reason: str
    until: str = ""
    for_: str = ""
    wait: bool = True
    timeout: float = 900
    dry_run: bool = False


def override(where: Where, name: str, version: str, stage: str, asked: Asked) -> None:
    """Put a version into a stage at once."""
    wanted = overriding.asked(version, asked.reason, overriding.moment(asked.until, asked.for_))
    session = opened(where)
    model = session.model(name)
    overriding.check(model, session.stage_of(model, stage), wanted)
    session.screen.tell(views.wanted(model, stage, wanted, now()))
    body = session.kube.patch(
        "RegisteredModel", name, overriding.patch(stage, wanted), dry_run=asked.dry_run
    )
    if asked.dry_run:
        session.screen.tell(Text("The API server would take it; nothing was changed."))
    elif asked.wait:
        change = Change(stage, version, RegisteredModel.parse(body).metadata.generation)
        said = f"{stage} holds {version}, by an override until {wanted.until:%Y-%m-%d %H:%M} UTC."
        body = followed(session, body, [change], asked.timeout, {stage: said})
        session.screen.tell(
            Text(f"To take it off: {session.hint(f'override {name} --stage {stage} --end')}")
        )
    else:
        session.screen.tell(
            Text(f"Asked for. To see it happen: {session.hint(f'status {name} --watch')}")
        )
    if session.where.document:
        session.print_objects([body], single=True)


def end(where: Where, name: str, stage: str, *, dry_run: bool) -> None:
    """Take the override off, and say what serves and how to go on: nothing switches by itself."""
    session = opened(where)
    model = session.model(name)
    overriding.ends(model, session.stage_of(model, stage))
    body = session.kube.patch("RegisteredModel", name, overriding.end_patch(stage), dry_run=dry_run)
    if dry_run:
        session.screen.tell(Text("The API server would take it; nothing was changed."))
    else:
        session.screen.tell(views.ended(model, stage, session.hint))
    if session.where.document:
        session.print_objects([body], single=True)
