"""The conditions of a RegisteredModel, derived from the blockers of its stages. Pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from modelyard.api.base import Condition, condition, parse_duration
from modelyard.api.blocker import Blocker, blocked
from modelyard.api.conditions import progressing, ready
from modelyard.api.conditions import trouble as error_conditions
from modelyard.api.registered_model import (
    HistoryEntry,
    RegisteredModel,
    RegisteredModelStatus,
    Reverify,
    StageStatus,
    StepState,
    Verdict,
    Verification,
)
from modelyard.api.registered_model import ModelReason as Reason
from modelyard.errors import ModelyardError
from modelyard.plan import Event
from modelyard.registered_model.gates.judging import REVERIFIED, reverified
from modelyard.registered_model.promotion import ALWAYS
from modelyard.registered_model.verification import failure, success

__all__ = [
    "changed",
    "dependency_down",
    "following",
    "news",
    "of_stages",
    "registering",
    "synced",
    "unknown",
    "with_record",
    "with_verified",
]

_ANSWERS = timedelta(hours=1)
"""Minimum time that a verification may take before the last verdict counts as too old."""


def of_stages(model: RegisteredModel, stages: Mapping[str, StageStatus]) -> tuple[Condition, ...]:
    """Return Ready, Reconciling and Stalled. What needs action comes before what is in progress."""
    blockers = [
        _of_stage(name, stage.blocked)
        for name, stage in stages.items()
        if stage.blocked is not None
    ]
    if urgent := next((blocker for blocker in blockers if blocker.needs_action), None):
        return blocked(urgent)
    if blockers:
        message = " ".join(blocker.message for blocker in blockers)
        return blocked(blockers[0].model_copy(update={"message": message}))
    held = {name: stage for name, stage in stages.items() if stage.version}
    if not held:
        return ready(
            Reason.REGISTERED, f"{model.metadata.name} is registered; no stage has a version."
        )
    message_text = ", ".join(
        f"{name}: {stage.version}{_pods(stage)}{_overridden(stage)}{_watched(stage)}"
        for name, stage in held.items()
    )
    if idle := [name for name, stage in held.items() if not stage.desired_replicas]:
        message = f"{message_text}. No pod answers for {' and '.join(idle)}: serving.replicas is 0."
        return ready(Reason.SCALED_TO_ZERO, message)
    return ready(Reason.SERVING, f"{message_text}.")


def news(before: Mapping[str, StageStatus], after: Mapping[str, StageStatus]) -> tuple[Event, ...]:
    """Return an Event per stage that starts to wait, whose gate failed, or whose override ends.

    Each stage gets its own Event, because the conditions report only one stage, or all stages in
    one message. If the Event has the same message as a condition's, it is emitted only once.
    """
    events = []
    for name, stage in after.items():
        blocker, earlier = stage.blocked, before.get(name, StageStatus()).blocked
        if (ending := _ends_soon(name, before.get(name, StageStatus()), stage)) is not None:
            events.append(ending)
        if blocker is None or (earlier is not None and earlier.reason == blocker.reason):
            continue
        if blocker.reason not in {
            Reason.GATE_FAILED,
            Reason.OVERRIDE_ENDED,
            Reason.PLANNED,
        } and not _waits(stage):
            continue
        events.append(Event(blocker.reason, _of_stage(name, blocker).message, blocker.needs_action))
    return tuple(events)


def _ends_soon(name: str, before: StageStatus, after: StageStatus) -> Event | None:
    """Return the Event about an override that ends soon; None: not so, or already reported."""
    override = after.override
    if (
        override is None
        or not override.ends_soon
        or (before.override is not None and before.override.ends_soon)
    ):
        return None
    message = (
        f"{name}: the override ends at {override.until_time:%Y-%m-%d %H:%M:%S} UTC."
        f" {after.version or 'Nothing'} keeps serving then, until you decide: make it the"
        f" version (spec.stages.{name}.version), go back by raising attempt, or set the override"
        " again."
    )
    return Event("OverrideEndsSoon", message, warning=True)


def _waits(stage: StageStatus) -> bool:
    """Tell whether a stage waits at one of the optional steps."""
    step = next((each for each in stage.steps if each.state is not StepState.DONE), None)
    return step is not None and step.state is StepState.WAITING and step.name not in ALWAYS


def _of_stage(name: str, blocker: Blocker) -> Blocker:
    return blocker.model_copy(update={"message": f"{name}: {blocker.message}"})


def _pods(stage: StageStatus) -> str:
    return "" if stage.desired_replicas else " without pods"


def _overridden(stage: StageStatus) -> str:
    if stage.override is None or stage.override.version != stage.version:
        return ""
    return f" by an override until {stage.override.until_time:%Y-%m-%d %H:%M} UTC"


def _watched(stage: StageStatus) -> str:
    return (
        f" (watched until {stage.watch.until_time:%Y-%m-%d %H:%M} UTC)"
        if stage.watch is not None
        else ""
    )


def with_verified(
    model: RegisteredModel, status: RegisteredModelStatus, now: datetime
) -> RegisteredModelStatus:
    """Return a status with the condition Verified, derived from its stages."""
    found = _verified(model, status.stages, now)
    if found is None and status.condition("Verified") is None:
        return status
    reported = (
        *(each for each in status.conditions if each.type != "Verified"),
        *([found] if found is not None else []),
    )
    return status.model_copy(update={"conditions": reported})


def _verified(
    model: RegisteredModel, stages: Mapping[str, StageStatus], now: datetime
) -> Condition | None:
    """Return the condition Verified; None if no stage has `reverify`.

    False: one stage failed. True: all stages with `reverify` passed, and recently enough.
    """
    reverifying = [name for name, stage in model.spec.stages.items() if stage.reverify is not None]
    if not reverifying:
        return None
    held = {
        name: stages[name]
        for name in sorted(reverifying)
        if name in stages and stages[name].version is not None
    }
    words = {name: stage.verification or Verification() for name, stage in held.items()}
    if failed := [name for name, word in words.items() if word.verdict is Verdict.FAIL]:
        text = ". ".join(
            f"{failure(name, held[name], model.metadata.name)}{_open(words[name])}"
            for name in failed
        )
        return condition("Verified", False, Reason.VERIFICATION_FAILED, text)
    if idle := [
        name for name in sorted(reverifying) if not reverified(model.spec.stages[name].gates)
    ]:
        message = (
            f"reverify of {' and '.join(idle)} asks nothing: add a gate {REVERIFIED}, or remove"
            " reverify."
        )
        return condition("Verified", None, Reason.NOTHING_TO_VERIFY, message)
    text = ". ".join(f"{success(name, held[name])}{_open(word)}" for name, word in words.items())
    late = any(
        _is_late(model.spec.stages[name].reverify, word, now) for name, word in words.items()
    )
    if late or not words or any(word.verdict is None for word in words.values()):
        return condition(
            "Verified", None, Reason.NOT_VERIFIED_YET, text or "No version is effective."
        )
    return condition("Verified", True, Reason.VERIFIED, text)


def _is_late(reverify: Reverify | None, word: Verification, now: datetime) -> bool:
    """Tell whether an open verification has taken so long that the last verdict is too old."""
    if reverify is None or word.start_time is None or not word.is_open:
        return False
    return now - word.start_time > max(
        parse_duration(reverify.every) if reverify.every is not None else _ANSWERS, _ANSWERS
    )


def _open(word: Verification) -> str:
    if word.waiting is None or word.start_time is None:
        return ""
    return f". It is asked since {word.start_time:%Y-%m-%d %H:%M} UTC: {word.waiting}"


def dependency_down(
    model: RegisteredModel, stages: Mapping[str, StageStatus], error: ModelyardError
) -> tuple[Condition, ...]:
    """Return the conditions while MLflow or S3 is unreachable. Ready stays if the stages serve."""
    waiting = {stage.blocked.reason for stage in stages.values() if stage.blocked is not None}
    if not model.status.versions or waiting & {
        Reason.VERSION_UNKNOWN,
        Reason.WAITING_FOR_VERSION,
        Reason.PROMOTING,
        Reason.REGISTERING,
    }:
        return (*error_conditions(error), unknown(error))
    return (*of_stages(model, stages), unknown(error))


def with_record(
    reported: tuple[Condition, ...], record: tuple[Condition, ...]
) -> tuple[Condition, ...]:
    """Return conditions, with the problem of the record added if it has one.

    Synced always reports it. Stalled and Ready report it if it needs action and no stage does.
    """
    urgent = any(each.type == "Stalled" and each.status == "True" for each in reported)
    news = [each for each in record if each.type == "Synced" or not urgent]
    return (*(each for each in reported if each.type not in {one.type for one in news}), *news)


def registering() -> tuple[Condition, ...]:
    """Return the conditions while MLflow is brought up to date."""
    return progressing(Reason.REGISTERING, "MLflow is being brought up to date.")


def changed(entries: tuple[HistoryEntry, ...]) -> tuple[Condition, ...]:
    """Return the conditions right after stages have switched."""
    text = " ".join(
        f"{each.stage}: {each.to or 'nothing'} is effective instead of {each.from_ or 'nothing'}."
        for each in entries
    )
    return progressing(Reason.PROMOTING, text)


def synced(message: str = "") -> Condition:
    """Return Synced: True, or False with a message about the drift."""
    if message:
        return condition("Synced", False, Reason.DRIFTED, message)
    return condition("Synced", True, Reason.SYNCED, "MLflow agrees with the status.")


def following(reason: Reason = Reason.REGISTERING) -> Condition:
    """Return Synced while MLflow is brought up to date."""
    return condition("Synced", False, reason, "MLflow is being brought up to date.")


def unknown(error: ModelyardError) -> Condition:
    """Return Synced while MLflow cannot be read."""
    ready_condition = next(each for each in error_conditions(error) if each.type == "Ready")
    return condition("Synced", None, ready_condition.reason, ready_condition.message)
