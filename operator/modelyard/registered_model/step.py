"""One step of a promotion, and how a candidate leaves it that does not take the stage. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from modelyard.api.blocker import Blocker
from modelyard.api.registered_model import Draining, Rejection, ServedVersion, StageStatus, StepState
from modelyard.plan import Apply, Delete
from modelyard.registered_model import serving
from modelyard.registered_model.view import StageView

__all__ = ["DETAIL", "Step", "drain", "rejected", "without_candidate"]

DETAIL = 128
"""Characters of a step's detail."""
_REJECTIONS = 3
_DRAINS = 4


@dataclass(frozen=True)
class Step:
    """One step, as it stands now.

    Attributes:
        name: The step.
        state: Done, Active, Waiting or Failed.
        detail: What it does, or waits for.
        actions: What moves it on.
        blocker: Why it is not done.
        requeue_after: When to look at it again though nothing changed.
        record: The stage's status to write before anything else is done.

    """

    name: str
    state: StepState
    detail: str = ""
    actions: tuple[Apply | Delete, ...] = ()
    blocker: Blocker | None = None
    requeue_after: timedelta | None = None
    record: StageStatus | None = None


def without_candidate(view: StageView, now: datetime) -> StageStatus:
    """Return the stage's status without its candidate, whose pods drain if requests may reach them."""
    dropped, drains = view.status.candidate, serving.draining(view, now)
    if dropped is not None and view.routed == dropped.runtime.identity and dropped != view.effective:
        drains = drain(drains, dropped, now)
    return view.status.model_copy(update={"candidate": None, "start_time": None, "draining": drains})


def drain(drains: tuple[Draining, ...], what: ServedVersion, now: datetime) -> tuple[Draining, ...]:
    """Return the draining versions with one more; those that drain the longest come first."""
    identity = what.runtime.identity
    others = tuple(each for each in drains if each.identity != identity)
    return (*others, Draining(identity=identity, until_time=now + serving.DRAIN))[-_DRAINS:]


def rejected(view: StageView, name: str, reason: str, message: str, now: datetime, *, runtime: str | None = None) -> Step:
    """Return a step that records that the stage does not take the candidate.

    Args:
        view: The stage.
        name: The step.
        reason: Why, in a word.
        message: Why, and what to do.
        now: The moment.
        runtime: Identity of the runtime whose pods said so; None: it is rejected with any.

    """
    candidate = view.wanted
    assert candidate is not None, "what is rejected was admitted"
    rejection = Rejection(
        version=candidate.version,
        digest=candidate.digest,
        runtime=runtime,
        spec_hash=view.spec_hash,
        attempt=view.attempt,
        reason=reason,
        message=message[:256],
        time=now,
    )
    status = without_candidate(view, now)
    others = (each for each in status.rejected if (each.digest, each.runtime) != (rejection.digest, rejection.runtime))
    status = status.model_copy(update={"rejected": (*others, rejection)[-_REJECTIONS:]})
    return Step(name, StepState.FAILED, message[:DETAIL], record=status)
