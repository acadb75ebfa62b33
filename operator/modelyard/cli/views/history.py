"""The history of a model's stages, and what a promotion or rollback will change."""

from collections.abc import Sequence
from datetime import datetime

from rich.text import Text

from modelyard.api.registered_model import (
    HistoryEntry,
    ModelReason,
    Outcome,
    RegisteredModel,
    StageStatus,
)
from modelyard.cli.views.gates import asked_line
from modelyard.client import freezing
from modelyard.client.gates import requirements
from modelyard.client.rolling_back import returns
from modelyard.client.table import Cell, table
from modelyard.client.text import lasted, short_digest, short_image, size

__all__ = ["HEADS", "before", "change", "history", "rows"]

HEADS = ("TIME", "STAGE", "FROM", "TO", "WHAT", "TOOK", "RUNTIME", "BY", "APPROVED", "GATES", "WHY")
_ALWAYS = frozenset(HEADS[:6])


def rows(entries: Sequence[HistoryEntry], *, wide: bool = False) -> list[list[Cell]]:
    """Return the entries as rows below `HEADS`, newest first.

    The runtime is shown for refreshes only, shortened. With `wide`, it is shown in full for every
    entry, and the gates are shown too.
    """
    return [
        [
            f"{entry.time:%Y-%m-%d %H:%M}",
            entry.stage,
            entry.from_ or "-",
            entry.to or "-",
            entry.outcome,
            f"{entry.duration_seconds}s" if entry.duration_seconds is not None else "-",
            _runtime(entry, wide=wide),
            entry.requested_by or "",
            entry.approved_by or "",
            (entry.gates or "") if wide else "",
            entry.reason or "",
        ]
        for entry in reversed(entries)
    ]


def _runtime(entry: HistoryEntry, *, wide: bool) -> str:
    if entry.runtime is None or not (wide or entry.outcome is Outcome.REFRESHED):
        return ""
    return entry.runtime.image if wide else short_image(entry.runtime.image)


def history(
    entries: Sequence[HistoryEntry], stage: str | None, width: int | None, *, wide: bool = False
) -> Text:
    """Draw the history of a model's stages, or of one, without empty columns."""
    entries = [entry for entry in entries if stage in (None, entry.stage)]
    if not entries:
        return Text(f"No version has been promoted{f' to {stage}' if stage else ''} yet.")
    drawn = rows(entries, wide=wide)
    used = [at for at, head in enumerate(HEADS) if head in _ALWAYS or any(row[at] for row in drawn)]
    return table([HEADS[at] for at in used], [[row[at] for at in used] for row in drawn], width)


def before(model: RegisteredModel, stage: str) -> str | None:
    """Return the version that was in a stage before the effective one; None if there was none.

    It is the recorded previous version, whose runtime a rollback restores too. If that version is
    effective again, it is the latest other version that was in the stage and was not rolled back
    automatically.
    """
    status = model.status.stages.get(stage) or StageStatus()
    if status.previous is not None and status.previous.version != status.version:
        return status.previous.version
    worse = {each.version for each in status.rejected if each.reason == ModelReason.ROLLED_BACK}
    ended = {
        held.until_time: version.name
        for version in model.status.versions
        for held in version.held
        if held.stage == stage
        and held.until_time is not None
        and version.name not in {status.version, *worse}
    }
    return ended[max(ended)] if ended else None


def change(
    model: RegisteredModel, stage: str, version: str | None, now: datetime, *, is_asked: bool = True
) -> Text:
    """Draw what a promotion will change; with `is_asked`, also the gates and what holds it."""
    status = model.status.stages.get(stage) or StageStatus()
    held = status.version
    lines = [
        Text.assemble(
            (f"{model.metadata.namespace}/{model.metadata.name}  {stage}: ", "bold"),
            f"{held or 'empty'} → {version or 'empty'}",
        )
    ]
    known = {each.name: each for each in model.status.versions}
    for name, label in ((held, "now"), (version, "new")):
        found = known.get(name) if name else None
        if name and found:
            served = (
                f", here for {lasted(now - status.since_time)}"
                if name == held and status.since_time
                else ""
            )
            source = f"from {found.training_run}, " if found.training_run else ""
            lines.append(
                Text(
                    f"  {label:<5}  {name}: {source}{found.flavor or '?'}, {size(found.bytes)},"
                    f" {short_digest(found.digest)}{served}"
                )
            )
        elif name:
            lines.append(
                Text(
                    f"  {label:<5}  {name}: not registered yet; the stage will wait for it",
                    style="yellow",
                )
            )
    if is_asked and version is not None:
        gates = asked_line(
            requirements(model, stage),
            returns=version if returns(model, stage, version, now) else None,
        )
        lines += [gates] if gates else []
        lines += _held(model, stage, version, now)
    return Text("\n").join(lines)


def _held(model: RegisteredModel, stage: str, version: str, now: datetime) -> list[Text]:
    """Say what in the model's spec delays a promotion: a freeze window or dryRun.

    A freeze does not delay the return of the previous version.
    """
    frozen = None if returns(model, stage, version, now) else freezing.frozen(model, stage, now)
    lines = [Text(f"  frozen {frozen}", style="yellow")] if frozen is not None else []
    return lines + (
        [Text("  held   by spec.dryRun: the change is only planned", style="yellow")]
        if model.spec.dry_run
        else []
    )
