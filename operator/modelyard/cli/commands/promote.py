"""`promote`, `rollback` and `retry`: show the change, request it by one merge patch, follow it."""

from dataclasses import dataclass, replace

from rich.text import Text

from modelyard.api.registered_model import RegisteredModel, StageStatus
from modelyard.cli.commands.changing import followed
from modelyard.cli.commands.session import DRY_RUN, Session, now, opened
from modelyard.cli.options import Where
from modelyard.cli.views.history import before
from modelyard.cli.views.history import change as drawn
from modelyard.client import newest, overriding, retrying, rolling_back, rollouts, whoami
from modelyard.client.errors import NotFound
from modelyard.client.kube import Manifest
from modelyard.client.progress import asked_for

__all__ = ["MANUAL", "ChangeOptions", "promote", "reasoned", "retry", "rollback"]

MANUAL = "{} no longer takes the newest version automatically."


@dataclass(frozen=True)
class ChangeOptions:
    """The options of a change of a stage.

    Attributes:
        reason: Why, for the history.
        wait: Whether to follow it.
        timeout: Seconds to follow it; None: until it is done or waits for others.
        dry_run: Whether to change nothing.

    """

    reason: str = ""
    wait: bool = True
    timeout: float | None = None
    dry_run: bool = False


def promote(where: Where, name: str, version: str, stage: str, options: ChangeOptions) -> None:
    """Promote a version to a stage."""
    session = opened(where)
    model = session.model(name)
    _change(session, model, session.stage_of(model, stage), version, options)


def rollback(
    where: Where, name: str, stage: str, version: str | None, options: ChangeOptions
) -> None:
    """Set a stage back to the named version, the effective one, or the one before.

    Without a named version: to the effective one while another is being promoted, otherwise to the
    one before it.
    """
    session = opened(where)
    model = session.model(name)
    session.stage_of(model, stage)
    if version is None:
        effective = (model.status.stages.get(stage) or StageStatus()).version
        is_changing = effective is not None and effective != asked_for(model, stage).version
        version = effective if is_changing else before(model, stage)
        if version is None:
            raise NotFound(
                f"{stage} of {model.key} has had no other version; name one with --to.",
                name=stage,
            )
        why = _cancelled(model, stage) if is_changing else "it was in the stage before"
        session.screen.message(Text(f"Back to {version}: {why}."))
    if (how := rolling_back.description(model, stage, version, now())) is not None:
        session.screen.message(Text(how))
    _change(session, model, stage, version, options)


def _cancelled(model: RegisteredModel, stage: str) -> str:
    """Say that the effective version stays, and which candidate is given up at which step."""
    wanted, status = asked_for(model, stage).version, model.status.stages[stage]
    candidate = status.candidate.version if status.candidate is not None else wanted
    rollout = rollouts.rollout_state(model, stage)
    where = f" at {rollout.at}" if rollout is not None else ""
    given_up = f", and {candidate} is given up{where}" if candidate is not None else ""
    return f"it is still effective{given_up}"


def retry(where: Where, name: str, stage: str, options: ChangeOptions) -> None:
    """Try the rejected version of a stage again."""
    session = opened(where)
    model = session.model(name)
    rejected = retrying.rejection(model, session.stage_of(model, stage))
    session.screen.message(
        Text(
            f"{model.key}  {stage}: trying {rejected.version} again, which was rejected:"
            f" {rejected.reason}: {rejected.message}"
        )
    )
    session.screen.message(drawn(model, stage, rejected.version, now()))
    body = session.kube.patch(
        "RegisteredModel",
        model.metadata.name,
        retrying.patch(model, stage),
        dry_run=options.dry_run,
    )
    _ended(session, body, stage, rejected.version, options)


def _change(
    session: Session, model: RegisteredModel, stage: str, version: str, options: ChangeOptions
) -> None:
    """Show the change, patch the spec and follow the change."""
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
        # An override has ended, and its version stays until a person decides.
        wanted = overriding.back(model, stage)
    else:
        wanted |= newest.stopped(model, stage) | whoami.requester(session.kube, model, stage)
    if wanted:
        session.screen.message(drawn(model, stage, version, now()))
        patch = reasoned({"spec": {"stages": {stage: wanted}}}, model, stage, options.reason)
        body = session.kube.patch(
            "RegisteredModel", model.metadata.name, patch, dry_run=options.dry_run
        )
        if newest.is_automatic(model, stage):
            session.screen.message(Text(MANUAL.format(stage)))
    else:
        session.screen.message(
            Text(f"{model.key}  {stage}: the spec asks for {version} already; nothing was changed.")
        )
        body = session.kube.get("RegisteredModel", model.metadata.name)
    _ended(session, body, stage, version, options)


def _ended(
    session: Session, body: Manifest, stage: str, version: str, options: ChangeOptions
) -> None:
    """Follow the change unless --no-wait was given, and print the object for programs."""
    if options.dry_run:
        session.screen.message(
            Text(
                f"{DRY_RUN} Freezes of the whole cluster are not checked here; --plan checks them."
            )
        )
    elif options.wait:
        # Follow the requested version even while an override is in force; the result reports that.
        change = replace(asked_for(RegisteredModel.parse(body), stage), version=version)
        body = followed(
            session, body, [change], options.timeout, {stage: f"{stage} holds {version}."}
        )
    else:
        session.screen.message(session.requested(body["metadata"]["name"]))
    if session.where.document:
        session.print_objects([body], single=True)


def reasoned(patch: Manifest, model: RegisteredModel, stage: str, reason: str) -> Manifest:
    """Add the reason to a merge patch of a stage, and remove the reason of an earlier change."""
    if reason or model.spec.stages[stage].reason:
        patch["spec"]["stages"][stage]["reason"] = reason or None
    return patch
