"""The state of an object, colours and bars, for every view.

Values as text are in `client.text`, tables in `client.table`.
"""

from rich.text import Text

from modelyard.api.base import Condition, Status

__all__ = ["bar", "state_of", "style_of"]

_STYLES = {"Ready": "green", "Stalled": "red", "Reconciling": "yellow", "Unknown": "dim"}


def state_of(status: Status, generation: int) -> tuple[str, Condition | None]:
    """Return the state of an object in one word, and the condition that says why.

    Returns:
        Ready, Stalled, Reconciling, or Unknown if the operator has not observed this generation
            of the spec.

    """
    found = status.condition("Ready")
    if found is None or status.observed_generation < generation:
        return "Unknown", found
    for word in ("Stalled", "Reconciling"):
        if status.is_true(word):
            return word, status.condition(word)
    return ("Ready" if found.status == "True" else "Reconciling"), found


def style_of(word: str) -> str:
    """Return the colour of a state, which is always also written as a word."""
    return _STYLES.get(word, "")


def bar(percent: float, width: int = 20, style: str = "green") -> Text:
    """Draw a bar that is readable without colour: the done part is thick, the rest is thin."""
    done = round(max(0.0, min(100.0, percent)) / 100 * width)
    return Text.assemble(("━" * done, style), ("─" * (width - done), "dim"))
