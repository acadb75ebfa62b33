"""Overriding a stage: the checks and the patches. Pure, except that `override_request` reads the
clock.
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
    "OverrideRequest",
    "back",
    "check",
    "description",
    "end_patch",
    "ends",
    "moment",
    "override_request",
    "patch",
]

USUAL = timedelta(hours=1)
"""How long an override is in force by default."""
_SLACK = timedelta(minutes=1)
"""Tolerance for a clock that differs from the API server's."""


@dataclass(frozen=True)
class OverrideRequest:
    """An override that a user requests.

    Attributes:
        version: The version.
        reason: Why.
        until: When it ends, in UTC.

    """

    version: str
    reason: str
    until: datetime


def override_request(
    version: str, reason: str, until: datetime | timedelta, now: datetime | None = None
) -> OverrideRequest:
    """Check a user's request for an override, and return it.

    Args:
        version: The version.
        reason: Why.
        until: When it ends (with a time zone), or how long it is in force.
        now: The present time; absent: the clock's.

    Raises:
        ValueError: `reason` is empty; or `until` is past, more than a day away, or without a time
            zone.

    """
    if not reason.strip():
        raise ValueError("an override needs a reason for the history, such as incident 4711")
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
    return OverrideRequest(version, reason, until.astimezone(UTC).replace(microsecond=0))


def moment(until: str, for_: str) -> datetime | timedelta:
    """Parse when an override ends: a time or a duration; an hour if both are empty.

    Raises:
        ValueError: A text cannot be parsed, or both are given.

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
            f"{until!r} is not a time: write one such as 2030-12-01T18:00:00Z"
        ) from error


def check(model: RegisteredModel, stage: str, request: OverrideRequest) -> None:
    """Check that an override can take effect.

    Raises:
        NotFound: There is no such stage or version.
        Refused: The version is not registered, or its override has been in force for a day.

    """
    _stage(model, stage)
    version = next((each for each in model.status.versions if each.name == request.version), None)
    if version is None:
        known = ", ".join(each.name for each in model.status.versions) or "none yet"
        raise NotFound(
            f"{model.key} has no version {request.version}. It has: {known}.", name=request.version
        )
    if version.mlflow_version is None:
        raise Refused(
            f"{request.version} of {model.key} is not registered yet: an override takes registered"
            " versions only."
        )
    before = (model.status.stages.get(stage) or StageStatus()).override
    if before is None or before.version != request.version or request.until <= before.until_time:
        return
    # The operator would take this for the same override, and not record a later end.
    if before.until_time == before.since_time + OVERRIDE_LASTS:
        since = f"{before.since_time:%Y-%m-%d %H:%M} UTC"
        raise Refused(
            f"The override of {stage} by {request.version} began at {since}, and lasts a day at"
            f" most. Set {request.version} as the stage's version, or roll back."
        )


def ends(model: RegisteredModel, stage: str) -> None:
    """Check that a stage has an override.

    Raises:
        NotFound: There is no such stage, or it has none.

    """
    if _stage(model, stage).override is None:
        raise NotFound(f"{stage} of {model.key} has no override.", name=stage)


def patch(stage: str, request: OverrideRequest) -> dict[str, Any]:
    """Return the merge patch that sets an override."""
    override = {
        "version": request.version,
        "reason": request.reason,
        "until": request.until.isoformat().replace("+00:00", "Z"),
    }
    return {"spec": {"stages": {stage: {"override": override}}}}


def end_patch(stage: str) -> dict[str, Any]:
    """Return the merge patch that removes an override."""
    return {"spec": {"stages": {stage: {"override": None}}}}


def back(model: RegisteredModel, stage: str) -> dict[str, Any]:
    """Return the fields of a stage's spec with which it returns to the spec's version.

    That is `attempt`, raised above that of the override. It is empty unless an override that has
    ended or was removed keeps the stage from the spec's version.
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
    is_returning = status.desired != status.version or spec.attempt > status.override.attempt
    if not has_ended or is_returning:
        return {}
    return {"attempt": max(spec.attempt, status.attempt, status.override.attempt) + 1}


def description(model: RegisteredModel, stage: str, now: datetime) -> str | None:
    """Describe a stage's override that is in force: version, end, reason; None if there is none."""
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
