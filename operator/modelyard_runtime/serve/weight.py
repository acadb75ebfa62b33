"""Estimate the memory that a request will take, by its bytes, before parsing it.

The estimates are upper bounds: if two requests are hard to distinguish, the estimate is that of the
larger one. Parquet is estimated by `pages`.
"""

import io
import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from csv import Error, reader
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import orjson

from modelyard_runtime.serve.parsing import decoded
from modelyard_runtime.serve.values import Refused

__all__ = ["Weight", "csv", "filled_up", "json", "product", "tensors", "written_out"]

_CHUNK = 1 << 18
_VALUE = 80
"""Bytes of a value: a float 24, slots in lists 16, in arrays of 64 and 32 bits 12, answer 24."""
_KEY, _LIST, _DICT = 100, 90, 250
_CELL = 120
"""Bytes of a cell of CSV, in addition to its value: a string, and its slots in rows and columns."""
_SLOT = 24
"""Bytes of a cell that was not sent: its slot in a list and in arrays of 64 and 32 bits."""
_PANDAS = 40
"""Bytes of a cell that pandas fills in: its slots in arrays of objects, by row and by column."""
_ELEMENT = 90
"""Bytes of a string of a binary tensor."""
_ARRAYS = 3
"""Most copies of a binary tensor: in its own type, in the model's type, in the answer."""
_LENGTH = 4
"""Bytes before each string of a binary tensor."""
_MANY = 1 << 62
_EMPTY = 1 << 16
"""Most rows without values, which take memory as objects."""
_DIMENSIONS = 32
"""More dimensions than any library's arrays have."""


@dataclass(frozen=True)
class Weight:
    """The estimated memory of a body."""

    size: int
    """Most bytes."""
    values: int
    """Most values, for messages."""

    def times(self, factor: int) -> "Weight":
        """Return the estimate for a reader that copies what it reads."""
        return Weight(self.size * factor, self.values)

    def within(self, most: int) -> "Weight":
        """Return the estimate if it is at most `most` bytes.

        Raises:
            Refused: It is more.

        """
        if self.size > most:
            what = f"its up to {self.values} values would take {self.size >> 20} MiB of memory"
            raise Refused(
                f"the body is too large: {what}, but {most >> 20} are allowed; send fewer rows at"
                " a time",
                413,
            )
        return self


def json(body: bytes | memoryview, columns: int = 0) -> Weight:
    """Estimate JSON by its punctuation, including that in strings.

    Each object counts as a row with `columns` columns, because it may lack their keys.
    """
    commas, lists, dicts, keys, escapes, wide = _counts(body, b",[{:\\")
    values = commas + lists + dicts + 1
    # In Python, one wide character makes all characters of a string wide.
    text = len(body) * (4 if wide or escapes else 1)
    known = len(body) + text + values * _VALUE + keys * _KEY + lists * _LIST + dicts * _DICT
    return Weight(known + dicts * columns * _SLOT, max(values, dicts * columns))


def csv(body: bytes) -> Weight:
    """Estimate CSV."""
    commas, lines, returns, wide = _counts(body, b",\n\r")
    cells = commas + lines + returns + 1
    return Weight(len(body) * (5 if wide else 2) + cells * (_CELL + _VALUE), cells)


