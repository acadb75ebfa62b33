"""One stage: keep the stable version serving, and carry out the promotion that the spec asks
for. Pure.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from modelyard.api.blocker import Blocker
from modelyard.api.gates import Verdict
from modelyard.api.registered_model import (
    GateStatus,
    HistoryEntry,
    JudgedVersion,
    PreviousVersion,
    ServedVersion,
    StageStatus,
)
from modelyard.api.registered_model import ModelReason as Reason
from modelyard.kube.names import serving_name
from modelyard.plan import Apply, Event, Owned, Tell
from modelyard.registered_model import (
    build,
    dry_run,
    freezes,
    history,
    overrides,
    promotion,
    rollout,
    serving,
    shown,
    trial,
    verification,
    warm,
    watch,
)
from modelyard.registered_model.gates.judging import judge
from modelyard.registered_model.kept import served_by
from modelyard.registered_model.step import refused_step, refused_tell, without_candidate
from modelyard.registered_model.versions import may_start
from modelyard.registered_model.view import StageView

__all__ = ["StageDecision", "decide_stage"]

_REPLACED = (
    "They are being replaced, because their template has changed: by the spec, by the Secret that"
    " they read, or by a restart."
)

_NO_PODS: dict[str, object] = {"url": None, "ready_replicas": 0, "desired_replicas": 0}


@dataclass(frozen=True)
class StageDecision:
    """What a stage needs in this round.

    Attributes:
        status: Its status now.
        actions: Applies and deletes of what serves it.
        entry: What the history gains; with it the status is written first.
        record: Whether the status must be written before anything else is done.
        events: What is told to users when it is.
        quiet: What is recorded is no change of the stage: its conditions stay.
        requeue_after: When to reconcile again though nothing changed.

    """

    status: StageStatus
    actions: tuple[Owned, ...] = ()
    entry: HistoryEntry | None = None
    record: bool = False
    requeue_after: timedelta | None = None
    events: tuple[Event, ...] = ()
    quiet: bool = False


def decide_stage(view: StageView, now: datetime) -> StageDecision:
    """Return what a stage needs: recover its record, clear it, promote, or keep it serving."""
    decision = _decided(view, now)
    status = warm.recorded(view, decision.status)
    ends = [
        each
        for each in (status.previous.until_time if status.previous else None, warm.until(view))
        if each is not None and each > now
    ]
    waits = [
        *([decision.requeue_after] if decision.requeue_after is not None else []),
        *(each - now for each in ends),
    ]
    return replace(decision, status=status, requeue_after=min(waits, default=None))


def _decided(view: StageView, now: datetime) -> StageDecision:
    if (recovered := _recovered(view)) is not None:
        return recovered
    if (over := overrides.ended(view.spec, view.status, now)) is not None:
        return StageDecision(
            view.status.model_copy(update={"override": over}),
            entry=history.override_ended(view, now),
            record=True,
        )
    asked = (
        view.spec.override.version
        if view.spec is not None and view.spec.override is not None
        else ""
    )
    if (
        noted := overrides.noted(view.spec, view.status, view.versions.get(asked), now)
    ) is not None:
        # It counts from here on, for the bytes that the version has now.
        was = view.status.override
        blocked = (
            view.status.blocked if was is not None and was.since_time == noted.since_time else None
        )  # it spoke of the one before
        return StageDecision(
            view.status.model_copy(update={"override": noted, "blocked": blocked}), record=True
        )
    if view.status.candidate not in {None, view.wanted}:
        dropped = without_candidate(view, now).model_copy(
            update={"desired": view.desired, "blocked": None}
        )
        # A plan that is taken back has begun nothing, and of what is only the newest by now nobody
        # has asked for another.
        untold = view.is_automatic or any(step.name == "plan" for step in view.status.steps)
        return StageDecision(
            dropped, entry=None if untold else history.aborted(view, now), record=True
        )
    if (breached := watch.breached(view, now)) is not None:
        return StageDecision(breached[0], record=True, events=breached[1], quiet=True)
    if view.desired is None:
        return _cleared(view, now)
    return _watching(
        view,
        _verifying(view, _changing(view, now) if view.is_changing else _steady(view, now), now),
    )


def _watching(view: StageView, decision: StageDecision) -> StageDecision:
    """Add what the watch of the effective version has counted; what a promotion records has a
    watch of its own.
    """
    if decision.record:
        return decision
    looks = [each for each in (decision.requeue_after, watch.look_again(view)) if each is not None]
    status = decision.status.model_copy(update={"watch": watch.carried(view)})
    return replace(decision, status=status, requeue_after=min(looks, default=None))


def _verifying(view: StageView, decision: StageDecision, now: datetime) -> StageDecision:
    """Add what judges the effective version again; what a promotion records comes first."""
    if decision.record:
        return decision
    found = verification.again(view, now)
    if found.record:
        status = view.status.model_copy(update={"verification": found.status})
        return StageDecision(status, record=True, events=found.events, quiet=True)
    status = decision.status.model_copy(update={"verification": found.status})
    looks = [each for each in (decision.requeue_after, found.requeue_after) if each is not None]
    return replace(
        decision,
        status=status,
        actions=(*decision.actions, *found.actions),
        requeue_after=min(looks, default=None),
    )


def _recovered(view: StageView) -> StageDecision | None:
    """Record digest and runtime of a held stage that lacks them; None when it lacks nothing.

    They are those of the Deployment that serves it, never those of tags. Without a Deployment they
    are the version's record and this operator's runtime.
    """
    version = view.status.version
    if version is None or view.effective is not None:
        return None
    served = (served_by(deployment) for deployment in view.of_kind("Deployment"))
    serving = {
        found.runtime.identity: found
        for found in served
        if found is not None and found.version == version
    }
    found = serving.get(view.routed or "") or next(iter(serving.values()), None)
    known = view.versions.get(version)
    if found is None and known is not None and known.digest is not None:
        found = build.served(version, known.digest, view.runtime)
    if found is not None:
        whole = {"digest": found.digest, "runtime": found.runtime}
        return StageDecision(view.status.model_copy(update=whole), record=True)
    if view.desired != version:
        return None
    message = (
        f"{version} is effective, but neither its record nor a Deployment says which bytes it is."
        " Promote another version."
    )
    blocker = Blocker.of(Reason.VERSION_UNKNOWN, message, needs_action=True)
    return StageDecision(
        view.status.model_copy(update={"desired": view.desired, "blocked": blocker})
    )


def _cleared(view: StageView, now: datetime) -> StageDecision:
    """No version is effective: nothing serves the stage."""
    stable = view.effective
    if stable is not None:
        if view.dependencies_down:
            return _kept(
                view,
                Blocker.of(Reason.PROMOTING, "The stage is cleared when MLflow and S3 answer."),
                now,
            )
        if dry_run.holds(view):
            return _kept(view, dry_run.blocker(view), now)
        empty = StageStatus(
            verification=verification.carried(view, "", ""),
            since_time=now,
            previous=view.status.previous
            if overrides.has_put(view.status)
            else PreviousVersion.of(stable),
            attempt=view.attempt,
            hold_time=view.status.hold_time,
            traffic_revision=view.status.traffic_revision,
            rejected=view.status.rejected,
            override=view.status.override,
        )
        return StageDecision(empty, entry=history.entry(view, None, now), record=True)
    previous = view.status.previous if view.spec is not None else None
    kept = [previous.runtime.identity] if previous else []
    status = StageStatus(
        verification=verification.carried(view, "", ""),
        since_time=view.status.since_time,
        previous=previous,
        attempt=view.attempt,
        hold_time=view.status.hold_time,
        traffic_revision=view.status.traffic_revision,
        rejected=view.status.rejected,
        override=overrides.end(view.spec, view.status),
        blocked=overrides.trouble(view.model.metadata.name, view.name, view.spec, view.status, now),
    )
    return StageDecision(status, serving.everything(view, but=kept))


def _kept(view: StageView, why: Blocker, now: datetime) -> StageDecision:
    """Keep a stage serving that is to be cleared later. One that the spec no longer has is left
    alone: nothing says how it is served.
    """
    if view.spec is None:
        return StageDecision(view.status.model_copy(update={"desired": None, "blocked": why}))
    if view.status.candidate is not None:
        dropped = without_candidate(view, now).model_copy(update={"desired": None, "blocked": None})
        return StageDecision(dropped, record=True)
    found = _watching(view, _verifying(view, _steady(view, now), now))
    unwell = found.status.blocked
    if found.record or (unwell is not None and unwell.needs_action):
        return found
    return replace(found, status=found.status.model_copy(update={"blocked": why}))


def _steady(view: StageView, now: datetime) -> StageDecision:
    """The spec asks for the effective version: keep it serving, and delete what is left of
    others.
    """
    stable = view.effective
    assert stable is not None, "a steady stage has an effective version"
    status = view.status.model_copy(
        update={
            "desired": view.desired,
            "attempt": view.attempt,
            "start_time": None,
            "draining": serving.draining(view, now),
        }
    )
    status = status.model_copy(
        update={"steps": shown.last_done(view.status)} | _still_judged(view, stable)
    )
    status = status.model_copy(update={"override": overrides.kept(view.spec, view.status, now)})
    kept = verification.jobs(view, now)
    if not view.is_served:
        none = _NO_PODS | {"blocked": None, "draining": ()}
        everything = serving.everything(view, but=_templates(view), keep=kept)
        return StageDecision(status.model_copy(update=none), everything, requeue_after=_until(view))
    actions = (*serving.workload(view, stable), *serving.routes(view, stable), *_warm(view))
    expired, left = serving.expired(view, [stable, *warm.kept(view)], now)
    gone: tuple[Owned, ...] = (
        *rollout.untold(view, now),
        *serving.unneeded(view, kept | rollout.keeps(view)),
        *expired,
    )
    blocker = (
        watch.trouble(view)
        or _unwell(view, stable)
        or overrides.trouble(view.model.metadata.name, view.name, view.spec, view.status, now)
        or freezes.trouble(view)
    )
    status = status.model_copy(update=_pods(view, stable) | {"blocked": blocker})
    return _acting(
        view,
        status,
        (*actions, *gone),
        min((each for each in (left, _until(view)) if each is not None), default=None),
    )


def _changing(view: StageView, now: datetime) -> StageDecision:
    """Another version, or another runtime, is asked for: keep the stable one, and take the next
    step.
    """
    steps, judged = promotion.steps(view, now), _judged(view, now)
    step, live = promotion.current(steps), promotion.attended(steps)
    if step.record is not None:
        recorded = step.record.model_copy(update={"steps": shown.shown(view, steps, now)} | judged)
        if step.name == "record":
            passed = next(
                (
                    each.detail
                    for each in view.status.steps
                    if each.name == "rollout" and each.detail.startswith("passed")
                ),
                "",
            )
            recorded = recorded.model_copy(
                update={"steps": shown.all_done(recorded, promotion.names(view), passed)}
            )
            return StageDecision(
                recorded, entry=history.entry(view, view.wanted, now, recorded.gates), record=True
            )
        return StageDecision(
            recorded, entry=history.rejected(view, recorded, now), record=True, events=step.events
        )
    stable, status = view.effective, view.status.model_copy(update=judged)
    if _passed(status) - _passed(view.status):
        # What passed is recorded before anything is done for it.
        return StageDecision(
            status.model_copy(update={"steps": shown.shown(view, steps, now)}), record=True
        )
    candidate = status.candidate
    # A Job must not fail for the pods that a freeze or dryRun has taken: it is made again.
    asking = (
        frozenset[tuple[str, str]]() if step.name in {"freeze", "plan"} else trial.jobs(view, now)
    )
    kept = step.keeps | asking | verification.jobs(view, now)
    # Approvals may last days: the candidate has no pods meanwhile, also when one was withdrawn.
    podless = step.without_pods or step.name == "approval"
    idle = podless and candidate is not None and not view.is_live
    starting = None if idle else candidate
    expired, left = serving.expired(view, [stable, starting, *warm.kept(view)], now)
    gone: tuple[Owned, ...] = (
        *rollout.untold(view, now),
        *serving.unneeded(view, kept | rollout.keeps(view)),
        *expired,
    )
    actions: tuple[Owned, ...] = ()
    if stable is not None and view.is_served:
        actions = serving.workload(view, stable)
        if step.name not in {"switch", "record"}:
            actions += serving.routes(view, stable)
        actions += _warm(view, but=starting)
        status = status.model_copy(update=_pods(view, stable))
    elif not view.is_served:
        gone, left = serving.everything(view, but=_templates(view), keep=kept), None
        status = status.model_copy(update=_NO_PODS)
    elif view.routed not in {None, candidate.runtime.identity if candidate else None}:
        # Another candidate was asked for just before the first one was recorded as effective.
        gone = (*serving.fronts(view), *gone)
    status = status.model_copy(
        update={
            "desired": view.desired,
            "attempt": view.attempt if view.desired != status.version else status.attempt,
            "blocked": step.blocker,
            "rollout": next(
                (
                    each.rollout
                    for each in (step, live)
                    if each is not None and each.rollout is not None
                ),
                status.rollout,
            ),
            "start_time": _start_time(view, now),
            "steps": shown.shown(view, steps, now),
            "draining": serving.draining(view, now),
        }
    )
    if view.override is not None:
        status = status.model_copy(update={"override": overrides.kept(view.spec, view.status, now)})
    # Also of the steps that are done: what a gate has passed may end by time.
    waits = [
        each
        for each in (left, *(each.requeue_after for each in steps), _until(view))
        if each is not None
    ]
    attended = live.actions if live is not None and live is not step else ()
    return _acting(
        view, status, (*actions, *step.actions, *attended, *gone), min(waits, default=None)
    )


def _warm(view: StageView, but: ServedVersion | None = None) -> tuple[Apply, ...]:
    """Return what keeps warm what a switch displaced, unless it is another one's to start."""
    return tuple(
        action for what in warm.kept(view) if what != but for action in serving.workload(view, what)
    )


