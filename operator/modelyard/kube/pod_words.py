"""Remove credentials and invisible characters from messages in owned objects' statuses. Pure.

Done once, where owned objects are observed.
"""

import json
from typing import Any

from modelyard.api.pod_end import PodReason
from modelyard.api.text import TextFilter

__all__ = ["cleaned"]

Manifest = dict[str, Any]
_REASONS = frozenset(map(str, PodReason))
_KEYS = frozenset({"reason", "message", "dataset", "digest", "rows"})
"""The keys of our programs' messages; in other programs' objects a key may be any text."""


def cleaned(manifest: Manifest, text_filter: TextFilter) -> Manifest:
    """Return an owned object with cleaned messages in its status; itself if it has none."""
    status = manifest.get("status")
    if not isinstance(status, dict) or not _has_message(status):
        return manifest
    return manifest | {"status": _clean(status, text_filter)}


def _has_message(value: Any) -> bool:
    """Return whether there is a message anywhere in a status."""
    if isinstance(value, dict):
        return bool(value.get("message")) or any(map(_has_message, value.values()))
    return isinstance(value, list) and any(map(_has_message, value))


def _clean(value: Any, text_filter: TextFilter) -> Any:
    if isinstance(value, list):
        return [_clean(each, text_filter) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _message(each, text_filter)
        if key == "message" and isinstance(each, str)
        else _clean(each, text_filter)
        for key, each in value.items()
    }


def _message(text: str, text_filter: TextFilter) -> str:
    """Clean a message; that of our programs is JSON, whose reason decisions depend on."""
    if text.lstrip().startswith("{"):
        try:
            return json.dumps(_clean_report(json.loads(text), text_filter), ensure_ascii=False)
        except (ValueError, RecursionError):  # it is not JSON after all, or hostile
            pass
    return text_filter(text, lines=True)


def _clean_report(value: Any, text_filter: TextFilter) -> Any:
    if isinstance(value, str):
        return value if value in _REASONS else text_filter(value)
    if isinstance(value, list):
        return [_clean_report(each, text_filter) for each in value]
    if isinstance(value, dict):
        return {
            key if key in _KEYS else text_filter(key): _clean_report(each, text_filter)
            for key, each in value.items()
        }
    return value
