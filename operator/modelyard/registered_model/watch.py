"""The watch after a switch: a version that is worse than the spec allows is rolled back. Pure.

    begin    the watch is recorded together with the switch; the displaced version keeps its pods
             (`warm`)
    check    for model servers that exited, pods that stopped answering, and the error rate of the
             version's responses
    breach   the rejection of the version is recorded; from then on the desired version is
             `StageView.rollback_target`

The displaced version returns through the ordinary steps, without gates. The operator does not
change the spec.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from modelyard.api.blocker import Blocker
from modelyard.api.registered_model import Automatic, ServedVersion, StageStatus, Watch
from modelyard.api.registered_model import ModelReason as Reason
from modelyard.kube.pod_life import server_end, unready_since
from modelyard.plan import Event, Manifest
from modelyard.registered_model import overrides, sequential, serving
from modelyard.registered_model.build import MODEL
from modelyard.registered_model.history import AFTER_THE_SWITCH
from modelyard.registered_model.step import rejecting
from modelyard.registered_model.view import StageView

__all__ = ["LOOK", "begun", "breached", "carried", "look_again", "trouble"]

LOOK = timedelta(seconds=10)
"""How often a watched version is checked."""
_UNREADY = timedelta(seconds=30)
"""How long a pod that was ready may be unready before the version is rolled back.

This is ten times what the readiness probe takes to fail, and half of what the liveness probe takes
to restart a server that hangs.
"""
_GROWS = 1.25
"""A count is written to the status, for a restarted operator, once it has grown by this factor."""
_RESTARTS = 9999


def begun(view: StageView, candidate: ServedVersion, now: datetime) -> Watch | None:
    """Return the watch that begins when a candidate becomes effective; None: it is not watched.

    A version that returns is not watched, because there is no version to roll back to. A version of
    an override is not watched either, because a user has just decided on it.
    """
    rule = automatic(view)
    if rule is None or view.is_return or view.override is not None or not view.is_served:
        return None
    stable = view.effective
    # There is no rollback to a version that an override made effective: it has passed no gate.
    displaced = stable if stable != candidate else None
    if overrides.is_from_override(view.status):
        displaced = None
    return Watch(
        since_time=now,
        until_time=now + rule.lasts,
        displaced=displaced.runtime.identity if displaced is not None else None,
    )


def automatic(view: StageView) -> Automatic | None:
    """Return the spec's automatic rollback."""
    rollback = view.spec.rollback if view.spec is not None else None
    return rollback.automatic if rollback is not None else None


def carried(view: StageView) -> Watch | None:
    """Return the status of the watch; None: there is none.

    An override of the effective version ends it, because a user wants that version.
    """
    watch = view.status.watch
    if watch is None or (view.rollback_target is None and not _is_on(view)):
        return None
    if view.override is not None and view.override.version == view.status.version:
        return None
    counted = view.evidence.answered.get(view.name)
    update: dict[str, object] = {"until_time": view.watched_until or watch.until_time}
    if counted is not None and (
        _grown(watch.requests, counted.requests) or _grown(watch.failures, counted.failures)
    ):
        update |= {"requests": counted.requests, "failures": counted.failures}
    return watch.model_copy(
        update=update | {"restarts": max(watch.restarts, min(len(_ended(view, watch)), _RESTARTS))}
    )


def look_again(view: StageView) -> timedelta | None:
    """Return the time until the next check of the version; None: it is not watched."""
    end = view.watched_until
    return min(LOOK, end - view.now) if end is not None and _is_on(view) else None


