"""Steps of a promotion that start nothing: `from`, `gates` and `approval`. Pure."""

from collections.abc import Iterable
from datetime import datetime

from modelyard.api.blocker import Blocker
from modelyard.api.gates import Verdict
from modelyard.api.registered_model import HeldStage, StepState
from modelyard.api.registered_model import ModelReason as Reason
from modelyard.registered_model.cycles import unreachable
from modelyard.registered_model.gates.judging import Result, asked_in, judge
from modelyard.registered_model.step import DETAIL, Step, rejected, still_serving
from modelyard.registered_model.view import StageView

__all__ = ["approval", "comes_from", "gates", "gates_step"]


def comes_from(view: StageView, _now: datetime) -> Step:
    """Wait until the version, with its present digest, was effective in the stage `from`."""
    target, stage = view.target, view.spec.from_ if view.spec else None
    assert target is not None, "the step before admits it"
    version = view.versions[target.version]
    held = next(
        (each for each in version.held if each.stage == stage and each.digest == target.digest),
        None,
    )
    if held is not None and (held.verified is not False or view.is_live):
        return Step("from", StepState.DONE, f"{target.version} has held {stage}")
    if held is not None:
        return _unverified(view, held)
    if (stuck := _in_a_cycle("from", view)) is not None:
        return stuck
    message = (
        f"{target.version} has not held {stage}, and {view.name} takes only what has"
        f" (spec.stages.{view.name}.from). {still_serving(view)}. Promote it there first: modelyard"
        f" promote {view.model.metadata.name} {target.version} --to {stage}"
    )
    blocker = Blocker.of(Reason.WAITING_FOR_STAGE, message)
    return Step(
        "from", StepState.WAITING, f"{target.version} has not held {stage}", blocker=blocker
    )


def _unverified(view: StageView, held: HeldStage) -> Step:
    """Wait until the version, whose verification failed in the stage `from`, is verified there."""
    version, stage, model = view.desired, held.stage, view.model.metadata.name
    again = f"modelyard verify {model} --stage {stage}"
    if held.until_time is not None:
        again = f"modelyard promote {model} {version} --to {stage}, and then {again}"
    message = (
        f"{version} failed its verification in {stage}, and {view.name} takes nothing from there"
        f" that is not verified (spec.stages.{view.name}.from). {still_serving(view)}. It continues"
        f" when {version} passes: {again}"
    )
    blocker = Blocker.of(Reason.WAITING_FOR_STAGE, message)
    return Step("from", StepState.WAITING, f"{version} is not verified in {stage}", blocker=blocker)


def gates(view: StageView, now: datetime) -> Step:
    """Ask the gates that need no pods."""
    return gates_step("gates", view, now)


def approval(view: StageView, now: datetime) -> Step:
    """Wait for people and other systems. They are asked last, and see the other gates' verdicts."""
    return gates_step("approval", view, now)


def gates_step(step: str, view: StageView, now: datetime) -> Step:
    """Ask the gates of a step. All must pass; one Fail rejects the version."""
    names = asked_in(step, view.spec.gates if view.spec else ())
    results = [result for result in judge(view, now) if result.status.name in names]
    failed = [result for result in results if result.status.verdict is Verdict.FAIL]
    if failed:
        runtime = (
            view.target.runtime.identity if view.is_refresh and view.target is not None else None
        )
        return rejected(view, step, Reason.GATE_FAILED, _messages(failed), now, runtime=runtime)
    open_ = [result for result in results if result.status.verdict is not Verdict.PASS]
    passed = f"{len(results) - len(open_)} of {len(results)} pass"
    again = min((result.again for result in results if result.again is not None), default=None)
    if not open_:
        return Step(step, StepState.DONE, passed, requeue_after=again)
    if step == "gates" and (stuck := _in_a_cycle(step, view)) is not None:
        return stuck
    target = view.target
    assert target is not None, "the step before admits it"
    blocker = Blocker.of(
        Reason.GATES_PENDING,
        f"{view.target_name} waits for its gates ({passed}). {still_serving(view)}."
        f" {_messages(open_)}",
    )
    if step == "approval" and any(result.status.verdict is Verdict.PENDING for result in open_):
        command = (
            f"modelyard approve {view.model.metadata.name} {target.version} --stage {view.name}"
        )
        message = (
            f"{target.version} waits to be approved ({passed}). {still_serving(view)}."
            f" {_messages(open_)} To approve: {command}"
        )
        blocker = Blocker.of(Reason.APPROVAL_WANTED, message)
    detail = f"{passed}; waits for {', '.join(result.status.name for result in open_)}"
    return Step(step, StepState.WAITING, detail[:DETAIL], blocker=blocker, requeue_after=again)


def _in_a_cycle(step: str, view: StageView) -> Step | None:
    """Return the failed step if stages wait for one another, so that this step never passes."""
    target = view.target
    assert target is not None, "the step before admits it"
    why = unreachable(view.model.spec.stages, view.name, view.versions[target.version])
    if why is None:
        return None
    blocker = Blocker.of(
        Reason.WAITING_FOR_STAGE, f"{why} {still_serving(view)}.", needs_action=True
    )
    return Step(step, StepState.FAILED, why[:DETAIL], blocker=blocker)


def _messages(results: Iterable[Result]) -> str:
    return " ".join(f"{result.status.name}: {result.message.rstrip('.')}." for result in results)
