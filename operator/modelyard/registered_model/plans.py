"""`status.plan`: what each change that `dryRun` delays would do, step by step. Pure.

The rows come from the code that carries a change out: the steps of the promotion, the builders of
the serving objects, the changes in MLflow. If a blocker stops the promotion before anything else (a
version that is not registered, a rejection), it is the last row of its stage.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from modelyard.api.gates import Gate, Verdict
from modelyard.api.model_status import DOES, PLANNED
from modelyard.api.registered_model import (
    GateStatus,
    PlannedStep,
    RegisteredModel,
    ServedVersion,
    StageStatus,
    StepState,
)
from modelyard.kube.names import serving_name
from modelyard.plan import DeleteAlias, SetAlias, SetTags, TransitionStage
from modelyard.registered_model import dry_run, overrides, promotion, serving, warm
from modelyard.registered_model.gates.judging import asked_in, judge
from modelyard.registered_model.held import with_held
from modelyard.registered_model.history import entry
from modelyard.registered_model.observation import Observation
from modelyard.registered_model.registry import Move, moves
from modelyard.registered_model.step import Step
from modelyard.registered_model.versions import tracked_by_name
from modelyard.registered_model.view import StageView

__all__ = ["rows"]

_SHORT = len("sha256:") + 12
_ORDER = {Verdict.FAIL: 0, Verdict.ERROR: 1, Verdict.PENDING: 2, Verdict.PASS: 3}


def rows(
    model: RegisteredModel, observation: Observation, views: Iterable[StageView], now: datetime
) -> tuple[PlannedStep, ...]:
    """Return the plan of a model: the steps of each stage whose change `dryRun` delays.

    Args:
        model: The object.
        observation: The observation, which has the present state of MLflow.
        views: Its stages.
        now: The current time.

    """
    if not model.spec.dry_run:
        return ()
    found = [
        PlannedStep(stage=view.name, step=step, does=_cut(does))
        for view in views
        for step, does in _of_stage(view, observation, now)
    ]
    if len(found) <= PLANNED:
        return tuple(found)
    left = len(found) - PLANNED + 1
    stages = len({row.stage for row in found[PLANNED - 1 :]})
    more = f"{left} more rows, of {stages} stages, found no place: change fewer stages at once"
    return (*found[: PLANNED - 1], PlannedStep(stage="", step="more", does=more))


def _of_stage(
    view: StageView, observation: Observation, now: datetime
) -> Iterator[tuple[str, str]]:
    """Yield what a stage's change would do, by step; nothing if `dryRun` delays no change."""
    stable = view.effective
    if view.desired is None:
        if stable is not None and dry_run.delays(view):
            yield from _clearing(view, stable, observation, now)
        return
    if not view.is_changing or not dry_run.delays(view):
        return
    steps = {step.name: step for step in promotion.steps(view, now)}
    target = view.target
    if target is None or steps["admit"].state is not StepState.DONE:
        if steps["admit"].blocker is not None:  # without one, the candidate is recorded next
            yield "admit", _waits(steps["admit"])
        return
    runtime = target.runtime
    yield (
        "admit",
        (
            f"{view.target_name}, {target.digest[:_SHORT]}, runs in"
            f" {runtime.image.rsplit('/', 1)[-1]} (revision {runtime.revision})"
        ),
    )
    yield from _asking(view, steps, now)
    yield from _serving(view, target, is_stepped="rollout" in steps)
    yield from _recording(view, target, observation, now)
    if stable is not None and view.is_served:
        yield (
            "drain",
            f"the pods of {_stable(view, stable)} are deleted {_drained(view, stable, target)}",
        )


def _asking(view: StageView, steps: dict[str, Step], now: datetime) -> Iterator[tuple[str, str]]:
    """Yield the checks before a pod serves: `from`, freezes, and gates with their verdicts."""
    for name in ("from", "freeze"):
        if name in steps:
            yield name, _waits(steps[name])
    verdicts = {result.status.name: result.status for result in judge(view, now)}
    gates = view.spec.gates if view.spec is not None else ()
    for name, does in (
        ("gates", ""),
        ("trial", "asked by Jobs"),
        ("approval", "asked of people or other systems"),
    ):
        shown_gates = [
            gate for gate in gates if gate.name in asked_in(name, gates) and gate.name in verdicts
        ]
        if shown_gates:
            pod = (
                f", next to one pod of {view.desired}"
                if any(gate.asks_candidate for gate in shown_gates)
                else ""
            )
            yield name, f"{does}{pod}{': ' if does else ''}{_verdicts(shown_gates, verdicts)}"


def _verdicts(gates: list[Gate], statuses: dict[str, GateStatus]) -> str:
    """Return gates with their present verdicts, the worst first."""
    ordered = sorted((statuses[gate.name] for gate in gates), key=lambda each: _ORDER[each.verdict])
    return ", ".join(
        f"{each.name} {each.verdict}"
        + (f" ({each.message})" if each.verdict is Verdict.FAIL else "")
        for each in ordered
    )


