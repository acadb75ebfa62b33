"""`spec.dryRun`: a change of a version waits, and nothing is done for it but what needs no pods.
Pure.

What such a change would do is in `plans`. What is not held here: an override, which is for
emergencies, what goes back by itself after a switch (`watch`), and a version that requests reach
already.
"""

from datetime import datetime

from modelyard.api.blocker import Blocker
from modelyard.api.registered_model import ModelReason as Reason
from modelyard.api.registered_model import StepState
from modelyard.registered_model.step import Step, stable
from modelyard.registered_model.view import StageView

__all__ = ["blocker", "holds", "plan"]

_CARRY_OUT = '{"spec":{"dryRun":false}}'


def holds(view: StageView) -> bool:
    """Tell whether a change of the stage's version, if one is asked for, is held."""
    return (
        view.model.spec.dry_run and view.override is None and view.back is None and not view.is_live
    )


def plan(view: StageView, _now: datetime) -> Step:
    """Wait until `dryRun` is taken away. The candidate has no pods meanwhile."""
    return Step(
        "plan", StepState.WAITING, "spec.dryRun holds it", blocker=blocker(view), without_pods=True
    )


def blocker(view: StageView) -> Blocker:
    """Return why the stage is not as its spec asks."""
    waits = f"{view.called} waits" if view.desired is not None else "The stage is not cleared"
    message = (
        f"{waits}: spec.dryRun is true. {stable(view)}. status.plan says what would be done. To"
        f" carry it out: kubectl patch mlmodel {view.model.metadata.name} --type merge -p"
        f" '{_CARRY_OUT}'"
    )
    return Blocker.of(Reason.PLANNED, message)
