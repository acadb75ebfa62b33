"""The entry that the history gains when a stage changes, and what is counted of it. Pure.

The history is for people: no rule reads it.
"""

from collections.abc import Iterator
from datetime import datetime

from modelyard.api.registered_model import REJECTED, HistoryEntry, Outcome, ServedVersion
from modelyard.api.text import printable
from modelyard.controller import Ended
from modelyard.kube.names import REASON_ANNOTATION
from modelyard.plan import Event, Manifest
from modelyard.registered_model.view import StageView

__all__ = ["LENGTH", "ended", "entry", "event", "outcome"]

LENGTH = 50
_REASON = 256


def entry(view: StageView, to: ServedVersion | None, now: datetime) -> HistoryEntry:
    """Return the entry for a stage whose effective version becomes `to`; None: it is cleared."""
    started = view.status.start_time
    return HistoryEntry(
        time=now,
        stage=view.name,
        from_=view.status.version,
        to=to.version if to else None,
        digest=to.digest if to else None,
        runtime=to.runtime if to else None,
        outcome=outcome(view, to),
        duration_seconds=max(0, round((now - started).total_seconds())) if started else None,
        reason=_reason(view, to.version if to else "none"),
    )


def event(made: HistoryEntry) -> Event:
    """Return the Event about a change of a stage."""
    if made.outcome is Outcome.REFRESHED and made.runtime is not None:
        return Event(made.outcome, f"{made.stage}: {made.to} is served with {made.runtime.image}")
    said = f"{made.stage}: {made.from_ or 'nothing'} -> {made.to or 'nothing'}"
    if made.outcome is Outcome.OVERRIDDEN:
        return Event(made.outcome, f"{said}, without gates: {made.reason or 'no reason given'}", warning=True)
    return Event(made.outcome, said)


def ended(before: Manifest, after: Manifest) -> Iterator[Ended]:
    """Return the changes of stages that a status says have ended, and the one before it did not.

    Args:
        before: The status before, as JSON.
        after: The status that was written.

    """
    known = before.get("history") or []
    for each in after.get("history") or []:
        if each not in known:
            yield Ended(each["outcome"], each.get("durationSeconds"))
    stages: Manifest = before.get("stages") or {}
    for name, stage in (after.get("stages") or {}).items():
        earlier: Manifest = stages.get(name) or {}
        for each in stage.get("rejected") or []:
            if each not in (earlier.get("rejected") or []):
                yield Ended(REJECTED, _seconds(earlier.get("startTime"), each["time"]))


def _seconds(begun: str | None, end: str) -> float | None:
    return max(0.0, (datetime.fromisoformat(end) - datetime.fromisoformat(begun)).total_seconds()) if begun else None


def outcome(view: StageView, to: ServedVersion | None) -> Outcome:
    """Return how a change of a stage ends whose effective version becomes `to`."""
    if to is None:
        return Outcome.CLEARED
    if to.version == view.status.version:
        return Outcome.REFRESHED
    if view.override is not None:
        return Outcome.OVERRIDDEN
    if view.is_automatic:
        return Outcome.AUTO_PROMOTED
    version = view.versions.get(to.version)
    held = version is not None and any(each.stage == view.name for each in version.held)
    return Outcome.ROLLED_BACK if held else Outcome.PROMOTED


def _reason(view: StageView, version: str) -> str | None:
    """Return the user's reason, if it was given for this version and not for a change before.

    The annotation stays on the object, so the same text for the same version counts once.
    """
    is_overriding = view.override is not None and version != view.status.version
    if is_overriding and view.spec is not None and view.spec.override is not None:
        return printable(view.spec.override.reason)[:_REASON].strip() or None
    said, _, why = view.model.metadata.annotations.get(REASON_ANNOTATION + view.name, "").partition(":")
    reason = printable(why)[:_REASON].strip()
    history = reversed(view.model.status.history)
    before = next((each for each in history if each.stage == view.name and each.reason), None)
    told = before is not None and (before.to or "none", before.reason) == (version, reason)
    return reason if reason and said == version and not told else None
