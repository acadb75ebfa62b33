"""`promote` and `rollback`: say what will change, ask for it by one merge patch, follow it to the end."""

from dataclasses import dataclass

from rich.text import Text

from modelyard.api.registered_model import RegisteredModel, StageStatus
from modelyard.cli.commands.live import telling
from modelyard.cli.commands.session import Session, now, opened
from modelyard.cli.options import Where
from modelyard.cli.views.history import before, change
from modelyard.cli.views.models import under_way
from modelyard.cli.views.text import bar
from modelyard.client.errors import Failed, NotFound, TimedOut
from modelyard.client.kube import Manifest
from modelyard.kube.names import REASON_ANNOTATION

__all__ = ["Asked", "outcome", "promote", "rollback"]


@dataclass(frozen=True)
class Asked:
    """How a change of a stage is asked for."""

    reason: str = ""
    wait: bool = True
    timeout: float = 900
    dry_run: bool = False


def promote(where: Where, name: str, version: str, stage: str, asked: Asked) -> None:
    """Give a stage to a version."""
    session = opened(where)
    model = session.model(name)
    _change(session, model, session.stage_of(model, stage), version, asked)


def rollback(where: Where, name: str, stage: str, version: str | None, asked: Asked) -> None:
    """Give a stage back: to the version that is named, to the one that still holds it while another comes up, or to the one before."""
    session = opened(where)
    model = session.model(name)
    session.stage_of(model, stage)
    if version is None:
        held = (model.status.stages.get(stage) or StageStatus()).version
        turning = held is not None and held != model.spec.stages[stage].version
        version = held if turning else before(model, stage)
        if version is None:
            raise NotFound(f"{stage} of {model.key} has held no other version before; name one with --to.", name=stage)
        why = "it still holds the stage" if turning else "it held the stage before"
        session.screen.tell(Text(f"Back to {version}: {why}."))
    _change(session, model, stage, version, asked)


def _change(session: Session, model: RegisteredModel, stage: str, version: str, asked: Asked) -> None:
    """Show, patch, follow."""
    known = [each.name for each in model.status.versions] + list(model.spec.versions)
    if version not in known:
        raise NotFound(f"{model.key} has no version {version}. It has: {', '.join(dict.fromkeys(known)) or 'none yet'}.", name=version)
    if model.spec.stages[stage].version == version:
        session.screen.tell(Text(f"{model.key}  {stage}: the spec asks for {version} already; nothing is written."))
        body = session.kube.get("RegisteredModel", model.metadata.name)
    else:
        session.screen.tell(change(model, stage, version, now()))
        body = session.kube.patch(
            "RegisteredModel", model.metadata.name, _patch(model, stage, version, asked.reason), dry_run=asked.dry_run
        )
    if asked.dry_run:
        session.screen.tell(Text("The API server would take it; nothing was changed."))
    elif asked.wait:
        body = _followed(session, body, stage, version, asked.timeout)
    else:
        session.screen.tell(Text(f"Asked for. To see it happen: {session.hint(f'status {model.metadata.name} --watch')}"))
    if session.where.document:
        session.print_objects([body], single=True)


def _patch(model: RegisteredModel, stage: str, version: str, reason: str) -> Manifest:
    """Return the merge patch. The reason of an earlier change does not stand beside this one."""
    patch: Manifest = {"spec": {"stages": {stage: {"version": version}}}}
    said = REASON_ANNOTATION + stage
    if reason or said in model.metadata.annotations:
        patch["metadata"] = {"annotations": {said: f"{version}: {reason}" if reason else None}}
    return patch


def outcome(model: RegisteredModel, stage: str, version: str, generation: int) -> bool | Failed | None:
    """Say how a change of a stage stands. Pure.

    Args:
        model: The model as it is now.
        stage: The stage.
        version: The version that was asked for.
        generation: The generation of the spec that asks for it.

    Returns:
        True: it is through. Failed: it will not be, and why. None: it goes on.

    """
    wanted = model.spec.stages[stage].version if stage in model.spec.stages else None
    status = model.status.stages.get(stage) or StageStatus()
    subject = f"{model.key}, {stage}"
    if wanted != version:
        return Failed(subject, "Superseded", f"somebody has asked for {wanted or 'an empty stage'} meanwhile")
    if model.status.observed_generation < generation:
        return None
    if status.refused and status.desired == version:
        return Failed(subject, _reason(model), status.refused)
    if status.version == version:
        settled = status.ready_replicas >= status.desired_replicas and _followed_by_mlflow(model)
        return True if settled else _stalled(model, stage, subject)
    return _stalled(model, stage, subject)


def _followed_by_mlflow(model: RegisteredModel) -> bool:
    """MLflow agrees, or somebody moved something there and `drift: Warn` leaves it."""
    synced = model.status.condition("Synced")
    return synced is not None and (synced.status == "True" or synced.reason == "Drifted")


def _stalled(model: RegisteredModel, stage: str, subject: str) -> Failed | None:
    """What holds the model up counts, unless it is another stage's: a stage's trouble begins with its name."""
    found = model.status.condition("Stalled")
    others = [f"{name}: " for name in {*model.spec.stages, *model.status.stages} if name != stage]
    if found is None or found.status != "True" or found.message.startswith(tuple(others)):
        return None
    return Failed(subject, found.reason, found.message)


def _reason(model: RegisteredModel) -> str:
    found = model.status.condition("Stalled")
    return found.reason if found and found.status == "True" else "Refused"


def _followed(session: Session, written: Manifest, stage: str, version: str, seconds: float) -> Manifest:
    """Follow a change to its end."""
    name, generation = written["metadata"]["name"], written["metadata"].get("generation", 1)
    back = session.hint(f"status {name} --watch")
    with telling(session.screen, f"\nIt goes on in the cluster. To come back to it: {back}") as teller:
        for body in session.kube.states("RegisteredModel", name, seconds=seconds):
            if body is None:
                raise NotFound(f"The model {name} was deleted meanwhile.", kind="RegisteredModel", name=name)
            model = RegisteredModel.parse(body)
            found = outcome(model, stage, version, generation)
            if isinstance(found, Failed):
                raise found
            if found:
                teller.line(Text(f"{stage} holds {version}.", style="green"))
                return body
            teller.now(*_standing(model, stage, version))
    raise TimedOut(f"{stage} of {name} does not hold {version} after {seconds:.0f} s; it may still come. To see: {back}", seconds)


def _standing(model: RegisteredModel, stage: str, version: str) -> tuple[Text, str]:
    """Return where it stands, for a screen and for a log: in the operator's words, which say more, once it has any for this change."""
    percent, words = under_way(model, stage) or (90, f"{version} serves, the rest follows")
    found = model.status.condition("Ready")
    if found and found.status != "True" and found.message and model.status.observed_generation >= model.metadata.generation:
        own = found.message.removeprefix(f"{stage}: ")
        words = own if own != found.message else f"{words}  {found.message}"
    plain = words if words.endswith(".") else f"{words}."
    return Text.assemble(f"{stage}  ", bar(percent, 20, "yellow"), f" {words}"), f"{stage}: {plain}"
