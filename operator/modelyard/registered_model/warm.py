"""Warm versions: displaced versions that keep their pods for a fast rollback. Pure.

A rollback to one takes only a change of the Service. Warm are the version displaced last, inside
its window, and what the effective version displaced, while that is watched (after a refresh: the
same version with the runtime before). Their lost objects are restored, and changed serving fields
apply to them. A warm version has as many pods as the stage; with an autoscaler, which scales only
the effective version, as many as it had. It has no Service or budget of its own.
"""

from datetime import datetime

from modelyard.api.registered_model import PreviousVersion, ServedVersion, StageStatus
from modelyard.registered_model import window
from modelyard.registered_model.view import StageView

__all__ = ["kept", "recorded", "until"]


def until(view: StageView) -> datetime | None:
    """Return when the next warm version's pods are (or were) to be deleted; None: there is none."""
    ends = [each for each in (view.window_end, view.watched_until) if each is not None]
    return min((each for each in ends if each > view.now), default=max(ends, default=None))


def kept(view: StageView) -> tuple[ServedVersion, ...]:
    """Return the warm versions."""
    if view.effective is None or view.is_cleared or not view.is_served:
        return ()  # a stage that is cleared has no pods
    previous, ends, watched = view.status.previous, view.window_end, view.watched_until
    inside = (
        previous.served if previous is not None and ends is not None and ends > view.now else None
    )
    displaced = view.displaced if watched is not None and watched > view.now else None
    found = (inside, view.rollback_target or displaced)
    return tuple(dict.fromkeys(each for each in found if each is not None))


def recorded(view: StageView, status: StageStatus) -> StageStatus:
    """Return the stage's status with the end of the window of the version displaced last."""
    previous = status.previous
    if previous is None:
        return status
    ends = window.end(view.spec, view.name, status, view.versions.get(previous.version))
    if ends is not None and (ends <= view.now or view.has_rejected(previous)):
        ends = None
    if previous.until_time == ends:
        return status
    return status.model_copy(update={"previous": PreviousVersion.of(previous, ends)})