def _until(view: StageView) -> timedelta | None:
    """Return how long the override that decides now stands as it does: it ends soon, and it
    ends.
    """
    time = overrides.next_time(view.spec, view.status, view.now)
    return time - view.now if time is not None else None


def _judged(view: StageView, now: datetime) -> dict[str, object]:
    """Return what the status says of the gates of the version that the stage is to take."""
    wanted = view.wanted
    results = tuple(result.status for result in judge(view, now))
    if wanted is None or (view.is_refresh and not results):
        return {}
    if view.is_refresh:
        results = _with_others(view, wanted, results)
    judged = (
        JudgedVersion(version=wanted.version, digest=wanted.digest, runtime=wanted.runtime.identity)
        if results
        else None
    )
    return {"judged": judged, "gates": results}


def _with_others(
    view: StageView, wanted: ServedVersion, asked: tuple[GateStatus, ...]
) -> tuple[GateStatus, ...]:
    """Return what gates say of a refresh, and the verdicts by which the version holds the stage
    of those that are not asked.
    """
    judged, spec = view.status.judged, view.spec
    about = judged is not None and (judged.version, judged.digest) == (
        wanted.version,
        wanted.digest,
    )
    found = {each.name: each for each in (*(view.status.gates if about else ()), *asked)}
    return tuple(
        found[gate.name] for gate in (spec.gates if spec is not None else ()) if gate.name in found
    )


