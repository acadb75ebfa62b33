"""The filters of `runs.list(filter=...)`: parsed and applied. Pure.

    metrics.accuracy > 0.9 and parameters.max_depth = 6 and reason != Failed

The caller provides the values of the names on the left.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Comparison", "matches", "parse"]

_OPERATORS = ("!=", ">=", "<=", "=", ">", "<", "~")
_TERM = re.compile(
    r"""\s*(?P<name>[A-Za-z_][\w./-]*|[A-Za-z_]\w*\.`[^`]+`)\s*(?P<operator>!=|>=|<=|=|>|<|~)\s*(?P<value>"[^"]*"|'[^']*'|[^\s"',]+)\s*""",
)
_AND = re.compile(r"\s*(?:,|\band\b)\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Comparison:
    """One comparison: the name on the left, the operator, the value on the right."""

    name: str
    operator: str
    value: str


def parse(text: str) -> tuple[Comparison, ...]:
    """Parse a filter; an empty one matches everything.

    Raises:
        ValueError: A syntax error; the message shows where.

    """
    found: list[Comparison] = []
    position = 0
    while text[position:].strip():
        if found:
            joint = _AND.match(text, position)
            if joint is None:
                raise ValueError(_unreadable(text, position, "write `and` between comparisons"))
            position = joint.end()
        term = _TERM.match(text, position)
        if term is None:
            raise ValueError(
                _unreadable(text, position, f"write <name> <{' '.join(_OPERATORS)}> <value>")
            )
        value = term["value"]
        found.append(
            Comparison(
                term["name"].replace("`", ""),
                term["operator"],
                value[1:-1] if value[0] in "\"'" else value,
            )
        )
        position = term.end()
    return tuple(found)


def _unreadable(text: str, position: int, advice: str) -> str:
    return f"the filter cannot be read here: {text[:position]} >>> {text[position:]}; {advice}"


def matches(comparisons: tuple[Comparison, ...], look: Callable[[str], Any]) -> bool:
    """Tell whether all comparisons hold. A missing value matches only `!=`.

    Args:
        comparisons: From `parse`.
        look: Returns the value of a name, or None if it is missing. Raises ValueError for a name
            that does not exist.

    """
    return all(_holds(each, look(each.name)) for each in comparisons)


def _holds(comparison: Comparison, found: Any) -> bool:
    wanted, operator = comparison.value, comparison.operator
    if found is None:
        return operator == "!="
    if operator == "~":
        return wanted.casefold() in str(found).casefold()
    left, right = _pair(found, wanted)
    if operator == "=":
        return bool(left == right)
    if operator == "!=":
        return bool(left != right)
    if not isinstance(left, float) or not isinstance(right, float):
        raise ValueError(  # noqa: TRY004 - it is the user's text that is wrong
            f"{comparison.name} {operator} {wanted}: {found} and {wanted} are not both numbers;"
            " compare with = != or ~"
        )
    return {">": left > right, "<": left < right, ">=": left >= right, "<=": left <= right}[
        operator
    ]


def _pair(found: Any, wanted: str) -> tuple[Any, Any]:
    """Return both sides as numbers or, if the left is one, as booleans; otherwise as text."""
    if isinstance(found, bool):
        return found, wanted.casefold() in {"true", "yes", "1"}
    try:
        return float(found), float(wanted)
    except ValueError:
        return str(found).casefold(), wanted.casefold()
