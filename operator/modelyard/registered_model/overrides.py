"""Overrides (break-glass): a version that takes a stage at once, for a limited time. Pure.

An override applies to one version with the digest that it had when the operator first observed the
override, for at most a day from then. When it ends, the stage does not switch: the override's
version is effective until a user decides.
"""

from datetime import UTC, datetime, timedelta

from modelyard.api.blocker import Blocker
from modelyard.api.registered_model import (
    OVERRIDE_LASTS,
    Override,
    OverrideStatus,
    Stage,
    StageStatus,
    VersionStatus,
)
from modelyard.api.registered_model import ModelReason as Reason

__all__ = [
    "carried_out",
    "desired",
    "end",
    "ended",
    "in_force",
    "is_from_override",
    "kept",
    "next_time",
    "observed",
    "trouble",
]

_SOON, _TENTH = timedelta(hours=1), 10
"""When an override ends soon: an hour, or a tenth of its duration if less, before its end."""
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)


def observed(
    spec: Stage | None, status: StageStatus, version: VersionStatus | None, now: datetime
) -> OverrideStatus | None:
    """Return what to record of a new override in the spec; None: it is recorded already.

    Args:
        spec: The stage.
        status: What is recorded of it.
        version: The version that the override names, if it exists.
        now: The current time.

    """
    requested, known = spec.override if spec is not None else None, status.override
    if spec is None or requested is None:
        return None
    if known is not None and _is(known, requested):
        # An `attempt` that is raised during an override asks for a refresh, not for the end of the
        # override. It is recorded at once, because the override may end while the pods start. If
        # the recorded override has `ended`, it was removed and is now set again unchanged.
        news = known.attempt != spec.attempt or bool(known.ended)
        if not news or in_force(spec, status, now) is None:
            return None
        return known.model_copy(update={"attempt": spec.attempt, "ended": None})
    digest = version.digest if version is not None and version.mlflow_version is not None else None
    return OverrideStatus(
        version=requested.version,
        digest=digest,
        # An earlier override's version stays effective until a user decides, even if the version
        # of the new override fails.
        before=status.digest if _lasts(spec, status) else None,
        attempt=spec.attempt,
        since_time=now,
        until_time=_until(requested, now),
    )


def in_force(spec: Stage | None, status: StageStatus, now: datetime) -> OverrideStatus | None:
    """Return the override that is in force now."""
    requested, known = spec.override if spec is not None else None, status.override
    if (
        requested is None
        or known is None
        or known.digest is None
        or not _is(known, requested)
        or now >= known.until_time
    ):
        return None
    return known


def ended(spec: Stage | None, status: StageStatus, now: datetime) -> OverrideStatus | None:
    """Return what to record of an override that ended or was removed while its version serves.

    None: nothing to record. An override whose end was moved to another time has not ended.
    """
    known, requested = status.override, spec.override if spec is not None else None
    if (
        known is None
        or known.ended
        or not is_from_override(status)
        or in_force(spec, status, now) is not None
    ):
        return None
    if requested is not None and requested.version == known.version and not _is(known, requested):
        return None
    return known.model_copy(update={"ended": True})


def desired(
    spec: Stage | None, status: StageStatus, now: datetime, spec_version: str | None
) -> str | None:
    """Return the desired version of a stage.

    While an override is in force, that is its version. It stays so after the override has ended,
    until the spec names the same version or `attempt` is raised. Then it is the spec's version.

    Args:
        spec: The stage.
        status: What is recorded of it.
        now: The current time.
        spec_version: The version that the spec asks for, without the override.

    """
    if spec is None:
        return None
    if (override := in_force(spec, status, now)) is not None:
        return override.version
    return status.version if _lasts(spec, status) else spec_version