def _still_judged(view: StageView, stable: ServedVersion) -> dict[str, object]:
    """Return the verdicts by which the effective version holds the stage; those about another
    one go.
    """
    judged = view.status.judged
    about = judged is not None and (judged.version, judged.digest) == (
        stable.version,
        stable.digest,
    )
    if judged is not None and judged.runtime not in {None, stable.runtime.identity}:
        about = False  # of a refresh that was rejected, and is no longer asked for
    return {} if about else {"judged": None, "gates": ()}


def _passed(status: StageStatus) -> set[tuple[str, str, str | None, str]]:
    about = f"{status.judged.digest} {status.judged.runtime}" if status.judged else ""
    return {
        (gate.name, gate.gate_hash, gate.incumbent, about)
        for gate in status.gates
        if gate.verdict is Verdict.PASS
    }


def _start_time(view: StageView, now: datetime) -> datetime:
    """Return since when the spec asks for what it asks for."""
    begun = view.status.start_time
    return begun if begun is not None and view.status.desired == view.desired else now


def _templates(view: StageView) -> list[str]:
    kept = (view.effective, view.status.previous, view.status.candidate)
    return [what.runtime.identity for what in kept if what is not None]


def _acting(
    view: StageView, status: StageStatus, actions: tuple[Owned, ...], left: timedelta | None
) -> StageDecision:
    """Leave out what the API server refused in this reconcile, and say so."""
    tried = tuple(each for each in actions if serving.refused(view, [each]) is None)
    # An apply that is refused comes first; that pods split as before is the lesser trouble.
    applied = serving.refused(view, [each for each in actions if not isinstance(each, Tell)])
    if (error := applied or serving.refused(view, actions)) is not None:
        step = (
            refused_step("start", view.name, error)
            if applied is not None
            else refused_tell("start", error)
        )
        if status.blocked is None or not status.blocked.needs_action:
            status = status.model_copy(update={"blocked": step.blocker})
        left = min(each for each in (left, step.requeue_after) if each is not None)
    return StageDecision(status, tried, requeue_after=left)


