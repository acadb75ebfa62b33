"""Build the status to write from a decision, and the events that follow from it. Pure.

Statuses are JSON here, as the API server holds them, so that a status that no longer parses can
still be corrected.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from modelyard.api.base import MESSAGE, Status
from modelyard.api.text import printable
from modelyard.plan import Event, Manifest

__all__ = ["conditions_of", "dumped", "merge", "transitions", "undecided"]

_FIRST = ("Ready", "Reconciling", "Stalled")


def dumped(status: Status) -> Manifest:
    """Return a status as JSON, without fields that are None."""
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)


def merge(old: Manifest, new: Manifest, generation: int, now: datetime) -> Manifest:
    """Return `new` with generation and transition times; equal to `old` if nothing changed.

    Args:
        old: The current status.
        new: The status that a decision wants; its times and generations are ignored.
        generation: The spec's generation that the decision observed.
        now: The time of day.

    """
    before = conditions_of(old)
    after = sorted(conditions_of(new).values(), key=_rank)
    conditions = [
        _stamped(before.get(condition["type"]), condition, generation, now) for condition in after
    ]
    return new | {"observedGeneration": generation, "conditions": conditions}


def undecided(
    old: Manifest, reason: str, message: str, generation: int, *, stalled: bool = True
) -> Manifest:
    """Return the status of an object about which its kind could not decide.

    The rest of the status stays; Stalled is set, or Reconciling. Ready stays only if it is about
    this generation; otherwise it becomes Unknown.
    """
    conditions = conditions_of(old)
    ready = conditions.get("Ready")
    if ready is None or ready.get("observedGeneration") != generation:
        conditions["Ready"] = {
            "type": "Ready",
            "status": "Unknown",
            "reason": reason,
            "message": message,
        }
    for name, holds in (("Reconciling", not stalled), ("Stalled", stalled)):
        conditions[name] = {
            "type": name,
            "status": str(holds),
            "reason": reason,
            "message": message if holds else "",
        }
    return old | {"conditions": list(conditions.values())}


def transitions(old: Manifest, new: Manifest) -> tuple[Event, ...]:
    """Return an event for each condition whose status or reason changed, each message once.

    Ready and the kind's own conditions always count; Reconciling and Stalled only when they become
    True, since their end shows as a change of another condition. Warnings are Stalled, Verified
    that is False, and Ready that is False while nothing is reconciling.
    """
    before, after = conditions_of(old), conditions_of(new)
    reconciling = after.get("Reconciling", {}).get("status") == "True"
    events: dict[tuple[str, str], Event] = {}
    for condition in sorted(after.values(), key=_rank):
        name, status = condition["type"], condition["status"]
        message = str(condition.get("message", ""))
        earlier = before.get(name, {})
        if (earlier.get("status"), earlier.get("reason")) == (status, condition["reason"]):
            continue
        if status == "Unknown" and not earlier:
            continue
        if status != "True" and (name in {"Reconciling", "Stalled"} or not message):
            continue
        warning = name == "Stalled" or (
            status == "False" and (name == "Verified" or (name == "Ready" and not reconciling))
        )
        events.setdefault(
            (condition["reason"], message), Event(condition["reason"], message, warning)
        )
    return tuple(events.values())


def conditions_of(status: Mapping[str, Any]) -> dict[str, Manifest]:
    """Return a status's conditions by type."""
    conditions: Iterable[Manifest] = status.get("conditions") or ()
    return {condition["type"]: condition for condition in conditions}


def _stamped(
    before: Manifest | None, condition: Manifest, generation: int, now: datetime
) -> Manifest:
    kept = (
        before is not None
        and before["status"] == condition["status"]
        and before.get("lastTransitionTime")
    )
    time = kept or now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    message = printable(str(condition.get("message", "")), lines=True)[:MESSAGE]
    return condition | {
        "message": message,
        "observedGeneration": generation,
        "lastTransitionTime": time,
    }


def _rank(condition: Manifest) -> tuple[int, str]:
    name = condition["type"]
    return (_FIRST.index(name) if name in _FIRST else len(_FIRST), name)
