"""Values as text, for the command line and notebooks: ages, sizes, numbers, digests."""

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
    """Return a duration in one unit: seconds below 2 min, minutes below 2 h, hours below 2 d."""
    seconds = max(0, int(span.total_seconds()))
    for unit, length, until in (("s", 1, 120), ("m", 60, 120 * 60), ("h", 3600, 48 * 3600)):
        if seconds < until:
            return f"{seconds // length}{unit}"
    return f"{seconds // 86400}d"


def age(then: datetime | None, now: datetime) -> str:
    """Return how old something is; a dash if that is unknown."""
    return lasted(now - then) if then else UNKNOWN


def ago(then: datetime | None, now: datetime) -> str:
    """Return how long ago something was, `3h ago`; empty if that is unknown."""
    return f"{age(then, now)} ago" if then else ""


def size(count: int | None) -> str:
    """Return a number of bytes in a decimal unit, `1.2 MB`; a dash if it is unknown."""
    return UNKNOWN if count is None else decimal(count)


def number(value: float | str) -> str:
    """Return a metric's value with at most six significant digits, as MLflow's page shows it."""
    try:
        return f"{float(value):.6g}"
    except ValueError:
        return str(value)


def as_text(value: Any) -> str:
    """Return a parameter as text: true and false in lower case, as in YAML."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def metrics(values: Iterable[tuple[str, float | str]], limit: int | None = None) -> str:
    """Return metrics as `accuracy 0.941, auc 0.98`; an ellipsis stands for those after `limit`."""
    every = [f"{name} {number(value)}" for name, value in values]
    more = ["…"] if limit is not None and len(every) > limit else []
    return ", ".join([*every[:limit], *more])


def short_digest(digest: str | None) -> str:
    """Return the first twelve characters of a digest; a dash if there is none."""
    return digest.removeprefix("sha256:")[:12] if digest else UNKNOWN


def short_image(image: str) -> str:
    """Return an image without its registry, and with a short digest: `runtime:1.2.3`."""
    name, _, digest = image.rpartition("/")[2].partition("@")
    return f"{name}@{short_digest(digest)}" if digest else name


def clip(text: str, width: int) -> str:
    """Return a text on one line, cut to `width` characters with an ellipsis."""
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: max(0, width - 1)].rstrip()}…"


def squeezed(text: str, width: int) -> str:
    """Return both ends of a text on one line, with an ellipsis between; for addresses."""
    line = " ".join(text.split())
    if len(line) <= width:
        return line
    end = width // 2
    head, tail = line[: max(0, width - end - 1)], line[len(line) - end :]
    return f"{head.rstrip(_LOOSE)}…{tail.lstrip(_LOOSE)}"