def _pods(view: StageView, what: ServedVersion) -> dict[str, object]:
    """Return what the status says of the pods of the effective version."""
    address = f"http://{serving_name(view.model.metadata.name, view.name)}.{view.model.metadata.namespace}"
    pods, wanted = serving.standing(view, what), serving.replicas(view, what)
    return {"url": address, "ready_replicas": pods.ready, "desired_replicas": wanted}


def _unwell(view: StageView, stable: ServedVersion) -> Blocker | None:
    """Return what is wrong with the effective version."""
    known = view.versions.get(stable.version)
    if known is not None and known.digest not in {None, stable.digest}:
        message = (
            f"{stable.version} is still serving, but its bytes are not those of its record. Promote"
            " another version."
        )
        return Blocker.of(Reason.ARTIFACT_DIGEST_MISMATCH, message, needs_action=True)
    if known is None or (
        known.mlflow_version is None and known.blocked is None and not view.dependencies_down
    ):
        if known is None or known.digest is None:
            message = (
                f"{stable.version} is still serving, but its record is lost. Promote another"
                " version."
            )
            return Blocker.of(Reason.VERSION_UNKNOWN, message, needs_action=True)
        message = (
            f"{stable.version} is still serving. MLflow has lost it; it is being registered again."
        )
        return Blocker.of(Reason.REGISTERING, message)
    if known.blocked is not None:
        but = "" if may_start(known) else ", but no new pod of it could start"
        message = f"{stable.version} is still serving{but}. {known.blocked.message}"
        return Blocker.of(known.blocked.reason, message, needs_action=known.blocked.needs_action)
    pods, wanted = serving.standing(view, stable), serving.replicas(view, stable)
    if pods.ready >= wanted and pods.current:
        return None
    why = pods.message or ("Pods are starting." if pods.ready < wanted else _REPLACED)
    message = f"{pods.ready} of {wanted} pods of {stable.version} are ready. {why}"
    return Blocker.of(pods.reason or Reason.NOT_SERVING, message, needs_action=pods.stalled)
