"""Follow a change to its end, for `promote`, `rollback`, `retry`, `refresh` and `verify`.

`client.progress` decides when a change is done.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from rich.text import Text

from modelyard.api.gates import Verdict
from modelyard.api.registered_model import RegisteredModel
from modelyard.cli.commands.live import StatusLine, status_line
from modelyard.cli.commands.session import Session, now
from modelyard.cli.views.gates import verdict_line
from modelyard.cli.views.steps import change_lines
from modelyard.client import rollouts
from modelyard.client.errors import NotFound, TimedOut
from modelyard.client.kube import Manifest
from modelyard.client.progress import Change, Progress, stage_change

__all__ = ["draw_progress", "followed", "watched"]

ReadProgress = Callable[[RegisteredModel], Progress]
"""Returns the progress of what a user requested for a stage."""


def followed(
    session: Session,
    written: Manifest,
    changes: Sequence[Change],
    seconds: float | None,
    ended: Mapping[str, str],
) -> Manifest:
    """Follow changes of a model's stages until all are done; return the object.

    Args:
        session: The command's session.
        written: The object as the API server returned it.
        changes: The requested changes.
        seconds: The time limit. None: 900 s plus the holds of a rollout, and only until all changes
            wait for others (`Progress.waits_for_others`).
        ended: What to print for each stage when it is done.

    Raises:
        Failed: One of the changes has failed.
        TimedOut: The time is over, or the changes wait for others. They continue in the cluster.

    """
    readers = {change.stage: partial(_change, change) for change in changes}
    return watched(session, written, readers, seconds, ended)


def _change(change: Change, model: RegisteredModel) -> Progress:
    return stage_change(model, change)


def watched(
    session: Session,
    written: Manifest,
    readers: Mapping[str, ReadProgress],
    seconds: float | None,
    ended: Mapping[str, str],
) -> Manifest:
    """Follow a model until all requests for its stages are done; for the rest see `followed`."""
    name, namespace = written["metadata"]["name"], written["metadata"]["namespace"]
    back = session.hint(f"status {name} --watch")
    done: set[str] = set()
    verdicts: dict[tuple[str, str], Verdict] = {}
    begun, limit = (
        time.monotonic(),
        seconds or rollouts.longest(RegisteredModel.parse(written), readers),
    )
    with status_line(
        session.screen, f"\nThe change continues in the cluster. To watch it: {back}"
    ) as status:
        for body in session.kube.states("RegisteredModel", name, namespace, seconds=limit):
            if body is None:
                raise NotFound(f"The model {name} was deleted.", kind="RegisteredModel", name=name)
            model = RegisteredModel.parse(body)
            found = {stage: read(model) for stage, read in readers.items()}
            for stage, each in found.items():
                _print_verdicts(status, stage, each, verdicts)
                if (failed := each.failure(f"{stage} of {model.key}")) is not None:
                    raise failed
                if each.is_done and stage not in done:
                    done.add(stage)
                    status.print(Text(ended[stage], style="green"))
            if len(done) == len(found):
                return body
            waits = {stage: each for stage, each in found.items() if stage not in done}
            if seconds is None and all(each.waits_for_others for each in waits.values()):
                raise TimedOut(_waits(model, waits, back), time.monotonic() - begun)
            left = {stage: each for stage, each in found.items() if not each.is_done}
            status.show(_Now(left), draw_progress(left)[1])
    stages = ", ".join(stage for stage in readers if stage not in done)
    raise TimedOut(
        f"Timed out after {limit:.0f} s waiting for {stages} of {name}. The change continues in the"
        f" cluster. To watch it: {back}",
        limit,
    )


def _print_verdicts(
    status: StatusLine, stage: str, found: Progress, verdicts: dict[tuple[str, str], Verdict]
) -> None:
    """Print each new verdict of a gate."""
    if found.gates is None:
        return
    for gate in found.gates.results:
        if verdicts.get((stage, gate.name)) is not gate.verdict:
            verdicts[stage, gate.name] = gate.verdict
            status.print(verdict_line(stage, found.gates.version, gate))


def _waits(model: RegisteredModel, waits: Mapping[str, Progress], back: str) -> str:
    said = " ".join(
        f"{stage} of {model.key}: {each.reason}: {_sentence(each.message)}"
        for stage, each in waits.items()
    )
    if all(each.is_paused for each in waits.values()):
        return (
            f"{said} It keeps its weight until then. To watch it: {back}. To wait here, use"
            " --timeout SECONDS."
        )
    return (
        f"{said} The promotion continues automatically. To watch it: {back}. To wait here, use"
        " --timeout SECONDS."
    )


class _Now:
    """The progress at the time of drawing: the time left of a hold changes without an event."""

    def __init__(self, found: Mapping[str, Progress]) -> None:
        self._found = found

    def __rich__(self) -> Text:
        return draw_progress(self._found)[0]


def draw_progress(found: Mapping[str, Progress]) -> tuple[Text, str]:
    """Return the progress of changes, for a terminal and for a log."""
    drawing = Text("\n").join(change_lines(stage, each, now()) for stage, each in found.items())
    return drawing, "\n".join(
        f"{stage}: {_sentence(each.message)}" for stage, each in found.items()
    )


def _sentence(words: str) -> str:
    return words if words.endswith((".", "?", "!")) else f"{words or 'it is under way'}."
