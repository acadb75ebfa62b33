"""Rolling back to the version that a stage displaced last: gates and freezes, warm pods. Pure."""

from datetime import datetime

from modelyard.api.registered_model import PreviousVersion, RegisteredModel, StageStatus

__all__ = ["description", "returns", "warm", "warm_until"]


def returns(model: RegisteredModel, stage: str, version: str, now: datetime) -> bool:
    """Tell whether a rollback to a version needs no gates and ignores freeze windows.

    It does if the stage displaced the version last, with the same digest, and if its window
    (`rollback.window`) has not ended.
    """
    previous = _displaced(model, stage, version)
    return previous is not None and (
        not _has_window(model, stage)
        or (previous.until_time is not None and now < previous.until_time)
    )


def warm_until(model: RegisteredModel, stage: str, now: datetime) -> datetime | None:
    """Return until when the version displaced last keeps its pods; None: it has none."""
    status = model.status.stages.get(stage) or StageStatus()
    until = status.previous.until_time if status.previous is not None else None
    if until is None or until <= now or status.version is None or not status.desired_replicas:
        return None
    return until


def warm(model: RegisteredModel, stage: str, now: datetime) -> str | None:
    """Return which version a stage keeps warm, and until when, as text; None: there is none."""
    until, status = warm_until(model, stage, now), model.status.stages.get(stage) or StageStatus()
    if until is None or status.previous is None:
        return None
    return f"{status.previous.version} warm until {until:%Y-%m-%d %H:%M} UTC"


def description(model: RegisteredModel, stage: str, version: str, now: datetime) -> str | None:
    """Return how a rollback to a version proceeds, as text; None: it was not displaced last."""
    if _displaced(model, stage, version) is None:
        return None
    if (until := warm_until(model, stage, now)) is not None:
        return (
            f"{version} is warm until {until:%Y-%m-%d %H:%M} UTC: its pods are running, and the"
            " switch is immediate."
        )
    if not returns(model, stage, version, now):
        return (
            f"The window of {version} has ended (rollback.window): it is promoted like any other"
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
