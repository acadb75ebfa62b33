"""Overriding a stage: what is asked for, what certainly comes to nothing, and the patches. Pure,
but for the clock of `asked`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from modelyard.api.base import parse_duration
from modelyard.api.registered_model import (
    OVERRIDE_LASTS,
    ModelReason,
    RegisteredModel,
    Stage,
    StageStatus,
)
from modelyard.client.errors import NotFound, Refused
from modelyard.client.text import lasted

__all__ = [
    "USUAL",
    "Asked",
    "asked",
    "back",
    "check",
    "end_patch",
    "ends",
    "moment",
    "patch",
    "standing",
]

USUAL = timedelta(hours=1)
"""How long an override is in force if nobody says."""
_SLACK = timedelta(minutes=1)
"""A day from now is a day, though the API server's clock is another."""


@dataclass(frozen=True)
class Asked:
    """An override that is asked for.

    Attributes:
        version: The version.
        reason: Why.
        until: When it ends, in UTC.

    """

    version: str
    reason: str
    until: datetime


def asked(
    version: str, reason: str, until: datetime | timedelta, now: datetime | None = None
) -> Asked:
    """Return what is asked for.

    Raises:
        ValueError: There is no reason; or the end is past, more than a day away, or without a time
            zone.

    """
    if not reason.strip():
        raise ValueError(
            "an override needs a reason, such as incident 4711: it stands in the history"
        )
    now = now or datetime.now(UTC)
    if isinstance(until, timedelta):
        until = now + until
    if until.tzinfo is None:
        raise ValueError(
            f"{until.isoformat()} has no time zone: write it with one, such as {until.isoformat()}Z"
        )
    if until <= now:
        raise ValueError(f"the override would end at {until:%Y-%m-%d %H:%M:%S %Z}, which is past")
    if until > now + OVERRIDE_LASTS + _SLACK:
        raise ValueError("an override is in force for a day at most: write an earlier end")
    return Asked(version, reason, until.astimezone(UTC).replace(microsecond=0))


def moment(until: str, for_: str) -> datetime | timedelta:
    """Read when an override ends from words: a moment, or how long it is in force; an hour if there
    are neither.

    Raises:
        ValueError: It is neither, or both are there.

    """
    if until and for_:
        raise ValueError("write when it ends or how long it is in force, not both")
    if for_:
        return parse_duration(for_)
    if not until:
        return USUAL
    try:
        return datetime.fromisoformat(until)
    except ValueError as error:
        raise ValueError(
            f"{until!r} is no moment: write one such as 2030-12-01T18:00:00Z"
        ) from error


def check(model: RegisteredModel, stage: str, wanted: Asked) -> None:
    """See that an override can come to something.

    Raises:
        NotFound: There is no such stage or version.
        Refused: The version is not registered, or its override has been in force for a day.

    """
    _stage(model, stage)
    version = next((each for each in model.status.versions if each.name == wanted.version), None)
    if version is None:
        known = ", ".join(each.name for each in model.status.versions) or "none yet"
        raise NotFound(
            f"{model.key} has no version {wanted.version}. It has: {known}.", name=wanted.version
        )
    if version.mlflow_version is None:
        raise Refused(
            f"{wanted.version} of {model.key} is not registered yet: an override takes registered"
            " versions only."
        )
    before = (model.status.stages.get(stage) or StageStatus()).override
    if before is None or before.version != wanted.version or wanted.until <= before.until_time:
        return
    if (
        before.until_time == before.since_time + OVERRIDE_LASTS
    ):  # a later end would be cut there: the same override
        since = f"{before.since_time:%Y-%m-%d %H:%M} UTC"
        words = (
            f"The override of {stage} by {wanted.version} was first seen at {since}, and a day is"
            " the longest."
        )
        raise Refused(f"{words} Make {wanted.version} the version, or go back.")


def ends(model: RegisteredModel, stage: str) -> None:
    """See that a stage has an override.

    Raises:
        NotFound: There is no such stage, or it has none.

    """
    if _stage(model, stage).override is None:
        raise NotFound(f"{stage} of {model.key} has no override.", name=stage)


def patch(stage: str, wanted: Asked) -> dict[str, Any]:
    """Return the merge patch that sets an override."""
    override = {
        "version": wanted.version,
        "reason": wanted.reason,
        "until": wanted.until.isoformat().replace("+00:00", "Z"),
    }
    return {"spec": {"stages": {stage: {"override": override}}}}


def end_patch(stage: str) -> dict[str, Any]:
    """Return the merge patch that takes an override off."""
    return {"spec": {"stages": {stage: {"override": None}}}}


def back(model: RegisteredModel, stage: str) -> dict[str, Any]:
    """Return what a stage's spec becomes to go back to its own version: `attempt`, raised above
    that of its override.

    It is empty where no override, ended or removed, keeps the stage from it.
    """
    spec, status = model.spec.stages.get(stage), model.status.stages.get(stage)
    if (
        spec is None
        or status is None
        or status.override is None
        or status.version in {None, spec.version}
    ):
        return {}
    has_ended = spec.override is None or (
        status.blocked is not None and status.blocked.reason == ModelReason.OVERRIDE_ENDED
    )
    if (
        not has_ended or status.desired != status.version or spec.attempt > status.override.attempt
    ):  # in force, or on its way back
        return {}
    return {"attempt": max(spec.attempt, status.attempt, status.override.attempt) + 1}


def standing(model: RegisteredModel, stage: str, now: datetime) -> str | None:
    """Say which override has a stage, until when and why; None: none is in force."""
    status, spec = model.status.stages.get(stage), model.spec.stages.get(stage)
    known = status.override if status is not None else None
    if (
        known is None
        or spec is None
        or spec.override is None
        or known.digest is None
        or known.until_time <= now
    ):
        return None
    return (
        f"{known.version} until {known.until_time:%Y-%m-%d %H:%M} UTC,"
        f" {lasted(known.until_time - now)} left: {spec.override.reason}"
    )


def _stage(model: RegisteredModel, name: str) -> Stage:
    stage = model.spec.stages.get(name)
    if stage is None:
        raise NotFound(
            f"{model.key} has no stage {name}. Its stages:"
            f" {', '.join(model.spec.stages) or 'none'}.",
            name=name,
        )
    return stage