def _serving(
    view: StageView, target: ServedVersion, *, is_stepped: bool
) -> Iterator[tuple[str, str]]:
    stable = view.effective
    if not view.is_served:
        yield "start", "no pods: serving.replicas is 0"
        return
    service = serving_name(view.model.metadata.name, view.name)
    if view.neighbour is not None and view.routed is None:
        yield (
            "start",
            f"no pods: the Service {service} belongs to the RegisteredModel {view.neighbour}",
        )
        return
    beside = ""
    if stable is not None:
        beside = (
            f", next to {_pods(serving.replicas(view, stable))} of {_stable(view, stable)}, which"
            " keep serving"
        )
    there = ", kept for a rollback and there already" if target in warm.kept(view) else ""
    yield "start", f"{_pods(serving.replicas(view, target))} of {view.target_name}{there}{beside}"
    if is_stepped:
        yield "rollout", _stepped(view)
    instead = f" instead of {_stable(view, stable)}" if stable is not None else ""
    yield "switch", f"the Service {service} routes to {view.target_name}{instead}"


def _stepped(view: StageView) -> str:
    """Return the steps of the rollout, or why there are none."""
    if view.canary is None:
        return view.no_rollout_reason or ""
    steps, judged = (
        view.canary.whole,
        ", judged by an analysis" if view.canary.analysis is not None else "",
    )
    return f"{len(steps)} steps{judged}: {', '.join(map(str, steps))}"


def _recording(
    view: StageView, target: ServedVersion, observation: Observation, now: datetime
) -> Iterator[tuple[str, str]]:
    stable = view.effective
    # A version that only an override made effective does not become `previous`.
    goes = (
        stable is not None
        and stable.version != target.version
        and not overrides.is_from_override(view.status)
    )
    before = f"; {stable.version} becomes previous" if stable is not None and goes else ""
    yield (
        "record",
        f"{target.version} is effective{before}; history: {entry(view, target, now).outcome}",
    )
    if not view.is_refresh:
        yield "mlflow", _moved(view, target, observation, now)


def _drained(view: StageView, stable: ServedVersion, target: ServedVersion) -> str:
    """Return when the displaced pods are deleted: late if a window or a watch keeps them."""
    rollback = view.spec.rollback if view.spec is not None else None
    has_passed = not overrides.is_from_override(view.status) and not view.has_rejected(stable)
    kept = (
        rollback.lasts
        if rollback is not None and has_passed and stable.version != target.version
        else None
    )
    watched = (
        rollback.automatic if rollback is not None and has_passed and not view.is_return else None
    )
    if kept is not None and rollback is not None and (watched is None or kept >= watched.lasts):
        return f"{rollback.window} after the switch: they are kept for a rollback"
    if watched is not None:
        return (
            f"{watched.watch_for} after the switch: they are kept while {target.version} is watched"
        )
    return f"{serving.DRAIN.seconds} s after the switch"


def _clearing(
    view: StageView, stable: ServedVersion, observation: Observation, now: datetime
) -> Iterator[tuple[str, str]]:
    if pods := len(view.of_kind("Pod", stable)) or view.status.desired_replicas:
        service = serving_name(view.model.metadata.name, view.name)
        yield (
            "clear",
            (
                f"the Service {service} is deleted, and {_pods(pods)} of {stable.version}: no pod"
                " answers"
            ),
        )
    yield (
        "record",
        (
            f"no version is effective; {stable.version} becomes previous; history:"
            f" {entry(view, None, now).outcome}"
        ),
    )
    yield "mlflow", _moved(view, None, observation, now)


def _moved(
    view: StageView, target: ServedVersion | None, observation: Observation, now: datetime
) -> str:
    """Return what changes in MLflow when only this stage changes."""
    if observation.dependency_error is not None or observation.model is None:
        return "cannot be told: MLflow does not answer"
    stages = {**view.model.status.stages}
    before = {name: stage.version for name, stage in stages.items()}
    stages[view.name] = (
        StageStatus(version=target.version, digest=target.digest)
        if target is not None
        else StageStatus()
    )
    versions = with_held(view.model.status.versions, stages, now)
    after = view.model.model_copy(
        update={"status": view.model.status.model_copy(update={"versions": versions})}
    )
    there = moves(view.model, observation, before)
    wants = moves(
        after, observation, before | {view.name: target.version if target is not None else None}
    )
    names = {
        found.version: name
        for name, found in tracked_by_name(view.model, observation.versions).items()
    }
    changes = [_words(move, names) for move in wants if move not in there]
    tagged = [
        names.get(move.action.target.version, "")
        for move in wants
        if move not in there and isinstance(move.action, SetTags)
    ]
    changes = [each for each in changes if each] + (
        [f"tags of {', '.join(dict.fromkeys(tagged))}"] if tagged else []
    )
    return ", ".join(changes) or "nothing changes"


def _words(move: Move, names: dict[str, str]) -> str:
    match move.action:
        case SetAlias(_, alias, number):
            return f"alias {alias} to {names.get(number, number)}"
        case DeleteAlias(_, alias):
            return f"alias {alias} is removed"
        case TransitionStage(_, number, stage):
            return f"stage {stage} for {names.get(number, f'version {number}')}"
    return ""


def _waits(step: Step) -> str:
    """Return a step's detail, with its state unless it is done."""
    if step.blocker is None:
        return step.detail
    return (
        f"{step.state}: {step.detail}" if step.detail else f"{step.state}: {step.blocker.message}"
    )


def _stable(view: StageView, stable: ServedVersion) -> str:
    """Name the stable version; in a refresh both runtimes serve the same version."""
    return f"{stable.version} as it runs now" if view.is_refresh else stable.version


def _pods(number: int) -> str:
    return f"{number} pod{'' if number == 1 else 's'}"


def _cut(text: str) -> str:
    return text if len(text) <= DOES else f"{text[: DOES - 1]}…"
