"""Commands for users to copy, with the program's name as it was called."""

import sys
from pathlib import PurePath
from shlex import quote

__all__ = ["called_as", "hint"]


def called_as(path: str | None = None) -> str:
    """Return the program's name as it was called: `modelyard`, or `kubectl modelyard`."""
    name = PurePath(sys.argv[0] if path is None else path).name
    if name == "__main__.py":
        return "python -m modelyard"
    return "kubectl modelyard" if name.startswith("kubectl-") else "modelyard"


def hint(
    words: str, namespace: str | None = None, context: str | None = None, *more: tuple[str, str]
) -> str:
    """Return a command to copy, with the namespace, the context and other options as given."""
    options = (("-n", namespace), ("--context", context), *more)
    where = "".join(f" {option} {quote(value)}" for option, value in options if value)
    return f"{called_as()} {words}{where}"
