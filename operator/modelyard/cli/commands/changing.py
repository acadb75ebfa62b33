"""Following changes of stages to their end, for `promote`, `rollback`, `retry` and `refresh`, and
what `verify` has asked for.

What "through" means is in `client.progress`.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from rich.text import Text

from modelyard.api.gates import Verdict
from modelyard.api.registered_model import RegisteredModel
from modelyard.cli.commands.live import Teller, telling
from modelyard.cli.commands.session import Session, now
from modelyard.cli.views.gates import told as gate_told
from modelyard.cli.views.steps import change_lines
from modelyard.client import rollouts
from modelyard.client.errors import NotFound, TimedOut
from modelyard.client.kube import Manifest
from modelyard.client.progress import Change, Progress, stage_change

__all__ = ["followed", "standing", "watched"]

Look = Callable[[RegisteredModel], Progress]
"""Tells where something stands that a user has asked of a stage."""


def followed(
    session: Session,
    written: Manifest,
    changes: Sequence[Change],
    seconds: float | None,
    ended: Mapping[str, str],
) -> Manifest:
    """Follow changes of a model's stages until all are through; return the object.

    Args:
        session: The command's session.
        written: The object as the API server answered.
        changes: What was asked for.
        seconds: How long. None: for 900 s and as long as the holds of a rollout take, and until it
            waits for others (`Progress.waits_for_others`).
        ended: What to say of each stage when it is through.

    Raises:
        Failed: One of them will not come about.
        TimedOut: They may still come about: the time is over, or they wait for others.

    """
    looks = {change.stage: partial(_change, change) for change in changes}
    return watched(session, written, looks, seconds, ended)


def _change(change: Change, model: RegisteredModel) -> Progress:
    return stage_change(model, change)


def watched(
    session: Session,
    written: Manifest,
    looks: Mapping[str, Look],
    seconds: float | None,
    ended: Mapping[str, str],
) -> Manifest:
    """Follow a model until what was asked of its stages is through. Arguments and errors as of
    `followed`.
    """
    name, namespace = written["metadata"]["name"], written["metadata"]["namespace"]
    back = session.hint(f"status {name} --watch")
    told: set[str] = set()
    verdicts: dict[tuple[str, str], Verdict] = {}
    begun, limit = (
        time.monotonic(),
        seconds or rollouts.longest(RegisteredModel.parse(written), looks),
    )
    with telling(
        session.screen, f"\nIt goes on in the cluster. To come back to it: {back}"
    ) as teller:
        for body in session.kube.states("RegisteredModel", name, namespace, seconds=limit):
            if body is None:
                raise NotFound(
                    f"The model {name} was deleted meanwhile.", kind="RegisteredModel", name=name
                )
            model = RegisteredModel.parse(body)
            found = {stage: look(model) for stage, look in looks.items()}
            for stage, each in found.items():
                _tell(teller, stage, each, verdicts)
                if (failed := each.failure(f"{stage} of {model.key}")) is not None:
                    raise failed
                if each.is_done and stage not in told:
                    told.add(stage)
                    teller.line(Text(ended[stage], style="green"))
            if len(told) == len(found):
                return body
            waits = {stage: each for stage, each in found.items() if stage not in told}
            if seconds is None and all(each.waits_for_others for each in waits.values()):
                raise TimedOut(_waits(model, waits, back), time.monotonic() - begun)
            left = {stage: each for stage, each in found.items() if not each.is_done}
            teller.now(_Now(left), standing(left)[1])
    stages = ", ".join(stage for stage in looks if stage not in told)
    raise TimedOut(
        f"Timed out after {limit:.0f} s waiting for {stages} of {name}; it may still come. To see:"
        f" {back}",
        limit,
    )


def _tell(
    teller: Teller, stage: str, found: Progress, verdicts: dict[tuple[str, str], Verdict]
) -> None:
    """Say each verdict that is new."""
    if found.gates is None:
        return
    for gate in found.gates.said:
        if verdicts.get((stage, gate.name)) is not gate.verdict:
            verdicts[stage, gate.name] = gate.verdict
            teller.line(gate_told(stage, found.gates.version, gate))


def _waits(model: RegisteredModel, waits: Mapping[str, Progress], back: str) -> str:
    said = " ".join(
        f"{stage} of {model.key}: {each.reason}: {_sentence(each.message)}"
        for stage, each in waits.items()
    )
    if all(each.is_paused for each in waits.values()):
        return (
            f"{said} It keeps its weight until then. To see: {back}. With --timeout SECONDS this"
            " command waits for it."
        )
    return (
        f"{said} The promotion continues automatically. To see: {back}. With --timeout SECONDS this"
        " command waits for it."
    )


class _Now:
    """Where changes stand when it is drawn: what is left of a hold grows less between two states
    of the object.
    """

    def __init__(self, found: Mapping[str, Progress]) -> None:
        self._found = found

    def __rich__(self) -> Text:
        return standing(self._found)[0]


def standing(found: Mapping[str, Progress]) -> tuple[Text, str]:
    """Return where changes stand, for a screen and for a log."""
    drawing = Text("\n").join(change_lines(stage, each, now()) for stage, each in found.items())
    return drawing, "\n".join(
        f"{stage}: {_sentence(each.message)}" for stage, each in found.items()
    )


def _sentence(words: str) -> str:
    return words if words.endswith((".", "?", "!")) else f"{words or 'it is under way'}."
