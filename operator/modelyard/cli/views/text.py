"""Small words that every view uses: ages, sizes, digests, colours of a state. Tables and trees do not belong here."""

from datetime import datetime, timedelta

from rich.text import Text

from modelyard.api.base import Condition, Status

__all__ = ["age", "ago", "bar", "clip", "lasted", "number", "short_digest", "size", "squeezed", "standing", "style_of"]

_STYLES = {"Ready": "green", "Stalled": "red", "Reconciling": "yellow", "Unknown": "dim"}
_LOOSE = " .,"
"""What an ellipsis takes the place of as well."""


def lasted(span: timedelta) -> str:
    """Say how long something lasted, in the largest unit that says enough: 8s, 12m, 3h, 4d."""
    seconds = max(0, int(span.total_seconds()))
    for unit, length, until in (("s", 1, 120), ("m", 60, 120 * 60), ("h", 3600, 48 * 3600)):
        if seconds < until:
            return f"{seconds // length}{unit}"
    return f"{seconds // 86400}d"


def age(then: datetime | None, now: datetime) -> str:
    """Return how old something is; a dash if nobody knows."""
    return lasted(now - then) if then else "-"


def ago(then: datetime | None, now: datetime) -> str:
    """Say when something was: `3h ago`."""
    return f"{age(then, now)} ago" if then else ""


def size(count: int | None) -> str:
    """Return bytes as people read them: 1.2 MB; a dash if nobody knows."""
    if count is None:
        return "-"
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 99.95 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def number(value: float | str) -> str:
    """Return a metric's value as MLflow's page shows it, six digits at most."""
    try:
        return f"{float(value):.6g}"
    except ValueError:
        return str(value)


def short_digest(digest: str | None) -> str:
    """Return the first twelve characters of a digest, as much as tells two apart."""
    return digest.removeprefix("sha256:")[:12] if digest else "-"


def clip(text: str, width: int) -> str:
    """Keep what fits into a width, on one line; an ellipsis says that there was more."""
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: max(0, width - 1)].rstrip()}…"


def squeezed(text: str, width: int) -> str:
    """Keep what fits into a width: the beginning and the end, where signatures and addresses differ; an ellipsis stands for the rest."""
    line = " ".join(text.split())
    end = width // 2
    return line if len(line) <= width else f"{line[: max(0, width - end - 1)].rstrip(_LOOSE)}…{line[len(line) - end :].lstrip(_LOOSE)}"


def standing(status: Status, generation: int) -> tuple[str, Condition | None]:
    """Say where an object stands, in one word, and the condition that says why.

    Returns:
        Ready, Stalled, Reconciling or Unknown (the operator has not looked yet, or not at this spec).

    """
    found = status.condition("Ready")
    if found is None or status.observed_generation < generation:
        return "Unknown", found
    for word in ("Stalled", "Reconciling"):
        if status.is_true(word):
            return word, status.condition(word)
    return ("Ready" if found.status == "True" else "Reconciling"), found


def style_of(word: str) -> str:
    """Return the colour of a state; never the only thing that tells it."""
    return _STYLES.get(word, "")


def bar(percent: float, width: int = 20, style: str = "green") -> Text:
    """Draw a bar that is read without colour too: what is done is thick, what is left is thin."""
    done = round(max(0.0, min(100.0, percent)) / 100 * width)
    return Text.assemble(("━" * done, style), ("─" * (width - done), "dim"))
