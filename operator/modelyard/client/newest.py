"""Stages with `autoPromote`, which promote the newest version automatically. Pure."""

from modelyard.api.registered_model import RegisteredModel, Rejection, StageStatus, VersionStatus

__all__ = ["description", "is_automatic", "rejection", "stopped"]


def is_automatic(model: RegisteredModel, stage: str) -> bool:
    """Tell whether a stage promotes the newest version automatically."""
    spec = model.spec.stages.get(stage)
    return spec is not None and spec.auto_promote is not None


def stopped(model: RegisteredModel, stage: str) -> dict[str, None]:
    """Return the fields that remove `autoPromote`, for a merge patch that names a version."""
    return {"autoPromote": None} if is_automatic(model, stage) else {}


def rejection(model: RegisteredModel, stage: str) -> Rejection | None:
    """Return the rejection of the newest version that such a stage has rejected; None: none."""
    status = model.status.stages.get(stage) or StageStatus()
    order = [version.name for version in _by_age(model)]
    found = [
        each for each in status.rejected if each.version in order and each.version != status.version
    ]
    return max(found, key=lambda each: (order.index(each.version), each.time), default=None)


def description(model: RegisteredModel, stage: str) -> str | None:
    """Return how `autoPromote` works on a stage, as text; None: the stage does not have it."""
    if not is_automatic(model, stage):
        return None
    status = model.status.stages.get(stage) or StageStatus()
    newest = next(reversed(_by_age(model)), None)
    if newest is None or newest.name in {status.version, status.desired}:
        return "takes the newest"
    held = (
        status.hold_time is not None
        and newest.registered_time is not None
        and newest.registered_time <= status.hold_time
    )
    if held:
        return (
            f"takes the newest; {newest.name} is held: the stage was rolled back after it was"
            " registered"
        )
    if any(each.digest == newest.digest for each in status.rejected):
        return f"takes the newest; {newest.name} was rejected"
    return "takes the newest"


def _by_age(model: RegisteredModel) -> list[VersionStatus]:
    """Return the versions that are registered in MLflow, in the order of their registration."""
    there = [
        version
        for version in model.status.versions
        if version.mlflow_version is not None and version.registered_time is not None
    ]
    return sorted(there, key=lambda each: (each.registered_time, int(each.mlflow_version or 0)))
