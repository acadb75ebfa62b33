"""Keys that MLflow takes: names of parameters, metrics and tags, for admission, operator and pods
alike.

Standard library only, for pods import it; the same in CEL is in `api.rules`. The rule is MLflow's
own (`mlflow/utils/validation.py`): it may write a key as the name of a file, so a key is also a
path.
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
"""What a cut may leave of a last part that is no file's name."""


def bad_key(keys: Iterable[str]) -> str | None:
    """Return the first key that MLflow would refuse, with what it takes; None when it takes all."""
    for key in keys:
        if len(key) > KEY_LIMIT or not _KEY.fullmatch(key):
            return f"{key[:KEY_LIMIT]!r}: {CHARACTERS_ADVICE}"
        if posixpath.normpath(key) != key or key.startswith(("/", "..")) or key == ".":
            return f"{key!r}: {PATH_ADVICE}"
    return None


def fitting(name: str) -> str:
    """Return a metric's name as MLflow takes it: `error_at_0.7` for `error@0.7`."""
    plain = _OTHER.sub("_", name.replace("@", "_at_"))
    parts = ["_" if part in {".", ".."} else part for part in plain.split("/") if part]
    joined = _CUT.sub("", "/".join(parts)[:KEY_LIMIT])
    return f"_{joined[2:]}" if joined.startswith("..") else joined or "_"
