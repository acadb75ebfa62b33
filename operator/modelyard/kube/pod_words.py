"""Clean what a pod, or a controller about it, says: no credentials, no invisible characters. Pure.

Done once, where owned objects are observed; what the texts mean belongs to `pod_state`.
"""

import json
from typing import Any

from modelyard.api.pod_end import PodReason
from modelyard.api.text import Words

__all__ = ["cleaned"]

Manifest = dict[str, Any]
_REASONS = frozenset(map(str, PodReason))
_KEYS = frozenset({"reason", "message", "dataset", "digest", "rows"})
"""What our programs say; a name in a stranger's object may be anything."""


def cleaned(manifest: Manifest, words: Words) -> Manifest:
    """Return an owned object whose status holds only clean texts; the object itself if it says
    nothing.
    """
    status = manifest.get("status")
    if not isinstance(status, dict) or not _says(status):
        return manifest
    return manifest | {"status": _clean(status, words)}


def _says(value: Any) -> bool:
    """Tell whether there is a message anywhere in a status."""
    if isinstance(value, dict):
        return bool(value.get("message")) or any(map(_says, value.values()))
    return isinstance(value, list) and any(map(_says, value))


def _clean(value: Any, words: Words) -> Any:
    if isinstance(value, list):
        return [_clean(each, words) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _message(each, words)
        if key == "message" and isinstance(each, str)
        else _clean(each, words)
        for key, each in value.items()
    }


def _message(text: str, words: Words) -> str:
    """Clean a message. That of one of our programs is JSON, and its reason is what decisions
    rest on.
    """
    if text.lstrip().startswith("{"):
        try:
            return json.dumps(_said(json.loads(text), words), ensure_ascii=False)
        except (ValueError, RecursionError):  # it only looks like JSON, or is hostile
            pass
    return words(text, lines=True)


def _said(value: Any, words: Words) -> Any:
    if isinstance(value, str):
        return value if value in _REASONS else words(value)
    if isinstance(value, list):
        return [_said(each, words) for each in value]
    if isinstance(value, dict):
        return {
            key if key in _KEYS else words(key): _said(each, words) for key, each in value.items()
        }
    return value
