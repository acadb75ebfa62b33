"""How this program was called, for hints that people copy: `modelyard`, `kubectl modelyard`."""

import sys
from pathlib import PurePath
from shlex import quote

__all__ = ["called_as", "hint"]


def called_as(path: str | None = None) -> str:
    """Return the program's name as the user wrote it; a plugin of kubectl is a word of kubectl."""
    name = PurePath(sys.argv[0] if path is None else path).name
    if name == "__main__.py":
        return "python -m modelyard"
    return "kubectl modelyard" if name.startswith("kubectl-") else "modelyard"


def hint(
    words: str, namespace: str | None = None, context: str | None = None, *more: tuple[str, str]
) -> str:
    """Return a command that may be copied: with the program's name, the namespace and context
    that were named, and further options.
    """
    options = (("-n", namespace), ("--context", context), *more)
    where = "".join(f" {option} {quote(value)}" for option, value in options if value)
    return f"{called_as()} {words}{where}"
