"""A plan: what a promotion would do (dry run)."""

from collections.abc import Callable

from rich.text import Text

from modelyard.api.registered_model import RegisteredModel
from modelyard.client import planning
from modelyard.client.table import table

__all__ = ["lines", "planned"]


def planned(model: RegisteredModel, stage: str, version: str, hint: Callable[[str], str]) -> Text:
    """Draw a plan as a table, and the two commands to carry it out or take it back."""
    rows = [[row.step, row.does] for row in planning.rows(model, stage)]
    command = f"promote {model.metadata.name} {version} --to {stage}"
    return Text("\n").join(
        [
            table(("STEP", "DOES"), rows, None),
            Text("Nothing was done: spec.dryRun holds the change."),
            Text(f"  to carry it out  {hint(f'{command} --carry-out')}"),
            Text(f"  to take it back  {hint(f'{command} --take-back')}"),
        ]
    )


def lines(model: RegisteredModel, stage: str) -> list[Text]:
    """Return a line for each step of a stage's plan."""
    found = [row for row in model.status.plan if row.stage == stage]
    longest = max((len(row.step) for row in found), default=0)
    return [Text.assemble((row.step.ljust(longest), "dim"), f"  {row.does}") for row in found]
