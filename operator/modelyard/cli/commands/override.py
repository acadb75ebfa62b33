"""`override`: set a break-glass override and follow it, or end it."""

from dataclasses import dataclass

from rich.text import Text

from modelyard.api.registered_model import RegisteredModel
from modelyard.cli.commands.changing import followed
from modelyard.cli.commands.session import DRY_RUN, now, opened
from modelyard.cli.options import Where
from modelyard.cli.views import overrides as views
from modelyard.client import overriding
from modelyard.client.progress import Change

__all__ = ["OverrideOptions", "end", "override"]


@dataclass(frozen=True)
class OverrideOptions:
    """The options of `override`.

    Attributes:
        reason: Why.
        until: When it ends; empty if `for_` is given.
        for_: How long it is in force; empty if `until` is given, or for 1 h.
        wait: Whether to follow it.
        timeout: How many seconds to follow it at most.
        dry_run: Whether to change nothing.

    """

    reason: str
    until: str = ""
    for_: str = ""
    wait: bool = True
    timeout: float = 900
    dry_run: bool = False


def override(where: Where, name: str, version: str, stage: str, options: OverrideOptions) -> None:
    """Put a version into a stage immediately."""
    wanted = overriding.override_request(
        version, options.reason, overriding.moment(options.until, options.for_)
    )
    session = opened(where)
    model = session.model(name)
    overriding.check(model, session.stage_of(model, stage), wanted)
    session.screen.message(views.wanted(model, stage, wanted, now()))
    body = session.kube.patch(
        "RegisteredModel", name, overriding.patch(stage, wanted), dry_run=options.dry_run
    )
    if options.dry_run:
        session.screen.message(Text(DRY_RUN))
    elif options.wait:
        change = Change(stage, version, RegisteredModel.parse(body).metadata.generation)
        done = f"{stage} holds {version}, by an override until {wanted.until:%Y-%m-%d %H:%M} UTC."
        body = followed(session, body, [change], options.timeout, {stage: done})
        session.screen.message(
            Text(f"To end it: {session.hint(f'override {name} --stage {stage} --end')}")
        )
    else:
        session.screen.message(session.requested(name))
    if session.where.document:
        session.print_objects([body], single=True)


def end(where: Where, name: str, stage: str, *, dry_run: bool) -> None:
    """End the override, and print what is serving: nothing switches automatically."""
    session = opened(where)
    model = session.model(name)
    overriding.ends(model, session.stage_of(model, stage))
    body = session.kube.patch("RegisteredModel", name, overriding.end_patch(stage), dry_run=dry_run)
    if dry_run:
        session.screen.message(Text(DRY_RUN))
    else:
        session.screen.message(views.ended(model, stage, session.hint))
    if session.where.document:
        session.print_objects([body], single=True)
