"""A rollout in steps: how the requests are split, at which step it is, what was counted, and
what the analysis says.
"""

from collections.abc import Sequence
from datetime import datetime

from rich.text import Text

from modelyard.api.analysis import AnalysisVerdict
from modelyard.api.registered_model import StepState, StepStatus
from modelyard.cli.views.text import bar
from modelyard.client.rollouts import Rolling

__all__ = ["ROLLOUT", "part", "rollout_lines", "split_line", "stepped"]

ROLLOUT = "rollout"
"""The step of a promotion below which a rollout is drawn."""
_STYLES = {
    AnalysisVerdict.PASS: "green",
    AnalysisVerdict.FAIL: "red",
    AnalysisVerdict.NO_DATA: "yellow",
    AnalysisVerdict.INCONCLUSIVE: "yellow",
}
_WIDTH = 10
"""Cells of a bar."""


def part(percent: int) -> Text:
    """Return a share of the requests as a bar: neither empty nor full while there is another
    share.
    """
    cell = 100 // _WIDTH
    return bar(percent if percent in {0, 100} else min(max(percent, cell), 100 - cell), _WIDTH)


def split_line(found: Rolling) -> Text:
    """Return what the candidate gets, as a bar, and how many pods split so."""
    return Text.assemble(
        part(found.weight),
        f" {found.weight}% {found.version}  ",
        (found.applied, "green" if found.is_applied else "yellow"),
    )


def stepped(steps: Sequence[StepStatus], found: Rolling | None, now: datetime) -> list[StepStatus]:
    """Return the steps of a promotion; that of a rollout under way says what it waits for, and
    for how long.
    """

    def one(step: StepStatus) -> StepStatus:
        if found is None or step.name != ROLLOUT or step.state is StepState.DONE:
            return step
        return step.model_copy(update={"detail": found.words(now)})

    return [one(step) for step in steps]


def rollout_lines(found: Rolling, told: str = "") -> list[Text]:
    """Return a line for what was counted of each version, and for what the analysis says.

    Args:
        found: The rollout.
        told: What is drawn beside them; what the analysis says is left out where it is in there.

    """
    longest = max((len(name) for name, _ in found.counts), default=0)
    lines = [
        Text.assemble((name.ljust(longest), "dim"), f"  {counted}")
        for name, counted in found.counts
    ]
    if found.said and found.said not in told:
        lines.append(
            Text(
                found.said,
                style=_STYLES.get(found.verdict, "") if found.verdict is not None else "",
            )
        )
    return lines
