"""One stage: keep the stable version serving and carry out the requested promotion. Pure."""

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


def decide_stage(view: StageView, now: datetime) -> StageDecision:
    """Return what a stage needs: recover its record, clear, promote, or keep it serving."""
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
        # The override is in force from here on, for the bytes that the version has now.
        was = view.status.override
        # A blocker of an earlier override does not apply to this one.
        blocked = (
            view.status.blocked if was is not None and was.since_time == noted.since_time else None
        )
        return StageDecision(
            view.status.model_copy(update={"override": noted, "blocked": blocked}), record=True
        )
    if view.status.candidate not in {None, view.wanted}:
        dropped = without_candidate(view, now).model_copy(
            update={"desired": view.desired, "blocked": None}
        )
        # No history entry: a withdrawn plan has started nothing, and under `autoPromote` no user
        # asked for the candidate that a newer version replaces.
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
    """Add the counts of the effective version's watch, unless a promotion is being recorded."""
    if decision.record:
        return decision
    looks = [each for each in (decision.requeue_after, watch.look_again(view)) if each is not None]
    status = decision.status.model_copy(update={"watch": watch.carried(view)})
    return replace(decision, status=status, requeue_after=min(looks, default=None))


def _verifying(view: StageView, decision: StageDecision, now: datetime) -> StageDecision:
    """Add the verification of the effective version, unless a promotion is being recorded."""
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
    """Record digest and runtime of the effective version if they are missing; else return None.

    They come from the Deployment that serves the version, never from tags. Without a Deployment:
    from the version's record and this operator's runtime.
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
    """Clear the stage: no version is effective, and all its serving objects are deleted."""
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
    """Keep a stage serving that is to be cleared later.

    A stage that the spec no longer has is left alone: nothing says how to serve it.
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
    """Keep the effective version serving, and delete what is left of other versions."""
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
        *serving.unneeded(view, kept | rollout.keeps(view)),
        *expired,
        *rollout.untold(view, now),
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
    """Keep the stable version, and take the next step to the desired version or runtime."""
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
        # A new Pass is recorded before any action depends on it.
        return StageDecision(
            status.model_copy(update={"steps": shown.shown(view, steps, now)}), record=True
        )
    candidate = status.candidate
    # During a freeze or dryRun the candidate's pods are deleted. The Jobs that ask them are deleted
    # too, so that they do not fail for that; they are created again later.
    asking = (
        frozenset[tuple[str, str]]() if step.name in {"freeze", "plan"} else trial.jobs(view, now)
    )
    kept = step.keeps | asking | verification.jobs(view, now)
    # Approvals may take days: the candidate has no pods meanwhile, also when one was withdrawn.
    podless = step.without_pods or step.name == "approval"
    idle = podless and candidate is not None and not view.is_live
    starting = None if idle else candidate
    expired, left = serving.expired(view, [stable, starting, *warm.kept(view)], now)
    gone: tuple[Owned, ...] = (
        *serving.unneeded(view, kept | rollout.keeps(view)),
        *expired,
        *rollout.untold(view, now),
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
        # The spec asked for another candidate just before the first one was recorded as effective.
        gone = (*serving.routing(view), *gone)
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
    # The steps that are done count too: a gate's Pass may expire.
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
    """Return the applies that keep the pods of displaced versions, except those of `but`."""
    return tuple(
        action for what in warm.kept(view) if what != but for action in serving.workload(view, what)
    )


def _until(view: StageView) -> timedelta | None:
    """Return the time until the override in force ends soon, or ends; None without one."""
    time = overrides.next_time(view.spec, view.status, view.now)
    return time - view.now if time is not None else None


def _judged(view: StageView, now: datetime) -> dict[str, object]:
    """Return the status fields with the gates' verdicts on the version that is to be promoted."""
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
    """Return the verdicts on a refresh, completed with those of gates that a refresh skips.

    The skipped gates keep the verdicts with which the version became effective.
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
    """Return the status fields that drop verdicts, if they are not about the effective version."""
    judged = view.status.judged
    about = judged is not None and (judged.version, judged.digest) == (
        stable.version,
        stable.digest,
    )
    if judged is not None and judged.runtime not in {None, stable.runtime.identity}:
        about = False  # about a refresh that was rejected and is no longer wanted
    return {} if about else {"judged": None, "gates": ()}


def _passed(status: StageStatus) -> set[tuple[str, str, str | None, str]]:
    about = f"{status.judged.digest} {status.judged.runtime}" if status.judged else ""
    return {
        (gate.name, gate.gate_hash, gate.incumbent, about)
        for gate in status.gates
        if gate.verdict is Verdict.PASS
    }


def _start_time(view: StageView, now: datetime) -> datetime:
    """Return since when the spec asks for the present desired version."""
    begun = view.status.start_time
    return begun if begun is not None and view.status.desired == view.desired else now


def _templates(view: StageView) -> list[str]:
    kept = (view.effective, view.status.previous, view.status.candidate)
    return [what.runtime.identity for what in kept if what is not None]


def _acting(
    view: StageView, status: StageStatus, actions: tuple[Owned, ...], left: timedelta | None
) -> StageDecision:
    """Leave out actions that the API server refused in this reconcile, and report the refusal."""
    tried = tuple(each for each in actions if serving.refused(view, [each]) is None)
    # A refused apply is reported first: pods that split requests as before are a lesser problem.
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
    """Return the status fields about the effective version's address and pods."""
    meta = view.model.metadata
    address = f"http://{serving_name(meta.name, view.name)}.{meta.namespace}"
    pods, wanted = serving.standing(view, what), serving.replicas(view, what)
    return {"url": address, "ready_replicas": pods.ready, "desired_replicas": wanted}


def _unwell(view: StageView, stable: ServedVersion) -> Blocker | None:
    """Return what is wrong with the effective version, if anything is."""
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
