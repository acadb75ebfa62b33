"""Following changes of stages to their end, for `promote`, `rollback` and `refresh`. What "through" means is in `client.progress`."""

from collections.abc import Mapping, Sequence

from rich.text import Text

from modelyard.api.registered_model import RegisteredModel
from modelyard.cli.commands.live import telling
from modelyard.cli.commands.session import Session, now
from modelyard.cli.views.steps import change_lines
from modelyard.client.errors import NotFound, TimedOut
from modelyard.client.kube import Manifest
from modelyard.client.progress import Change, Progress, stage_change

__all__ = ["followed", "standing"]


def followed(session: Session, written: Manifest, changes: Sequence[Change], seconds: float, ended: Mapping[str, str]) -> Manifest:
    """Follow changes of a model's stages until all are through; return the object.

    Args:
        session: The command's session.
        written: The object as the API server answered.
        changes: What was asked for.
        seconds: How long.
        ended: What to say of each stage when it is through.

    Raises:
        Failed: One of them will not come about.
        TimedOut: They may still come about.

    """
    name, namespace = written["metadata"]["name"], written["metadata"]["namespace"]
    back = session.hint(f"status {name} --watch")
    told: set[str] = set()
    with telling(session.screen, f"\nIt goes on in the cluster. To come back to it: {back}") as teller:
        for body in session.kube.states("RegisteredModel", name, namespace, seconds=seconds):
            if body is None:
                raise NotFound(f"The model {name} was deleted meanwhile.", kind="RegisteredModel", name=name)
            model = RegisteredModel.parse(body)
            found = {change.stage: stage_change(model, change) for change in changes}
            for stage, each in found.items():
                if (failed := each.failure(f"{stage} of {model.key}")) is not None:
                    raise failed
                if each.is_done and stage not in told:
                    told.add(stage)
                    teller.line(Text(ended[stage], style="green"))
            if len(told) == len(found):
                return body
            teller.now(*standing({stage: each for stage, each in found.items() if not each.is_done}))
    stages = ", ".join(change.stage for change in changes if change.stage not in told)
    raise TimedOut(f"Timed out after {seconds:.0f} s waiting for {stages} of {name}; it may still come. To see: {back}", seconds)


def standing(found: Mapping[str, Progress]) -> tuple[Text, str]:
    """Return where changes stand, for a screen and for a log."""
    drawing = Text("\n").join(change_lines(stage, each, now()) for stage, each in found.items())
    return drawing, "\n".join(f"{stage}: {_sentence(each.message)}" for stage, each in found.items())


def _sentence(words: str) -> str:
    return words if words.endswith((".", "?", "!")) else f"{words or 'it is under way'}."
