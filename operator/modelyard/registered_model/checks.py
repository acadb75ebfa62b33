"""Steps of a promotion before any pod starts: the stage that a version comes from, and gates. Pure."""

from datetime import datetime

from modelyard.api.blocker import Blocker
from modelyard.api.gates import Verdict
from modelyard.api.registered_model import ModelReason as Reason
from modelyard.api.registered_model import StepState
from modelyard.registered_model.gates.judging import asked_in, judge
from modelyard.registered_model.step import DETAIL, Step, rejected
from modelyard.registered_model.view import StageView

__all__ = ["approval", "comes_from", "gates"]


def comes_from(view: StageView, _now: datetime) -> Step:
    """Wait until the version, with these bytes, holds or has held the stage that it must come from."""
    wanted, stage = view.wanted, view.spec.from_ if view.spec else None
    assert wanted is not None, "the step before admits it"
    version = view.versions[wanted.version]
    if any(each.stage == stage and each.digest == wanted.digest for each in version.held):
        return Step("from", StepState.DONE, f"{wanted.version} has held {stage}")
    message = (
        f"{wanted.version} has not held {stage}, and {view.name} takes only what has (spec.stages.{view.name}.from)."
        f" {_stable(view)}. Promote it there first: modelyard promote {view.model.metadata.name} {wanted.version} --stage {stage}"
    )
    blocker = Blocker.of(Reason.WAITING_FOR_STAGE, message)
    return Step("from", StepState.WAITING, f"{wanted.version} has not held {stage}", blocker=blocker)


def gates(view: StageView, now: datetime) -> Step:
    """Ask the gates that need no pods: one Fail rejects, and all have to pass."""
    return _asked("gates", view, now)


def approval(view: StageView, now: datetime) -> Step:
    """Ask people and other systems, last: they see what the other gates say."""
    return _asked("approval", view, now)


def _asked(step: str, view: StageView, now: datetime) -> Step:
    names = asked_in(step, view.spec.gates if view.spec else ())
    results = [result for result in judge(view, now) if result.status.name in names]
    said = {result.status.name: result.status for result in results}
    failed = [each for each in said.values() if each.verdict is Verdict.FAIL]
    if failed:
        message = " ".join(f"{each.name}: {each.message}." for each in failed)
        return rejected(view, step, Reason.GATE_FAILED, message, now)
    open_ = [each for each in said.values() if each.verdict is not Verdict.PASS]
    passed = f"{len(said) - len(open_)} of {len(said)} pass"
    if not open_:
        return Step(step, StepState.DONE, passed)
    wanted = view.wanted
    assert wanted is not None, "the step before admits it"
    waits = " ".join(f"{each.name}: {each.message}." for each in open_)
    again = min((result.again for result in results if result.again is not None), default=None)
    blocker = Blocker.of(Reason.GATES_PENDING, f"{wanted.version} waits for its gates ({passed}). {_stable(view)}. {waits}")
    if step == "approval" and any(each.verdict is Verdict.PENDING for each in open_):
        command = f"modelyard approve {view.model.metadata.name} {wanted.version} --stage {view.name}"
        message = f"{wanted.version} waits to be approved ({passed}). {_stable(view)}. {waits} To approve: {command}"
        blocker = Blocker.of(Reason.APPROVAL_WANTED, message)
    detail = f"{passed}; waits for {', '.join(each.name for each in open_)}"
    return Step(step, StepState.WAITING, detail[:DETAIL], blocker=blocker, requeue_after=again)


def _stable(view: StageView) -> str:
    return f"{view.status.version} is still serving" if view.status.version else "Nothing is serving"
