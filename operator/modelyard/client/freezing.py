"""Freeze windows of a model. Those of the whole cluster are visible only in a plan. Pure."""

from datetime import datetime

from modelyard.api.registered_model import RegisteredModel

__all__ = ["frozen"]


def frozen(model: RegisteredModel, stage: str, now: datetime) -> str | None:
    """Say until when a freeze window of the model blocks a stage, and why; None: none does."""
    freezes = [each for each in model.spec.freeze if each.concerns(stage)]
    if not freezes:
        return None
    from modelyard.api import calendar  # noqa: PLC0415 - cron and time zones are for models that have freezes

    wrong = [
        said
        for each in freezes
        if (said := calendar.unreadable(each.schedule, each.time_zone)) is not None
    ]
    if wrong:
        return f"until spec.freeze can be read: {wrong[0]}"
    found = calendar.frozen(freezes, now)
    if found is None:
        return None
    until = (
        f"until {found.until:%Y-%m-%d %H:%M} UTC"
        if found.until is not None
        else "without a known end"
    )
    return f"{until}: {found.reason}"
