"""The steps of a promotion: a bar, and a line for each step and each open gate."""

from collections.abc import Sequence
from datetime import datetime

from rich.text import Text

from modelyard.api.registered_model import (
    ModelReason,
    RegisteredModel,
    StageStatus,
    StepState,
    StepStatus,
)
from modelyard.cli.views.gates import gate_lines
from modelyard.cli.views.rollouts import ROLLOUT, rollout_lines, split_line, stepped
from modelyard.cli.views.text import bar
from modelyard.client import progress
from modelyard.client.progress import Progress, State
from modelyard.client.text import age

__all__ = ["change_lines", "roll_out", "step_lines"]

_MARKS = {
    StepState.DONE: ("✓", "green"),
    StepState.ACTIVE: ("●", "yellow"),
    StepState.WAITING: ("○", "dim"),
    StepState.FAILED: ("✗", "red"),
}
_STATES = max(len(state) for state in StepState)


def step_lines(steps: Sequence[StepStatus], now: datetime, nearby: str = "") -> list[Text]:
    """Return a line for each step: mark, name, state, age, and what it does or waits for.

    Args:
        steps: The steps.
        now: The time.
        nearby: Text drawn next to them; a detail that this text starts with is left out.

    """
    longest = max((len(step.name) for step in steps), default=0)
    ages = [age(step.since_time, now) if step.since_time else "" for step in steps]
    widest = max(map(len, ages), default=0)
    lines = []
    for step, since in zip(steps, ages, strict=True):
        mark, style = _MARKS[step.state]
        head = Text.assemble(
            (mark, style), f" {step.name.ljust(longest)}  ", (step.state.ljust(_STATES), style)
        )
        head.append(
            f"  {since.rjust(widest)}  {'' if nearby.startswith(step.detail) else step.detail}"
        )
        head.rstrip()
        lines.append(head)
    return lines


def roll_out(model: RegisteredModel, name: str, now: datetime) -> Text | None:
    """Return the progress of a stage's change as a bar; None if none is under way."""
    change = progress.asked_for(model, name)
    stage = model.status.stages.get(name) or StageStatus()
    found = progress.stage_change(model, change)
    words = _words(model, stage, change, found)
    if words is None:
        return None
    since = (
        f", {age(stage.start_time, now)}"
        if stage.start_time and found.state is not State.UNOBSERVED
        else ""
    )
    return Text.assemble("roll-out ", bar(100 * found.fraction, 10, "yellow"), f" {words}{since}")


def _words(
    model: RegisteredModel, stage: StageStatus, change: progress.Change, found: Progress
) -> str | None:
    is_other = change.version != stage.version
    if found.state is State.UNOBSERVED:
        return (
            "the operator has not observed it yet"
            if is_other or change.attempt > stage.attempt
            else None
        )
    if found.state is State.FAILED and found.step is not None:
        return f"{change.version} is stopped"
    if found.state is not State.UNDER_WAY:
        return None
    if change.version is None:
        return "it is being cleared" if is_other else None
    if is_other:
        return f"{change.version}"
    if stage.candidate is not None:
        return f"{change.version} with another runtime"
    synced = model.status.condition("Synced")
    is_followed = (
        synced is not None and synced.status == "False" and synced.reason == ModelReason.PROMOTING
    )
    return f"{change.version} is effective, MLflow follows" if is_followed else None


def change_lines(stage: str, found: Progress, now: datetime) -> Text:
    """Draw the progress of a change that is followed: bar, message, steps and open gates."""
    has_open_gates = found.gates is not None and bool(found.gates.open)
    words = found.gates.summary if found.gates is not None and has_open_gates else found.message
    head = Text.assemble(
        f"{stage}  ", bar(100 * found.fraction, 20, "yellow"), f" {words}".rstrip()
    )
    lines = []
    for step, line in zip(
        found.steps,
        step_lines(stepped(found.steps, found.rollout, now), now, found.message),
        strict=True,
    ):
        lines.append(Text("  ") + line)
        if step.name == ROLLOUT and found.rollout is not None:
            drawn = (split_line(found.rollout), *rollout_lines(found.rollout, found.message))
            lines += [Text("      ") + each for each in drawn]
    if found.gates is not None and has_open_gates:
        lines += [Text("  ") + line for line in gate_lines(found.gates, now)]
    return Text("\n").join([head, *lines])
