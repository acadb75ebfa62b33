"""The return of the version that a stage displaced last: whether it is asked for anything, and
whether it is warm. Pure.

Which version that is where none is recorded does not belong here (`cli.views.history`).
"""

from datetime import datetime

from modelyard.api.registered_model import PreviousVersion, RegisteredModel, StageStatus

__all__ = ["returns", "said", "warm", "warm_until"]


def returns(model: RegisteredModel, stage: str, version: str, now: datetime) -> bool:
    """Tell whether a version is the one that the stage displaced last, byte for byte, and comes
    back without gates and freezes.

    With a window (`rollback.window`) it does so inside the window only.
    """
    previous = _displaced(model, stage, version)
    return previous is not None and (
        not _has_window(model, stage)
        or (previous.until_time is not None and now < previous.until_time)
    )


def warm_until(model: RegisteredModel, stage: str, now: datetime) -> datetime | None:
    """Return until when the version that a stage displaced last keeps its pods; None: it has
    none.
    """
    status = model.status.stages.get(stage) or StageStatus()
    until = status.previous.until_time if status.previous is not None else None
    if until is None or until <= now or status.version is None or not status.desired_replicas:
        return None
    return until


def warm(model: RegisteredModel, stage: str, now: datetime) -> str | None:
    """Say which version a stage keeps warm, and until when; None: none."""
    until, status = warm_until(model, stage, now), model.status.stages.get(stage) or StageStatus()
    if until is None or status.previous is None:
        return None
    return f"{status.previous.version} warm until {until:%Y-%m-%d %H:%M} UTC"


def said(model: RegisteredModel, stage: str, version: str, now: datetime) -> str | None:
    """Say how a version comes back; None: it is not the one that the stage displaced last."""
    if _displaced(model, stage, version) is None:
        return None
    if (until := warm_until(model, stage, now)) is not None:
        return (
            f"{version} is warm until {until:%Y-%m-%d %H:%M} UTC: its pods are there, and it comes"
            " back at once."
        )
    if not returns(model, stage, version, now):
        return (
            f"The window of {version} is over (rollback.window): it is promoted like any other"
            " version."
        )
    serving = model.spec.stages[stage].serving
    return (
        f"{version} has no pods: they start first."
        if serving.replicas or serving.autoscaling
        else None
    )


def _has_window(model: RegisteredModel, stage: str) -> bool:
    spec = model.spec.stages.get(stage)
    return spec is not None and spec.rollback is not None and spec.rollback.window is not None


def _displaced(model: RegisteredModel, stage: str, version: str) -> PreviousVersion | None:
    """Return the record of a version, if it is the one that the stage displaced last."""
    previous = (model.status.stages.get(stage) or StageStatus()).previous
    if previous is None or previous.version != version:
        return None
    known: dict[str, str | None] = {each.name: each.digest for each in model.status.older_versions}
    known |= {each.name: each.digest for each in model.status.versions}
    return previous if known.get(version) == previous.digest else None
