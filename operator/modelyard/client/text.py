"""Values as text, alike in the command line and in a notebook: ages, sizes, numbers, digests.

Nothing here draws: tables are in `table`, what a notebook shows in `display`.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from rich.filesize import decimal

__all__ = [
    "UNKNOWN",
    "age",
    "ago",
    "as_text",
    "clip",
    "lasted",
    "metrics",
    "number",
    "short_digest",
    "short_image",
    "size",
    "squeezed",
]

UNKNOWN = "-"
"""Stands for a value that is absent."""
_LOOSE = " .,"
"""Characters that an ellipsis replaces as well."""


def lasted(span: timedelta) -> str:
    """Return a duration in the largest unit that is precise enough: 8s, 12m, 3h, 4d."""
    seconds = max(0, int(span.total_seconds()))
    for unit, length, until in (("s", 1, 120), ("m", 60, 120 * 60), ("h", 3600, 48 * 3600)):
        if seconds < until:
            return f"{seconds // length}{unit}"
    return f"{seconds // 86400}d"


def age(then: datetime | None, now: datetime) -> str:
    """Return how old something is; a dash if that is unknown."""
    return lasted(now - then) if then else UNKNOWN


def ago(then: datetime | None, now: datetime) -> str:
    """Return when something was, `3h ago`; empty if that is unknown."""
    return f"{age(then, now)} ago" if then else ""


def size(count: int | None) -> str:
    """Return a number of bytes, `1.2 MB`; a dash if it is unknown."""
    return UNKNOWN if count is None else decimal(count)


def number(value: float | str) -> str:
    """Return a metric's value as MLflow's page shows it, with six digits at most."""
    try:
        return f"{float(value):.6g}"
    except ValueError:
        return str(value)


def as_text(value: Any) -> str:
    """Return a parameter as text: true and false in lower case, as in YAML."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def metrics(values: Iterable[tuple[str, float | str]], limit: int | None = None) -> str:
    """Return metrics in one line, `accuracy 0.941, auc 0.98`; an ellipsis if there are more than
    `limit`.
    """
    every = [f"{name} {number(value)}" for name, value in values]
    more = ["…"] if limit is not None and len(every) > limit else []
    return ", ".join([*every[:limit], *more])


def short_digest(digest: str | None) -> str:
    """Return the first twelve characters of a digest; a dash if there is none."""
    return digest.removeprefix("sha256:")[:12] if digest else UNKNOWN


def short_image(image: str) -> str:
    """Return an image's name without its registry, and its digest in short: `runtime:1.2.3`."""
    name, _, digest = image.rpartition("/")[2].partition("@")
    return f"{name}@{short_digest(digest)}" if digest else name


def clip(text: str, width: int) -> str:
    """Return the beginning of a text on one line; an ellipsis says that there was more."""
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: max(0, width - 1)].rstrip()}…"


def squeezed(text: str, width: int) -> str:
    """Return both ends of a text on one line, for signatures and addresses; an ellipsis stands
    for the middle.
    """
    line = " ".join(text.split())
    if len(line) <= width:
        return line
    end = width // 2
    head, tail = line[: max(0, width - end - 1)], line[len(line) - end :]
    return f"{head.rstrip(_LOOSE)}…{tail.lstrip(_LOOSE)}"
