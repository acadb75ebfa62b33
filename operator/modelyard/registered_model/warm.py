"""Until when the version displaced last keeps its pods, so that going back takes one change of the Service. Pure.

It is healed, and gets what the spec changes of serving; it has as many pods as the stage, or with an
autoscaler as many as it had: that scales the effective version alone. It has neither a Service nor a
budget of its own.
"""

from datetime import datetime

from modelyard.api.registered_model import PreviousVersion, ServedVersion, StageStatus
from modelyard.registered_model import window
from modelyard.registered_model.view import StageView

__all__ = ["kept", "recorded", "until"]


def until(view: StageView) -> datetime | None:
    """Return until when the version displaced last keeps its pods, past or to come; None: it keeps none."""
    return view.window_end


def kept(view: StageView) -> ServedVersion | None:
    """Return the version displaced last while it keeps its pods."""
    previous, end = view.status.previous, until(view)
    if previous is None or end is None or end <= view.now:
        return None
    return previous.served


def recorded(view: StageView, status: StageStatus) -> StageStatus:
    """Return what is to be recorded of a stage, with until when the version displaced last comes back at once."""
    previous = status.previous
    if previous is None:
        return status
    ends = window.end(view.spec, view.name, status, view.versions.get(previous.version))
    if ends is not None and (ends <= view.now or view.has_rejected(previous)):
        ends = None
    return status if previous.until_time == ends else status.model_copy(update={"previous": PreviousVersion.of(previous, ends)})
