"""Until when the version displaced last keeps its pods, so that going back takes one change of the Service. Pure.

It is healed, and gets what the spec changes of serving. It has neither a Service nor a budget of its own.
"""

from datetime import datetime

from modelyard.api.registered_model import ServedVersion
from modelyard.registered_model.view import StageView

__all__ = ["kept", "until"]


def until(view: StageView) -> datetime | None:
    """Return until when what the effective version displaced keeps its pods, past or to come; None: it keeps none."""
    return view.watched_until


def kept(view: StageView) -> ServedVersion | None:
    """Return what the effective version displaced, while it keeps its pods."""
    end = until(view)
    if not view.is_served or view.is_cleared:
        return None
    if view.back is not None:
        return view.back
    return view.displaced if end is not None and end > view.now else None
