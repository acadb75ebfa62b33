"""Server-side apply for the fake cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from modelyard.kube.applied import ATOMIC_MAPS, item_key
from modelyard.plan import Manifest

__all__ = ["copied", "merged"]


def merged(live: Any, desired: Any, previous: Any, field: str = "") -> Any:
    """Merge as server-side apply by one manager does.

    Our values win, fields that we no longer apply are removed, fields of others stay.
    """
    if isinstance(live, dict) and isinstance(desired, dict) and field not in ATOMIC_MAPS:
        before = previous if isinstance(previous, dict) else {}
        kept = {key: value for key, value in live.items() if key in desired or key not in before}
        ours = {
            key: merged(kept.get(key), value, before.get(key), key)
            for key, value in desired.items()
        }
        return kept | ours
    if isinstance(live, list) and isinstance(desired, list):
        before = previous if isinstance(previous, list) else []
        key_of = item_key(field, [*live, *desired, *before])
        if key_of is not None:
            return _merged_items(live, desired, before, key_of)
    return copied(desired)


def _merged_items(
    live: list[Any], desired: list[Any], previous: list[Any], key_of: Callable[[Manifest], Any]
) -> list[Any]:
    ours, theirs, before = (
        {key_of(each): each for each in items} for items in (desired, live, previous)
    )
    kept = [
        merged(item, ours[key], before.get(key)) if key in ours else item
        for key, item in theirs.items()
        if key in ours or key not in before
    ]
    return kept + [copied(item) for key, item in ours.items() if key not in theirs]


def copied(value: Any) -> Any:
    """Copy JSON: `copy.deepcopy` took three quarters of a story's time."""
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [copied(item) for item in value]
    return value
