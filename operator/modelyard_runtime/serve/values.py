"""Values from clients, in any protocol, and their conversion to the types of a signature."""

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
"""Most characters of a message, which may contain what a client sent."""
_TEXTS = 64 << 20
"""Most bytes of an array of strings, in which each takes the space of the longest."""
_YEARS = range(1678, 2262)
"""Years that are completely in the range of 64 bits of nanoseconds."""
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
    """A refused request; the answer has `status` and a message that says what to send instead."""

    def __init__(self, message: str, status: int = 400) -> None:
        """Keep the message, shortened, and the status."""
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
    """Of any number of dimensions; the first is the rows."""

    @cached_property
    def array(self) -> Array:
        """The rows as an array.

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
        """Return [rows, width] of float32, or None if some values are missing or not numbers.

        `struct` accepts only numbers, and is faster than numpy.
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
    """Return nested lists as an array, with strings among them as an array of objects.

    numpy's arrays of strings give each value the space of the longest: a string of a megabyte and a
    million numbers would take a terabyte.

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
    """Return whether there is a string in a list or in its nested lists."""
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
    """Return the values of each column in the signature's order, unchecked; None: absent, optional.

    Raises:
        Refused: Columns are missing, or differ in length.

    """
    if isinstance(table, Matrix):
        return _columns_of_matrix(table.array, len(specs))
    unnamed = any(spec.name is None for spec in specs)
    # The keys of records in the order in which they first occur, as in MLflow.
    given = (
        table.given
        if isinstance(table, Columns)
        else dict.fromkeys(chain.from_iterable(table.rows))
    )
    if unnamed and len(given) != len(specs):
        raise Refused(f"the model takes {len(specs)} columns, but the input has {len(given)}")
    if isinstance(table, Records):
        # Only the model's columns: if each row had another key, all keys would take the square of
        # the rows.
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
        shortest = min(lengths, key=lengths.__getitem__)
        longest = max(lengths, key=lengths.__getitem__)
        raise Refused(
            f"the columns differ in length: {shortest} has {lengths[shortest]} values, {longest}"
            f" has {lengths[longest]}"
        )
    return found


def _columns_of_matrix(values: Array, width: int) -> list[Any]:
    if values.ndim == 1 and width == 1:
        values = values.reshape(-1, 1)
    if values.ndim != 2 or values.shape[1] != width:
        raise Refused(
            f"the model takes {width} columns, in shape [rows, {width}], but the input has shape"
            f" {list(values.shape)}"
        )
    return [values[:, index] for index in range(width)]


def cast(spec: Column, values: Any, label: str, *, lenient: bool = False) -> Array:
    """Return a column's values as an array of its type.

    Args:
        spec: The column.
        values: A list or an array.
        label: The column's name in messages.
        lenient: Accept numbers that are written as strings, as MLflow's /invocations does.

    Raises:
        Refused: A value does not have the type; the message names column, type, row and value.

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
        Refused: They do not have the type or the shape.

    """
    try:
        array = values if isinstance(values, np.ndarray) else array_of(values)
        found = array if array.dtype.name == spec.dtype else _converted(array, spec.dtype)
    except (ValueError, TypeError, OverflowError):
        raise Refused(
            f"{label} expects {spec.dtype} values in shape {list(spec.shape)}; the input has other"
            " values or another shape"
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
                f"{array.size} strings of up to {longest} characters are too many; send fewer rows"
                " at a time",
                413,
            )
    return array.astype(dtype)


def _misfit(spec: Column, label: str, row: int, value: Any) -> Refused:
    plain = value.item() if isinstance(value, np.generic) else value
    return Refused(f"column {label} expects {spec.type}; row {row} has {shown(plain)}")


def _numbers(spec: Column, values: Any, label: str, *, lenient: bool) -> Array:
    """Return float64, NaN for missing values; an array of integers stays as it is."""
    try:
        array = values if isinstance(values, np.ndarray) else array_of(values)
    except ValueError:
        array = np.empty(0, object)  # nested lists: refused below
    if array.ndim == 1 and array.dtype.kind in "iuf":
        whole = array.dtype.kind != "f" and spec.type in _INTEGERS
        return array if whole else array.astype(np.float64, copy=False)
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
            return float(value if "_" not in value else "")  # 1_000 is a number only in Python
        except ValueError:
            raise _misfit(spec, label, row, value) from None
    if isinstance(value, bool | np.bool_ | int | float | np.number):
        try:
            return float(value)
        except OverflowError:  # as for 1e400
            return np.inf if value > 0 else -np.inf
    raise _misfit(spec, label, row, value)


def _whole(spec: Column, numbers: Array, values: Any, label: str) -> Array:
    """Return integers or booleans; refuse a value that would have to be rounded or truncated.

    If an optional column lacks values, return floats, with NaN for the missing ones.
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
    """Return Python objects; a column of strings accepts only strings and None."""
    result = np.empty(len(values), object)
    for row, value in enumerate(values.tolist() if isinstance(values, np.ndarray) else values):
        if spec.type not in {"any", "string"} or (
            spec.type == "string" and not (isinstance(value, str) or value is None)
        ):
            raise _misfit(spec, label, row, value)
        result[row] = value
    return result


def _naive_utc(text: str) -> np.datetime64:
    """Return a time as MLflow's signatures have it: in UTC, without a time zone."""
    moment = datetime.fromisoformat(text)
    if moment.year not in _YEARS:
        raise ValueError("numpy cannot represent this year")
    return np.datetime64(
        moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment, "ns"
    )


def _encoded(spec: Column, values: Any, label: str) -> Array:
    """Return bytes, from base64, or datetimes in nanoseconds and UTC, from ISO 8601."""
    result = np.empty(len(values), "datetime64[ns]" if spec.type == "datetime" else object)
    for row, value in enumerate(values):
        try:
            if value is None and not spec.required:
                result[row] = None
            elif spec.type == "datetime":
                result[row] = _naive_utc(value)
            else:  # a binary tensor already has bytes
                result[row] = (
                    value if isinstance(value, bytes) else base64.b64decode(value, validate=True)
                )
        except (ValueError, TypeError, AttributeError, binascii.Error):
            raise _misfit(spec, label, row, value) from None
    return result
