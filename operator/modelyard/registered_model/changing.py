"""The decision about a stage with a promotion to carry out. Pure.

The stable version is kept serving; the candidate takes its next step.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from modelyard.api.gates import Verdict
from modelyard.api.registered_model import GateStatus, JudgedVersion, ServedVersion, StageStatus
from modelyard.plan import Owned
from modelyard.registered_model import (
    history,
    overrides,
    promotion,
    serving,
    shown,
    split,
    trial,
    verification,
    warm,
)
from modelyard.registered_model.decision import (
    NO_PODS,
    StageDecision,
    acting,
    pod_fields,
    templates,
    until_override,
    warm_applies,
)
from modelyard.registered_model.gates.judging import judge
from modelyard.registered_model.step import Step
from modelyard.registered_model.view import StageView

__all__ = ["changing"]


def changing(view: StageView, now: datetime) -> StageDecision:
    """Keep the stable version serving, and take the promotion's next step."""
    steps, judged = promotion.steps(view, now), _judged(view, now)
    step = promotion.current(steps)
    if step.record is not None:
        recorded = step.record.model_copy(update={"steps": shown.shown(view, steps, now)} | judged)
        return _recording(view, step, recorded, now)
    status = view.status.model_copy(update=judged)
    if _passed(status) - _passed(view.status):
        # Record a new Pass before any action that depends on it.
        return StageDecision(
            status.model_copy(update={"steps": shown.shown(view, steps, now)}), record=True
        )
    return _performing(view, status, steps, now)


def _recording(view: StageView, step: Step, recorded: StageStatus, now: datetime) -> StageDecision:
    """Record what a step has decided: a candidate, a new effective version, or a rejection."""
    if step.name != "record":
        entry = history.rejected(view, recorded, now)
        return StageDecision(recorded, entry=entry, record=True, events=step.events)
    details = (each.detail for each in view.status.steps if each.name == "rollout")
    passed = next((detail for detail in details if detail.startswith("passed")), "")
    done = shown.all_done(recorded, promotion.names(view), passed)
    recorded = recorded.model_copy(update={"steps": done})
    entry = history.entry(view, view.target, now, recorded.gates)
    return StageDecision(recorded, entry=entry, record=True)


def _performing(
    view: StageView, status: StageStatus, steps: tuple[Step, ...], now: datetime
) -> StageDecision:
    """Carry out the current step, and a begun rollout that an earlier step delays."""
    step, live = promotion.current(steps), promotion.begun_rollout(steps)
    objects = _objects(view, step, now)
    rollouts = (each.rollout for each in (step, live) if each is not None)
    update = objects.fields | {
        "desired": view.desired,
        "attempt": view.attempt if view.desired != status.version else status.attempt,
        "blocked": step.blocker,
        "rollout": next((each for each in rollouts if each is not None), status.rollout),
        "start_time": _start_time(view, now),
        "steps": shown.shown(view, steps, now),
        "draining": serving.draining(view, now),
    }
    if view.override is not None:
        update["override"] = overrides.kept(view.spec, view.status, now)
    # Include the steps that are done: a gate's Pass may expire.
    waits = (objects.left, *(each.requeue_after for each in steps), until_override(view))
    rollout_actions = live.actions if live is not None and live is not step else ()
    return acting(
        view,
        status.model_copy(update=update),
        (*objects.applies, *step.actions, *rollout_actions, *objects.deletes),
        min((each for each in waits if each is not None), default=None),
    )


@dataclass(frozen=True)
class _Objects:
    """The serving objects of a stage during a promotion.

    Attributes:
        applies: Applies that keep the stable version and warm versions (`warm`) serving.
        deletes: Deletions of objects that are no longer needed.
        left: Time until the next deletion.
        fields: The status fields about the stage's pods.

    """

    applies: tuple[Owned, ...]
    deletes: tuple[Owned, ...]
    left: timedelta | None
    fields: dict[str, object]


def _objects(view: StageView, step: Step, now: datetime) -> _Objects:
    """Return the applies and deletes that a stage needs in addition to the steps' actions."""
    stable, candidate = view.effective, view.status.candidate
    # During a freeze or `dryRun` the candidate's pods are deleted. The gates' Jobs that send
    # requests to them are deleted too, because they would fail; they are created again later.
    is_paused = step.name in {"freeze", "plan"}
    jobs = frozenset[tuple[str, str]]() if is_paused else trial.jobs(view, now)
    kept = step.keeps | jobs | verification.jobs(view, now)
    if not view.is_served:
        everything = serving.everything(view, but=templates(view), keep=kept)
        return _Objects((), everything, None, NO_PODS)
    # Approvals may take days, so a candidate that waits for them has no pods. That also applies
    # when an approval was withdrawn, unless requests may have reached the candidate.
    is_idle = (step.without_pods or step.name == "approval") and not view.is_live
    starting = None if is_idle else candidate
    expired, left = serving.expired(view, [stable, starting, *warm.kept(view)], now)
    unneeded = serving.unneeded(view, kept | split.keeps(view))
    deletes: tuple[Owned, ...] = (*split.rule_removals(view, now), *unneeded, *expired)
    if stable is None:
        if view.routed not in {None, candidate.runtime.identity if candidate else None}:
            # The Service routes to an earlier first candidate: the spec changed after the switch,
            # before that candidate was recorded as effective.
            deletes = (*serving.routing(view), *deletes)
        return _Objects((), deletes, left, {})
    routes = serving.routes(view, stable) if step.name not in {"switch", "record"} else ()
    applies = (*serving.workload(view, stable), *routes, *warm_applies(view, but=starting))
    return _Objects(applies, deletes, left, pod_fields(view, stable))


def _judged(view: StageView, now: datetime) -> dict[str, object]:
    """Return the status fields with the gates' verdicts on what is to be promoted."""
    target = view.target
    results = tuple(result.status for result in judge(view, now))
    if target is None or (view.is_refresh and not results):
        return {}
    if view.is_refresh:
        results = _with_others(view, target, results)
    judged = (
        JudgedVersion(version=target.version, digest=target.digest, runtime=target.runtime.identity)
        if results
        else None
    )
    return {"judged": judged, "gates": results}


def _with_others(
    view: StageView, target: ServedVersion, asked: tuple[GateStatus, ...]
) -> tuple[GateStatus, ...]:
    """Return the verdicts on a refresh, and those of the gates that a refresh skips.

    A skipped gate keeps the verdict with which the version became effective.
    """
    judged, spec = view.status.judged, view.spec
    about = judged is not None and (judged.version, judged.digest) == (
        target.version,
        target.digest,
    )
    found = {each.name: each for each in (*(view.status.gates if about else ()), *asked)}
    return tuple(
        found[gate.name] for gate in (spec.gates if spec is not None else ()) if gate.name in found
    )


def _passed(status: StageStatus) -> set[tuple[str, str, str | None, str]]:
    """Return a key for each Pass, of everything that the Pass is about."""
    about = f"{status.judged.digest} {status.judged.runtime}" if status.judged else ""
    return {
        (gate.name, gate.gate_hash, gate.incumbent, about)
        for gate in status.gates
        if gate.verdict is Verdict.PASS
    }


def _start_time(view: StageView, now: datetime) -> datetime:
    """Return when the stage's desired version became the present one."""
    begun = view.status.start_time
    return begun if begun is not None and view.status.desired == view.desired else now
