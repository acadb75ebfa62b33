"""A rollout in steps: its split of the requests, its step, its counts and its analysis."""

from collections.abc import Sequence
from datetime import datetime

from rich.text import Text

from modelyard.api.analysis import AnalysisVerdict
from modelyard.api.registered_model import RegisteredModel, StepState, StepStatus
from modelyard.cli.views.text import bar
from modelyard.client.rollouts import RolloutState

__all__ = ["ROLLOUT", "judged_line", "part", "rollout_lines", "split_line", "stepped"]

ROLLOUT = "rollout"
"""The step of a promotion that a rollout is drawn below."""
_STYLES = {
    AnalysisVerdict.PASS: "green",
    AnalysisVerdict.FAIL: "red",
    AnalysisVerdict.NO_DATA: "yellow",
    AnalysisVerdict.INCONCLUSIVE: "yellow",
}
_WIDTH = 10
"""Characters of a bar."""


def part(percent: int) -> Text:
    """Return a share of the requests as a bar; only 0 % is empty and only 100 % is full."""
    cell = 100 // _WIDTH
    return bar(percent if percent in {0, 100} else min(max(percent, cell), 100 - cell), _WIDTH)


def split_line(found: RolloutState) -> Text:
    """Return the candidate's share as a bar, and how many stable pods apply it."""
    return Text.assemble(
        part(found.weight),
        f" {found.weight}% {found.version}  ",
        (found.applied, "green" if found.is_applied else "yellow"),
    )


def stepped(
    steps: Sequence[StepStatus], found: RolloutState | None, now: datetime
) -> list[StepStatus]:
    """Return the steps of a promotion, with the time left in the step of its rollout."""

    def one(step: StepStatus) -> StepStatus:
        if found is None or step.name != ROLLOUT or step.state is StepState.DONE:
            return step
        return step.model_copy(update={"detail": found.words(now)})

    return [one(step) for step in steps]


def rollout_lines(found: RolloutState, nearby: str = "") -> list[Text]:
    """Return a line for the counts of each version, and one for the analysis.

    Args:
        found: The rollout.
        nearby: Text drawn next to them; if it has the text of the analysis, that line is left out.

    """
    longest = max((len(name) for name, _ in found.counts), default=0)
    lines = [
        Text.assemble((name.ljust(longest), "dim"), f"  {counted}")
        for name, counted in found.counts
    ]
    if found.analysis and found.analysis not in nearby:
        lines.append(
            Text(
                found.analysis,
                style=_STYLES.get(found.verdict, "") if found.verdict is not None else "",
            )
        )
    return lines


def judged_line(model: RegisteredModel, stage: str) -> Text | None:
    """Return the names of the metrics that the analysis judges; None if it judges fewer than two.

    The status has the figures of one metric only: the worst.
    """
    spec = model.spec.stages[stage]
    analysis = spec.rollout.analysis if spec.rollout is not None else None
    names = [metric.name for metric in analysis.judged] if analysis is not None else []
    if len(names) < 2:
        return None
    return Text(f"judged: {', '.join(names)} (the worst is shown)", style="dim")
