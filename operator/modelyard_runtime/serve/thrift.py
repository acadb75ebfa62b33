"""Thrift's compact protocol, as far as Parquet's footer and page headers need it.

It reads as Arrow's reader does, so that both get the same values: a field with an unexpected type
is skipped, the last of several equal fields counts, and numbers keep 64 bits.

Source: thrift-compact-protocol.md of Apache Thrift.
"""

from collections.abc import Iterator

__all__ = ["LIST", "STRUCTURE", "Reader"]

LIST = 9
STRUCTURE = 12
_NUMBERS = frozenset({4, 5, 6})
"""Whole numbers of 16, 32 and 64 bits."""
_TRUTHS = frozenset({1, 2})
_BYTE, _FLOAT, _BYTES, _SET = 3, 7, 8, 10
_DEPTH = 16
_BITS = (1 << 64) - 1


class Reader:
    """Reads values, one after the other.

    Raises (all of its methods):
        IndexError: The bytes end before the value.
        ValueError: It is not a valid value.

    """

    def __init__(self, body: bytes, at: int) -> None:
        """Start at a position in a body."""
        if at < 0:
            raise IndexError
        self._body = body
        self.at = at

    def fields(self) -> Iterator[tuple[int, int]]:
        """Iterate over a structure's fields: number, type. The caller reads or skips each value."""
        field = 0
        while (head := self._byte()) != 0:
            field = field + (head >> 4) if head >> 4 else self.number()
            yield field, head & 15

    def elements(self) -> range:
        """Return a list's indices. The caller reads each value."""
        return range(self._size()[0])

    def number(self) -> int:
        """Read a whole number."""
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

    def skip(self, kind: int, depth: int = 0) -> None:
        """Skip a value of a type."""
        if depth > _DEPTH:
            raise ValueError("too deep")
        if kind in _NUMBERS:
            self._varint()
        elif kind == _BYTE:
            self.at += 1
        elif kind == _FLOAT:
            self.at += 8
        elif kind == _BYTES:
            length = self._varint()
            self.at += length
        elif kind in {LIST, _SET}:
            size, element = self._size()
            for _ in range(size):
                self.skip(_BYTE if element in _TRUTHS else element, depth + 1)
        elif kind == STRUCTURE:
            for _, inner in self.fields():
                self.skip(inner, depth + 1)
        elif kind not in _TRUTHS:  # the type of a boolean is its value
            raise ValueError("unknown type")

    def _size(self) -> tuple[int, int]:
        head = self._byte()
        size = self._varint() if head >> 4 == 15 else head >> 4
        if size > len(self._body) - self.at:
            raise ValueError("too long")
        return size, head & 15

    def _byte(self) -> int:
        self.at += 1
        return self._body[self.at - 1]

    def _varint(self) -> int:
        value = shift = 0
        while shift < 70:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value & _BITS
            shift += 7
        raise ValueError("too long")
