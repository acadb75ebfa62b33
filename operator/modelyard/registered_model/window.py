"""How long the version that a switch displaced can come back at once. Pure.

The window counts from when it was displaced, and is as long as the spec says now. Whether it keeps
pods meanwhile is decided in `warm`.
"""

from datetime import datetime

from modelyard.api.registered_model import Stage, StageStatus, VersionStatus

__all__ = ["end", "is_open"]


def end(
    spec: Stage | None, name: str, status: StageStatus, version: VersionStatus | None
) -> datetime | None:
    """Return when the window of the version displaced last ends, past or to come; None: there is
    none.

    Args:
        spec: The stage.
        name: Its name.
        status: What is recorded of it.
        version: The record of the version displaced last.

    """
    lasts = spec.rollback.lasts if spec is not None and spec.rollback is not None else None
    previous = status.previous
    if lasts is None or previous is None or status.since_time is None:
        return None
    # By the record of what it has held: after two overrides it is not the last switch that
    # displaced it.
    held = (
        each
        for each in (version.held if version is not None else ())
        if (each.stage, each.digest) == (name, previous.digest)
    )
    displaced = next(
        (each.until_time for each in held if each.until_time is not None), status.since_time
    )
    return displaced + lasts


def is_open(
    spec: Stage | None,
    status: StageStatus,
    ends: datetime | None,
    now: datetime,
    *,
    is_routed: bool = False,
) -> bool:
    """Tell whether the version displaced last comes back without what it was asked before.

    Without a window it always does. What the Service routes to when the window ends is not asked on
    the way.

    Args:
        spec: The stage.
        status: What is recorded of it.
        ends: When the window ends.
        now: The moment.
        is_routed: Whether the Service routes to that version already.

    """
    if spec is None or spec.rollback is None or spec.rollback.lasts is None:
        return True
    if ends is None:
        return False
    return now < ends or (is_routed and status.start_time is not None and status.start_time < ends)
