"""`spec.dryRun`: a promotion waits, and only its steps without pods are computed. Pure.

`plans` computes what the promotion would do. dryRun does not delay an override (it is for
emergencies), an automatic rollback (`watch`), or a version that already receives requests.
"""

from datetime import datetime

from modelyard.api.blocker import Blocker
from modelyard.api.registered_model import ModelReason as Reason
from modelyard.api.registered_model import StepState
from modelyard.registered_model.step import Step, still_serving
from modelyard.registered_model.view import StageView

__all__ = ["blocker", "delays", "plan"]

_CARRY_OUT = '{"spec":{"dryRun":false}}'


def delays(view: StageView) -> bool:
    """Tell whether dryRun delays a change of the stage's version."""
    return (
        view.model.spec.dry_run
        and view.override is None
        and view.rollback_target is None
        and not view.is_live
    )


def plan(view: StageView, _now: datetime) -> Step:
    """Wait until `dryRun` is false. The candidate has no pods meanwhile."""
    return Step(
        "plan", StepState.WAITING, "spec.dryRun holds it", blocker=blocker(view), without_pods=True
    )


def blocker(view: StageView) -> Blocker:
    """Return the blocker of a stage whose change dryRun delays."""
    waits = f"{view.target_name} waits" if view.desired is not None else "The stage is not cleared"
    message = (
        f"{waits}: spec.dryRun is true. {still_serving(view)}. status.plan says what would be done."
        f" To carry it out: kubectl patch mlmodel {view.model.metadata.name} --type merge -p"
        f" '{_CARRY_OUT}'"
    )
    return Blocker.of(Reason.PLANNED, message)
