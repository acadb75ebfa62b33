"""Converting a table to the input types that a model's server declares. Pure.

    typed(table, inputs(metadata))

It is needed if the values alone do not give the types: a CSV file has only texts, a column without
values has no type, and rows of mixed types without names do not say which column is which.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from modelyard.api.csv_texts import booleans
from modelyard.api.missing import MISSING_TEXTS
from modelyard.client.predict import Table

__all__ = ["Input", "inputs", "typed", "unclear"]

_INTEGER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?[iI]nf(inity)?")
_ZERO_IN_FRONT = re.compile(r"[+-]?0[0-9]")
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "1": True}
_BOOLEANS |= {"false": False, "False": False, "FALSE": False, "0": False}
_SHOWN = 60


@dataclass(frozen=True)
class Input:
    """An input of a model.

    Attributes:
        name: Its name.
        datatype: Its V2 datatype, such as `FP64`.
        column: Whether it is a column of a table, of shape (rows,).

    """

    name: str
    datatype: str
    column: bool


def inputs(metadata: bytes) -> tuple[Input, ...]:
    """Return the inputs in a V2 server's metadata of a model; empty if it has no signature."""
    try:
        found = json.loads(metadata).get("inputs") or ()
        return tuple(
            Input(str(each["name"]), str(each["datatype"]), each["shape"] == [-1]) for each in found
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return ()


def unclear(given: Table) -> bool:
    """Tell whether the values alone do not give the types of the columns."""
    if given.written:
        return True
    if given.names:
        return any(
            all(value is None for value in column) for column in zip(*given.rows, strict=True)
        )
    return any(not isinstance(value, int | float) for row in given.rows for value in row)


def typed(given: Table, declared: Sequence[Input]) -> Table:
    """Return the table with the types that the model declares.

    A column that the model does not declare keeps its type. Without a signature, a column of a CSV
    file becomes numbers if no value loses anything by that: `01234` stays a text.

    Args:
        given: The table.
        declared: The model's inputs.

    Raises:
        ValueError: A value of a CSV file does not have the declared type. The text names its
            column, its row (from 1) and the value.

    """
    names, width = given.names, len(given.rows[0]) if given.rows else 0
    if not names and len(declared) == width and all(each.column for each in declared):
        names = tuple(each.name for each in declared)
    types = {each.name: each.datatype for each in declared if each.name in names}
    if not given.written:
        return replace(given, names=names, types=types)
    columns = zip(names, zip(*given.rows, strict=True), strict=True)
    read = [_column(name, values, types.get(name)) for name, values in columns]
    rows = tuple(zip(*read, strict=True))
    return replace(given, names=names, rows=rows, types=types, written=False)


def _column(name: str, values: Sequence[Any], datatype: str | None) -> list[Any]:
    """Return the values of a column of texts, converted to a datatype."""
    texts = [None if value is None or value.strip() in MISSING_TEXTS else value for value in values]
    if datatype is None:
        there = [text.strip() for text in texts if text is not None]
        numbers = all(_NUMBER.fullmatch(text) and not _ZERO_IN_FRONT.match(text) for text in there)
        datatype = "FP64" if numbers else "BYTES"
        datatype = (
            "INT64" if numbers and all(_INTEGER.fullmatch(text) for text in there) else datatype
        )
    if datatype == "BYTES":
        return texts
    if (truths := booleans([text and text.strip() for text in texts])) is not None:
        return truths
    read, wanted = (
        (_boolean, "true or false") if datatype == "BOOL" else (_number(datatype), "a number")
    )
    found: list[Any] = []
    for row, text in enumerate(texts, 1):
        value = None if text is None else read(text.strip())
        if value is None and text is not None:
            shown = repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
            raise ValueError(
                f"column {name} expects {datatype}; row {row} has {shown}, which is not {wanted}"
            )
        found.append(value)
    return found


def _boolean(text: str) -> bool | None:
    return _BOOLEANS.get(text)


def _number(datatype: str) -> Callable[[str], int | float | None]:
    """Return a parser of numbers. A fraction is accepted for an integer: the server refuses it."""

    def read(text: str) -> int | float | None:
        if "INT" in datatype and _INTEGER.fullmatch(text):
            return int(text)
        return float(text) if _NUMBER.fullmatch(text) else None

    return read
