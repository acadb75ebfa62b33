"""From what a decision says to what is written: the one status of an object, and the events that
follow from it. Pure.

Statuses are JSON here, as the API server holds them: a status that no longer parses can still be
corrected. Writing does not belong here (`engine.reconcile`).
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from modelyard.api.base import MESSAGE, Status
from modelyard.api.text import printable
from modelyard.plan import Event, Manifest

__all__ = ["conditions_of", "dumped", "ill", "merge", "transitions"]

_FIRST = ("Ready", "Reconciling", "Stalled")


def dumped(status: Status) -> Manifest:
    """Return a status as JSON; what is None is absent."""
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)


def merge(old: Manifest, new: Manifest, generation: int, now: datetime) -> Manifest:
    """Return the status to write: `new`, with generation and transition times. It equals `old` when
    there is nothing to write.

    Args:
        old: The status as it stands.
        new: The status as a decision wants it; its times and generations are not looked at.
        generation: The spec's generation that the decision saw.
        now: The time of day.

    """
    before = conditions_of(old)
    after = sorted(conditions_of(new).values(), key=_rank)
    conditions = [
        _stamped(before.get(condition["type"]), condition, generation, now) for condition in after
    ]
    return new | {"observedGeneration": generation, "conditions": conditions}


def ill(
    old: Manifest, reason: str, message: str, generation: int, *, stalled: bool = True
) -> Manifest:
    """Return the status of an object that its kind has no word for: what was known stays, and it is
    stalled, or on its way.

    Ready stays only if it speaks of this very generation; else nobody knows.
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
    """Return what users are told about: each condition whose status or reason changed, and each
    message once.

    Ready counts always, and so do the kind's own conditions; Reconciling and Stalled only when they
    are True, for their end is another condition's beginning. Stalled is a warning, and so is what
    is not Ready and not on its way either, or not Verified.
    """
    before, after = conditions_of(old), conditions_of(new)
    on_its_way = after.get("Reconciling", {}).get("status") == "True"
    told: dict[tuple[str, str], Event] = {}
    for condition in sorted(after.values(), key=_rank):
        name, status, message = (
            condition["type"],
            condition["status"],
            str(condition.get("message", "")),
        )
        earlier = before.get(name, {})
        if (earlier.get("status"), earlier.get("reason")) == (status, condition["reason"]):
            continue
        if status == "Unknown" and not earlier:
            continue
        if status != "True" and (name in {"Reconciling", "Stalled"} or not message):
            continue
        warning = name == "Stalled" or (
            status == "False" and (name == "Verified" or (name == "Ready" and not on_its_way))
        )
        told.setdefault(
            (condition["reason"], message), Event(condition["reason"], message, warning)
        )
    return tuple(told.values())


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
