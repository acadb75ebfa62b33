"""Values as clients send them, whichever protocol they speak, and how they fit a signature.

Parsing a protocol and predicting do not belong here. Only numpy is needed for numbers; dates and
text need no more.
"""

import base64
import binascii
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import chain
from reprlib import repr as shown
from typing import Any

import numpy as np
import numpy.typing as npt

from modelyard_runtime.serve.signature import Column, Tensor

__all__ = [
    "Array",
    "Columns",
    "Matrix",
    "Records",
    "Refused",
    "Table",
    "array_of",
    "cast",
    "columns_of",
    "has_text",
    "tensor_of",
]

Array = npt.NDArray[Any]

_SHOWN = 10
_MESSAGE = 1000
"""Characters of a message; what a client sent may be in it."""
_TEXTS = 64 << 20
"""Bytes of an array of texts, in which each takes as much as the longest."""
_YEARS = range(1678, 2262)
"""What 64 bits of nanoseconds hold whole."""
_INTEGERS = {"integer": np.int32, "long": np.int64}
_BOOLEANS = {
    "true": True,
    "True": True,
    "TRUE": True,
    "1": True,
    "false": False,
    "False": False,
    "FALSE": False,
    "0": False,
}


class Refused(Exception):
    """The request is answered with `status` and a message that says what to send instead."""

    def __init__(self, message: str, status: int = 400) -> None:
        """Keep both."""
        self.message = message if len(message) <= _MESSAGE else message[: _MESSAGE - 3] + "..."
        super().__init__(self.message)
        self.status = status


@dataclass(frozen=True)
class Records:
    """Rows by column name; a row may lack columns."""

    rows: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Matrix:
    """Rows without names."""

    given: Array | Sequence[Any]
    """Of any number of dimensions; the first counts rows."""

    @cached_property
    def array(self) -> Array:
        """The same as an array.

        Raises:
            Refused: The rows are ragged.

        """
        if isinstance(self.given, np.ndarray):
            return self.given
        try:
            return array_of(self.given)
        except ValueError:
            raise Refused(
                "the rows differ in length: give every row the same number of values"
            ) from None

    def numbers(self, width: int) -> Array | None:
        """Return rows of so many float32 if they are just that; struct takes no text and nothing
        missing, and is faster than numpy.
        """
        try:
            if isinstance(self.given, np.ndarray) or set(map(len, self.given)) != {width}:
                return None
            packed = struct.pack(f"{len(self.given) * width}f", *chain.from_iterable(self.given))
        except (struct.error, TypeError, OverflowError):
            return None
        return np.frombuffer(packed, np.float32).reshape(-1, width)


@dataclass(frozen=True)
class Columns:
    """Columns, or tensors, by name."""

    given: Mapping[str, Any]
    """Lists or arrays of one length."""


Table = Records | Matrix | Columns


def array_of(rows: Sequence[Any]) -> Array:
    """Return nested lists as an array. A text among them makes it an array of objects: numpy's
    arrays of texts give each value the room of the longest, a text of a megabyte and a million
    numbers a terabyte.

    Raises:
        ValueError: They are ragged.

    """
    if not has_text(rows):
        return np.array(rows)
    lengths = {len(row) if isinstance(row, list) else -1 for row in rows}
    if len(lengths) > 1:
        raise ValueError("the lists differ in length")
    return np.array(rows, object)


def has_text(values: Sequence[Any]) -> bool:
    """Return whether there is a text in a list or in the lists in it."""
    level: Sequence[Any] = values
    while level:
        kinds = set(map(type, level))
        if str in kinds or bytes in kinds:
            return True
        if list not in kinds:
            return False
        level = list(chain.from_iterable(each for each in level if type(each) is list))
    return False