def breached(view: StageView, now: datetime) -> tuple[StageStatus, tuple[Event, ...]] | None:
    """Return the status that rejects the effective version, and Events; None: no rollback."""
    why, stable = _why(view), view.effective
    if why is None or stable is None or (target := view.eligible_rollback) is None:
        return None
    # After a refresh only the new runtime is rejected, otherwise the version with any runtime.
    is_refresh = (target.version, target.digest) == (stable.version, stable.digest)
    runtime = stable.runtime.identity if is_refresh else None
    what = f"the runtime {stable.runtime.image}" if is_refresh else stable.version
    status = rejecting(
        view,
        view.status,
        stable,
        Reason.ROLLED_BACK,
        f"{AFTER_THE_SWITCH} {why}.",
        now,
        runtime=runtime,
    )
    watch = carried(view)
    counted = view.evidence.answered.get(view.name)
    if watch is not None and counted is not None:
        watch = watch.model_copy(
            update={"requests": counted.requests, "failures": counted.failures}
        )
    message = (
        f"{view.name}: {what} is rolled back: after the switch {why}. {target.version} returns."
    )
    return status.model_copy(update={"watch": watch}), (
        Event(Reason.ROLLED_BACK, message, warning=True),
    )


def trouble(view: StageView) -> Blocker | None:
    """Return the blocker of a version that breaches its watch but cannot be rolled back."""
    if view.rollback_target is not None or view.effective is None:
        return None
    stable, rejection = view.effective, view.rolled_back
    if rejection is not None:
        message = (
            f"{stable.version} is still serving: what it displaced cannot return."
            f" {rejection.message} Promote another version."
        )
        return Blocker.of(Reason.WATCH_FAILED, message, needs_action=True)
    why = _why(view)
    if why is None or view.eligible_rollback is not None:
        return None
    message = (
        f"{AFTER_THE_SWITCH} {why}. {stable.version} is still serving: nothing can return in its"
        " place. Promote another version."
    )
    return Blocker.of(Reason.WATCH_FAILED, message, needs_action=True)


# --- what is judged ------------------------------------------------------------------------------
def _is_on(view: StageView) -> bool:
    end = view.watched_until
    return end is not None and view.now < end and view.is_served and not view.is_cleared


def _why(view: StageView) -> str | None:
    """Return why the effective version is worse than the spec allows; None: it is not."""
    watch, rule, stable = view.status.watch, automatic(view), view.effective
    if watch is None or rule is None or stable is None or not _is_on(view):
        return None
    if (
        view.override is not None
        or view.routed != stable.runtime.identity
        or view.rolled_back is not None
    ):
        return None
    return _crashed(view, watch) or _unready(view, stable) or _failing(view, rule)


def _crashed(view: StageView, watch: Watch) -> str | None:
    """Return which pod's model server exited; None: none did.

    A server that has started exits only if it fails, and its open requests are lost.
    """
    ended = _ended(view, watch)
    return f"the model server of pod {ended[0][0]} ended ({ended[0][1]})" if ended else None


def _ended(view: StageView, watch: Watch) -> list[tuple[str, str]]:
    found = (
        (pod["metadata"]["name"], server_end(pod, MODEL, watch.since_time)) for pod in _pods(view)
    )
    return [(name, end) for name, end in found if end is not None]


def _unready(view: StageView, stable: ServedVersion) -> str | None:
    """Return which pod was ready and no longer is; None: none.

    A new pod that is not ready yet (after a node drain, or a scale-up) is not counted.
    """
    ready, wanted = serving.pod_health(view, stable).ready, serving.replicas(view, stable)
    if ready >= wanted:
        return None
    since = ((pod["metadata"]["name"], unready_since(pod, MODEL)) for pod in _pods(view))
    late = next(
        (name for name, time in since if time is not None and view.now - time >= _UNREADY), None
    )
    if late is None:
        return None
    return f"{ready} of {wanted} pods were ready; {late} was not for {_UNREADY.seconds} s"


def _failing(view: StageView, rule: Automatic) -> str | None:
    counted = view.evidence.answered.get(view.name)
    if counted is None or counted.requests < rule.min_requests:
        return None
    if not sequential.exceeds(counted.failures, counted.requests, rule.limit):
        return None
    rate = counted.failures / counted.requests
    return (
        f"{counted.failures} of {counted.requests} requests failed ({rate:.2%} > {rule.limit:.2%})"
    )


def _pods(view: StageView) -> Iterable[Manifest]:
    """Return the pods of the effective version that are not terminating."""
    return (
        pod
        for pod in view.of_kind("Pod", view.effective)
        if not pod["metadata"].get("deletionTimestamp")
    )


def _grown(before: int, now: int) -> bool:
    return now > before * _GROWS
