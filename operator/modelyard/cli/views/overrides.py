"""An override of a stage: what it will do, and what to do after it ends."""

from collections.abc import Callable
from datetime import datetime

from rich.text import Text

from modelyard.api.registered_model import RegisteredModel, StageStatus
from modelyard.cli.views.history import change
from modelyard.client import gates
from modelyard.client.overriding import OverrideRequest
from modelyard.client.text import lasted

__all__ = ["ended", "wanted"]


def wanted(model: RegisteredModel, stage: str, request: OverrideRequest, now: datetime) -> Text:
    """Draw what an override will do: the gates that it skips, its end and its reason."""
    lines = [change(model, stage, request.version, now, is_asked=False)]
    if skipped := gates.requirements(model, stage):
        lines.append(Text(f"  skips  {', '.join(skipped)}", style="yellow"))
    end = f"{request.until:%Y-%m-%d %H:%M} UTC, in {lasted(request.until - now)}"
    lines.append(Text(f"  until  {end}; {request.version} then stays until a person decides"))
    lines.append(Text(f"  why    {request.reason}"))
    return Text("\n").join(lines)


def ended(model: RegisteredModel, stage: str, hint: Callable[[str], str]) -> Text:
    """Say what is serving after an override was ended, and the two commands to go on.

    Args:
        model: The model just before the override was ended.
        stage: The stage.
        hint: Makes a command to copy.

    """
    spec, status = model.spec.stages[stage], model.status.stages.get(stage) or StageStatus()
    name, held = model.metadata.name, status.version
    head = f"{model.key}  {stage}: the override is ended."
    if status.override is None or held != status.override.version or held == spec.version:
        return Text(f"{head} {f'{held} is still serving' if held else 'Nothing is serving'}.")
    ways = [(f"keep {held}", f"promote {name} {held} --to {stage}")]
    if spec.version is not None:
        ways.append(
            (f"go back to {spec.version}", f"rollback {name} --stage {stage} --to {spec.version}")
        )
    longest = max(len(words) for words, _ in ways)
    lines = [f"  to {words.ljust(longest)}  {hint(command)}" for words, command in ways]
    return Text(
        "\n".join([f"{head} {held} is still serving: nothing switches automatically.", *lines])
    )