def tensors(head: bytes | memoryview, size: int) -> Weight:
    """Estimate a V2 request with `size` bytes of binary tensors after its JSON."""
    described = json(head)
    elements = min(_texts(head), size // _LENGTH) if b"BYTES" in bytes(head) else 0
    return Weight(
        described.size + _ARRAYS * size + _ELEMENT * elements, described.values + elements
    )


def written_out(body: bytes) -> int:
    """Return the bytes of JSON as tables and arrays of strings, which have the longest one's width.

    MLflow builds such arrays and tables from the requests of pyfunc models.
    """
    try:
        parsed = decoded(body)
    except Refused:
        return 0  # it will be refused when it is parsed
    cells = sum(rows * columns for rows, columns in map(_extents, parsed.values()))
    return _PANDAS * cells + sum(4 * count * longest for count, longest in _arrays(parsed))


def filled_up(body: bytes) -> int:
    """Return the bytes of CSV as a table of pandas, which fills all rows up to the longest."""
    lines = io.TextIOWrapper(io.BytesIO(body), encoding="utf-8", errors="replace", newline="")
    rows = longest = 0
    try:
        for row in reader(lines):
            rows, longest = rows + 1, max(longest, len(row))
    except Error:  # a field is too long for Python's reader, but not for pandas'
        rows, longest = body.count(b"\n") + body.count(b"\r") + 1, body.count(b",") + 1
    return _PANDAS * rows * longest


def product(shape: Sequence[int], most: int, label: str) -> int:
    """Multiply the sizes of a shape, up to `most`.

    Raises:
        Refused: It has more values than that, or more dimensions than an array can have.

    """
    if len(shape) > _DIMENSIONS:
        raise Refused(
            f"{label}: the shape has {len(shape)} dimensions, but {_DIMENSIONS} are allowed"
        )
    if 0 in shape:
        if max(shape) > _EMPTY:
            raise Refused(f"{label}: the shape has no values, but a size above {_EMPTY}")
        return 0
    found = 1
    for size in shape:
        if size > most or (found := found * size) > most:
            raise Refused(
                f"{label}: the shape has more values than the {most} that the body could contain"
            )
    return math.prod(shape)


def _texts(head: bytes | memoryview) -> int:
    """Return the number of strings by the shapes of binary tensors, which are not checked yet."""
    try:
        inputs = orjson.loads(head)["inputs"]
        shapes = [
            each["shape"] for each in inputs if each["datatype"] == "BYTES" and "data" not in each
        ]
        return sum(product(shape, _MANY, "BYTES") for shape in shapes)
    except (orjson.JSONDecodeError, Refused, LookupError, TypeError):
        return _MANY


def _arrays(value: Any, depth: int = 0) -> Iterator[tuple[int, int]]:
    """Iterate over lists that become arrays: number of values, length of the longest string."""
    if depth > _DIMENSIONS:
        return
    if isinstance(value, dict):
        for each in value.values():
            yield from _arrays(each, depth + 1)
    elif isinstance(value, list) and value:
        if all(type(each) is dict for each in value):
            columns: defaultdict[str, list[Any]] = defaultdict(list)
            for each in value:
                for name, cell in each.items():
                    columns[name].append(cell)
            yield from _arrays(columns, depth + 1)
        else:
            yield _extent(value)


def _extents(value: Any) -> tuple[int, int]:
    """Return the rows and columns of the table that pandas builds from a value, gaps filled."""
    if isinstance(value, list):
        return len(value), _longest(value)
    if not isinstance(value, dict):
        return 0, 0
    if "data" not in value:
        return _longest(value.values()), len(value)
    rows, columns = _extents(value["data"])
    index, names = (
        each if isinstance(each, list) else []
        for each in (value.get("index"), value.get("columns"))
    )
    return max(rows, len(index)), max(columns, len(names))


def _longest(values: Collection[Any]) -> int:
    """Return the most cells in a row that lists or objects take."""
    lists = max((len(each) for each in values if type(each) is list), default=1)
    return max(lists, len(set(chain.from_iterable(each for each in values if type(each) is dict))))


def _extent(values: list[Any]) -> tuple[int, int]:
    count = longest = 0
    level = values
    while level:
        longest = max(longest, max((len(each) for each in level if type(each) is str), default=0))
        inner = [each for each in level if type(each) is list]
        count += len(level) - len(inner)
        level = list(chain.from_iterable(inner))
    return count, longest


def _counts(body: bytes | memoryview, signs: bytes) -> list[int]:
    """Count the bytes `signs`, and those beyond ASCII, without the GIL and as fast for any body."""
    found = [0] * (len(signs) + 1)
    whole = np.frombuffer(body, np.uint8)
    for start in range(0, len(whole), _CHUNK):
        chunk = whole[start : start + _CHUNK]
        for index, sign in enumerate(signs):
            found[index] += int(np.count_nonzero(chunk == sign))
        found[-1] += int(np.count_nonzero(chunk > 127))
    return found