def trouble(
    model: str, name: str, spec: Stage | None, status: StageStatus, now: datetime
) -> Blocker | None:
    """Return the blocker of an override that is not in force but needs action."""
    if spec is None or in_force(spec, status, now) is not None:
        return None
    known, requested = status.override, spec.override
    if known is None:
        return None
    if _lasts(spec, status):
        ends = '"autoPromote":null,' if spec.auto_promote is not None else ""
        version, attempt = status.version, max(spec.attempt, known.attempt) + 1
        patch = _patch(name, f'{ends}"override":null,"version":"{version}"{spec.requester_patch}')
        back = _patch(name, f'"override":null,"attempt":{attempt}')
        kept = f"modelyard promote {model} {status.version} --to {name}"
        left = (
            f"modelyard rollback {model} --stage {name} --to {spec.version}, or -p '{back}'"
            if spec.version
            else f"-p '{back}'"
        )
        to = "the newest version" if spec.auto_promote is not None else spec.version or "nothing"
        message = (
            f"{_ended(known, requested, status, now)}, and {status.version} is still serving. Make"
            f" it the version: {kept}, or kubectl patch mlmodel {model} --type merge -p '{patch}'."
            f" Or go back to {to}: {left}."
        )
        return Blocker.of(Reason.OVERRIDE_ENDED, message, needs_action=True)
    if requested is None or not _is(known, requested) or status.version == requested.version:
        return None
    return Blocker.of(
        Reason.OVERRIDE_ENDED,
        f"{_ended(known, requested, status, now)}. Remove it.",
        needs_action=True,
    )


def _patch(stage: str, fields: str) -> str:
    """Return a merge patch of a stage's spec."""
    return f'{{"spec":{{"stages":{{"{stage}":{{{fields}}}}}}}}}'


def _ended(
    known: OverrideStatus, requested: Override | None, status: StageStatus, now: datetime
) -> str:
    """Return why an override is not in force, as a sentence without its full stop."""
    if requested is not None and known.digest is None:
        return (
            f"The override asks for {requested.version}, which was not registered when the override"
            " was first seen: an override takes registered versions only. Set it again once the"
            " version is registered"
        )
    ended = (
        f"ended at {known.until_time:%Y-%m-%d %H:%M:%S} UTC"
        if requested is not None and now >= known.until_time
        else "was removed"
    )
    took = "" if is_from_override(status) else f" before {known.version} took the stage"
    return f"The override {ended}{took}"


def end(spec: Stage | None, status: StageStatus) -> OverrideStatus | None:
    """Return what stays recorded of an override; None once the spec agrees and omits it."""
    known = status.override
    if known is None or spec is None:
        return None
    return known if _is_named(spec, status) or _lasts(spec, status) else None


def kept(spec: Stage | None, status: StageStatus, now: datetime) -> OverrideStatus | None:
    """Return what stays recorded of an override, with whether it ends soon.

    An Event is emitted once, when that is recorded.
    """
    known = end(spec, status)
    if known is None or in_force(spec, status, now) is None or now < _soon(known):
        return known
    return known.model_copy(update={"ends_soon": True})


def next_time(spec: Stage | None, status: StageStatus, now: datetime) -> datetime | None:
    """Return when an override in force changes next: when it begins to end soon, then its end."""
    known = in_force(spec, status, now)
    return (
        None
        if known is None
        else min(each for each in (_soon(known), known.until_time) if each > now)
    )


def _soon(known: OverrideStatus) -> datetime:
    return known.until_time - min(_SOON, (known.until_time - known.since_time) / _TENTH)


def carried_out(spec: Stage | None, status: StageStatus) -> OverrideStatus | None:
    """Return what stays recorded of an override once the stage has its desired version."""
    if status.override is None or not _is_named(spec, status):
        return None
    return status.override.model_copy(update={"before": None})


def is_from_override(status: StageStatus) -> bool:
    """Tell whether the recorded override made the effective version effective."""
    known = status.override
    return known is not None and (known.version, known.digest) == (status.version, status.digest)


def _is_named(spec: Stage | None, status: StageStatus) -> bool:
    """Tell whether the spec still has the override that is recorded, in force or not."""
    return (
        spec is not None
        and spec.override is not None
        and status.override is not None
        and _is(status.override, spec.override)
    )


def _lasts(spec: Stage, status: StageStatus) -> bool:
    """Tell whether an override's version is still effective although the spec names another."""
    known = status.override
    if known is None or status.digest is None:
        return False
    if not is_from_override(status) and known.before != status.digest:
        return False
    return spec.version != status.version and spec.attempt <= known.attempt


def _is(known: OverrideStatus, requested: Override) -> bool:
    return known.version == requested.version and known.until_time == _until(
        requested, known.since_time
    )


def _until(requested: Override, since: datetime) -> datetime:
    # Compare before converting: a time in the first or last year may not exist in UTC.
    last = since + OVERRIDE_LASTS
    return (
        last
        if requested.until >= last
        else max(requested.until, _FIRST).astimezone(UTC).replace(microsecond=0)
    )
