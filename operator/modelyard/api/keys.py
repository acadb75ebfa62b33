"""Keys that MLflow accepts: names of parameters, metrics and tags. For CRDs, operator and pods.

Standard library only, because pods import it; `api.rules` has the same in CEL. The rule is from
`mlflow/utils/validation.py`: MLflow may use a key as a file name, so a key must also be a path.
"""

import posixpath
import re
from collections.abc import Iterable

__all__ = ["CHARACTERS_ADVICE", "KEY_LIMIT", "PATH_ADVICE", "bad_key", "fitting"]

KEY_LIMIT = 250
"""Characters of a key."""
CHARACTERS_ADVICE = (
    "MLflow takes keys of 1 to 250 letters, digits, spaces and _ - . : /, such as layers.0.units"
    " for layers[0].units and owner.team for owner@team"
)
PATH_ADVICE = (
    "MLflow takes keys that could be a file's relative path: no slash at either end, no //, no . or"
    " .. between slashes, and no .. at the start"
)

_KEY = re.compile(r"[\w./: -]+")
_OTHER = re.compile(r"[^\w./: -]")
_CUT = re.compile(r"/\.{0,2}\Z")
"""A truncated last segment that is not a file name."""


def bad_key(keys: Iterable[str]) -> str | None:
    """Return why MLflow would refuse the first bad key, and what it accepts, or None."""
    for key in keys:
        if len(key) > KEY_LIMIT or not _KEY.fullmatch(key):
            return f"{key[:KEY_LIMIT]!r}: {CHARACTERS_ADVICE}"
        if posixpath.normpath(key) != key or key.startswith(("/", "..")) or key == ".":
            return f"{key!r}: {PATH_ADVICE}"
    return None


def fitting(name: str) -> str:
    """Return a metric's name in a form that MLflow accepts: `error_at_0.7` for `error@0.7`."""
    plain = _OTHER.sub("_", name.replace("@", "_at_"))
    parts = ["_" if part in {".", ".."} else part for part in plain.split("/") if part]
    joined = _CUT.sub("", "/".join(parts)[:KEY_LIMIT])
    return f"_{joined[2:]}" if joined.startswith("..") else joined or "_"
