"""What MLflow's areas share: how its JSON writes tags and times, how its search filters quote. Requests do not belong here."""

from collections.abc import Mapping
from datetime import UTC, datetime

from modelyard.adapters.mlflow_rest import Json, Rest

__all__ = ["Part", "moment", "nothing", "pairs", "quoted", "tags_of"]


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
    return {item["key"]: item.get("value", "") for item in listed or ()}


def moment(milliseconds: object) -> datetime | None:
    """Read MLflow's time, milliseconds since 1970 as a number or a string; 0 and absence are None."""
    number = int(str(milliseconds)) if milliseconds is not None else 0
    return datetime.fromtimestamp(number / 1000, UTC) if number else None


def quoted(value: str) -> str | None:
    """Write a string for MLflow's search filters; None when there is no way to.

    MLflow strips the outer quotes and unescapes nothing, so a value keeps out the quote that surrounds it; a backslash or a line
    break confuses its parser.
    """
    if any(character in value for character in "\\\n\r\0"):
        return None
    return next((f"{quote}{value}{quote}" for quote in "'\"" if quote not in value), None)
