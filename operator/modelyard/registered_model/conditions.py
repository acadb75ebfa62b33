"""The conditions of a RegisteredModel: one ladder from what blocks its stages and versions. Pure."""

from collections.abc import Mapping

from modelyard.api.base import Condition, condition
from modelyard.api.blocker import Blocker, blocked
from modelyard.api.conditions import progressing, ready
from modelyard.api.conditions import trouble as error_conditions
from modelyard.api.registered_model import HistoryEntry, RegisteredModel, StageStatus
from modelyard.api.registered_model import ModelReason as Reason
from modelyard.errors import ModelyardError
from modelyard.plan import Event

__all__ = ["awaited", "changed", "dependency_down", "following", "registering", "standing", "synced", "unknown"]


def standing(model: RegisteredModel, stages: Mapping[str, StageStatus]) -> tuple[Condition, ...]:
    """Return Ready, Reconciling and Stalled. What needs action comes first, then what is under way."""
    blockers = [_of_stage(name, stage.blocked) for name, stage in stages.items() if stage.blocked is not None]
    if urgent := next((blocker for blocker in blockers if blocker.needs_action), None):
        return blocked(urgent)
    if blockers:
        message = " ".join(blocker.message for blocker in blockers)
        return blocked(blockers[0].model_copy(update={"message": message}))
    held = {name: stage for name, stage in stages.items() if stage.version}
    if not held:
        return ready(Reason.REGISTERED, f"{model.metadata.name} is registered; no stage has a version.")
    said = ", ".join(f"{name}: {stage.version}{'' if stage.desired_replicas else ' without pods'}" for name, stage in held.items())
    if idle := [name for name, stage in held.items() if not stage.desired_replicas]:
        message = f"{said}. Nobody answers for {' and '.join(idle)}: serving.replicas is 0."
        return ready(Reason.SCALED_TO_ZERO, message)
    return ready(Reason.SERVING, f"{said}.")


def awaited(model: RegisteredModel, stages: Mapping[str, StageStatus], said: tuple[Condition, ...]) -> tuple[Event, ...]:
    """Return an Event for each stage that begins to wait for people; none where the transition of Ready tells of it already."""
    before, ready_ = model.status.condition("Ready"), next(each for each in said if each.type == "Ready")
    if ready_.reason == Reason.APPROVAL_WANTED and (before is None or before.reason != ready_.reason):
        return ()
    return tuple(
        Event(Reason.APPROVAL_WANTED, _of_stage(name, stage.blocked).message)
        for name, stage in stages.items()
        if stage.blocked is not None and _is_awaited(stage) and not _is_awaited(model.status.stages.get(name), stage.desired)
    )


def _is_awaited(stage: StageStatus | None, desired: str | None = None) -> bool:
    waits = stage is not None and stage.blocked is not None and stage.blocked.reason == Reason.APPROVAL_WANTED
    return waits and (desired is None or (stage is not None and stage.desired == desired))


def _of_stage(name: str, blocker: Blocker) -> Blocker:
    return blocker.model_copy(update={"message": f"{name}: {blocker.message}"})


def dependency_down(model: RegisteredModel, stages: Mapping[str, StageStatus], error: ModelyardError) -> tuple[Condition, ...]:
    """Return the conditions while MLflow or S3 is away: what serves is Ready as long as it serves."""
    waiting = {stage.blocked.reason for stage in stages.values() if stage.blocked is not None}
    if not model.status.versions or waiting & {Reason.VERSION_UNKNOWN, Reason.WAITING_FOR_VERSION, Reason.PROMOTING, Reason.REGISTERING}:
        return (*error_conditions(error), unknown(error))
    return (*standing(model, stages), unknown(error))


def registering() -> tuple[Condition, ...]:
    """Return the conditions while MLflow is brought up to date."""
    return progressing(Reason.REGISTERING, "MLflow is being brought up to date.")


def changed(entries: tuple[HistoryEntry, ...]) -> tuple[Condition, ...]:
    """Return the conditions when stages have just changed."""
    said = " ".join(f"{each.stage}: {each.to or 'nothing'} is effective instead of {each.from_ or 'nothing'}." for each in entries)
    return progressing(Reason.PROMOTING, said)


def synced(message: str = "") -> Condition:
    """Return Synced as True, or as False with what drifted."""
    if message:
        return condition("Synced", False, Reason.DRIFTED, message)
    return condition("Synced", True, Reason.SYNCED, "MLflow agrees with the status.")


def following(reason: Reason = Reason.REGISTERING) -> Condition:
    """Return Synced while MLflow is brought up to date."""
    return condition("Synced", False, reason, "MLflow is being brought up to date.")


def unknown(error: ModelyardError) -> Condition:
    """Return Synced while MLflow cannot be read."""
    said = next(each for each in error_conditions(error) if each.type == "Ready")
    return condition("Synced", None, said.reason, said.message)