def columns_of(table: Table, specs: Sequence[Column]) -> list[Any]:
    """Return the values of each column in the signature's order, not yet checked; None for an
    optional one that is absent.

    Raises:
        Refused: Columns are missing, or differ in length.

    """
    if isinstance(table, Matrix):
        values = (
            table.array.reshape(-1, 1) if table.array.ndim == 1 and len(specs) == 1 else table.array
        )
        if values.ndim != 2 or values.shape[1] != len(specs):
            raise Refused(
                f"the model takes {len(specs)} columns, in shape [rows, {len(specs)}]; the input"
                f" has shape {list(values.shape)}"
            )
        return [values[:, index] for index in range(len(specs))]
    unnamed = any(spec.name is None for spec in specs)
    # The keys of records in the order of the rows, as MLflow has them.
    given = (
        table.given
        if isinstance(table, Columns)
        else dict.fromkeys(chain.from_iterable(table.rows))
    )
    if unnamed and len(given) != len(specs):
        raise Refused(f"the model takes {len(specs)} columns, the input has {len(given)}")
    if isinstance(table, Records):
        # Only what the model takes: of rows with a key of its own each, all keys would be the
        # square of the rows.
        names = given if unnamed else [str(spec.name) for spec in specs if spec.name in given]
        given = {name: [row.get(name) for row in table.rows] for name in names}
    if unnamed:
        return list(given.values())
    if missing := [str(spec.name) for spec in specs if spec.required and spec.name not in given]:
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        raise Refused(
            f"the input lacks the column(s) {', '.join(missing[:_SHOWN])}{more}, which the model's"
            " signature requires"
        )
    found = [given.get(str(spec.name)) for spec in specs]
    lengths = {
        str(spec.name): len(values)
        for spec, values in zip(specs, found, strict=True)
        if values is not None
    }
    if len(set(lengths.values())) > 1:
        shortest, longest = (
            min(lengths, key=lengths.__getitem__),
            max(lengths, key=lengths.__getitem__),
        )
        raise Refused(
            f"the columns differ in length: {shortest} has {lengths[shortest]} values, {longest}"
            f" has {lengths[longest]}"
        )
    return found


def cast(spec: Column, values: Any, label: str, *, lenient: bool = False) -> Array:
    """Return a column's values as an array of its type.

    Args:
        spec: The column.
        values: A list or an array.
        label: What to call the column in a message.
        lenient: Take numbers that are written as text, as MLflow's /invocations does.

    Raises:
        Refused: A value does not fit; the message names column, type, row and value.

    """
    if isinstance(values, np.ndarray) and values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if spec.type in {"any", "string"} or (isinstance(values, np.ndarray) and values.ndim != 1):
        return _objects(spec, values, label)
    if spec.type in {"binary", "datetime"}:
        return _encoded(spec, values, label)
    numbers = _numbers(spec, values, label, lenient=lenient)
    if spec.type in {"double", "float"}:
        return numbers if spec.type == "double" else numbers.astype(np.float32)
    return _whole(spec, numbers, values, label)


def tensor_of(spec: Tensor, values: Any, label: str) -> Array:
    """Return a tensor's values as an array of its type and shape.

    Raises:
        Refused: They do not fit.

    """
    try:
        array = values if isinstance(values, np.ndarray) else array_of(values)
        found = array if array.dtype.name == spec.dtype else _converted(array, spec.dtype)
    except (ValueError, TypeError, OverflowError):
        raise Refused(
            f"{label} expects {spec.dtype} values in shape {list(spec.shape)}; the input has others"
        ) from None
    if found.ndim != len(spec.shape) or any(
        want not in {-1, have} for want, have in zip(spec.shape, found.shape, strict=True)
    ):
        raise Refused(
            f"{label} expects shape {list(spec.shape)}; the input has {list(found.shape)}"
        )
    return found


def _converted(array: Array, dtype: str) -> Array:
    if np.dtype(dtype).kind in "US" and array.dtype.kind == "O":
        longest = max(
            (len(value) for value in array.reshape(-1).tolist() if isinstance(value, str | bytes)),
            default=1,
        )
        if array.size * longest * 4 > _TEXTS:
            raise Refused(
                f"{array.size} texts of up to {longest} characters are too many; send fewer rows at"
                " a time",
                413,
            )
    return array.astype(dtype)


