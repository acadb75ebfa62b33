"""`StageDecision`, and what all decisions about a stage share. Pure."""

from dataclasses import dataclass
from datetime import timedelta

from modelyard.api.registered_model import HistoryEntry, ServedVersion, StageStatus
from modelyard.kube.names import serving_name
from modelyard.plan import Apply, Event, Owned, SetTrafficRule
from modelyard.registered_model import overrides, serving, warm
from modelyard.registered_model.step import refused_split, refused_step
from modelyard.registered_model.view import StageView

__all__ = [
    "NO_PODS",
    "StageDecision",
    "acting",
    "pod_fields",
    "templates",
    "until_override",
    "warm_applies",
]

NO_PODS: dict[str, object] = {"url": None, "ready_replicas": 0, "desired_replicas": 0}
"""The status fields of a stage without pods."""


@dataclass(frozen=True)
class StageDecision:
    """What a stage needs in this round.

    Attributes:
        status: Its status now.
        actions: Applies and deletes of its serving objects.
        entry: The new entry of the history; if there is one, the status is written first.
        record: Whether the status must be written before any action.
        events: Events to emit when the status is written.
        quiet: The recorded fact does not change the stage, so its conditions stay.
        requeue_after: When to reconcile again without any change.

    """

    status: StageStatus
    actions: tuple[Owned, ...] = ()
    entry: HistoryEntry | None = None
    record: bool = False
    requeue_after: timedelta | None = None
    events: tuple[Event, ...] = ()
    quiet: bool = False


def warm_applies(view: StageView, but: ServedVersion | None = None) -> tuple[Apply, ...]:
    """Return the applies that keep the pods of displaced versions, except those of `but`."""
    return tuple(
        action for what in warm.kept(view) if what != but for action in serving.workload(view, what)
    )


def until_override(view: StageView) -> timedelta | None:
    """Return the time until the override in force ends soon, or ends; None without one."""
    time = overrides.next_time(view.spec, view.status, view.now)
    return time - view.now if time is not None else None


def templates(view: StageView) -> list[str]:
    """Return the identities whose templates a stage keeps."""
    kept = (view.effective, view.status.previous, view.status.candidate)
    return [what.runtime.identity for what in kept if what is not None]


def acting(
    view: StageView, status: StageStatus, actions: tuple[Owned, ...], left: timedelta | None
) -> StageDecision:
    """Leave out actions that the API server refused in this reconcile, and report the refusal."""
    tried = tuple(each for each in actions if serving.refused(view, [each]) is None)
    # A refused apply is reported first: pods that split requests as before are a lesser problem.
    applied = serving.refused(
        view, [each for each in actions if not isinstance(each, SetTrafficRule)]
    )
    if (error := applied or serving.refused(view, actions)) is not None:
        step = (
            refused_step("start", view.name, error)
            if applied is not None
            else refused_split("start", error)
        )
        if status.blocked is None or not status.blocked.needs_action:
            status = status.model_copy(update={"blocked": step.blocker})
        left = min(each for each in (left, step.requeue_after) if each is not None)
    return StageDecision(status, tried, requeue_after=left)


def pod_fields(view: StageView, what: ServedVersion) -> dict[str, object]:
    """Return the status fields about the effective version's address and pods."""
    meta = view.model.metadata
    address = f"http://{serving_name(meta.name, view.name)}.{meta.namespace}"
    pods, wanted = serving.pod_health(view, what), serving.replicas(view, what)
    return {"url": address, "ready_replicas": pods.ready, "desired_replicas": wanted}
