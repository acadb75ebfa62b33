"""Read and write MLflow's JSON: tags, ids, times, and quotes in search filters."""

from collections.abc import Mapping
from datetime import UTC, datetime

from modelyard.adapters.mlflow_rest import Json, Rest

__all__ = ["Part", "id_of", "moment", "nothing", "number", "pairs", "quoted", "tags_of", "text"]

_ID_LIMIT = 256
"""Maximum characters of an id or a version; MLflow's own have 32."""
_DIGITS = 9


class Part:
    """A part of `ports.Tracking`."""

    def __init__(self, rest: Rest) -> None:
        """Use this session."""
        self._rest = rest


def nothing(_: Json) -> None:
    """Ignore the answer."""


def pairs(values: Mapping[str, str]) -> list[Json]:
    """Write tags or parameters as MLflow lists them."""
    return [{"key": key, "value": value} for key, value in values.items()]


def tags_of(listed: list[Json] | None) -> dict[str, str]:
    """Read tags or parameters as MLflow lists them; MLflow may omit an empty value."""
    return {text(item["key"]): text(item.get("value", "")) for item in listed or ()}


def text(value: object, limit: int | None = None) -> str:
    """Return a value that has to be text.

    Raises:
        TypeError: It is not text.
        ValueError: It is longer than `limit` characters.

    """
    if not isinstance(value, str):
        raise TypeError("expected text")
    if limit is not None and len(value) > limit:
        raise ValueError("the text is too long")
    return value


def id_of(value: object) -> str:
    """Return an id, which older releases of MLflow write as a number.

    Raises:
        TypeError: It is neither text nor a number.
        ValueError: It is longer than any id.

    """
    return text(str(value) if type(value) is int else value, _ID_LIMIT)


def number(value: object) -> str:
    """Return the number of a version as text.

    Raises:
        ValueError: It is not a number, or greater than any of MLflow's.

    """
    found = id_of(value)
    if not (found.isascii() and found.isdecimal() and len(found) <= _DIGITS):
        raise ValueError("expected the number of a version")
    return found


def moment(milliseconds: object) -> datetime | None:
    """Read MLflow's time, milliseconds since 1970 as a number or a string.

    None if it is 0, absent or outside the calendar: clients write the times of their runs, and may
    write nanoseconds.

    Raises:
        TypeError: It is neither a number nor text.
        ValueError: It is text that is not a number.

    """
    count = 0 if milliseconds is None else milliseconds
    if isinstance(count, str):
        count = float(count)
    if not isinstance(count, int | float):
        raise TypeError("expected a time")
    try:
        return datetime.fromtimestamp(count / 1000, UTC) if count else None
    except (OverflowError, OSError, ValueError):
        return None


def quoted(value: str) -> str | None:
    """Quote a string for MLflow's search filters; None if it cannot be quoted.

    MLflow strips the outer quotes and does not unescape, so the value must not contain the quote
    that surrounds it; a backslash or a line break breaks its parser.
    """
    if any(character in value for character in "\\\n\r\0"):
        return None
    return next((f"{quote}{value}{quote}" for quote in "'\"" if quote not in value), None)
