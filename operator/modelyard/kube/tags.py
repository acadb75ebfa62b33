"""Tags in MLflow that follow a spec: which to set, and which to delete. Pure.

Other clients may set tags on the same object, and theirs stay. So the keys that we set are recorded
in a tag of their own, as a short digest of each (the keys may be too long for one value). The
record is written before the tags and corrected after them: after a crash in between it names too
many keys, never too few.
"""

import hashlib
from collections.abc import Iterable, Mapping

__all__ = ["RECORD_TAG", "missing", "recorded", "stale"]

RECORD_TAG = "modelyard.io/tags"


def missing(
    wanted: Mapping[str, str], ours: Iterable[str], there: Mapping[str, str]
) -> dict[str, str]:
    """Return the tags to set, the record first.

    Args:
        wanted: All tags that should exist.
        ours: The keys among them that follow the spec, and are deleted with it.
        there: The existing tags.

    """
    changed = {key: value for key, value in wanted.items() if there.get(key) != value}
    old, now = _record(there), {_digest(key) for key in ours}
    if not old and not now:
        return changed
    left = {_digest(key) for key in stale(ours, there)}
    record = " ".join(sorted(now | left))
    return ({} if there.get(RECORD_TAG, "") == record else {RECORD_TAG: record}) | changed


def stale(ours: Iterable[str], there: Mapping[str, str]) -> tuple[str, ...]:
    """Return the keys that we set and that the spec no longer has."""
    wanted, old = set(ours), _record(there)
    return tuple(sorted(key for key in there if key not in wanted and _digest(key) in old))


def recorded(keys: Iterable[str]) -> dict[str, str]:
    """Return the record tag for an object created with these keys; empty without keys."""
    record = " ".join(sorted(map(_digest, keys)))
    return {RECORD_TAG: record} if record else {}


def _record(there: Mapping[str, str]) -> set[str]:
    return set(there.get(RECORD_TAG, "").split())


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:12]
