"""New entries of the history, the Events about them, and what metrics count of them. Pure.

The history is for people: no rule reads it. `record` stores its entries in S3.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from modelyard.api.approvals import ApprovalTarget, standings
from modelyard.api.history import NAMES, USER, WHY
from modelyard.api.model_approval import Decision
from modelyard.api.registered_model import (
    GateStatus,
    HistoryEntry,
    Outcome,
    Rejection,
    ServedVersion,
    StageStatus,
)
from modelyard.api.text import printable
from modelyard.controller import Finished
from modelyard.plan import Event, Manifest
from modelyard.registered_model.gates.judging import asks_people
from modelyard.registered_model.view import StageView

__all__ = [
    "AFTER_THE_SWITCH",
    "LENGTH",
    "aborted",
    "entry",
    "event",
    "finished",
    "gained",
    "outcome",
    "override_ended",
    "rejected",
]

LENGTH = 50
AFTER_THE_SWITCH = "After the switch"
"""Prefix of the reason of an automatic rollback."""


# --- entries --------------------------------------------------------------------------------------
def entry(
    view: StageView, to: ServedVersion | None, now: datetime, gates: tuple[GateStatus, ...] = ()
) -> HistoryEntry:
    """Return the entry for a stage whose effective version becomes `to`; None: it is cleared.

    Args:
        view: The stage as it was before.
        to: What becomes effective.
        now: The current time.
        gates: The verdicts of its gates.

    """
    ends = outcome(view, to)
    # `requestedBy` and approvals belong only to a change of version that a user requested.
    asked = ends not in {Outcome.OVERRIDDEN, Outcome.REFRESHED} and view.rollback_target is None
    return _about(view, to, now).model_copy(
        update={
            "outcome": ends,
            "reason": _reason(view, is_override=ends is Outcome.OVERRIDDEN),
            "requested_by": _requested_by(view) if asked else None,
            "approved_by": _approved_by(view, to) if asked and gates else None,
            "gates": _verdicts_text(gates),
        }
    )


def rejected(view: StageView, after: StageStatus, now: datetime) -> HistoryEntry | None:
    """Return the entry for a new rejection in a stage's status `after`; None: there is none."""
    new = next(
        (each for each in reversed(after.rejected) if each not in view.status.rejected), None
    )
    if new is None:
        return None
    what = next(
        (each for each in (view.target, view.effective) if each is not None and _is(each, new)),
        None,
    )
    made = _about(view, what, now)
    update = {
        "outcome": Outcome.REJECTED,
        "to": new.version,
        "digest": new.digest,
        "reason": f"{new.reason}: {new.message}"[:WHY].strip(),
        "requested_by": _requested_by(view) if _has_requester(view) else None,
        "gates": _verdicts_text(after.gates),
    }
    return made.model_copy(update=update)


def aborted(view: StageView, now: datetime) -> HistoryEntry:
    """Return the entry for a candidate that is dropped because the spec has changed."""
    made = _about(view, view.status.candidate, now)
    # A reason belongs to one change. If another change follows, it belongs to that one.
    follows = view.rollback_target is None and view.desired != view.status.version
    update = {
        "reason": None if follows else _reason(view, is_override=view.override is not None),
        "requested_by": _requested_by(view)
        if view.override is None and view.rollback_target is None
        else None,
    }
    return made.model_copy(update=update | {"outcome": Outcome.ABORTED})


def override_ended(view: StageView, now: datetime) -> HistoryEntry:
    """Return the entry for an override that ended or was removed while its version was serving."""
    return _about(view, view.effective, now).model_copy(
        update={"outcome": Outcome.OVERRIDE_ENDED, "duration_seconds": None}
    )


def _about(view: StageView, to: ServedVersion | None, now: datetime) -> HistoryEntry:
    started = view.status.start_time
    return HistoryEntry(
        time=now,
        stage=view.name,
        from_=view.status.version,
        to=to.version if to else None,
        digest=to.digest if to else None,
        runtime=to.runtime if to else None,
        outcome=Outcome.PROMOTED,
        duration_seconds=max(0, round((now - started).total_seconds())) if started else None,
    )


def _is(what: ServedVersion, rejection: Rejection) -> bool:
    return (what.version, what.digest) == (rejection.version, rejection.digest)


def outcome(view: StageView, to: ServedVersion | None) -> Outcome:
    """Return the outcome of a change after which `to` is effective."""
    if to is None:
        return Outcome.CLEARED
    if view.rollback_target is not None:
        return Outcome.ROLLED_BACK
    if to.version == view.status.version:
        return Outcome.REFRESHED
    if view.override is not None:
        return Outcome.OVERRIDDEN
    if view.is_automatic:
        return Outcome.AUTO_PROMOTED
    version = view.versions.get(to.version)
    held = version is not None and any(each.stage == view.name for each in version.held)
    return Outcome.ROLLED_BACK if held else Outcome.PROMOTED