def _misfit(spec: Column, label: str, row: int, value: Any) -> Refused:
    return Refused(
        f"column {label} expects {spec.type}; row {row} has"
        f" {shown(value.item() if isinstance(value, np.generic) else value)}"
    )


def _numbers(spec: Column, values: Any, label: str, *, lenient: bool) -> Array:
    """Return float64, NaN for what is missing; whole numbers stay whole where they are already."""
    try:
        array = values if isinstance(values, np.ndarray) else array_of(values)
    except ValueError:
        array = np.empty(0, object)  # nested: found below
    if array.ndim == 1 and array.dtype.kind in "iuf":
        return (
            array
            if array.dtype.kind != "f" and spec.type in _INTEGERS
            else array.astype(np.float64, copy=False)
        )
    result = np.empty(len(values), np.float64)
    for row, value in enumerate(values):
        result[row] = _number(spec, value, label, row, lenient=lenient)
    return result


def _number(spec: Column, value: Any, label: str, row: int, *, lenient: bool) -> float:
    if value is None:
        return np.nan
    if isinstance(value, str) and lenient:
        if spec.type == "boolean" and value in _BOOLEANS:
            return float(_BOOLEANS[value])
        try:
            return float(
                value if "_" not in value else ""
            )  # Python's own way to write a thousand, and no file's
        except ValueError:
            raise _misfit(spec, label, row, value) from None
    if isinstance(value, bool | np.bool_ | int | float | np.number):
        try:
            return float(value)
        except OverflowError:  # as 1e400 is read
            return np.inf if value > 0 else -np.inf
    raise _misfit(spec, label, row, value)


def _whole(spec: Column, numbers: Array, values: Any, label: str) -> Array:
    """Return whole numbers or booleans; nothing is rounded, cut or guessed on the way.

    What is missing of an optional column is NaN, and the others are floats beside it.
    """
    missing = np.isnan(numbers) if numbers.dtype.kind == "f" and not spec.required else np.False_
    if spec.type == "boolean":
        wrong = ~np.isin(numbers, (0, 1))
        kind: Any = np.bool_
    else:
        kind = _INTEGERS[spec.type]
        limits = np.iinfo(kind)
        wrong = ~((numbers >= limits.min) & (numbers <= limits.max))
        if numbers.dtype.kind == "f":
            wrong |= numbers != np.rint(numbers)
    wrong &= ~missing
    if wrong.any():
        row = int(np.argmax(wrong))
        raise _misfit(spec, label, row, values[row])
    return numbers if missing.any() else numbers.astype(kind)


def _objects(spec: Column, values: Any, label: str) -> Array:
    """Return Python objects; text is text."""
    result = np.empty(len(values), object)
    for row, value in enumerate(values.tolist() if isinstance(values, np.ndarray) else values):
        if spec.type not in {"any", "string"} or (
            spec.type == "string" and not (isinstance(value, str) or value is None)
        ):
            raise _misfit(spec, label, row, value)
        result[row] = value
    return result


def _naive_utc(text: str) -> np.datetime64:
    """Return an instant as MLflow's signatures have it: without a time zone."""
    moment = datetime.fromisoformat(text)
    if moment.year not in _YEARS:
        raise ValueError("numpy would take it for another year")
    return np.datetime64(
        moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment, "ns"
    )


def _encoded(spec: Column, values: Any, label: str) -> Array:
    """Return bytes, from base64, or datetimes in nanoseconds without a time zone, from ISO 8601."""
    result = np.empty(len(values), "datetime64[ns]" if spec.type == "datetime" else object)
    for row, value in enumerate(values):
        try:
            if value is None and not spec.required:
                result[row] = None
            elif spec.type == "datetime":
                result[row] = _naive_utc(value)
            else:  # a binary tensor has the bytes themselves
                result[row] = (
                    value if isinstance(value, bytes) else base64.b64decode(value, validate=True)
                )
        except (ValueError, TypeError, AttributeError, binascii.Error):
            raise _misfit(spec, label, row, value) from None
    return result
