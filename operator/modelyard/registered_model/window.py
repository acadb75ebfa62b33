"""The window in which the version displaced last can return without gates. Pure.

It begins when the version was displaced. Its length is that of the present spec.
"""

from datetime import datetime

from modelyard.api.registered_model import Stage, StageStatus, VersionStatus

__all__ = ["end", "is_open"]


def end(
    spec: Stage | None, name: str, status: StageStatus, version: VersionStatus | None
) -> datetime | None:
    """Return when the window of the version displaced last ends or ended; None: there is none.

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
    # Read the version's own record: after two overrides the last switch displaced another version.
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
    """Tell whether the version displaced last returns without gates.

    If the spec has no window, it always does. A return to which the Service already routes when the
    window ends is completed without gates.

    Args:
        spec: The stage.
        status: What is recorded of it.
        ends: When the window ends.
        now: The current time.
        is_routed: Whether the Service already routes to that version.

    """
    if spec is None or spec.rollback is None or spec.rollback.lasts is None:
        return True
    if ends is None:
        return False
    return now < ends or (is_routed and status.start_time is not None and status.start_time < ends)
