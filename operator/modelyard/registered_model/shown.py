"""The steps of a promotion as they stand in the status. Pure."""

from datetime import datetime

from modelyard.api.registered_model import StageStatus, StepState, StepStatus
from modelyard.registered_model.promotion import ALWAYS
from modelyard.registered_model.step import Step
from modelyard.registered_model.view import StageView

__all__ = ["all_done", "last_done", "shown"]


def shown(view: StageView, steps: tuple[Step, ...], now: datetime) -> tuple[StepStatus, ...]:
    """Return the steps for the status; a step whose state has not changed keeps its time."""
    old = view.status
    is_same_change = old.start_time is not None and old.desired == view.desired
    before = {step.name: step for step in old.steps} if is_same_change else {}
    shown = []
    for step in steps:
        earlier = before.get(step.name)
        since = earlier.since_time if earlier is not None and earlier.state is step.state else now
        waits = step.state is StepState.WAITING and not step.detail
        shown.append(
            StepStatus(
                name=step.name,
                state=step.state,
                since_time=None if waits else since,
                detail=step.detail,
            )
        )
    return tuple(shown)


def last_done(status: StageStatus) -> tuple[StepStatus, ...]:
    """Return the steps of the promotion of the effective version, not of an abandoned one."""
    if status.steps and all(step.state is StepState.DONE for step in status.steps):
        return status.steps
    return all_done(status, ALWAYS)


def all_done(
    status: StageStatus, names: tuple[str, ...], passed: str = ""
) -> tuple[StepStatus, ...]:
    """Return the steps of the promotion of the effective version, all done.

    Args:
        status: The stage's status.
        names: The steps.
        passed: Why the rollout skipped its steps; empty: it did not.

    """
    details = {"rollout": passed}
    return tuple(
        StepStatus(
            name=name,
            state=StepState.DONE,
            since_time=status.since_time,
            detail=details.get(name, ""),
        )
        for name in names
    )
