"""The gates of a stage: one line each, with verdict, age and message."""

from collections.abc import Sequence
from datetime import datetime

from rich.text import Text

from modelyard.api.gates import Verdict
from modelyard.api.registered_model import GateStatus
from modelyard.client.gates import Gates
from modelyard.client.text import age

__all__ = ["asked_line", "gate_lines", "head", "verdict_line"]

_MARKS = {
    Verdict.PASS: ("✓", "green"),
    Verdict.FAIL: ("✗", "red"),
    Verdict.PENDING: ("○", "yellow"),
    Verdict.ERROR: ("!", "yellow"),
}
_VERDICTS = max(len(verdict) for verdict in Verdict)


def head(gates: Gates) -> Text:
    """Return a summary: how many gates have passed for which version."""
    style = "green" if not gates.open else "red" if _failed(gates) else "yellow"
    return Text.assemble("gates    ", (gates.summary, style))


def gate_lines(gates: Gates, now: datetime, some: Sequence[GateStatus] | None = None) -> list[Text]:
    """Return a line for each gate, or for some: mark, name, verdict, age, message, next try."""
    said = gates.results if some is None else some
    longest = max((len(gate.name) for gate in said), default=0)
    ages = [age(gate.time, now) for gate in said]
    widest = max(map(len, ages), default=0)
    lines = []
    for gate, since in zip(said, ages, strict=True):
        mark, style = _MARKS[gate.verdict]
        line = Text.assemble(
            (mark, style), f" {gate.name.ljust(longest)}  ", (gate.verdict.ljust(_VERDICTS), style)
        )
        line.append(f"  {since.rjust(widest)}  {gates.words(gate)}")
        lines.append(line)
    return lines


def verdict_line(stage: str, version: str, gate: GateStatus) -> Text:
    """Return a gate's new verdict, for a log."""
    mark, style = _MARKS[gate.verdict]
    return Text.assemble(
        f"{stage}  ",
        (mark, style),
        f" {gate.name} ",
        (gate.verdict, style),
        f" for {version}: {gate.message}",
    )


def asked_line(asked: tuple[str, ...], *, returns: str | None) -> Text | None:
    """Say which gates a promotion has to pass; None if the stage has none.

    Args:
        asked: The stage that the version has to come from, and the gates.
        returns: The version, if it is the previous one and returns without gates.

    """
    if not asked:
        return None
    if returns is not None:
        return Text(f"  gates  none: {returns} is the previous version, and returns without gates")
    return Text(f"  gates  {', '.join(asked)}")


def _failed(gates: Gates) -> bool:
    return any(gate.verdict is Verdict.FAIL for gate in gates.results)
