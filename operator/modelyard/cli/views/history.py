"""What happened to a model's stages, and what a promotion or a rollback will change."""

from collections.abc import Sequence
from datetime import datetime

from rich.text import Text

from modelyard.api.registered_model import HistoryEntry, RegisteredModel, StageStatus
from modelyard.client.table import Cell, table
from modelyard.client.text import lasted, short_digest, size

__all__ = ["HEADS", "before", "change", "history", "rows"]

HEADS = ("TIME", "STAGE", "FROM", "TO", "WHAT", "TOOK", "WHY")


def rows(entries: Sequence[HistoryEntry]) -> list[list[Cell]]:
    """Return what happened, newest first, below `HEADS`. Why stands there where it was said."""
    return [
        [
            f"{entry.time:%Y-%m-%d %H:%M}",
            entry.stage,
            entry.from_ or "-",
            entry.to or "-",
            entry.reason,
            f"{entry.duration_seconds}s" if entry.duration_seconds is not None else "-",
            entry.note or "",
        ]
        for entry in reversed(entries)
    ]


def history(model: RegisteredModel, stage: str | None, width: int | None) -> Text:
    """Draw what happened to a model's stages, or to one of them."""
    entries = [entry for entry in model.status.history if stage in (None, entry.stage)]
    if not entries:
        return Text(f"Nothing was promoted yet{f' to {stage}' if stage else ''}.")
    drawn = rows(entries)
    used = len(HEADS) if any(entry.note for entry in entries) else len(HEADS) - 1
    return table(list(HEADS[:used]), [row[:used] for row in drawn], width)


def before(model: RegisteredModel, stage: str) -> str | None:
    """Return the version that a stage held before the one that it holds; None if none did.

    The newest entry that brought the present version in names it. One that followed an empty stage names none: the version that was
    cleared before it counts then.
    """
    now = (model.status.stages.get(stage) or StageStatus()).version
    entries = [entry for entry in model.status.history if entry.stage == stage]
    arrival = next((at for at in range(len(entries) - 1, -1, -1) if entries[at].to == now), None)
    for entry in reversed(entries[: len(entries) if arrival is None else arrival + 1]):
        if entry.from_ is not None and entry.from_ != now:
            return entry.from_
    return None


def change(model: RegisteredModel, stage: str, version: str | None, now: datetime) -> Text:
    """Say what a promotion will change, before it does."""
    status = model.status.stages.get(stage) or StageStatus()
    held = status.version
    lines = [
        Text.assemble((f"{model.metadata.namespace}/{model.metadata.name}  {stage}: ", "bold"), f"{held or 'empty'} → {version or 'empty'}")
    ]
    known = {each.name: each for each in model.status.versions}
    for name, does in ((held, "goes"), (version, "comes")):
        found = known.get(name) if name else None
        if name and found:
            served = f", here since {lasted(now - status.since)}" if name == held and status.since else ""
            source = f"from {found.training_run}, " if found.training_run else ""
            lines.append(
                Text(f"  {does:<5}  {name}: {source}{found.flavor or '?'}, {size(found.bytes)}, {short_digest(found.digest)}{served}")
            )
        elif name:
            lines.append(Text(f"  {does:<5}  {name}: not registered yet; the stage waits for it", style="yellow"))
    return Text("\n").join(lines)
