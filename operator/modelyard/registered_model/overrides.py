"""Break-glass: a version that takes a stage at once, for a time. Pure.

An override is for the version and the bytes that were recorded when it was first seen, for a day at
most from then. When it ends nothing switches by itself: what serves keeps serving, and a person says
what comes next.
"""

from datetime import datetime, timedelta

from modelyard.api.blocker import Blocker
from modelyard.api.registered_model import ModelReason as Reason
from modelyard.api.registered_model import Override, OverrideStatus, Stage, StageStatus, VersionStatus

__all__ = ["LONGEST", "desired", "end", "in_force", "is_named", "noted", "trouble"]

LONGEST = timedelta(days=1)
"""How long an override is in force at most, from when it was first seen."""


def noted(spec: Stage | None, status: StageStatus, version: VersionStatus | None, now: datetime) -> OverrideStatus | None:
    """Return what is to be recorded of an override that was not seen before; None when there is nothing new.

    Args:
        spec: The stage.
        status: What is recorded of it.
        version: The version that the override names, if there is one.
        now: The moment.

    """
    asked = spec.override if spec is not None else None
    if asked is None or (status.override is not None and _is(status.override, asked)):
        return None
    digest = version.digest if version is not None and version.mlflow_version is not None else None
    return OverrideStatus(
        version=asked.version, digest=digest, attempt=spec.attempt if spec else 0, since_time=now, until_time=_until(asked, now)
    )


def in_force(spec: Stage | None, status: StageStatus, now: datetime) -> OverrideStatus | None:
    """Return the override that decides now."""
    asked, known = spec.override if spec is not None else None, status.override
    if asked is None or known is None or known.digest is None or not _is(known, asked) or now >= known.until_time:
        return None
    return known


def desired(spec: Stage | None, status: StageStatus, now: datetime) -> str | None:
    """Return the version that a stage is to have.

    While an override is in force, its own. After that what it has put there, until the spec's version
    is the same or `attempt` is raised, which goes back to the spec's version.
    """
    if spec is None:
        return None
    if (override := in_force(spec, status, now)) is not None:
        return override.version
    return status.version if _lasts(spec, status) else spec.version


def trouble(name: str, spec: Stage | None, status: StageStatus, now: datetime) -> Blocker | None:
    """Return what a person has to do about an override that is not in force."""
    if spec is None or in_force(spec, status, now) is not None:
        return None
    known, asked = status.override, spec.override
    if _lasts(spec, status) and known is not None:
        ended = f"ended at {known.until_time:%Y-%m-%d %H:%M:%S} UTC" if asked is not None and now >= known.until_time else "was removed"
        patch = f'{{"spec":{{"stages":{{"{name}":{{"override":null,"version":"{known.version}"}}}}}}}}'
        back = f'{{"spec":{{"stages":{{"{name}":{{"override":null,"attempt":{max(spec.attempt, known.attempt) + 1}}}}}}}}}'
        message = (
            f"The override {ended}, and {known.version} is still serving. Make it the version: kubectl patch mlmodel <name> --type merge"
            f" -p '{patch}'. Or go back to {spec.version or 'nothing'}: -p '{back}'."
        )
        return Blocker.of(Reason.OVERRIDE_ENDED, message, needs_action=True)
    if asked is None or known is None or not _is(known, asked) or status.version == asked.version:
        return None
    if known.digest is None:
        message = (
            f"The override asks for {asked.version}, which was not registered when the override was first seen. An override takes"
            " registered versions only: remove it, or set it again once the version is registered."
        )
    else:
        message = f"The override ended at {known.until_time:%Y-%m-%d %H:%M:%S} UTC before {asked.version} took the stage. Remove it."
    return Blocker.of(Reason.OVERRIDE_ENDED, message, needs_action=True)


def end(spec: Stage | None, status: StageStatus, now: datetime) -> OverrideStatus | None:
    """Return what stays recorded of an override: nothing once the spec agrees with what it did and no longer names it."""
    known = status.override
    if known is None or spec is None:
        return None
    if in_force(spec, status, now) is not None:  # a refresh meanwhile is no wish to go back
        return known.model_copy(update={"attempt": spec.attempt})
    return known if is_named(spec, status) or _lasts(spec, status) else None


def is_named(spec: Stage | None, status: StageStatus) -> bool:
    """Tell whether the spec still has the override that is recorded, in force or not."""
    return spec is not None and spec.override is not None and status.override is not None and _is(status.override, spec.override)


def _lasts(spec: Stage, status: StageStatus) -> bool:
    """Tell whether the stage still has what an override put there, against the spec's version."""
    known = status.override
    if known is None or (known.version, known.digest) != (status.version, status.digest):
        return False
    return spec.version != status.version and spec.attempt <= known.attempt


def _is(known: OverrideStatus, asked: Override) -> bool:
    return known.version == asked.version and known.until_time == _until(asked, known.since_time)


def _until(asked: Override, since: datetime) -> datetime:
    return min(asked.until.replace(microsecond=0), since + LONGEST)