def _reason(view: StageView, *, is_override: bool) -> str | None:
    """Return the user's reason, unless an earlier entry of the history has it.

    The reason stays in the spec after its change, so the same text counts only once in a row.
    """
    if view.rollback_target is not None and view.rolled_back is not None:
        return view.rolled_back.message[:WHY]
    spec = view.spec
    if is_override:
        return (
            _cleaned(spec.override.reason)
            if spec is not None and spec.override is not None
            else None
        )
    reason = _cleaned(spec.reason) if spec is not None and spec.reason is not None else None
    history = (each for each in reversed(view.model.status.history) if each.stage == view.name)
    before = next((each.reason for each in history if each.reason and _is_of_the_spec(each)), None)
    return reason if reason != before else None


def _is_of_the_spec(made: HistoryEntry) -> bool:
    """Tell whether an entry's reason is the stage's `reason` in the spec."""
    return made.outcome not in {Outcome.REJECTED, Outcome.OVERRIDDEN} and not (
        made.reason or ""
    ).startswith(AFTER_THE_SWITCH)


def _cleaned(text: str) -> str | None:
    return printable(text)[:WHY].strip() or None


def _requested_by(view: StageView) -> str | None:
    name = view.spec.requested_by if view.spec is not None else None
    return printable(name)[:USER] or None if name is not None else None


def _has_requester(view: StageView) -> bool:
    """Tell whether `requestedBy` applies: not to an override, refresh or automatic rollback."""
    return view.override is None and view.rollback_target is None and not view.is_refresh


def _approved_by(view: StageView, to: ServedVersion | None) -> str | None:
    """Return the users whose approvals count for a version, in any of the stage's gates."""
    version = view.versions.get(to.version) if to is not None else None
    if view.spec is None or version is None:
        return None
    gates = [gate for gate in view.spec.gates if asks_people(gate)]
    found_standings = (
        each
        for gate in gates
        for each in standings(
            view.evidence.approvals, ApprovalTarget(view.name, view.spec, gate, version), view.now
        )
    )
    names = (
        each.spec.approver
        for each, standing in found_standings
        if standing.counts and each.spec.decision is Decision.APPROVE
    )
    return _joined(dict.fromkeys(map(printable, names)))


def _verdicts_text(gates: Iterable[GateStatus]) -> str | None:
    return _joined([f"{gate.name} {gate.verdict}" for gate in gates])


def _joined(words: Iterable[str]) -> str | None:
    """Join words; replace those that do not fit by their number."""
    all_ = list(words)
    for left in range(len(all_)):
        text = ", ".join([*all_[: len(all_) - left], *([f"{left} more"] if left else [])])
        if len(text) <= NAMES:
            return text
    return all_[0][:NAMES] if all_ else None


# --- events and metrics ---------------------------------------------------------------------------
def event(made: HistoryEntry, digest: str | None = None) -> Event:
    """Return the Event about an entry.

    The digest of its object in S3, if given, lets a reader detect that the record was rewritten.
    """
    is_warning = made.outcome in {Outcome.OVERRIDDEN, Outcome.OVERRIDE_ENDED, Outcome.REJECTED}
    text = (
        f" (record {made.record}, {digest})"
        if made.record is not None and digest is not None
        else ""
    )
    return Event(made.outcome, _words(made) + text, warning=is_warning)


def _words(made: HistoryEntry) -> str:
    match made.outcome:
        case Outcome.REFRESHED if made.runtime is not None:
            return f"{made.stage}: {made.to} is served with {made.runtime.image}"
        case Outcome.REJECTED:
            return f"{made.stage} does not take {made.to}: {made.reason}"
        case Outcome.ABORTED:
            return f"{made.stage}: {made.to} is given up; {made.from_ or 'nothing'} is effective"
        case Outcome.OVERRIDE_ENDED:
            return f"{made.stage}: the override has ended, and {made.to} is still serving"
        case Outcome.OVERRIDDEN:
            return (
                f"{made.stage}: {made.from_ or 'nothing'} -> {made.to}, without gates:"
                f" {made.reason or 'no reason given'}"
            )
        case _:
            return f"{made.stage}: {made.from_ or 'nothing'} -> {made.to or 'nothing'}"


def gained(before: Manifest, after: Manifest) -> Iterator[Manifest]:
    """Return the entries of the history that are new in a status, oldest first.

    Args:
        before: The status before, as JSON.
        after: The status that was written.

    """
    known = before.get("history") or []
    return (each for each in after.get("history") or [] if each not in known)


def finished(before: Manifest, after: Manifest) -> Iterator[Finished]:
    """Return the changes of stages that have ended since the status before.

    Args:
        before: The status before, as JSON.
        after: The status that was written.

    """
    for each in gained(before, after):
        yield Finished(each["outcome"], each.get("durationSeconds"))
