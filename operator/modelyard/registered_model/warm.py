"""Until when what a switch displaced keeps its pods, so that going back takes one change of the
Service. Pure.

That is the version displaced last inside its window, and what the effective version displaced while
that is watched: of a refresh the runtime before. It is healed, and gets what the spec changes of
serving; it has as many pods as the stage, or with an autoscaler as many as it had: that scales the
effective version alone. It has neither a Service nor a budget of its own.
"""

from datetime import datetime

from modelyard.api.registered_model import PreviousVersion, ServedVersion, StageStatus
from modelyard.registered_model import window
from modelyard.registered_model.view import StageView

__all__ = ["kept", "recorded", "until"]


def until(view: StageView) -> datetime | None:
    """Return when the next of them loses its pods, past or to come; None: none has any."""
    ends = [each for each in (view.window_end, view.watched_until) if each is not None]
    return min((each for each in ends if each > view.now), default=max(ends, default=None))


def kept(view: StageView) -> tuple[ServedVersion, ...]:
    """Return what keeps its pods."""
    if view.effective is None or view.is_cleared or not view.is_served:
        return ()  # a stage that is cleared has no pods
    previous, ends, watched = view.status.previous, view.window_end, view.watched_until
    inside = (
        previous.served if previous is not None and ends is not None and ends > view.now else None
    )
    displaced = view.displaced if watched is not None and watched > view.now else None
    return tuple(
        dict.fromkeys(each for each in (inside, view.back or displaced) if each is not None)
    )


def recorded(view: StageView, status: StageStatus) -> StageStatus:
    """Return what is to be recorded of a stage, with until when the version displaced last comes
    back at once.
    """
    previous = status.previous
    if previous is None:
        return status
    ends = window.end(view.spec, view.name, status, view.versions.get(previous.version))
    if ends is not None and (ends <= view.now or view.has_rejected(previous)):
        ends = None
    return (
        status
        if previous.until_time == ends
        else status.model_copy(update={"previous": PreviousVersion.of(previous, ends)})
    )
