"""One step of a promotion, and how a candidate is rejected or dropped. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from modelyard.api.blocker import Blocker
from modelyard.api.registered_model import (
    Draining,
    Rejection,
    ServedVersion,
    StageStatus,
    StepState,
)
from modelyard.api.registered_model import ModelReason as Reason
from modelyard.api.rollout import RolloutStatus
from modelyard.api.stage_status import DETAIL, REMEMBERED
from modelyard.errors import ModelyardError
from modelyard.plan import Event, Owned
from modelyard.registered_model import newest, serving
from modelyard.registered_model.rejections import is_in_force
from modelyard.registered_model.view import StageView

__all__ = [
    "DETAIL",
    "RETRY_REFUSED",
    "Step",
    "drain",
    "refused_split",
    "refused_step",
    "rejected",
    "rejecting",
    "still_serving",
    "without_candidate",
]

RETRY_REFUSED = timedelta(seconds=30)
_FIELDS = {
    word: f"serving.{word}"
    for word in ("resources", "nodeSelector", "tolerations", "autoscaling", "replicas")
}
"""The stage's field that caused a refusal by the API server, by a word in the refusal's message."""
_DRAINS = 4
"""How many draining versions a stage records."""


@dataclass(frozen=True)
class Step:
    """The present state of one step.

    Attributes:
        name: The step.
        state: Done, Active, Waiting or Failed.
        detail: What it does, or waits for, for the status.
        actions: The actions that it needs.
        blocker: Why it is not done.
        requeue_after: When to reconcile again without any change.
        record: A status of the stage that must be written before any action; None: there is none.
        events: Events to emit when `record` is written.
        keeps: Kind and name of the Jobs and private Services that must not be deleted (in a stage
            without pods: of any objects).
        rollout: The status of the rollout.
        without_pods: Whether the candidate's pods are deleted during this step.

    """

    name: str
    state: StepState
    detail: str = ""
    actions: tuple[Owned, ...] = ()
    blocker: Blocker | None = None
    requeue_after: timedelta | None = None
    record: StageStatus | None = None
    events: tuple[Event, ...] = ()
    keeps: frozenset[tuple[str, str]] = frozenset()
    rollout: RolloutStatus | None = None
    without_pods: bool = False


def still_serving(view: StageView) -> str:
    """Return which version is still serving, as a sentence without its full stop."""
    return (
        f"{view.status.version} is still serving" if view.status.version else "Nothing is serving"
    )


def without_candidate(view: StageView, now: datetime) -> StageStatus:
    """Return the status without the candidate; its pods drain if requests may still reach them."""
    dropped, drains = view.status.candidate, serving.draining(view, now)
    # During a rollout the stable pods may still forward requests to the candidate.
    shared = view.status.rollout is not None
    if (
        dropped is not None
        and (shared or view.routed == dropped.runtime.identity)
        and dropped != view.effective
    ):
        drains = drain(drains, dropped, now)
    return view.status.model_copy(
        update={"candidate": None, "start_time": None, "rollout": None, "draining": drains}
    )


def drain(drains: tuple[Draining, ...], what: ServedVersion, now: datetime) -> tuple[Draining, ...]:
    """Return the draining versions and one more, oldest first."""
    identity = what.runtime.identity
    others = tuple(each for each in drains if each.identity != identity)
    return (*others, Draining(identity=identity, until_time=now + serving.DRAIN))[-_DRAINS:]


def rejected(
    view: StageView,
    name: str,
    reason: str,
    message: str,
    now: datetime,
    *,
    runtime: str | None = None,
) -> Step:
    """Return a step that records the rejection of the candidate.

    Args:
        view: The stage.
        name: The step.
        reason: The reason of the condition.
        message: Why, and what to do.
        now: The current time.
        runtime: Identity of the runtime that the rejection is limited to; None: any runtime.

    """
    candidate = view.target
    assert candidate is not None, "what is rejected was admitted"
    status = rejecting(
        view, without_candidate(view, now), candidate, reason, message, now, runtime=runtime
    )
    whole = Event(
        str(reason), f"{view.name} does not take {candidate.version}. {message}", warning=True
    )
    # The condition's own Event has the recorded message. A further Event is needed if that message
    # is cut. It is also needed with `autoPromote`, because the stage continues with another version
    # and no condition reports the rejected one.
    events = (whole,) if len(message) > REMEMBERED or view.is_automatic else ()
    return Step(name, StepState.FAILED, message[:DETAIL], record=status, events=events)


def rejecting(  # noqa: PLR0917 - the parts of a rejection
    view: StageView,
    status: StageStatus,
    what: ServedVersion,
    reason: str,
    message: str,
    now: datetime,
    *,
    runtime: str | None = None,
) -> StageStatus:
    """Return a stage's status with another rejected version.

    Args:
        view: The stage.
        status: Its status.
        what: The version.
        reason: The reason of the condition.
        message: Why, and what to do.
        now: The current time.
        runtime: Identity of the runtime that the rejection is limited to; None: any runtime.

    """
    rejection = Rejection(
        version=what.version,
        digest=what.digest,
        runtime=runtime,
        spec_hash=view.spec_hash,
        attempt=view.attempt,
        reason=reason,
        message=message[:REMEMBERED],
        time=now,
    )
    others = (
        each
        for each in status.rejected
        if (each.digest, each.runtime) != (rejection.digest, rejection.runtime)
    )
    return status.model_copy(update=_with(view, (*others, rejection)))


def _with(view: StageView, rejections: tuple[Rejection, ...]) -> dict[str, object]:
    """Return the status fields that a new rejection changes."""
    spec = view.spec
    if spec is None or not view.is_automatic:
        return {"rejected": rejections[-newest.REJECTIONS :]}
    kept = newest.remembered(
        rejections, view.versions, lambda each: is_in_force(spec, each), view.status.version
    )
    # The stage goes back to another version. An `attempt` that was raised for the rejected version
    # is recorded as carried out, so that it does not cause a refresh.
    return {"rejected": kept} if view.is_refresh else {"rejected": kept, "attempt": view.attempt}


def refused_step(name: str, stage: str, error: ModelyardError) -> Step:
    """Return a step whose apply the API server refused."""
    field = next((field for word, field in _FIELDS.items() if word in error.detail), "serving")
    message = (
        f"Kubernetes refused to {error.operation} {error.subject}: {error.detail}. Change what it"
        f" names: what comes from the spec is spec.stages.{stage}.{field}. It is retried every"
        f" {RETRY_REFUSED.seconds} s."
    )
    blocker = Blocker.of(Reason.REQUEST_REFUSED, message, needs_action=True)
    return Step(
        name, StepState.FAILED, message[:DETAIL], blocker=blocker, requeue_after=RETRY_REFUSED
    )


def refused_split(name: str, error: ModelyardError) -> Step:
    """Return a step whose update of a pod the API server refused; not a fault of the spec."""
    message = (
        f"Kubernetes refused to tell Pod {error.subject} how it splits its requests:"
        f" {error.detail}. It splits them as before. Allow the operator to patch pods: upgrade the"
        " chart together with the operator, which updates its roles; if a webhook or a policy is"
        f" named, exempt the operator's account. It is retried every {RETRY_REFUSED.seconds} s."
    )
    blocker = Blocker.of(Reason.REQUEST_REFUSED, message, needs_action=True)
    return Step(
        name, StepState.FAILED, message[:DETAIL], blocker=blocker, requeue_after=RETRY_REFUSED
    )
