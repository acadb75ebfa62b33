"""`promote`, `rollback` and `retry`: say what will change, ask for it by one merge patch, follow
it to the end.
"""

from dataclasses import dataclass, replace

from rich.text import Text

from modelyard.api.registered_model import RegisteredModel, StageStatus
from modelyard.cli.commands.changing import followed
from modelyard.cli.commands.session import Session, now, opened
from modelyard.cli.options import Where
from modelyard.cli.views.history import before
from modelyard.cli.views.history import change as drawn
from modelyard.client import newest, oneself, overriding, retrying, returning
from modelyard.client.errors import NotFound
from modelyard.client.kube import Manifest
from modelyard.client.progress import asked_for

__all__ = ["Asked", "promote", "reasoned", "retry", "rollback"]


@dataclass(frozen=True)
class Asked:
    """How a change of a stage is asked for.

    Attributes:
        reason: Why, for the history.
        wait: Whether it is followed.
        timeout: Seconds; None: as long as it takes by itself, and what waits for others ends it.
        dry_run: Whether nothing is changed.

    """

    reason: str = ""
    wait: bool = True
    timeout: float | None = None
    dry_run: bool = False


def promote(where: Where, name: str, version: str, stage: str, asked: Asked) -> None:
    """Give a stage to a version."""
    session = opened(where)
    model = session.model(name)
    _change(session, model, session.stage_of(model, stage), version, asked)


def rollback(where: Where, name: str, stage: str, version: str | None, asked: Asked) -> None:
    """Give a stage back: to the version that is named, to the effective one while another is
    being promoted, or to the one before.
    """
    session = opened(where)
    model = session.model(name)
    session.stage_of(model, stage)
    if version is None:
        held = (model.status.stages.get(stage) or StageStatus()).version
        is_changing = held is not None and held != asked_for(model, stage).version
        version = held if is_changing else before(model, stage)
        if version is None:
            raise NotFound(
                f"{stage} of {model.key} has held no other version before; name one with --to.",
                name=stage,
            )
        why = "it still holds the stage" if is_changing else "it held the stage before"
        session.screen.tell(Text(f"Back to {version}: {why}."))
    if (how := returning.said(model, stage, version, now())) is not None:
        session.screen.tell(Text(how))
    _change(session, model, stage, version, asked)


def retry(where: Where, name: str, stage: str, asked: Asked) -> None:
    """Try the version again that a stage has rejected."""
    session = opened(where)
    model = session.model(name)
    rejected = retrying.rejection(model, session.stage_of(model, stage))
    session.screen.tell(
        Text(
            f"{model.key}  {stage}: {rejected.version} again, rejected as {rejected.reason}:"
            f" {rejected.message}"
        )
    )
    session.screen.tell(drawn(model, stage, rejected.version, now()))
    body = session.kube.patch(
        "RegisteredModel", model.metadata.name, retrying.patch(model, stage), dry_run=asked.dry_run
    )
    _ended(session, body, stage, rejected.version, asked)


def _change(
    session: Session, model: RegisteredModel, stage: str, version: str, asked: Asked
) -> None:
    """Show, patch, follow."""
    known = [each.name for each in model.status.older_versions]
    known += [*(each.name for each in model.status.versions), *model.spec.versions]
    if version not in known:
        raise NotFound(
            f"{model.key} has no version {version}. It has:"
            f" {', '.join(dict.fromkeys(known)) or 'none yet'}.",
            name=version,
        )
    wanted: Manifest = {"version": version}
    if model.spec.stages[stage].version == version:
        wanted = overriding.back(
            model, stage
        )  # an override that has ended: its version stays until a person decides
    else:
        wanted |= newest.stopped(model, stage) | oneself.requester(session.kube, model, stage)
    if newest.is_automatic(model, stage):
        session.screen.tell(Text(f"{stage} takes the newest version by itself no longer."))
    if wanted:
        session.screen.tell(drawn(model, stage, version, now()))
        patch = reasoned({"spec": {"stages": {stage: wanted}}}, model, stage, asked.reason)
        body = session.kube.patch(
            "RegisteredModel", model.metadata.name, patch, dry_run=asked.dry_run
        )
    else:
        session.screen.tell(
            Text(f"{model.key}  {stage}: the spec asks for {version} already; nothing is written.")
        )
        body = session.kube.get("RegisteredModel", model.metadata.name)
    _ended(session, body, stage, version, asked)


def _ended(session: Session, body: Manifest, stage: str, version: str, asked: Asked) -> None:
    """Follow what was asked for, if it is followed, and print the object for programs."""
    if asked.dry_run:
        session.screen.tell(
            Text(
                "The API server would take it; nothing was changed. Freezes of the whole cluster"
                " are not seen here: --plan tells."
            )
        )
    elif asked.wait:
        # What was written, though an override may decide: then that is what is to be said of it.
        change = replace(asked_for(RegisteredModel.parse(body), stage), version=version)
        body = followed(
            session, body, [change], asked.timeout, {stage: f"{stage} holds {version}."}
        )
    else:
        name = body["metadata"]["name"]
        session.screen.tell(
            Text(f"Asked for. To see it happen: {session.hint(f'status {name} --watch')}")
        )
    if session.where.document:
        session.print_objects([body], single=True)


def reasoned(patch: Manifest, model: RegisteredModel, stage: str, reason: str) -> Manifest:
    """Return a merge patch of a stage with the reason. That of an earlier change does not stand
    beside this one.
    """
    if reason or model.spec.stages[stage].reason:
        patch["spec"]["stages"][stage]["reason"] = reason or None
    return patch
