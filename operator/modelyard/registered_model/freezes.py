"""Freezes: the step that waits for the end of a freeze, and freezes that cannot be read. Pure.

`modelyard.api.calendar` computes when a freeze is in force.
"""

from collections.abc import Iterable
from datetime import datetime

from modelyard.api.blocker import Blocker
from modelyard.api.calendar import frozen, unreadable
from modelyard.api.freeze import Calendar, Freeze
from modelyard.api.registered_model import ModelReason as Reason
from modelyard.api.registered_model import StepState
from modelyard.registered_model.step import DETAIL, Step, still_serving
from modelyard.registered_model.view import StageView

__all__ = ["apply_to", "freeze", "trouble"]


def apply_to(view: StageView) -> bool:
    """Tell whether freezes apply to a stage, in force or not: its promotions have the step then."""
    calendar = view.calendar
    return isinstance(calendar, str) or calendar.stop is not None or bool(_for(view, calendar))


def _for(view: StageView, calendar: Calendar) -> tuple[Freeze, ...]:
    return (*_of_stage(view, view.model.spec.freeze), *_of_stage(view, calendar.windows))


def _of_stage(view: StageView, freezes: Iterable[Freeze]) -> tuple[Freeze, ...]:
    return tuple(each for each in freezes if each.concerns(view.name))


def freeze(view: StageView, now: datetime) -> Step:
    """Wait for the end of a freeze. A version that already receives requests does not wait."""
    target = view.target
    assert target is not None, "the step before admits it"
    if view.is_live:
        return Step("freeze", StepState.DONE, f"{target.version} runs already")
    calendar = view.calendar
    if (wrong := trouble(view) or _cluster_trouble(view, calendar)) is not None:
        return Step(
            "freeze", StepState.FAILED, wrong.message[:DETAIL], blocker=wrong, without_pods=True
        )
    assert isinstance(calendar, Calendar), "`_cluster_trouble` reports an unreadable calendar"
    found = frozen(_for(view, calendar), now, calendar.stop)
    if found is None:
        return Step("freeze", StepState.DONE, "no freeze")
    until = (
        f"until {found.until:%Y-%m-%d %H:%M} UTC"
        if found.until is not None
        else "without a known end"
    )
    message = (
        f"{target.version} waits: the stage is frozen {until} ({found.reason})."
        f" {still_serving(view)}. It continues automatically, if its gates pass then. An"
        " override does not wait: modelyard override"
        f" {view.model.metadata.name} {target.version} --stage {view.name}"
    )
    blocker = Blocker.of(Reason.FROZEN, message)
    detail = f"frozen {until}: {found.reason}"
    return Step(
        "freeze",
        StepState.WAITING,
        detail[:DETAIL],
        blocker=blocker,
        requeue_after=found.again - now,
        without_pods=True,
    )


def trouble(view: StageView) -> Blocker | None:
    """Return what is wrong with the model's own freezes, which delay all promotions until fixed."""
    wrong = _wrong(_of_stage(view, view.model.spec.freeze))
    if wrong is None:
        return None
    message = (
        f"No version takes {view.name} while a freeze cannot be read: {wrong}. Correct spec.freeze."
    )
    return Blocker.of(Reason.FREEZE_INVALID, message, needs_action=True)


def _cluster_trouble(view: StageView, calendar: Calendar | str) -> Blocker | None:
    """Return what is wrong with the cluster's freezes.

    Only an administrator of modelyard can fix them, so only a waiting promotion reports it.
    """
    wrong = calendar if isinstance(calendar, str) else _wrong(_of_stage(view, calendar.windows))
    if wrong is None:
        return None
    message = (
        f"No version takes {view.name} while the cluster's freezes cannot be read: {wrong}. An"
        " administrator has to correct them."
    )
    return Blocker.of(Reason.FREEZE_INVALID, message, needs_action=True)


def _wrong(freezes: Iterable[Freeze]) -> str | None:
    """Return why one of these cannot be read; None: all can."""
    return next(
        (
            found
            for each in freezes
            if (found := unreadable(each.schedule, each.time_zone)) is not None
        ),
        None,
    )
