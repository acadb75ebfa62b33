"""What MLflow's areas share: how its JSON writes tags and times, how its search filters quote.
Requests do not belong here.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from modelyard.adapters.mlflow_rest import Json, Rest

__all__ = ["Part", "id_of", "moment", "nothing", "number", "pairs", "quoted", "tags_of", "text"]

_ID_LIMIT = 256
"""Characters of an id or a version; MLflow's own have 32."""
_DIGITS = 9


class Part:
    """A part of `ports.Tracking`."""

    def __init__(self, rest: Rest) -> None:
        """Speak through this."""
        self._rest = rest


def nothing(_: Json) -> None:
    """Expect an empty answer, or one that says nothing new."""


def pairs(values: Mapping[str, str]) -> list[Json]:
    """Write tags or parameters as MLflow lists them."""
    return [{"key": key, "value": value} for key, value in values.items()]


def tags_of(listed: list[Json] | None) -> dict[str, str]:
    """Read tags or parameters as MLflow lists them; an empty value may be left out there."""
    return {text(item["key"]): text(item.get("value", "")) for item in listed or ()}


def text(value: object, limit: int | None = None) -> str:
    """Return a value that has to be text.

    Raises:
        TypeError: It is something else.
        ValueError: It is longer than `limit` characters.

    """
    if not isinstance(value, str):
        raise TypeError("MLflow has text here")
    if limit is not None and len(value) > limit:
        raise ValueError("MLflow has no text of this length here")
    return value


def id_of(value: object) -> str:
    """Return an id, which older releases write as a number.

    Raises:
        TypeError: It is neither.
        ValueError: It is longer than any.

    """
    return text(str(value) if type(value) is int else value, _ID_LIMIT)


def number(value: object) -> str:
    """Return the number of a version as text.

    Raises:
        ValueError: It is none, or greater than any that MLflow gives.

    """
    found = id_of(value)
    if not (found.isascii() and found.isdecimal() and len(found) <= _DIGITS):
        raise ValueError("MLflow numbers its versions")
    return found


def moment(milliseconds: object) -> datetime | None:
    """Read MLflow's time, milliseconds since 1970 as a number or a string.

    0, absence and what no calendar has are None: a client writes the times of its run, and may
    write nanoseconds.

    Raises:
        TypeError: It is no number.
        ValueError: It is text that is no number.

    """
    count = (
        float(milliseconds)
        if isinstance(milliseconds, str)
        else 0
        if milliseconds is None
        else milliseconds
    )
    if not isinstance(count, int | float):
        raise TypeError("MLflow has a time here")
    try:
        return datetime.fromtimestamp(count / 1000, UTC) if count else None
    except (OverflowError, OSError, ValueError):
        return None


def quoted(value: str) -> str | None:
    """Write a string for MLflow's search filters; None when there is no way to.

    MLflow strips the outer quotes and unescapes nothing, so a value keeps out the quote that
    surrounds it; a backslash or a line break confuses its parser.
    """
    if any(character in value for character in "\\\n\r\0"):
        return None
    return next((f"{quote}{value}{quote}" for quote in "'\"" if quote not in value), None)
