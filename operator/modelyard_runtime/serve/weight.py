"""What a request will become in memory, judged by its bytes before any of them is parsed.

The figures are upper bounds: of two requests that are hard to tell apart the larger one is meant.
Holding requests to them belongs to `budget`; what Parquet becomes is read from its pages, see `pages`.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import orjson

from modelyard_runtime.serve.parsing import decoded
from modelyard_runtime.serve.values import Refused

__all__ = ["Weight", "csv", "json", "product", "tensors", "written_out"]

_CHUNK = 1 << 18
_VALUE = 80
"""Bytes of a value: a float 24, its places in lists 16, in arrays of 64 and 32 bits 12, in the answer 24."""
_KEY, _LIST, _DICT = 100, 90, 250
_CELL = 120
"""Bytes of a cell of CSV: a text of its own, its places in rows and columns, and then the value's."""
_ELEMENT = 90
"""Bytes of a text of a binary tensor."""
_ARRAYS = 3
"""A binary tensor is copied at most so often: to its own type, to the model's, to the answer."""
_LENGTH = 4
"""Bytes before each text of a binary tensor."""
_MANY = 1 << 62
_DIMENSIONS = 32
"""More than any library's arrays have."""


@dataclass(frozen=True)
class Weight:
    """What a body becomes."""

    size: int
    """Bytes, at most."""
    values: int
    """Values, at most, for messages."""

    def times(self, factor: int) -> "Weight":
        """Return it for a reader that copies what it reads."""
        return Weight(self.size * factor, self.values)

    def within(self, most: int) -> "Weight":
        """Return it.

        Raises:
            Refused: It is too much.

        """
        if self.size > most:
            what = f"its up to {self.values} values would take {self.size >> 20} MiB of memory"
            raise Refused(f"the body is too large: {what}, {most >> 20} are allowed; send fewer rows at a time", 413)
        return self


def json(body: bytes | memoryview) -> Weight:
    """Weigh JSON. What stands in texts is counted too."""
    commas, lists, dicts, keys, escapes, wide = _counts(body, b",[{:\\")
    values = commas + lists + dicts + 1
    text = len(body) * (4 if wide or escapes else 1)  # one character of another script widens a whole text
    return Weight(len(body) + text + values * _VALUE + keys * _KEY + lists * _LIST + dicts * _DICT, values)


def csv(body: bytes) -> Weight:
    """Weigh CSV."""
    commas, lines, returns, wide = _counts(body, b",\n\r")
    cells = commas + lines + returns + 1
    return Weight(len(body) * (5 if wide else 2) + cells * (_CELL + _VALUE), cells)


def tensors(head: bytes | memoryview, size: int) -> Weight:
    """Weigh a request of V2 with so many bytes of binary tensors behind its JSON."""
    described = json(head)
    elements = min(_texts(head), size // _LENGTH) if b"BYTES" in bytes(head) else 0
    return Weight(described.size + _ARRAYS * size + _ELEMENT * elements, described.values + elements)


def written_out(body: bytes) -> int:
    """Return how many bytes the lists of JSON take as arrays of texts, in which each value has the room of the longest.

    MLflow makes such arrays of what pyfunc models are asked with.
    """
    try:
        parsed = decoded(body)
    except Refused:
        return 0  # as it will be again
    return sum(4 * count * longest for count, longest in _arrays(parsed))


def product(shape: Sequence[int], most: int, label: str) -> int:
    """Multiply the sizes of a shape, no further than to `most`.

    Raises:
        Refused: They are more values than that, or more dimensions than an array has.

    """
    if len(shape) > _DIMENSIONS:
        raise Refused(f"{label}: the shape has {len(shape)} dimensions, at most {_DIMENSIONS} are allowed")
    if 0 in shape:
        return 0
    found = 1
    for size in shape:
        if size > most or (found := found * size) > most:
            raise Refused(f"{label}: the shape takes more values than the {most} that the body could hold")
    return math.prod(shape)


def _texts(head: bytes | memoryview) -> int:
    """Return how many texts the shapes of binary tensors take, for all that is known before they are checked."""
    try:
        inputs = orjson.loads(head)["inputs"]
        shapes = [each["shape"] for each in inputs if each["datatype"] == "BYTES" and "data" not in each]
        return sum(product(shape, _MANY, "BYTES") for shape in shapes)
    except (orjson.JSONDecodeError, Refused, LookupError, TypeError):
        return _MANY


def _arrays(value: Any, depth: int = 0) -> Iterator[tuple[int, int]]:
    """Iterate over lists that become arrays: how many values, and the length of the longest text."""
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
    """Count some bytes, and those beyond ASCII; as fast whatever the body holds, and without the interpreter's lock."""
    found = [0] * (len(signs) + 1)
    whole = np.frombuffer(body, np.uint8)
    for start in range(0, len(whole), _CHUNK):
        chunk = whole[start : start + _CHUNK]
        for index, sign in enumerate(signs):
            found[index] += int(np.count_nonzero(chunk == sign))
        found[-1] += int(np.count_nonzero(chunk > 127))
    return found
