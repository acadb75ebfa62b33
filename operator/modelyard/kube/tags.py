"""Tags that follow a spec: which to set, and which to take away again. Pure; whose tags they are on
is decided elsewhere.

Others may set tags on the same object in MLflow, and those stay. So what we set is remembered
beside it, in a tag of ours that holds a short digest of each key (keys themselves may be too long
for one value). It is written before what it speaks of and corrected after it: a crash in between
leaves a record that names too much, never too little.
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
        wanted: All tags that there should be.
        ours: Those of them that follow the spec, and go when it says them no more.
        there: The tags as they are.

    """
    changed = {key: value for key, value in wanted.items() if there.get(key) != value}
    old, now = _record(there), {_digest(key) for key in ours}
    if not old and not now:
        return changed
    left = {_digest(key) for key in stale(ours, there)}
    record = " ".join(sorted(now | left))
    return ({} if there.get(RECORD_TAG, "") == record else {RECORD_TAG: record}) | changed


def stale(ours: Iterable[str], there: Mapping[str, str]) -> tuple[str, ...]:
    """Return the keys that we set once and that the spec says no more."""
    wanted, old = set(ours), _record(there)
    return tuple(sorted(key for key in there if key not in wanted and _digest(key) in old))


def recorded(keys: Iterable[str]) -> dict[str, str]:
    """Return the record of these keys, for an object that is being created with them; nothing
    when there are none.
    """
    record = " ".join(sorted(map(_digest, keys)))
    return {RECORD_TAG: record} if record else {}


def _record(there: Mapping[str, str]) -> set[str]:
    return set(there.get(RECORD_TAG, "").split())


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:12]
